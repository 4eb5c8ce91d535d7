import pytest

from medadv_jax import data
from medadv_jax.data import dermofit
from medadv_jax.data.splits import SPLITS


@pytest.fixture
def tree(tmp_path, write_image):
    """Six photographs of five lesions of each class, each with its segmentation."""
    folder = tmp_path / "dermofit"
    for label, code in enumerate(dermofit.CLASSES):
        # Some folders have the code, some the name.
        top = code if label % 2 else dermofit.CLASSES[code].lower().replace(" ", "_")
        for lesion in ("1", "2", "3", "4a", "4b", "5"):
            name = f"{code[0]}{label}{lesion}"
            write_image(folder / top / name / f"{name}.png", label)
            write_image(folder / top / name / f"{name}mask.png", label)
    (folder / "readme.txt").write_text("not a diagnosis")
    return folder


def test_the_tree(tree, cache, untouched):
    before = untouched(tree)
    sources = [data.load("dermofit", split, tree) for split in SPLITS]
    assert untouched(tree) == before
    assert sum(map(len, sources)) == 60 and sources[0].num_classes == 10
    assert sources[0].class_names[2] == "Melanocytic Nevus"
    lesions = [set(source.column("lesion_id")) for source in sources]
    assert len(set.union(*lesions)) == sum(map(len, lesions)) == 50
    for source in sources:
        for name, lesion, label in zip(
            *(source.column(field) for field in ("image_id", "lesion_id", "label")), strict=True
        ):
            assert int(name[1]) == label
            assert lesion == name.rstrip("ab") and not name.endswith("mask")


def test_missing_unknown_and_doubled_folders(tree, cache, write_image):
    (tree / "BCC").rename(tree / "Psoriasis")
    with pytest.raises(ValueError, match="Psoriasis is no diagnosis; there are .*Actinic"):
        data.load("dermofit", "train", tree)
    (tree / "Psoriasis").rename(tree / "mel")
    with pytest.raises(ValueError, match="are both Malignant Melanoma"):
        data.load("dermofit", "train", tree)
    (tree / "mel").rename(tree.parent / "mel")
    with pytest.raises(FileNotFoundError, match="no folder of BCC .Basal Cell.*edinburgh"):
        data.load("dermofit", "train", tree)
    with pytest.raises(FileNotFoundError, match="nowhere is missing.*edinburgh"):
        data.load("dermofit", "train", tree / "nowhere")


def test_an_empty_folder_and_a_doubled_image(tree, cache, write_image):
    (tree / "BCC").rename(tree.parent / "BCC")
    (tree / "BCC").mkdir()
    with pytest.raises(ValueError, match="BCC holds no image of Basal Cell Carcinoma"):
        data.load("dermofit", "train", tree)
    write_image(tree / "BCC" / "A01.png")
    with pytest.raises(ValueError, match="are the same image twice"):
        data.load("dermofit", "train", tree)
