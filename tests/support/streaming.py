"""Streams on the simulated reactor: records in, rows in memory out, and the laws that they keep."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import anyio

from afresh.assets.manifest import Function, Input, Manifest, Output, Sensor, Source
from afresh.assets.planner.changes import Requested
from afresh.assets.planner.planner import Change
from afresh.assets.planner.segments import Most
from afresh.daemon.definitions.takeover import definitions_rows, rebuild
from afresh.daemon.streams.leftovers import StreamFiles
from afresh.daemon.workers.task import (
    DeadRecord,
    Failed,
    Merged,
    Part,
    Rejected,
    Result,
    Task,
    Written,
)
from afresh.sensors.base import Arrival, Batch, ObjectIdentity
from afresh.sensors.records import Record, decode_records, encode_records
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import Daemon

BAD = b"bad"
Rows = list[str]


def stream(name: str = "s", *, keep_seconds: float | None = None) -> Source:
    """Declare a stream source."""
    return Source(name, Sensor("custom", {}), code_key="c1", stream=True, keep_seconds=keep_seconds)


def reader(
    name: str, *new: str, whole: Sequence[str] = (), outputs: Sequence[str] = (), **more: Any
) -> Function:
    """Declare an asset that reads new rows of `new`, and others whole.

    `parameter=asset` gives a parameter another name than its asset has.
    """
    named = [(each.partition("=")[0], each.rpartition("=")[2]) for each in new]
    edges = [Input(parameter, asset, "new", "pandas") for parameter, asset in named]
    edges += [Input(each, each, "all", "pandas") for each in whole]
    made = tuple(Output(each, "pandas") for each in outputs or (name,))
    given = {"code_key": "c1", "outputs": made, "on_code_change": "new_only", **more}
    return Function(name, tuple(edges), **given)


class StreamWorkers:
    """Runs tasks on rows in memory. A row is a text; functions give back what they are given.

    `drops` says which rows a function leaves out; `fail` what fails.
    """

    def __init__(self, seconds: Callable[[Task], float] = lambda _task: 0.01) -> None:
        self.size = 2
        self.lent = 0
        self.artifacts: dict[str, Rows] = {}
        self.files: dict[str, str] = {}
        self.started: list[Task] = []
        self.seconds = seconds
        self.fail: Callable[[Task], Failed | Rejected | None] = lambda _task: None
        self.drops: Callable[[str, str], bool] = lambda _name, _row: False
        self.bytes = 1

    async def run(self, task: Task, recorded: anyio.Event) -> Result:
        """Take the time, then give back what it makes."""
        await recorded.wait()
        self.started.append(task)
        if task.kind == "merge":
            await anyio.sleep(self.seconds(task))
            return Result(task.run, merged=self._merge(task))
        inputs = {item.parameter: list(self._read(item.parts)) for item in task.inputs}
        await anyio.sleep(self.seconds(task))
        trouble = self.fail(task)
        if isinstance(trouble, Failed):
            return Result(task.run, failed=trouble)
        if isinstance(trouble, Rejected):
            return Result(task.run, (trouble,))
        if task.kind == "ingest" and task.path:
            return Result(task.run, (self._write(task.targets[0], [self.files[task.path]]),))
        if task.kind == "ingest":
            return self._ingest(task)
        outputs = []
        for target in task.targets:
            rows = [
                row
                for parameter in sorted(inputs)
                for row in inputs[parameter]
                if not self.drops(target.asset, row)
            ]
            skip = task.appends and not rows and target.asset in task.known
            outputs.append(self._write(target, rows, skip=skip))
        return Result(task.run, tuple(outputs), merged=self._merge(task))

    def _ingest(self, task: Task) -> Result:
        rows: Rows = []
        dead: list[DeadRecord] = []
        emptied = []
        for batch in task.batches:
            records = decode_records(batch.payload) if batch.payload else []
            before = len(dead)
            for number, record in enumerate(records):
                assert record.value is not None
                if record.value.startswith(BAD):
                    place = json.dumps({"uri": batch.uri})
                    data = encode_records([record])
                    dead.append(DeadRecord(batch.seq, number, place, "it is bad", data))
                else:
                    rows.append(record.value.decode())
            if records and len(dead) - before == len(records):
                emptied.append(batch.seq)
        outputs = (self._write(task.targets[0], rows),) if rows else ()
        return Result(
            task.run,
            outputs,
            dead=tuple(dead),
            emptied=tuple(emptied),
            merged=self._merge(task),
        )

    def _read(self, parts: Sequence[Part]) -> Iterator[str]:
        for part in parts:
            rows = self.artifacts[part.uri]
            yield from rows if part.take is None else rows[part.skip : part.skip + part.take]

    def _write(self, target: Any, rows: Rows, *, skip: bool = False) -> Written:
        text = json.dumps(rows)
        if not skip:
            assert target.uri not in self.artifacts, "an artifact is written once"
            self.artifacts[target.uri] = rows
        uri = "" if skip else target.uri
        size = self.bytes * len(rows)
        return Written(target.asset, uri, text, {"value": text}, len(rows), size, "hash", "")

    def _merge(self, task: Task) -> tuple[Merged, ...]:
        merged = []
        for merge in task.merges:
            rows = list(self._read(merge.parts))
            self.artifacts[merge.uri] = rows
            text = json.dumps(rows)
            size = self.bytes * len(rows)
            merged.append(
                Merged(merge.asset, merge.uri, text, {"value": text}, len(rows), size, "hash")
            )
        return tuple(merged)


class StreamDaemon(Daemon):
    """The simulated daemon with what streams need."""

    def __init__(
        self,
        manifest: Manifest,
        workers: StreamWorkers,
        ledger: MemoryLedger,
        *,
        most_new: Most | None = None,
    ) -> None:
        super().__init__(manifest, workers, ledger, most_new=most_new)
        self.workers = workers

    async def _discard(self, uris: list[str]) -> None:
        for uri in uris:
            self.workers.artifacts.pop(uri, None)

    async def backlog(self, count: int) -> Rows:
        """Have that many rows come at once, in batches of ten; the rows."""
        rows = [str(i) for i in range(count)]
        self.reactor.dispatching = False
        for first in range(0, count, 10):
            await self.send(rows[first : first + 10])
        self.reactor.dispatching = True
        self.reactor.wake()
        return rows

    async def send(
        self,
        values: Sequence[str],
        name: str = "s",
        position: str = "",
        identity: ObjectIdentity | None = None,
    ) -> None:
        """Hand on a batch of records, as a sensor does; a webhook's has an identity."""
        records = [Record(value.encode()) for value in values]
        arrival = Arrival(
            f"custom://{name}/{values[0] if values else ''}",
            "arrived",
            "",
            anyio.current_time(),
            payload=encode_records(records),
            position=position,
            identity=identity,
        )
        await self.reactor.room(name)
        await self.reactor.record(Batch(name, (arrival,), cursor=values[-1] if values else ""))

    async def ask(self, asset: str, *, force: bool = False) -> None:
        """Ask for an asset, to be made anew with `force`, as `materialize` does."""
        journal, now = self.reactor.journal, anyio.current_time()

        def make(epoch: int) -> tuple[list[Update], list[Change]]:
            event = journal.request("request", "", asset, now, epoch)
            change = Requested(epoch, ((asset, ""),), force, event["seq"])
            return [Update("insert", "event", [event])], [change]

        await self.reactor.tell(make)

    async def reload(self, manifest: Manifest) -> None:
        """Take over other definitions while attempts are under way."""
        reactor, reader, old = self.reactor, self.ledger.reader, self.manifest

        def make(epoch: int) -> tuple[list[Update], list[Change]]:
            return definitions_rows(reactor, manifest, old, reader, epoch), []

        def after(epoch: int) -> None:
            reactor.planner = rebuild(reactor, manifest, reader, epoch)

        reactor.dispatching = False
        try:
            await reactor.tell(make, after)
            self.manifest = manifest
        finally:
            reactor.dispatching = True
            reactor.wake()

    def files(self) -> StreamFiles:
        """What sweeps, on the simulated clock."""
        return StreamFiles(self.reactor, self.ledger.reader.rows, anyio.current_time)

    def segments(self, asset: str) -> list[tuple[int, int, str]]:
        """The ledger's: first row, end, uri."""
        return [
            (first, end, uri)
            for each, _, first, end, uri in self.ledger.reader.rows(
                "SELECT asset, partition, first_row, end_row, uri FROM segment"
                " ORDER BY asset, first_row"
            )
            if each == asset
        ]

    def versions(self, asset: str) -> list[tuple[int, int, int]]:
        """The ledger's: version, start, end; oldest first."""
        return self.ledger.reader.rows(
            "SELECT version, start_row, end_row FROM version WHERE asset = :asset ORDER BY version",
            {"asset": asset},
        )

    def read(self, asset: str, start: int, end: int) -> Rows:
        """The rows of a range, by the ledger alone."""
        rows: Rows = []
        for first, last, uri in self.segments(asset):
            held = self.workers.artifacts[uri]
            assert len(held) == last - first, "a segment has the rows it says"
            rows += held[max(start, first) - first : max(0, min(end, last) - first)]
        return rows

    def head(self, asset: str) -> Rows:
        """The rows of the head."""
        spans = self.ledger.reader.rows(
            "SELECT v.start_row, v.end_row FROM unit u JOIN version v ON v.asset = u.asset"
            " AND v.partition = u.partition AND v.version = u.version WHERE u.asset = :asset",
            {"asset": asset},
        )
        return self.read(asset, *spans[0]) if spans else []

    def dead(self, state: str = "dead") -> list[bytes | None]:
        """The values of the dead letters in a state."""
        rows = self.ledger.reader.rows(
            "SELECT record FROM dead_letter WHERE state = :state ORDER BY seq, number",
            {"state": state},
        )
        return [decode_records(row[0])[0].value for row in rows]

    def recorded(self, name: str) -> list[str]:
        """All records that the journal has of a source, in order."""
        rows = self.ledger.reader.rows(
            "SELECT payload FROM event WHERE source = :name AND kind = 'arrived' ORDER BY seq",
            {"name": name},
        )
        return [
            record.value.decode()
            for (payload,) in rows
            for record in decode_records(payload)
            if record.value is not None
        ]

    def uri(self, asset: str) -> str:
        """Where the head of an ordinary asset is."""
        rows = self.ledger.reader.rows(
            "SELECT v.uri FROM unit u JOIN version v ON v.asset = u.asset AND v.version = u.version"
            " WHERE u.asset = :asset",
            {"asset": asset},
        )
        return str(rows[0][0])

    def check_laws(self, asset: str) -> None:
        """Segments and versions of a stream have neither gaps nor overlaps."""
        at = None
        for first, end, _ in self.segments(asset):
            assert at is None or first == at, "segments lie beside each other"
            at = end
        before = None
        for _, start, end in self.versions(asset):
            assert start <= end
            if before is not None:
                assert before[0] <= start <= before[1] <= end, "a version goes on from the last"
            before = (start, end)
