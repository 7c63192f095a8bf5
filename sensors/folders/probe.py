"""What a file system is able to tell: some never notify of what others change on them."""

import os
import re

import msgspec

_REMOTE = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gfs2", "ocfs2",
        "virtiofs", "vboxsf", "prl_fs", "beegfs", "gpfs", "glusterfs", "orangefs", "ncpfs", "davfs",
    }
)  # fmt: skip
_OVERLAID = frozenset({"overlay", "aufs"})
_OCTAL = re.compile(r"\\([0-7]{3})")


class FileSystem(msgspec.Struct, frozen=True):
    """`notifies`: of every change. `trusted`: its timestamps are of this machine's clock."""

    kind: str
    notifies: bool
    trusted: bool
    note: str = ""


def file_system(kind: str) -> FileSystem:
    """Say what a kind of file system, as the kernel names it, is able to do."""
    if kind in _REMOTE or kind == "fuse" or kind.startswith("fuse."):
        note = f"no notifications of what others change on {kind}: it is scanned instead"
        return FileSystem(kind, notifies=False, trusted=False, note=note)
    if kind in _OVERLAID:
        note = f"no notifications of changes beneath {kind}: it is scanned more often"
        return FileSystem(kind, notifies=True, trusted=True, note=note)
    return FileSystem(kind, notifies=True, trusted=True)


def kind_of_mount(folder: str, mountinfo: str) -> str:
    """Find the kind of file system of a real path in /proc/self/mountinfo's text; "" if none."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
        covers = folder == point or folder.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point the later one is seen.
        if covers and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind


def probe(folder: str) -> FileSystem:
    """Say what the file system of this folder is able to do; if it cannot be known, the most."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            mountinfo = file.read()
    except OSError:
        return file_system("")
    return file_system(kind_of_mount(os.path.realpath(folder), mountinfo))
