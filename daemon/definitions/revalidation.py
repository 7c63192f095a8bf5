"""Stored data is held again against schemas that were changed, beside the work of arrivals.

The heads first, then what is older. What is left to do is in the ledger: a daemon that is killed
goes on where it was.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import anyio
import anyio.lowlevel

from afresh.assets.errors import LedgerConflict
from afresh.assets.manifest import Manifest
from afresh.assets.partition import format_ref
from afresh.assets.planner.look import Looks
from afresh.daemon.definitions.changed_schemas import schema_names
from afresh.daemon.definitions.validator import Piece, Validator, Work
from afresh.daemon.notifiers.troubles import owner_of
from afresh.daemon.reactor import Reactor
from afresh.daemon.workers.task import Part
from afresh.storage.ledger import validations
from afresh.storage.ledger.commit import Commit, Require, Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.revalidation")
SETTLE_SECONDS = 5.0
"""So long what new definitions make run goes first: what is rebuilt need not be looked at."""
LOOK_SECONDS = 1.0
"""How often suspect units are looked at: a newer version may have taken a place."""
RETRY_SECONDS = 30.0
_PAGE = 200
_NAMED = 3


class Alarms(Protocol):
    """Who is told of trouble and of its end, once each."""

    def failed(self, subject: str, error: str, why: tuple[str, ...], owner: str) -> None:
        """Something failed."""
        ...

    def recovered(self, subject: str, owner: str) -> None:
        """It is well again."""
        ...


class Revalidation:
    """All that is left to do, and who is told of what is found."""

    def __init__(
        self, reactor: Reactor, read: Read, manifest: Callable[[], Manifest], alarms: Alarms
    ) -> None:
        self._reactor = reactor
        self._read = read
        self._manifest = manifest
        self._alarms = alarms
        self._validator = Validator(reactor, read)
        self._told = anyio.Event()
        self._moved = anyio.Event()
        self._warned: set[str] = set()
        self._find()

    # Called from outside the loop

    def wake(self) -> None:
        """Other definitions are in force."""
        self._find()
        self._told.set()

    @property
    def idle(self) -> bool:
        """Nothing is left that can be done."""
        return not self._left

    async def heads_done(self, assets: set[str] | None) -> None:
        """Wait until the heads of these assets, or of all, have been looked at."""
        while self._heads and (assets is None or self._heads & assets):
            await self._moved.wait()

    # The loop

    async def run(self) -> None:
        """Do what there is to do, until cancelled."""
        while True:
            self._told = anyio.Event()
            if self._left:
                await self._settle()
                await self._heads_first()
            if not self._told.is_set():
                await self._wait()

    def _find(self) -> None:
        """Learn what is to be done under the definitions in force."""
        manifest = self._manifest()
        rows = self._read(validations.REVALIDATIONS, {})
        at_hand = set(schema_names(manifest)) - _kept(manifest)
        self._work = {
            asset: _work(asset, manifest, event, every=not only_suspect)
            for asset, event, only_suspect in rows
            if asset in at_hand
        }
        self._left = set(self._work)
        self._heads = set(self._work)
        self._suspect = {row[0] for row in self._read(validations.SUSPECT_ASSETS, {})}
        self._move()

    async def _settle(self) -> None:
        with anyio.move_on_after(SETTLE_SECONDS):
            while not self._reactor.idle:
                await self._reactor.changed()

    async def _heads_first(self) -> None:
        for only_heads in (True, False):
            for asset in sorted(self._left):
                work = self._work[asset]
                done = await self._look_at(work, only_heads=only_heads)
                if self._told.is_set():
                    return
                if not only_heads and done:
                    await self._strike_off(work)
                if not (only_heads and done):
                    self._left.discard(asset)
                self._heads.discard(asset)
                self._move()
                self._tell(asset)

    async def _strike_off(self, work: Work) -> None:
        """It is done, unless definitions that are not told of yet have brought it anew."""
        gone = Update("delete", "revalidation", [{"asset": work.asset}])
        still = Require("revalidation", {"asset": work.asset}, {"event": work.event})
        with suppress(LedgerConflict):
            await self._commit(gone, still)

    async def _look_at(self, work: Work, *, only_heads: bool) -> bool:
        """Validate what is left of an asset; False if that cannot be done at present."""
        if not work.schema:
            await self._forget(work.asset)
            return True
        for pieces in self._pieces(work, only_heads=only_heads):
            if self._told.is_set() or not await self._validator.validate(work, pieces):
                return False
            await anyio.lowlevel.checkpoint()
        return True

    def _pieces(self, work: Work, *, only_heads: bool) -> Iterator[list[Piece]]:
        heads, rest = validations.HEADS, validations.VERSIONS
        for page in self._pages(heads if only_heads else rest, work):
            pieces = [_piece(row) for row in page if row[-1]]
            if only_heads:
                # What will be replaced at once is looked at as one of the older ones.
                pieces = [each for each in pieces if self._stays(work.asset, each)]
            yield pieces
        for page in self._pages(validations.SEGMENTS, work):
            yield [_rows(row) for row in page if row[-1]]

    def _pages(self, query: str, work: Work) -> Iterator[list[tuple[Any, ...]]]:
        at: dict[str, Any] = {"asset": work.asset, "schema": work.schema, "every": work.every}
        at |= {"partition": "", "number": -1, "limit": _PAGE}
        while page := self._read(query, at):
            yield page
            at |= {"partition": page[-1][0], "number": page[-1][1]}

    def _stays(self, asset: str, piece: Piece) -> bool:
        planner = self._reactor.planner
        try:
            unit = Looks(planner).look(asset, piece.part.partition, self._reactor.ports.now())
        except KeyError:
            return True
        return unit.state not in ("stale", "running")

    async def _forget(self, asset: str) -> None:
        """Without a schema nothing is suspect."""
        at = {"asset": asset, "limit": _PAGE}
        while rows := self._read(validations.VALIDATED, at):
            names = ("partition", "version", "first_row")
            keys = [{"asset": asset, **dict(zip(names, row, strict=True))} for row in rows]
            await self._commit(Update("delete", "validation", keys))

    async def _commit(self, update: Update, *requires: Require) -> None:
        ports = self._reactor.ports
        await ports.ledger.commit(Commit((update,), (*ports.require, *requires)))

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    # Who is told

    async def _wait(self) -> None:
        """Until there are other definitions; meanwhile look who is suspect no longer."""
        parked = bool(self._read(validations.REVALIDATIONS, {}))
        with anyio.move_on_after(RETRY_SECONDS if parked else None):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._look_on)
                await self._told.wait()
                tasks.cancel_scope.cancel()
            return
        self._find()

    async def _look_on(self) -> None:
        while self._suspect:
            for asset in sorted(self._suspect):
                self._tell(asset)
            await self._reactor.changed()
            await anyio.sleep(LOOK_SECONDS)

    def _tell(self, asset: str) -> None:
        """Tell the owner which heads fail; all of an asset are one trouble."""
        plan, _ = self._reactor.planner.topology.assets.get(asset, (None, 0))
        owner = owner_of(plan, asset)
        rows = self._read(validations.SUSPECT_HEADS_OF_ASSET, {"asset": asset})
        subject = f"schema of {asset}"
        if not rows:
            self._warned.discard(asset)
            self._alarms.recovered(subject, owner)
            return
        self._suspect.add(asset)
        failing = dict[str, str]()
        for partition, version, error in rows:
            failing.setdefault(format_ref(asset, partition, version), error)
        why = tuple(f"{ref}: {error}" for ref, error in list(failing.items())[:_NAMED])
        name = schema_names(self._manifest()).get(asset, "")
        error = f"{len(failing)} stored versions fail {name or 'the schema'}: {why[0]}"
        self._alarms.failed(subject, error, why, owner)
        if asset not in self._warned:
            self._warned.add(asset)
            _log.warning("%s", error)


def _work(asset: str, manifest: Manifest, event: int | None, *, every: bool) -> Work:
    schema = manifest.schemas.get(schema_names(manifest)[asset])
    return Work(asset, schema.version if schema is not None else "", event, every)


def _kept(manifest: Manifest) -> set[str]:
    """Assets whose modules do not import: their schemas are not at hand."""
    kept = set(manifest.kept)
    return kept | {o.asset for f in manifest.functions if f.name in kept for o in f.outputs}


def _piece(row: tuple[Any, ...]) -> Piece:
    partition, _, version, uri, digest, rows, size, _ = row
    return Piece(Part(partition, version, uri, digest, rows), size, version)


def _rows(row: tuple[Any, ...]) -> Piece:
    partition, first, end, uri, digest, _, size, _ = row
    return Piece(Part(partition, 0, uri, digest, end - first), size, 0, first, end)
