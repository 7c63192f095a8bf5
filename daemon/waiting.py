"""Waits until what is known of units by now is settled."""

from collections.abc import Awaitable, Callable, Collection, Sequence

import anyio

from afresh.daemon.api.view import Key
from afresh.daemon.reactor import Reactor

LOOK_AGAIN_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 1.0


class Waiting:
    """Waits for units. `heads_done` waits until the heads of assets have been looked at again."""

    def __init__(
        self, reactor: Reactor, heads_done: Callable[[set[str] | None], Awaitable[None]]
    ) -> None:
        self._reactor = reactor
        self._heads_done = heads_done

    async def wait(self, units: Sequence[Key] | None, timeout_seconds: float | None) -> bool:
        """Return True when all that is recorded by now is settled; False when the time is over.

        `units` are those that are waited for, (asset, "*") for all of an asset; None for all there
        are. Where a schema has changed the heads are looked at again by then, if there is time.
        """
        reactor, settled = self._reactor, False
        wanted = None if units is None else frozenset(units)
        assets = {asset for asset, _ in units or ()}
        with anyio.move_on_after(timeout_seconds):
            seq = reactor.journal.seq
            # What is held up elsewhere, by a store or a registry, is not waited for.
            sources = None if units is None else reactor.planner.topology.sources_above(assets)
            while reactor.has_pending(seq, sources) and not reactor.idle:
                await self._next_look()
            # All that had arrived is known: it took epochs up to this one.
            epoch = reactor.planner.epoch
            while not self._is_over(wanted, assets, epoch):
                await self._next_look()
            if reactor.committing:
                await reactor.changed()
            settled = True
            await self._heads_done(None if units is None else assets)
        return settled

    async def _next_look(self) -> None:
        """Wait for the next step; many in a row are looked at once."""
        with anyio.move_on_after(LONGEST_LOOK_SECONDS):
            await self._reactor.changed()
        await anyio.sleep(LOOK_AGAIN_SECONDS)

    def _is_over(self, wanted: Collection[Key] | None, assets: Collection[str], epoch: int) -> bool:
        """Whether every unit is settled at an epoch, or nothing will come of waiting for it."""
        planner = self._reactor.planner
        if self._reactor.idle:
            return True
        return not any(
            clear < epoch and planner.is_live(node)
            for asset, pool in planner.graph.pools.items()
            if wanted is None or asset in assets
            for node, clear in pool.unsettled.items()
            if wanted is None or (asset, "*") in wanted or (asset, node.key) in wanted
        )
