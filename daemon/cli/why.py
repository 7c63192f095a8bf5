"""`afresh why`."""

from typing import Any

import click

from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import say
from afresh.daemon.cli.status import short


@command("why")
@click.argument("ref")
def why(call: Call, ref: str) -> None:
    """Say why REF is as it is, down to the first cause."""
    call.show(call.live("why", {"ref": ref}), _people)


def _people(answer: dict[str, Any]) -> None:
    say(f"{answer['ref']} is {answer['state']}")
    if not answer["because"]:
        say("  nothing is known of it yet")
    for entry in answer["because"]:
        at = f"  ({short(entry['at'])} UTC)" if entry["at"] else ""
        about = f"{entry['ref']}: " if entry["ref"] and entry["ref"] not in entry["detail"] else ""
        kind = "" if entry["kind"] in ("run", "event", "last_good") else f"{entry['kind']}: "
        say(f"  - {kind}{about}{entry['detail']}{at}")
