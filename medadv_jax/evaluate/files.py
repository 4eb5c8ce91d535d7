"""Files that are whole or absent, never half written."""

import os
import pathlib
import tempfile


def replace(path: pathlib.Path, content: str | bytes) -> pathlib.Path:
    """Writes a file beside the old one and puts it in its place in one move.

    Whoever kills the program at any moment finds either the old file or the new one.

    Args:
      path: Where to write; missing folders are made.
      content: Text (written as UTF-8) or bytes.

    Returns:
      The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0o600 would hide a report from its readers
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
    return path
