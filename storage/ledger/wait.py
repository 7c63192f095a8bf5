"""Submitting a commit and waiting for its outcome."""

from collections.abc import Callable

import anyio

from afresh.storage.ledger.commit import Commit, Done


async def commit_and_wait(submit: Callable[[Commit, Done], None], commit: Commit) -> None:
    """Submit and wait; what went wrong is raised. A cancelled wait does not take it back."""
    answered = anyio.Event()
    outcomes: list[Exception | None] = []

    def done(error: Exception | None) -> None:
        outcomes.append(error)
        answered.set()

    submit(commit, done)
    await answered.wait()
    if outcomes[0] is not None:
        raise outcomes[0]
