"""A project that a daemon keeps up to date, as a user at a terminal meets it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.project import Project, rename_in

if TYPE_CHECKING:
    import subprocess

DEADLINE_SECONDS = 60.0


def until(
    condition: Callable[..., Any], what: str = "", *, seconds: float = DEADLINE_SECONDS
) -> Any:
    """Poll until `condition()` gives a true value, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what or condition}")
        time.sleep(0.02)
    return value


class Living(Project):
    """A project with shorthands for what tests ask again and again."""

    def land(self, name: str, content: str | bytes) -> Path:
        """Rename a file into `landing/`, complete at once."""
        path = self.folder / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rename_in(path, content)
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the project as editors save: in place of the old one."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        rename_in(path, text.replace(old, new))

    def settle(self, *selection: str) -> dict[str, Any]:
        """Wait until all that has landed is settled; the answer of `afresh wait`."""
        done = self.run("wait", *selection, "--timeout", "60", "--json", check=False)
        assert done.returncode in (0, 1), done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        assert answer["settled"], answer
        assert done.returncode == (1 if answer["failed"] or answer["blocked"] else 0)
        return answer

    def states(self, *selection: str) -> dict[str, str]:
        """Give the state of each unit by its reference."""
        return {ref(row): row["state"] for row in self.json("status", *selection)}

    def status(self, unit: str) -> dict[str, Any]:
        """One unit's row."""
        rows = self.json("status", unit)
        assert len(rows) == 1, rows
        row: dict[str, Any] = rows[0]
        return row

    def until_state(self, unit: str, state: str) -> dict[str, Any]:
        """Poll until a unit is in a state; its row."""

        def look() -> dict[str, Any] | None:
            done = self.run("status", unit, "--json", check=False)
            rows = json.loads(done.stdout) if done.returncode == 0 else []
            return next((row for row in rows if row["state"] == state), None)

        row: dict[str, Any] = until(look, f"{unit} {state}")
        return row

    def versions(self, asset: str) -> list[int]:
        """Give the numbers of a unit's versions, newest first."""
        return [row["version"] for row in self.json("versions", asset)]

    def runs(self, asset: str) -> list[dict[str, Any]]:
        """Give the runs of an asset in the order in which they began."""
        rows: list[dict[str, Any]] = self.json("runs", asset)
        return sorted(rows, key=lambda row: row["run"])

    def read(self, unit: str) -> list[dict[str, Any]]:
        """Give the rows of a version."""
        rows: list[dict[str, Any]] = self.json("read", unit)
        return rows

    def why(self, unit: str) -> str:
        """Give what `why` tells people."""
        return self.run("why", unit).stdout

    def until_idle(self) -> "subprocess.CompletedProcess[str]":
        """Run `afresh up --until-idle`."""
        return self.run("up", "--until-idle", check=False, timeout=120)

    def staged(self) -> set[Path]:
        """Give the artifact files that no version and no rejection names."""
        named = {row[0] for row in self.rows("select uri from version")}
        named |= {row[0] for row in self.rows("select uri from rejection where uri is not null")}
        folder = self.state / "artifacts"
        return {path for path in folder.rglob("*") if path.is_file() and str(path) not in named}


def ref(row: dict[str, Any]) -> str:
    """Give the reference of a row's unit."""
    return f"{row['asset']}[{row['partition']}]" if row["partition"] else str(row["asset"])
