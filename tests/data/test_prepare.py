import dataclasses
import signal
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from medadv_jax.data import prepare, records
from medadv_jax.data.table import Part, Table

FIELDS = {"image_id": str, "age": np.float32, "hair": np.int32, "veil": np.bool_}


def make_table(images, **changes):
    rows = [
        (
            f"r{i}",
            dict(image=image, label=i % 2, image_id=f"r{i}é", age=i / 2, hair=i, veil=i % 3 == 0),
        )
        for i, image in enumerate(images)
    ]
    table = Table(
        name="toy",
        class_names=("x", "y"),
        group="image_id",
        description="Toy.",
        homepage="",
        fields=FIELDS,
        splits={"train": Part(len(rows), lambda: rows), "test": Part(1, lambda: rows[:1])},
        fingerprint=("one",),
    )
    return dataclasses.replace(table, **changes)


def noise(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


def test_records_come_back_in_order_with_their_types(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SHARD", 2)
    images = [noise(i) for i in range(5)]
    source = prepare.prepare(make_table(images), "train", tmp_path)
    assert len(source) == 5 and len(list(tmp_path.rglob("*train.array_record*"))) == 3
    for i, image in enumerate(images):
        record = source[i]
        np.testing.assert_array_equal(record.pop("image"), np.asarray(image))
        assert record == dict(label=i % 2, image_id=f"r{i}é", age=i / 2, hair=i, veil=i % 3 == 0)
        assert [type(record[name]) for name in FIELDS] == [str, float, int, bool]
    assert source.column("label").dtype == np.int32
    for field in FIELDS:
        assert source.column(field).tolist() == [source[i][field] for i in range(5)]
    assert len(prepare.prepare(make_table(images), "test", tmp_path)) == 1


def test_a_file_is_stored_byte_by_byte_and_other_modes_become_rgb(tmp_path):
    path = tmp_path / "a.jpg"
    noise(0).save(path, quality=50)
    grey, palette = noise(1).convert("L"), noise(2).convert("P")
    for name, image in dict(grey=grey, palette=palette).items():
        image.save(tmp_path / f"{name}.png")
    paths = [path, tmp_path / "grey.png", tmp_path / "palette.png"]
    source = prepare.prepare(make_table(paths), "train", tmp_path / "cache")
    assert records.checked("r0", dict(image=path))["image"] == path.read_bytes()
    expected = (PIL.Image.open(path), grey.convert("RGB"), palette.convert("RGB"))
    for i, image in enumerate(expected):
        np.testing.assert_array_equal(source[i]["image"], np.asarray(image))


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_truncated_image_is_named_and_nothing_is_left(tmp_path, ending):
    paths = [tmp_path / f"{i}.{ending}" for i in range(3)]
    for path in paths:
        noise(0).resize((60, 60)).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:-400])
    with pytest.raises(ValueError, match=f"1.{ending} is not a whole image"):
        prepare.prepare(make_table(paths), "train", tmp_path / "cache")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock"]
    assert left == [tmp_path / "cache" / "toy"]


def test_a_new_fingerprint_is_prepared_anew_and_an_old_one_is_not(tmp_path):
    opened = []

    def start():
        opened.append(1)
        return iter(
            [("r", dict(image=noise(0), label=0, image_id="r", age=1.0, hair=1, veil=True))]
        )

    table = make_table([], splits={"train": Part(1, start)})
    for changes in ({}, {}, dict(fingerprint=("two",)), dict(class_names=("x", "z"))):
        prepare.prepare(dataclasses.replace(table, **changes), "train", tmp_path)
    assert len(opened) == 3


STUCK = """
import pathlib, signal, sys
import numpy as np
import PIL.Image
from medadv_jax.data import prepare
from medadv_jax.data.table import Part, Table

def start():
    yield "r0", dict(image=PIL.Image.new("RGB", (4, 4)), label=0, image_id="r0")
    print("stuck", file=sys.stderr, flush=True)
    signal.pause()

table = Table("toy", ("x",), "image_id", "", "", {"image_id": str}, {"train": Part(2, start)}, ())
prepare.prepare(table, "train", pathlib.Path(sys.argv[1]))
"""


def test_a_killed_preparation_is_begun_again(tmp_path):
    command = [sys.executable, "-c", STUCK, str(tmp_path)]
    # Standard output is silenced during a preparation.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "stuck" in line:
                break
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.rglob("*.incomplete")) and not list(tmp_path.rglob("*.npz"))
    rows = [(f"r{i}", dict(image=noise(i), label=0, image_id=f"r{i}")) for i in range(2)]
    parts = {"train": Part(2, lambda: rows)}
    table = Table("toy", ("x",), "image_id", "", "", {"image_id": str}, parts, ())
    assert len(prepare.prepare(table, "train", tmp_path)) == 2
    assert not list(tmp_path.rglob("*.incomplete"))


def test_tensorflow_is_never_imported(tmp_path):
    code = """
import sys
from medadv_jax import data
assert not {"tensorflow_datasets", "grain"} & set(sys.modules), "import is to be quick"
source = data.load("lesion_phantom", "test", cache_dir=sys.argv[1], count=2, size=16)
list(data.batches(source, 2))
assert "tensorflow_datasets" in sys.modules and "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_copy_of_the_data_has_their_fingerprint(tmp_path):
    made = [("one", 0), ("touched", 0), ("other", 2)]
    one, touched, other = (
        prepare.prepare(
            make_table([noise(seed), noise(1)], fingerprint=(name,)), "train", tmp_path / "cache"
        )
        for name, seed in made
    )
    assert one.fingerprint == touched.fingerprint != other.fingerprint
    test = prepare.prepare(make_table([noise(0), noise(1)]), "test", tmp_path / "cache")
    assert test.fingerprint != one.fingerprint
