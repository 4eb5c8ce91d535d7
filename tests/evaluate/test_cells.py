import os

import numpy as np
import pytest

from medadv_jax.evaluate import cells


def cell(seed=0):
    rng = np.random.default_rng(seed)
    whole = lambda: rng.integers(0, 9, 4).astype(np.int32)
    real = lambda *shape: rng.random(shape, np.float32)
    return cells.Cell(
        records=np.arange(4, dtype=np.int32),
        outcomes={"decision": real(2, 4, 2), "log_odds": real(2, 4, 4)},
        fooled=rng.random((2, 4)) < 0.5,
        steps=whole(),
        gradients=whole(),
        forwards=whole(),
        flat=rng.random(4) < 0.5,
        l2=real(4),
        linf=real(4),
        ssim=real(4),
        images=real(4, 5, 5, 1),
        labels=whole(),
        probabilities=real(2, 4, 3),
        seconds=1.5,
        compile_seconds=0.25,
    )


def assert_same(found, expected):
    assert found is not None
    for name, value in expected._asdict().items():
        kept = getattr(found, name)
        assert type(kept) is type(value)
        if isinstance(value, dict):
            assert kept.keys() == value.keys()
            pairs = [(kept[key], value[key]) for key in value]
        else:
            pairs = [(kept, value)]
        for one, other in pairs:
            np.testing.assert_array_equal(one, other, strict=True)


def test_a_cell_comes_back_as_it_was(tmp_path):
    path = tmp_path / "new" / "cell.npz"
    assert cells.load(path) is None
    cells.save(path, cell(0))
    assert_same(cells.load(path), cell(0))
    cells.save(path, cell(1))
    assert_same(cells.load(path), cell(1))
    assert [file.name for file in path.parent.iterdir()] == ["cell.npz"]


def test_a_cell_is_not_there_until_it_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "cell.npz"

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        cells.save(path, cell())
    assert cells.load(path) is None
    monkeypatch.undo()
    cells.save(path, cell())
    assert_same(cells.load(path), cell())


def damage(content):
    """Yields what may be left of a file: nothing, a beginning, one bit changed, another file."""
    yield b""
    yield b"{}"
    for length in (10, len(content) // 2, len(content) - 1):
        yield content[:length]
    for place in np.linspace(0, len(content) - 1, 60).astype(int):
        changed = bytearray(content)
        changed[place] ^= 4
        yield bytes(changed)


def test_a_damaged_cell_is_named_and_not_used(tmp_path):
    path = tmp_path / "cell.npz"
    cells.save(path, cell())
    refused = 0
    for content in damage(path.read_bytes()):
        path.write_bytes(content)
        try:
            found = cells.load(path)
        except UserWarning as warning:  # the tests make errors of warnings
            assert f"{path} is damaged" in str(warning)
            refused += 1
        else:
            # A bit of the archive that carries no meaning, such as a date.
            assert_same(found, cell())
    assert refused >= 45


def test_a_file_of_an_older_kind_is_damaged(tmp_path):
    path = tmp_path / "cell.npz"
    np.savez(path, records=np.arange(3))
    with pytest.warns(UserWarning, match="cell.npz is damaged"):
        assert cells.load(path) is None
