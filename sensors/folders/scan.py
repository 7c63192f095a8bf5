"""One listing of a folder tree, by os.scandir, for a thread: what is there; no file is opened."""

import errno
import os
import stat
from collections.abc import Callable, Collection

import msgspec

from afresh.assets.partition import is_temporary
from afresh.sensors.base import Identity
from afresh.sensors.folders.look import identity_of, look

_VANISHED = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


class Place(msgspec.Struct, frozen=True):
    """Which folder it is, whatever its path: renaming and mounting over change it."""

    device: int
    inode: int


class Listing(msgspec.Struct):
    """What was found, by absolute path; links that `look` accepts or refuses are files."""

    files: dict[str, Identity] = {}
    folders: dict[str, Place] = {}


def place_of(folder: str, *, follow: bool = True) -> Place:
    """Say which folder is at this path. Raises OSError, NotADirectoryError if it is none."""
    status = os.stat(folder, follow_symlinks=follow)  # noqa: PTH116 - keeps surrogates
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    return Place(status.st_dev, status.st_ino)


def list_folder(
    top: str,
    *,
    recursive: bool,
    skip: Collection[str],
    inside: tuple[str, ...],
    enter: Callable[[str, Place], None],
    follow: bool = True,
) -> Listing:
    """List a folder. `enter` is called with each folder before it is listed, to watch it first.

    Temporary names and the folders in `skip` are left out; linked folders are not entered, but for
    `top` if `follow`. Raises OSError when a folder that is there cannot be listed: a part is no
    listing. A folder below `top` that vanishes meanwhile is just not in it.
    """
    listing = Listing()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            place = place_of(folder, follow=follow and folder == top)
            enter(folder, place)
            below = _list_one(folder, listing, inside)
        except OSError as error:
            if folder != top and error.errno in _VANISHED:
                continue
            raise
        listing.folders[folder] = place
        if recursive:
            waiting.extend(path for path in below if path not in skip)
    return listing


def _list_one(folder: str, listing: Listing, inside: tuple[str, ...]) -> list[str]:
    """Add a folder's files to the listing, and return the folders in it."""
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    listing.files[entry.path] = identity_of(entry.stat(follow_symlinks=False))
                elif entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif entry.is_symlink() and (seen := look(entry.path, inside)) is not None:
                    listing.files[entry.path] = seen.identity
            except FileNotFoundError:
                continue
    return below
