"""Which file system a folder is on."""

from pathlib import Path

import pytest

from afresh.assets.errors import LedgerUnusable
from afresh.storage.ledger.filesystem import file_system, make_folder, refuse_network

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:40 / /srv rw,relatime shared:1 - nfs4 host:/srv rw
24 23 254:1 / /srv/local rw - xfs /dev/vdb rw
25 22 0:41 / /mnt/a\\040b rw - cifs //host/share rw
29 22 0:45 / /mnt/日本 rw - smb3 //host/share rw
26 22 0:42 / /home/remote rw - fuse.sshfs host: rw
27 22 0:43 / /twice rw - nfs host: rw
28 27 0:44 / /twice rw - tmpfs none rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/x", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/deep/er", "nfs4"),
        ("/srvother", "ext4"),
        ("/srv/local/x", "xfs"),
        ("/mnt/a b/c", "cifs"),
        ("/mnt/日本/c", "smb3"),
        ("/home/remote/me", "fuse.sshfs"),
        ("/twice/x", "tmpfs"),
    ],
)
def test_the_mount_that_holds_the_folder_decides(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_network_disks_are_refused_by_name() -> None:
    with pytest.raises(LedgerUnusable, match="found nfs4 at /srv/state"):
        refuse_network(Path("/srv/state"), MOUNTS)
    refuse_network(Path("/srv/local"), MOUNTS)


def test_the_real_table_of_mounts_is_understood(tmp_path: Path) -> None:
    assert file_system(tmp_path)


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    make_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
