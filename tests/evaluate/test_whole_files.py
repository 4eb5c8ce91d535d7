import os
import signal
import subprocess
import sys

import pytest

from medadv_jax.evaluate import files


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = files.replace(tmp_path / "new" / "a.txt", "old")
    assert path.stat().st_mode & 0o777 == 0o644

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.replace(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["a.txt"]


def test_killed_write_leaves_the_old_file(tmp_path):
    path = files.replace(tmp_path / "a.txt", "old")
    # The file alone: importing the package would import jax.
    program = (
        "import importlib.util, os, pathlib, sys\n"
        "spec = importlib.util.spec_from_file_location('files', sys.argv[1])\n"
        "files = importlib.util.module_from_spec(spec); spec.loader.exec_module(files)\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), 9)\n"
        "files.replace(pathlib.Path(sys.argv[2]), 'new')"
    )
    killed = subprocess.run([sys.executable, "-c", program, files.__file__, str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
