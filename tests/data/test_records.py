import io
import struct
import zlib

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


def test_deep_colours_are_refused_and_not_cut(tmp_path):
    def chunk(kind, body):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    # PIL cannot write one: 2x1 pixels, 16 bits a channel, RGB, no filter.
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + bytes(12)))
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match="deep.png has 16 bits a channel"):
        records.checked("r", dict(image=path))


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff"])
def test_what_is_no_image_is_named(tmp_path, content):
    with pytest.raises(ValueError, match="record r7 is not a whole image"):
        records.checked("r7", dict(image=content))
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="x.jpg is not a whole image"):
        records.checked("r7", dict(image=path))
