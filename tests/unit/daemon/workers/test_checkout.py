"""Who gets which worker."""

import asyncio
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from afresh.assets.errors import WorkerError
from afresh.daemon.workers.checkout import Checkout

CREW: Any = object()


def idle(*, hung_up: bool = False) -> Any:
    return SimpleNamespace(state="idle", hung_up=hung_up)


def ended() -> Any:
    return SimpleNamespace(state="ended", hung_up=False)


async def test_the_worker_that_was_used_last_is_taken_first() -> None:
    checkout, first, last = Checkout(lambda *_: None), idle(), idle()
    checkout.offer(CREW, first)
    checkout.offer(CREW, last)
    assert await checkout.take() == (CREW, last)
    assert (last.state, first.state) == ("busy", "idle")
    assert checkout.take_idle() == (CREW, first)


async def test_who_hung_up_or_ended_is_not_handed_out() -> None:
    checkout, good = Checkout(lambda *_: None), idle()
    for each in (good, idle(hung_up=True), ended()):
        checkout.offer(CREW, each)
    assert await checkout.take() == (CREW, good)


async def test_who_no_longer_waits_gives_back_what_was_found() -> None:
    back: list[Any] = []
    checkout, seat = Checkout(lambda *place: back.append(place)), idle()
    waiting = asyncio.ensure_future(checkout.take())
    await anyio.wait_all_tasks_blocked()
    checkout.offer(CREW, seat)
    # Between the offer and the taking: the loop of a daemon that ends does so.
    seat.state = "ended"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert back == [(CREW, seat)]
    assert checkout.waiting == 0


async def test_nobody_waits_for_what_will_not_come() -> None:
    checkout = Checkout(lambda *_: None)
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            with pytest.raises(WorkerError, match="none"):
                await checkout.take()

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        checkout.refuse("none")
