"""`afresh wait`."""

from typing import Any

import click

from afresh.daemon.cli.call import SECONDS, Call, command, one
from afresh.daemon.cli.output import say
from afresh.daemon.cli.progress import progress


@command("wait")
@click.argument("selection", nargs=-1)
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds at most.")
def wait(call: Call, selection: tuple[str, ...], timeout: float | None) -> int:
    """Scan, then wait until all that had arrived is settled. Exit 1 if something failed."""
    with progress(call):
        answer = call.change("wait", {"selection": one(selection), "timeout": timeout})
    call.show(answer, _people)
    return 0 if answer["settled"] and not answer["failed"] and not answer["blocked"] else 1


def _people(answer: dict[str, Any]) -> None:
    say("settled" if answer["settled"] else "not settled: the time is over")
    for state in ("failed", "blocked"):
        for ref in answer[state]:
            say(f"{state} {ref} (afresh why {ref})")
