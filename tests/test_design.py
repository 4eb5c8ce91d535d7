"""The design of the package as tests: which part may import which, and what is at the top level."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LAYERS = (
    {"types"},
    {"losses"},
    {"data", "models", "attacks", "metrics", "checkpoint"},
    {"defenses", "train", "evaluate"},
    {"report"},
    {"experiments"},
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
FILES = [
    path
    for folder in ("medadv_jax", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def part_of(path):
    """The part of the package that a file belongs to, as `LAYERS` names it."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    return package if package == "experiments" else rest[0]


def imports(path):
    """The parts that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            whole = node.module in ("medadv_jax", "experiments")
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if whole else [node.module]
            )
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            if package == "experiments":
                yield package
            elif package == "medadv_jax" and rest:
                yield rest[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = part_of(path)
    if own == "__init__":
        assert not list(imports(path)), "medadv_jax itself imports nothing"
        return
    for other in imports(path):
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} may not import {other}"


def test_every_file_is_of_one_idea():
    long = {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > 300}
    assert not long, f"files over 300 lines: {long}"


def test_folders_are_two_deep():
    for path in FILES:
        assert len(path.relative_to(ROOT).parts) <= 3, path
        assert path.stem != "utils", path


def test_test_files_have_names_of_their_own():
    """Test folders are no packages: two files of one name cannot be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
