"""What is at a path now: the one place that decides whether something there is a file for us.

Regular files are. A symbolic link is followed if the file that it leads to is inside the project
or the watched folder; else it is refused by name. Folders, FIFOs, sockets and devices are not
files, and neither is a link that leads nowhere.
"""

import errno
import os
import stat

import msgspec

from afresh.sensors.base import Identity

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


class Seen(msgspec.Struct, frozen=True):
    """A file as it was at the look. `problem` says why it is refused, in one line."""

    identity: Identity
    problem: str = ""


def identity_of(status: os.stat_result) -> Identity:
    """Make the identity of what was looked at."""
    return Identity(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def look(path: str, inside: tuple[str, ...]) -> Seen | None:
    """Look at a path; None if no file is there. Links may lead into the real paths `inside`.

    Raises OSError when that cannot be known: then nobody may conclude that the file is gone.
    """
    try:
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            return Seen(identity_of(status))
        if not stat.S_ISLNK(status.st_mode):
            return None
        target = os.stat(path)  # noqa: PTH116 - follows, and keeps surrogates as they are
        if not stat.S_ISREG(target.st_mode):
            return None
        real = os.path.realpath(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    if any(real.startswith(folder.rstrip("/") + "/") for folder in inside):
        return Seen(identity_of(target))
    return Seen(
        identity_of(status),
        f"Expected a file inside the project, found a symbolic link to {real!a}",
    )
