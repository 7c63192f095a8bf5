"""What file systems are able to tell."""

import os
from pathlib import Path

import pytest

from afresh.sensors.folders.probe import file_system, kind_of_mount, probe

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /mnt rw shared:2 - tmpfs none rw
31 30 0:27 / /mnt/share\\040one rw shared:3 master:1 - nfs4 server:/x rw
32 22 0:28 / /mnt2 rw - fuse.sshfs user@host: rw
33 32 0:29 / /mnt2 rw - xfs /dev/sdb rw
nonsense
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/landing", "ext4"),
        ("/mnt", "tmpfs"),
        ("/mnt/share", "tmpfs"),
        ("/mnt/share one", "nfs4"),
        ("/mnt/share one/deep", "nfs4"),
        ("/mnt2/x", "xfs"),
        ("/mnt22", "ext4"),
    ],
)
def test_the_innermost_and_last_mount_counts(folder: str, kind: str) -> None:
    assert kind_of_mount(folder, MOUNTINFO) == kind


def test_no_mount_is_no_kind() -> None:
    assert kind_of_mount("/x", "") == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse", "fuse.sshfs", "9p", "ceph"])
def test_remote_kinds_neither_notify_nor_share_the_clock(kind: str) -> None:
    found = file_system(kind)
    assert not found.notifies
    assert not found.trusted
    assert kind in found.note


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "zfs", ""])
def test_local_kinds_notify(kind: str) -> None:
    found = file_system(kind)
    assert found.notifies
    assert found.trusted
    assert found.note == ""


def test_overlays_notify_of_what_goes_through_them() -> None:
    found = file_system("overlay")
    assert found.notifies
    assert "overlay" in found.note


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="no tmpfs here")  # noqa: S108
def test_a_real_file_system_is_found() -> None:
    assert probe("/dev/shm").kind == "tmpfs"  # noqa: S108
    assert probe(os.fspath(Path("/proc"))).kind == "proc"
