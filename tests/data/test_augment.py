import numpy as np
import PIL.Image
import pytest

from medadv_jax.data import augment


class Fixed(np.random.Generator):
    """A generator that draws what the test says."""

    def __init__(self, **draws):
        super().__init__(np.random.PCG64(0))
        names = ("zoom", "aspect", "angle", "right", "down", "flip", "bright", "contrast", "colour")
        self.draws = np.array([draws.get(name, 0.0) for name in names] + [0.0] * 3)

    def uniform(self, low, high, size):
        assert (low, high, size) == (-1, 1, len(self.draws))
        return self.draws


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (10, 12, 3), np.uint8)
    return np.asarray(PIL.Image.fromarray(noise).resize((96, 80), PIL.Image.Resampling.BICUBIC))


def test_without_change_it_is_the_middle(image):
    found = augment.dermoscopy(80)(Fixed(flip=-1), image)
    assert np.abs(found.astype(int) - image[:, 8:88]).max() <= 1


@pytest.mark.parametrize(
    "draws, expected",
    [
        (dict(flip=1), lambda x: x[:, ::-1]),
        (dict(flip=-1, angle=1), lambda x: x[::-1, ::-1]),
        (dict(flip=-1, angle=0.5), lambda x: np.rot90(x)),
        (dict(flip=-1, angle=-0.5), lambda x: np.rot90(x, -1)),
        (dict(flip=1, angle=1), lambda x: x[::-1]),
    ],
)
def test_flips_and_quarter_turns_are_exact(image, draws, expected):
    found = augment.dermoscopy(80)(Fixed(**draws), image[:, 8:88])
    assert np.abs(found.astype(int) - expected(image[:, 8:88])).max() <= 1


def test_zoom_and_shift(image):
    zoomed = augment.dermoscopy(80)(Fixed(flip=-1, zoom=1), image)
    expected = PIL.Image.fromarray(image).resize(
        (80, 80), PIL.Image.Resampling.BILINEAR, box=(16, 8, 80, 72)
    )
    assert np.abs(zoomed.astype(int) - np.asarray(expected)).max() <= 2
    moved = augment.dermoscopy(80)(Fixed(flip=-1, right=0.625), image)  # 0.08 * 80 * 0.625 = 4
    assert np.abs(moved.astype(int) - image[:, 12:92]).max() <= 1


def test_outside_is_the_mirror_image(image):
    square = image[:, 8:88]
    found = augment.dermoscopy(80)(Fixed(flip=-1, right=0.625), square)
    assert np.abs(found[:, 76:].astype(int) - square[:, :-5:-1]).max() <= 1
    thin = augment.dermoscopy(40)(np.random.default_rng(0), image[:3])
    assert thin.shape == (40, 40, 3)


def test_colours():
    grey = np.full((20, 20, 3), 100, np.uint8)
    bright = augment.dermoscopy(20)(Fixed(bright=1), grey)
    np.testing.assert_allclose(bright, 115, atol=1)
    contrast = augment.dermoscopy(20)(Fixed(contrast=1), grey)
    np.testing.assert_allclose(contrast, 100 * 1.15 - 0.15 * 127.5, atol=1)
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 200
    pale = augment.dermoscopy(20)(Fixed(colour=-1), red)
    np.testing.assert_allclose(pale[10, 10], (0.8 * 200 + 0.2 * 59.8, 11.96, 11.96), atol=1)


def test_no_strength_leaves_colours_and_scale(image):
    draws = dict.fromkeys(("zoom", "aspect", "right", "down", "bright", "contrast", "colour"), 1.0)
    found = augment.dermoscopy(80, strength=0.0)(Fixed(flip=-1, **draws), image)
    assert np.abs(found.astype(int) - image[:, 8:88]).max() <= 1


@pytest.mark.parametrize("size, strength", [(0, 1.0), (8, -0.1), (8, 2.1)])
def test_bad_arguments(size, strength):
    with pytest.raises(ValueError, match="got"):
        augment.dermoscopy(size, strength)
