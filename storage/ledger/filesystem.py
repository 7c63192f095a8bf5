"""The folder of a ledger: made to last, and not on a network file system."""

import os
import re
from pathlib import Path

from afresh.assets.errors import LedgerUnusable

_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs", "ocfs2",
    "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.rclone",
    "fuse.davfs",
}  # fmt: skip


_OCTAL = re.compile(r"\\([0-7]{3})")


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, parents too, there after a power cut.

    Raises OSError.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in missing:
        # SQLite syncs the ledger's own folder, not the one above it.
        descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_system(path: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that holds this folder, "" where it cannot be told.

    `mounts` is the text of /proc/self/mountinfo, read if it is not given.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        except OSError:
            return ""
    best, found = -1, ""
    folder = path.resolve()
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), left.split(" ")[4])
        # A later mount on the same place hides the earlier one.
        if folder.is_relative_to(point) and len(point) >= best:
            best, found = len(point), right.split(" ")[0]
    return found


def refuse_network(path: Path, mounts: str | None = None) -> None:
    """Raise LedgerUnusable on a network: locks and shared memory there do not hold for SQLite."""
    kind = file_system(path, mounts)
    if kind in _NETWORK:
        raise LedgerUnusable(
            f"Expected a local disk for the ledger, found {kind} at {path}",
            hint="set `state` in afresh.toml to a folder on a local disk",
        )
