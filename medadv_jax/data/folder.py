"""Anyone's images: one subfolder a class, or a CSV file that lists them."""

import pathlib

from medadv_jax.data.splits import SPLITS
from medadv_jax.data.table import (
    IMAGE_ENDINGS,
    Record,
    Row,
    Table,
    arrange,
    divide,
    need,
    read_csv,
    stamp,
)

WHERE = "your own files"
HOMEPAGE = ""


def table(data_dir: pathlib.Path, *, csv: str | None = None, seed: int = 0) -> Table:
    """Reads images that lie in a folder.

    Without `csv`, `data_dir` holds one subfolder a class, named by it, with the images in it; each
    image is its own group. With it, the CSV file has the columns `image` (a path, relative to the
    CSV file's folder) and `label` (the name of a class), and may have `group` (which images
    show the same lesion or patient; empty: the image is its own group) and `split` ("train",
    "validation" or "test"). Classes are numbered in the order of their names. Without the column
    `split` 70 % of the images train, 10 % validate and 20 % test, stratified by class and
    divided by group.

    Args:
      data_dir: The folder.
      csv: Path of the CSV file, relative to `data_dir`.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A file or a folder is missing.
      ValueError: The table breaks a rule, a group is in two splits, or a split lacks a class.
    """
    need(data_dir, WHERE)
    if csv is None:
        records, class_names, origin = _from_subfolders(data_dir)
        assigned = None
    else:
        origin = data_dir / csv
        rows = read_csv(origin, ("image", "label"), key="image", homepage=WHERE)
        records, class_names = _from_rows(rows)
        assigned = _official(rows, records)
    if assigned is None:
        splits = divide(records, class_names, str(origin), group="group", seed=seed)
    else:
        splits = arrange(records, assigned, class_names, str(origin))
    return Table(
        name="folder",
        class_names=class_names,
        group="group",
        description=f"{len(records)} images in {len(class_names)} classes from the folder "
        f"{data_dir.name}.",
        homepage=HOMEPAGE,
        fields=dict(image_id=str, group=str),
        splits=splits,
        fingerprint=stamp(
            [*([] if csv is None else [origin]), *(fields["image"] for _, fields in records)]
        ),
    )


def _from_subfolders(data_dir: pathlib.Path) -> tuple[list[Record], tuple[str, ...], pathlib.Path]:
    """Returns the records of one subfolder a class."""
    folders = sorted(path for path in data_dir.iterdir() if path.is_dir() and path.name[0] != ".")
    if not folders:
        raise ValueError(f"{data_dir} has no subfolder; there must be one for each class.")
    records = []
    for label, folder in enumerate(folders):
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
        if not paths:
            raise ValueError(f"{folder} holds no image ({', '.join(IMAGE_ENDINGS)}).")
        for path in paths:
            name = f"{folder.name}/{path.name}"
            records.append((name, dict(image=path, label=label, image_id=name, group=name)))
    return records, tuple(folder.name for folder in folders), data_dir


def _from_rows(rows: list[Row]) -> tuple[list[Record], tuple[str, ...]]:
    """Returns the records that a CSV file lists."""
    class_names = tuple(sorted({row["label"] for row in rows}))
    records, line_of = [], {}
    for row in rows:
        path = row.file.parent / row["image"]
        if not path.is_file():
            raise FileNotFoundError(f"{row.file}, line {row.line}: {path} is missing.")
        if (first := line_of.setdefault(path.resolve(), row.line)) != row.line:
            raise row.error(f"{path} is the image of line {first}; an image is listed once.")
        if not row["label"]:
            raise row.error("label is empty.")
        fields = dict(
            image=path,
            label=class_names.index(row["label"]),
            image_id=row["image"],
            group=row.values.get("group") or row["image"],
        )
        records.append((row["image"], fields))
    return records, class_names


def _official(rows: list[Row], records: list[Record]) -> list[str] | None:
    """Returns the split of each row as its file has it, or None where there is no such column."""
    if "split" not in rows[0].values:
        return None
    splits = [SPLITS[row.choice("split", SPLITS)] for row in rows]
    first: dict[str, str] = {}
    for row, split, (_, fields) in zip(rows, splits, records, strict=True):
        if first.setdefault(fields["group"], split) != split:
            raise row.error(
                f"group {fields['group']!r} is in {split} and in {first[fields['group']]}; a group "
                "is in one split."
            )
    return splits
