"""Brains that FreeSurfer has segmented: a subjects directory of `recon-all`."""

import pathlib
import re

from medadv_jax.data import scans, structures
from medadv_jax.data.table import Table, need

HOMEPAGE = "https://surfer.nmr.mgh.harvard.edu (run `recon-all -all`)"
IMAGES = ("T1", "norm", "orig")
LABELS = {"aseg": structures.FREESURFER, "aparc+aseg": structures.DESIKAN_KILLIANY}
"""Name of a label file to its numbering."""
AVERAGES = ("fsaverage", "lh.EC_average", "rh.EC_average")
"""Beginnings of folders that FreeSurfer puts there and that are no subject."""
SUBJECT = r"(sub-[^_]+(?=_)|.+?(?=_ses-|_MR(?:_d)?\d+$)).*"
"""Names of scans that say whose they are: those of BIDS and OASIS."""


def table(
    data_dir: pathlib.Path,
    *,
    plane: str = "coronal",
    spacing: float | int | None = None,
    image: str = "T1",
    labels: str = "aseg",
    horns: bool = False,
    subject: str | None = None,
    fractions: tuple[float, float, float] = scans.FRACTIONS,
    seed: int = 0,
) -> Table:
    r"""Reads a subjects directory: `<subject>/mri/T1.mgz` and `<subject>/mri/aseg.mgz`.

    Each folder is a scan but FreeSurfer's averages and hidden ones. Of one subject X are the
    folders `X`, `X_ses-<anything>`, `X_MR<n>` and `X_MR_d<n>` (OASIS), and, if X is
    `sub-<name>`, every `X_<anything>`; and in the longitudinal stream `<scan>`,
    `<scan>.long.<base>` and `<base>`, with all that is of one subject with any of them. Every other
    folder counts as a subject of its own: where several are one person's, give `subject`. The
    labels are FreeSurfer's own, not those of a human rater.

    Args:
      data_dir: The subjects directory.
      plane: "coronal", "axial", "sagittal" or "volume".
      spacing: Isotropic spacing in mm; `None` for each scan's own, which is 1 mm.
      image: "T1" (whole head, bias field removed), "norm" (brain only) or "orig" (as it came).
      labels: "aseg", or "aparc+aseg", whose cortex is the one between the surfaces.
      horns: Whether the inferior horns are lateral ventricle, as in MUSE; else background.
      subject: Regular expression that a scan's whole name matches and whose one group is its
        subject, such as `r"(p\d+)_.*"`, instead of the rules for names above; the longitudinal
        stream stays together all the same. `"(.*)"` makes each scan a subject.
      fractions: Shares of the subjects for training, validation and test.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A subject lacks a file.
      ValueError: A file or an option breaks a rule, or there are fewer than three subjects.

    Source: B. Fischl, FreeSurfer, NeuroImage 2012.
    """
    if image not in IMAGES or labels not in LABELS:
        raise ValueError(
            f"image is one of {', '.join(IMAGES)} and labels one of {', '.join(LABELS)}; got "
            f"{image!r} and {labels!r}."
        )
    names = sorted(
        path.name
        for path in need(data_dir, HOMEPAGE).iterdir()
        if path.is_dir() and not path.name.startswith((".", *AVERAGES))
    )
    subject_of = _subjects(names, subject)
    found = []
    for name in names:
        mri = data_dir / name / "mri"
        scan, ids = (need(mri / f"{file}.mgz", HOMEPAGE) for file in (image, labels))
        found.append(scans.Scan(name, subject_of[name], scan, ids, {}))
    numbering = LABELS[labels]
    return scans.table(
        "freesurfer",
        found,
        scans.divided(found, data_dir, fractions, seed),
        numbering=structures.with_horns(numbering) if horns else numbering,
        plane=plane,
        spacing=spacing,
        fields={},
        description=f"{len(found)} T1-weighted brains from the folder {data_dir.name}, 27 "
        f"structures labelled by FreeSurfer ({labels}), divided by subject.",
        homepage=HOMEPAGE,
    )


def _subjects(names: list[str], pattern: str | None = None) -> dict[str, str]:
    """Returns the subject of each folder; those that a longitudinal folder links are one.

    >>> _subjects(["a", "a.long.b", "b_ses-2", "c_MR1", "sub-01_ses-1"])
    {'a': 'a', 'a.long.b': 'a', 'b_ses-2': 'a', 'c_MR1': 'c', 'sub-01_ses-1': 'sub-01'}
    """
    links = {name: name.partition(".long.")[::2] for name in names}
    scans, bases = ({link[end] for link in links.values()} for end in (0, 1))
    own = _reduced(scans, bases, pattern)
    whole: dict[str, frozenset[str]] = {}
    for scan, base in links.values():
        ends = {own[scan], own[base or scan]}
        joined = frozenset(ends.union(*(whole.get(end, ()) for end in ends)))
        whole.update(dict.fromkeys(joined, joined))
    return {name: min(whole[own[scan]]) for name, (scan, _) in links.items()}


def _reduced(scans: set[str], bases: set[str], pattern: str | None) -> dict[str, str]:
    """Returns names of scans and bases without what tells the scans of a subject apart.

    Raises:
      ValueError: The pattern is no regular expression of one group, or does not match a scan.
    """
    try:
        rule = re.compile(SUBJECT if pattern is None else pattern)
    except re.error as error:
        raise ValueError(f"subject is a regular expression, got {pattern!r}: {error}.") from None
    if rule.groups != 1:
        raise ValueError(f"subject has one group, got {pattern!r}, which has {rule.groups}.")
    own = {}
    for name in sorted(scans | bases):
        match = rule.fullmatch(name)
        if pattern is not None and name not in bases and not (match and match[1]):
            raise ValueError(
                f"The folder {name} does not match subject={pattern!r}, or gives an empty group; "
                "every scan has a subject."
            )
        own[name] = match[1] if match and match[1] else name
    return own
