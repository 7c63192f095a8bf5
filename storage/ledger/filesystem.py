"""Refusal of network file systems: locks and shared memory there do not hold what SQLite needs."""

from pathlib import Path

from afresh.assets.errors import LedgerUnusable

_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs", "ocfs2",
    "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.rclone",
    "fuse.davfs",
}  # fmt: skip


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
        point = left.split(" ")[4].encode("latin-1", "replace").decode("unicode_escape")
        # A later mount on the same place hides the earlier one.
        if folder.is_relative_to(point) and len(point) >= best:
            best, found = len(point), right.split(" ")[0]
    return found


def refuse_network(path: Path, mounts: str | None = None) -> None:
    """Raise LedgerUnusable if the folder lies on a network file system."""
    kind = file_system(path, mounts)
    if kind in _NETWORK:
        raise LedgerUnusable(
            f"Expected a local disk for the ledger, found {kind} at {path}",
            hint="set `state` in afresh.toml to a folder on a local disk",
        )
