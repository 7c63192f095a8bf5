"""A body that is too large for its event's row, as a file: synced before anybody is told of it."""

import os
from pathlib import Path


def stage(path: Path, data: bytes) -> None:
    """Write a new file and sync it and its folder. Raises OSError; then nothing is left."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        path.unlink(missing_ok=True)
        raise
