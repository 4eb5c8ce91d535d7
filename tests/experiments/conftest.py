import numpy as np
import PIL.Image
import pytest

COLORS = {"blue": (60, 60, 160), "green": (60, 160, 60), "red": (160, 60, 60)}


@pytest.fixture(scope="session")
def image_folder():
    """Writes three classes that differ in colour, in the layout of the data set `folder`."""

    def write(root, count=20):
        rng = np.random.default_rng(0)
        for name, color in COLORS.items():
            (root / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(rng.normal(color, 25, (80, 90, 3)), 0, 255).astype(np.uint8)
                PIL.Image.fromarray(pixels).save(root / name / f"{name}{number}.png")
        return root

    return write


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An empty folder for the runs of a test file, and for the records that they prepare."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDADV_CACHE", str(folder / "cache"))
        yield folder
