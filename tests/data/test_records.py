import io

import numpy as np
import PIL.Image
import pytest

from medadv_jax.data import records


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "LA", "CMYK"])
def test_other_modes_become_rgb_as_pil_converts_them(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    image = PIL.Image.fromarray(pixels).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    for given in (path, path.read_bytes(), PIL.Image.open(path)):
        content = records.checked("r", dict(image=given, label=1))["image"]
        found = PIL.Image.open(io.BytesIO(content))
        assert found.mode == "RGB"
        expected = PIL.Image.open(path).convert("RGB")
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_deep_images_are_refused_and_not_clipped(tmp_path):
    path = tmp_path / "deep.png"
    PIL.Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(path)
    with pytest.raises(ValueError, match="deep.png has the mode I;16; an image has one of RGB"):
        records.checked("r", dict(image=path))


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff"])
def test_what_is_no_image_is_named(tmp_path, content):
    with pytest.raises(ValueError, match="record r7 is not a whole image"):
        records.checked("r7", dict(image=content))
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="x.jpg is not a whole image"):
        records.checked("r7", dict(image=path))
