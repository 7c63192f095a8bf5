"""The planner with all that is around it but no loop: simulated time, workers, failures, restarts.

It does in a turn what the reactor does, with the real outcomes, journal and ledger (in memory), and
compares what the planner does with the oracle all along.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any

from afresh.assets.manifest import Function, Input, Manifest, Output, Retry, Sensor, Source
from afresh.assets.planner.changes import Commands, Paused, Requested, Settled, Ticked
from afresh.assets.planner.content import Columns, Content, Gone
from afresh.assets.planner.look import Looks
from afresh.assets.planner.nodes import NEVER, Attempt, Node
from afresh.assets.planner.planner import Change, Planner
from afresh.assets.planner.policies import OWED, Due
from afresh.assets.planner.topology import build_topology
from afresh.assets.policy import (
    AllNew,
    AnyNew,
    Debounce,
    Eager,
    Every,
    Freshness,
    Manual,
    Policy,
)
from afresh.daemon.dispatch import make_task, run_rows
from afresh.daemon.ingest_outcomes import end_delete, end_ingest, is_change
from afresh.daemon.interrupted import interrupted_rows
from afresh.daemon.journal import Journal
from afresh.daemon.outcome_rows import Outcome
from afresh.daemon.restore import restore_planner
from afresh.daemon.run_outcomes import end_run
from afresh.daemon.settled import settle_rows
from afresh.daemon.ticks import released_rows, tick_rows
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.sensors.base import Arrival, Batch
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.memory import MemoryLedger
from support.oracle import (
    STUCK,
    FunctionSpec,
    GraphSpec,
    Mark,
    Oracle,
    Read,
    Reads,
    Refresh,
    Unit,
    Value,
    breaks,
    make,
)
from support.scripts import Numbers

MOST_TURNS = 20_000
MOST_RESTARTS = 2
"""Three interruptions in a row are a failure by rule, which the oracle knows nothing of."""
NEVER_SECONDS = 1e9
KEYS = ("k0", "k1", "k2")


class Found(AssertionError):
    """The planner did what it must not do."""


def expect(truth: bool, text: str, *details: object) -> None:
    """Raise Found unless it is true."""
    if not truth:
        raise Found(text + ": " + ", ".join(map(repr, details)))


def policy_of(function: FunctionSpec) -> Policy:
    """A function's policy as declared; a schedule that never ticks by itself."""
    names = tuple(f"p{i}" for i, r in enumerate(function.reads) if r.asset in function.named)
    policies: dict[Refresh, Policy] = {
        "eager": Eager(),
        "debounce": Debounce(0.3, 1.0, 4),
        "manual": Manual(),
        "cron": Every(NEVER_SECONDS),
        "freshness": Freshness(2.0),
        "all_new": AllNew(names),
        "any_new": AnyNew(names),
    }
    return policies[function.refresh]


def declare(spec: GraphSpec, codes: dict[str, str]) -> Manifest:
    """The manifest of a graph."""
    partitioned = spec.partitioned
    sources = tuple(
        Source(
            each.name,
            Sensor("file", {"pattern": f"landing/{each.name}"}),
            captures=("k",) if each.partitioned else (),
            on_delete=each.on_delete,
            on_reject=each.on_reject,
        )
        for each in spec.sources
    )
    functions = tuple(
        Function(
            each.name,
            tuple(
                Input(
                    f"p{i}",
                    read.asset,
                    "own" if read.own else "all",
                    "pandas",
                    columns=read.columns,
                )
                for i, read in enumerate(each.reads)
            ),
            tuple(Output(name, "pandas") for name in each.outputs),
            codes.get(each.name, "c0"),
            partitions=tuple(r.asset for r in each.reads if r.own) if each.partitioned else (),
            retry=Retry(each.attempts, 0.5, 2.0),
            refresh=policy_of(each),
        )
        for each in spec.functions
    )
    assert all(not read.own or partitioned[read.asset] for f in spec.functions for read in f.reads)
    return Manifest("digest", sources, functions)


@dataclass
class Under:
    """An attempt in a worker."""

    attempt: Attempt
    result: Result | None


@dataclass
class Tally:
    """What was seen, for tests that count."""

    attempts: list[Attempt] = field(default_factory=list)
    started_at: list[float] = field(default_factory=list)
    heads: dict[Unit, list[tuple[float, int]]] = field(default_factory=dict)
    """Of each unit (time, epoch) of every settling."""
    consumed: dict[int, int] = field(default_factory=dict)

    def runs(self, name: str) -> list[Attempt]:
        """The attempts at a function."""
        return [a for a in self.attempts if a.node.plan.name == name and a.kind == "run"]


class World:
    """A daemon without a loop. `seconds(name)` is how long an attempt takes."""

    def __init__(
        self,
        spec: GraphSpec,
        random: Random,
        *,
        workers: int = 3,
        max_wait: float = 1.0,
        durable: bool = True,
        seconds: dict[str, float] | None = None,
        planner: type[Planner] = Planner,
    ) -> None:
        self.spec, self.random = spec, random
        self.workers, self.max_wait, self.durable = workers, max_wait, durable
        self.seconds = seconds
        self.kind = planner
        self.functions = {each.name: each for each in spec.functions}
        self.oracle = Oracle(spec)
        self.ledger = MemoryLedger()
        self.tally = Tally()
        self.now = 0.0
        self.codes: dict[str, str] = {}
        self.files: dict[Unit, Value | None] = {}
        """What lies in the folder: a content, None for one that breaks the schema."""
        self.paused: set[Unit] = set()
        self.flaky = 0.0
        self.restarts = 0
        self._count = 0
        self._flight: list[tuple[float, int, Under]] = []
        self._running: set[Unit] = set()
        self._signatures: dict[Unit, dict[object, str]] = {}
        self._last_epoch: dict[Unit, int] = {}
        self.heads: dict[Unit, Value] = {}
        self.since = 0
        """History before this epoch is not in the planner's memory."""
        self.journal = Journal(0)
        topology = build_topology(declare(spec, self.codes))
        self.planner = planner(topology, max_wait_seconds=max_wait, epoch=1)
        if durable:
            self._boot()
        else:
            functions = [
                node for nodes in self.planner.graph.nodes.values() for node in nodes.values()
            ]
            self.planner.reach(functions, 1, 0.0)
        self.turn()

    # The daemon's life

    def _boot(self) -> None:
        """Start over the ledger: as `daemon/assembly.py` and `generations.rebuild` do."""
        state = saved.load_state(self.ledger.reader.rows)
        rows, _ = interrupted_rows(state.under_way, self.ledger.reader.rows, self.now)
        if state.under_way:
            self._commit(rows)
        self.journal = Journal(state.seq)
        for event in state.pending:
            self.journal.keep(event._asdict())
        self._rebuild(state.epoch + 1)
        self._let_run_again()

    def _rebuild(self, epoch: int) -> None:
        manifest = declare(self.spec, self.codes)
        event = self.journal.request("code", "", "digest", self.now, epoch)
        row = {"epoch": epoch, "digest": "digest", "manifest": b"", "loaded_at": self.now}
        self._commit([Update("insert", "definitions", [row]), Update("insert", "event", [event])])
        state = saved.load_state(self.ledger.reader.rows)
        self.planner = restore_planner(
            build_topology(manifest),
            self.ledger.reader.rows,
            state,
            max_wait_seconds=self.max_wait,
            now=self.now,
        )
        self.planner.__class__ = self.kind
        self.planner.epoch = max(self.planner.epoch, epoch)
        self.since = epoch

    def _let_run_again(self) -> None:
        """What was let run before a new planner came is let run by it too."""
        for function in self.spec.functions:
            if not function.is_root:
                continue
            for node in self.planner.graph.nodes[function.name].values():
                tick = self.planner.policies.cause(node)
                if tick is not None:
                    self._release(node, tick)

    def restart(self) -> None:
        """Kill it at once and start it again: what ran is lost."""
        if not self.durable or self.restarts >= MOST_RESTARTS:
            return
        self.restarts += 1
        self._flight, self._running = [], set()
        self._boot()
        self.turn()

    def reload(self, function: str = "") -> None:
        """Take over definitions in which a function's code is another; what runs goes on."""
        if not self.durable:
            return
        old = self.planner
        epoch = old.epoch + 1
        if function:
            self._count += 1
            self.codes[function] = f"c{self._count}"
            self.oracle.recode(epoch, function, self.codes[function])
        self._rebuild(epoch)
        for attempt in old.running:
            expect(self.planner.adopt(attempt), "an attempt was not adopted", attempt.node.name)
        self._let_run_again()
        self.turn()

    # What happens

    def arrive(self, *units: tuple[str, str, Value | None], deleted: bool = False) -> None:
        """Files are there or gone; a content of None breaks the schema."""
        batches = []
        for name, key, value in units:
            unit = (name, key)
            if deleted:
                self.files.pop(unit, None)
            else:
                self.files[unit] = value
            uri = f"landing/{name}/{key}"
            arrival = Arrival(uri, "deleted" if deleted else "arrived", key, self.now)
            batches.append(Batch(name, (arrival,)))
        recorded = self.journal.record(batches, self.now)
        self._commit(list(recorded.updates))
        for change in recorded.changes:
            self.tally.consumed[change.seq] = 0
        self.turn([*recorded.changes])

    def pause(self, name: str, key: str = "*", *, on: bool = True) -> None:
        """Pause or resume."""
        units = (name, key)
        if (units in self.paused) is on:
            return
        (self.paused.add if on else self.paused.discard)(units)
        row: dict[str, Any] = {"kind": "asset", "name": name, "partition": key}
        if on:
            self._commit([Update("upsert", "pause", [{**row, "at": self.now}])])
        else:
            self._commit([Update("delete", "pause", [row])])
        self.turn([Paused((units,), on)])

    def resume_all(self) -> None:
        """Nothing is paused any more."""
        for name, key in sorted(self.paused):
            self.pause(name, key, on=False)

    def request(self, *units: Unit, force: bool = False) -> None:
        """Someone asks for units."""
        epoch = self.planner.epoch + 1
        event = self.journal.request("request", "", "", self.now, epoch)
        self._commit([Update("insert", "event", [event])])
        for known in self._signatures.values():
            for signature in [s for s, how in known.items() if how == "failed"]:
                del known[signature]
        self._expect_asked(units, epoch)
        self.turn([Requested(epoch, units, force, event["seq"])])

    def tick(self, name: str) -> None:
        """The schedule of a function ticks."""
        plan = self.planner.topology.plans[name]
        self.turn(dues=[Due(name, self.planner.policies.units_due(plan), "tick")])

    def _expect_asked(self, units: tuple[Unit, ...], epoch: int) -> None:
        """Let run what is asked for and all that is above it, upstream first."""
        wanted: dict[str, set[str | None]] = {}
        stack: list[tuple[str, str | None]] = [*units]
        makers = {out: each.name for each in self.spec.functions for out in each.outputs}
        while stack:
            asset, key = stack.pop()
            name = makers.get(asset)
            if name is None or key in wanted.setdefault(name, set()):
                continue
            wanted[name].add(key)
            for read in self.functions[name].reads:
                own = self.oracle.is_own(self.functions[name], read)
                stack.append((read.asset, (key if read.own else "") if own else None))
        for function in self.spec.functions:
            keys = wanted.get(function.name, set())
            if not function.is_root or not keys:
                continue
            for key in self.oracle.natural_keys(function, epoch):
                if key in keys or None in keys:
                    self._expect_run(function, key, epoch)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        for _ in range(MOST_TURNS):
            due = self._due()
            if not due or min(due) > until:
                self.now = until
                return
            self.now = max(self.now, min(due))
            self.turn(ends=self._take_ends())
        raise Found("it never comes to an end")

    def drain(self) -> None:
        """Until nothing is under way or due."""
        for _ in range(MOST_TURNS):
            due = self._due()
            if not due:
                expect(self.planner.idle, "it is not idle and nothing will ever happen")
                return
            self.now = max(self.now, min(due))
            self.turn(ends=self._take_ends())
        raise Found("it never comes to rest")

    def _due(self) -> list[float]:
        """When something happens by itself; schedules tick when they are told to."""
        policies = self.planner.policies
        wakes = [self.planner._agenda.next_wake(), policies.next_deadline()]
        wakes += [0.0] if policies.waiting else []
        return [at for at, *_ in self._flight[:1]] + [at for at in wakes if at is not None]

    def _take_ends(self) -> list[Under]:
        ends = []
        while self._flight and self._flight[0][0] <= self.now:
            ends.append(heappop(self._flight)[2])
        return ends

    # A turn, as the reactor takes it

    def turn(
        self,
        changes: list[Change] | None = None,
        ends: list[Under] | None = None,
        dues: list[Due] | None = None,
    ) -> None:
        """One transaction, one step, and what may start."""
        epoch = self.planner.epoch + 1
        told: list[Change] = list(changes or [])
        updates: list[Update] = []
        outcomes = [self._end(under, epoch) for under in ends or []]
        for outcome in outcomes:
            updates += outcome.updates
            assert outcome.ended is not None
            told.append(outcome.ended)
        ticks = tick_rows(
            [*self.planner.find_due(self.now), *(dues or [])], self.journal, epoch, self.now
        )
        updates += ticks.updates
        told += ticks.changes
        for due in dues or []:
            self._expect_tick(due.name, epoch)
        self._commit(updates)
        for outcome in outcomes:
            self._take_head(outcome)
        self._follow(self.planner.step(told, self.now))
        self._check_histories()
        free = self.workers - len(self._flight)
        while free > 0:
            attempts = self.planner.start(free, self.now)
            self._follow(self.planner.take_commands())
            for attempt in attempts:
                self._start(attempt)
            if not attempts:
                break
            free = self.workers - len(self._flight)

    def _follow(self, commands: Commands) -> None:
        self._commit(released_rows(commands.released, commands.fulfilled, self.now))
        self._settled(commands.settled)
        for node, tick in commands.released:
            if tick.kind != OWED:
                self._release(node, tick)
            if tick.kind == "tick" and not self.since:
                self._check_condition(node, tick)
        self._note_roots()

    def _release(self, node: Node, tick: Ticked) -> None:
        if tick.epoch not in self.oracle.let_run.get(node.name, []):
            self.oracle.release(tick.epoch, node.name)

    def _expect_tick(self, name: str, epoch: int) -> None:
        """A schedule's tick lets run all that would be other than it is."""
        function = self.functions[name]
        for key in self.oracle.natural_keys(function, epoch):
            if not self._is_paused(function, key):
                self._expect_run(function, key, epoch)

    def _expect_run(self, function: FunctionSpec, key: str, epoch: int) -> None:
        if not self.oracle.can_exist(function, key, epoch):
            return
        node = self.planner.graph.nodes[function.name].get(key)
        if node is None or not node.dirty:
            behind = self.oracle.is_behind(function, key, epoch)
        else:
            # What waits for a place, or runs, takes what came before.
            running = node.running.epoch if node.running is not None else 0
            taken = max(running, node.dirty[-1])
            made = [self.oracle.evaluate(function, key, at) for at in (taken, epoch)]
            behind = made[0] != made[1]
        if behind:
            self.oracle.release(epoch, (function.name, key))

    def _is_paused(self, function: FunctionSpec, key: str) -> bool:
        node = self.planner.graph.nodes[function.name].get(key)
        return node is not None and node.paused

    def _note_roots(self) -> None:
        """Tell the oracle as of which epoch a root is what it is now: only where it was let run."""
        for function in self.spec.functions:
            if not function.is_root:
                continue
            for node in self.planner.graph.nodes[function.name].values():
                unit = (function.name, node.key)
                starts = {interval.start for interval in node.history.intervals}
                for epoch in sorted(starts | {node.epoch}):
                    self._note_root(unit, epoch)

    def _note_root(self, unit: Unit, epoch: int) -> None:
        ran = self.oracle.ran.get(unit, [0])[-1]
        if epoch <= ran:
            return
        released = self.oracle.let_run.get(unit, [])
        granted = any(ran < at <= epoch for at in released)
        expect(granted, "it changed though nothing let it run", unit, epoch, released, ran)
        self.oracle.settle(epoch, unit)

    def _commit(self, updates: list[Update]) -> None:
        if not updates or not self.durable:
            return
        errors: list[Exception] = []
        self.ledger.submit(Commit(tuple(updates)), lambda e: errors.append(e) if e else None)
        expect(not errors, "the ledger refused", errors)

    def _settled(self, settled: list[Settled]) -> None:
        for move in settled:
            self._commit(settle_rows(move, self.now))
            for asset, state in zip(move.node.plan.assets, move.states, strict=True):
                unit = (asset, move.node.key)
                if isinstance(state, Content):
                    self.heads[unit] = Value(**state.columns)
                    self._grow(unit, move.epoch)
            self._recover(move.node, tuple(move.states))

    def _grow(self, unit: Unit, epoch: int) -> None:
        expect(epoch >= self._last_epoch.get(unit, 0), "a head went back", unit, epoch)
        self._last_epoch[unit] = epoch
        self.tally.heads.setdefault(unit, []).append((self.now, epoch))

    # Attempts

    def _start(self, attempt: Attempt) -> None:
        self._count += 1
        attempt.run, attempt.started_at = f"r{self._count:08d}", self.now
        node, name = attempt.node, attempt.node.plan.name
        expect(node.name not in self._running, "two attempts at once", node.name)
        expect(len(self._running) < self.workers, "more attempts than places")
        self._running.add(node.name)
        self.tally.attempts.append(attempt)
        self.tally.started_at.append(self.now)
        expect(attempt.kind != "run" or bool(attempt.reasons), "no reason", node.name)
        expect(attempt.cause[1] is not None, "no event that caused it", node.name, attempt.cause)
        result: Result | None = None
        seconds = 0.0
        if attempt.kind == "run":
            result = self._compute(attempt)
        else:
            for seq in attempt.events:
                self.tally.consumed[seq] = self.tally.consumed.get(seq, 0) + 1
            if attempt.kind == "ingest":
                result = self._read(attempt)
        if attempt.kind != "delete":
            path = (
                self.journal.pending[attempt.events[-1]]["uri"] if attempt.kind == "ingest" else ""
            )
            rows = run_rows(attempt, make_task(attempt, "memory://a", path), self.now)
            self._commit([Update("insert", "run", rows)])
            seconds = (
                self.random.choice([0.01, 0.05, 0.2, 1.0, 3.0])
                if self.seconds is None
                else self.seconds.get(name, 0.001)
            )
        heappush(self._flight, (self.now + seconds, self._count, Under(attempt, result)))

    def _written(self, attempt: Attempt, asset: str, value: Value) -> Written:
        return Written(
            asset, f"memory://{attempt.run}", value.fingerprint, value.columns, 1, 1, "", ""
        )

    def _read(self, attempt: Attempt) -> Result:
        """Read the file as it is now."""
        unit = attempt.node.name
        if attempt.number < 3 and self.random.random() < self.flaky:
            return Result(attempt.run, failed=Failed("killed", "killed"))
        if unit not in self.files:
            return Result(attempt.run, failed=Failed("vanished", "gone"))
        value = self.files[unit]
        if value is None:
            return Result(attempt.run, (Rejected(unit[0], "bad"),))
        return Result(attempt.run, (self._written(attempt, unit[0], value),))

    def _compute(self, attempt: Attempt) -> Result:
        """Check the cut against the oracle's (P3) and what is known (P4), then run."""
        node = attempt.node
        spec = self.functions[node.plan.name]
        reads: Reads = tuple(
            tuple(
                (key, Value(**part.columns).project(item.edge.columns)) for key, part in item.parts
            )
            for item in attempt.pinned
        )
        must = self.oracle.cut(spec, node.key, attempt.epoch)
        expect(reads == must, "not the cut of its epoch", node.name, attempt.epoch, reads, must)
        expect(
            attempt.code == self.oracle.code_at(spec.name, attempt.epoch), "not its epoch's code"
        )
        signature = (attempt.code, reads)
        known = self._signatures.setdefault(node.name, {})
        expect(
            attempt.forced or signature not in known,
            "a run whose run key was known",
            node.name,
            known.get(signature),
            attempt.reasons,
        )
        if attempt.number < spec.attempts and self.random.random() < self.flaky:
            return Result(attempt.run, failed=Failed("killed", "killed"))
        broken = [breaks(spec, out, node.key, attempt.code, reads) for out in spec.outputs]
        if spec.fails == "raises" and any(broken):
            return Result(attempt.run, failed=Failed("raised", "boom"))
        return Result(
            attempt.run,
            tuple(
                Rejected(out, "invalid")
                if bad
                else self._written(attempt, out, make(out, node.key, attempt.code, reads))
                for out, bad in zip(spec.outputs, broken, strict=True)
            ),
        )

    def _end(self, under: Under, epoch: int) -> Outcome:
        attempt, result = under.attempt, under.result
        self._running.discard(attempt.node.name)
        if attempt.kind == "run":
            assert result is not None
            return end_run(attempt, result, self.now, self.random)
        changed = is_change(attempt, result)
        taken = epoch if changed else self.planner.epoch
        self._tell_oracle(attempt, result, epoch, changed=changed)
        if result is None:
            return end_delete(attempt, taken, self.now)
        return end_ingest(attempt, result, taken, self.now, self.random)

    def _tell_oracle(
        self, attempt: Attempt, result: Result | None, epoch: int, *, changed: bool
    ) -> None:
        """What a source's unit is now, by SEMANTICS' table of arrivals."""
        unit = attempt.node.name
        source = next(each for each in self.spec.sources if each.name == unit[0])
        last = self.oracle.last(unit)
        if result is None:
            marks = {"propagate": Mark.DELETED, "fail": Mark.HELD}
            now = marks.get(source.on_delete) or self.oracle.last_value(unit)
            now = now if last is not None else None
        elif result.failed is not None:
            return
        elif isinstance(result.outputs[0], Rejected):
            now = Mark.HELD if source.on_reject == "hold" and last is not None else last
        else:
            now = Value(**result.outputs[0].columns)
        if now is not None and now != last:
            expect(changed, "a change takes no epoch", unit, last, now)
            self.oracle.change(epoch, unit, now)
        if isinstance(now, Value):
            self.heads[unit] = now

    def _take_head(self, outcome: Outcome) -> None:
        """What the commit made visible, and which run keys are known by it."""
        ended, attempt = outcome.ended, outcome.attempt
        assert ended is not None
        if attempt.kind != "run" or ended.retry_at is not None:
            return
        node, states = attempt.node, ended.states
        known = self._signatures.setdefault(node.name, {})
        reads = tuple(
            tuple(
                (key, Value(**part.columns).project(item.edge.columns)) for key, part in item.parts
            )
            for item in attempt.pinned
        )
        failed = states is None or Gone.HELD in states
        if failed:
            self._forget_failed(node)
        known[attempt.code, reads] = "failed" if failed else "good"
        if states is None:
            return
        self._recover(node, states)
        for asset, state in zip(node.plan.assets, states, strict=True):
            if isinstance(state, Content):
                unit = (asset, node.key)
                self.heads[unit] = Value(**state.columns)
                self._grow(unit, attempt.epoch)

    def _recover(self, node: Node, states: tuple[object, ...]) -> None:
        """What failed before is tried again once the unit was well in between."""
        if Gone.HELD not in states:
            self._forget_failed(node)

    def _forget_failed(self, node: Node) -> None:
        """What failed before the last failure, or before the unit was well, is tried again."""
        known = self._signatures.get(node.name, {})
        for signature in [s for s, how in known.items() if how == "failed"]:
            del known[signature]

    # What must hold

    def _check_histories(self) -> None:
        """All that is settled is what the oracle says, at every epoch of the interval."""
        newest = self.planner.epoch
        for nodes in self.planner.graph.nodes.values():
            for node in nodes.values():
                last = 0
                for interval in node.history.intervals:
                    expect(interval.start > last, "intervals overlap", node.name)
                    last = interval.end
                    first = max(interval.start, self.since)
                    for epoch in range(first, min(interval.end, newest) + 1):
                        self._check_states(node, epoch, interval.states)

    def _check_states(self, node: Node, epoch: int, states: tuple[object, ...]) -> None:
        must = self.oracle.at(epoch)
        for asset, state in zip(node.plan.assets, states, strict=True):
            want = must.get((asset, node.key))
            if isinstance(state, Content):
                is_right = isinstance(want, Value) and Columns.of(want.columns) == state.columns
            elif state is Gone.DELETED:
                is_right = want is Mark.DELETED
            else:
                is_right = want in {Mark.FAILED, Mark.HELD}
            expect(is_right, "settled at what it is not", asset, node.key, epoch, state, want)

    def check_rest(self) -> None:  # noqa: C901, PLR0912 - one case after the other
        """Nothing is under way: every unit that nothing paused keeps back is what it must be."""
        epoch = self.planner.epoch
        must = self.oracle.at(epoch)
        looks = Looks(self.planner)
        kept_back = self._behind_pauses()
        seen = set()
        for asset, key in looks.units():
            plan, output = self.planner.topology.assets[asset]
            node = self.planner.graph.get(plan, key)
            if node is None or node.born == NEVER:
                continue
            seen.add((asset, key))
            head = node.heads[output]
            if head is not None:
                found = Value(**head.columns)
                expect(self.heads.get((asset, key)) == found, "not the head", asset, key)
            if asset in kept_back:
                continue
            want = must.get((asset, key))
            states = node.history.at(epoch)
            state = looks.look(asset, key, self.now).state
            if isinstance(want, Value):
                right = states is not None and isinstance(states[output], Content)
                expect(right and not node.dirty, "not up to date", asset, key, want, states)
                expect(
                    head is not None and head.columns == Columns.of(want.columns),
                    "head",
                    asset,
                    key,
                )
                wanted = {"fresh"} if plan.source is None else {"fresh", "failed"}
            elif want is Mark.DELETED:
                expect(states is not None and states[output] is Gone.DELETED, "kept", asset, key)
                wanted = {"fresh"} if plan.source is None else {"fresh", "failed"}
            elif want in STUCK:
                right = states is None or not isinstance(states[output], Content)
                expect(right, "goes on though it is stuck", asset, key, want, states)
                wanted = {
                    Mark.FAILED: {"failed"},
                    Mark.BLOCKED: {"blocked"},
                    Mark.MISSING: {"missing", "blocked"},
                    Mark.HELD: {"failed", "fresh", "blocked"},
                }[want]
            else:
                raise Found(f"a unit that does not exist: {asset}[{key}]")
            trouble = node.trouble
            stuck = want in {Mark.BLOCKED, Mark.MISSING}
            if stuck and trouble is not None and trouble.final:
                wanted = {"failed", "blocked", "missing"}
            if want is Mark.BLOCKED and node.missing:
                wanted = {"missing", "blocked"}
            expect(state in wanted, "its state is", asset, key, state, want)
        for unit in must:
            expect(unit in seen, "a unit is left out", unit)
        for function in self.spec.functions:
            if function.is_root and not kept_back.intersection(function.outputs):
                self._check_policy(function, epoch)
        pending = {seq for seq, times in self.tally.consumed.items() if not times}
        waiting = {
            seq
            for nodes in self.planner.graph.nodes.values()
            for node in nodes.values()
            for seq, _ in node.pending or ()
            if node.paused
        }
        expect(pending <= waiting, "arrivals were never read", pending - waiting)

    def _check_policy(self, function: FunctionSpec, epoch: int) -> None:
        """No unit is left behind that its policy must let run."""
        for key in self.oracle.natural_keys(function, epoch):
            if not self.oracle.can_exist(function, key, epoch):
                continue
            reads = self.oracle.gather(function, key, epoch)
            if isinstance(reads, Mark):
                continue
            states = self.oracle.at(epoch)
            unit = (function.name, key)
            if function.refresh == "freshness":
                good = [
                    make(o, key, self.oracle.code_at(function.name, epoch), reads)
                    for o in function.outputs
                ]
                found = [states.get((out, key)) for out in function.outputs]
                expect(
                    all(f in {g, Mark.FAILED} for f, g in zip(found, good, strict=True)),
                    "it is not fresh",
                    unit,
                )
            elif function.refresh in {"all_new", "any_new"}:
                new = self._new_inputs(function, key, epoch)
                names = set(function.named)
                wanted = names <= new if function.refresh == "all_new" else bool(names & new)
                failed = Mark.FAILED in {states.get((out, key)) for out in function.outputs}
                expect(not wanted or failed, "its condition holds", unit, new)

    def _new_inputs(self, function: FunctionSpec, key: str, epoch: int) -> set[str]:
        """Which inputs have other contents than the unit was last made of."""
        ran = self.oracle.ran.get((function.name, key), [])
        return {
            read.asset
            for read in function.reads
            if (now := self._contents(function, read, key, epoch))
            != (self._contents(function, read, key, ran[-1]) if ran else {})
            and now
        }

    def _contents(
        self, function: FunctionSpec, read: Read, key: str, epoch: int
    ) -> dict[str, Value]:
        states = self.oracle.at(epoch)
        own = self.oracle.is_own(function, read)
        return {
            each: state
            for (asset, each), state in states.items()
            if asset == read.asset
            and isinstance(state, Value)
            and (not own or each == (key if read.own else ""))
        }

    def _check_condition(self, node: Node, tick: Ticked) -> None:
        """A condition that lets a unit run holds."""
        function = self.functions[node.plan.name]
        if function.refresh not in {"all_new", "any_new"}:
            return
        units = [(out, node.key) for out in function.outputs]
        ran = [
            at
            for at in self.oracle.ran.get(node.name, [])
            if at < tick.epoch
            and Mark.FAILED not in {self.oracle.at(at).get(unit) for unit in units}
        ]
        new = {
            read.asset
            for read in function.reads
            if not ran
            or Mark.DELETED in {self.oracle.at(ran[-1]).get(unit) for unit in units}
            or any(
                # It held when it was looked at; what is committed with the tick came later.
                self._contents(function, read, node.key, at)
                != self._contents(function, read, node.key, ran[-1])
                for at in (tick.epoch - 1, tick.epoch)
            )
        }
        names = set(function.named)
        holds = names <= new if function.refresh == "all_new" else bool(names & new)
        expect(holds, "its condition does not hold", node.name, tick.epoch, new)

    def _behind_pauses(self) -> set[str]:
        names = {name for name, _ in self.paused}
        for function in self.spec.functions:
            reads = {read.asset for read in function.reads}
            if reads & names or set(function.outputs) & names:
                names |= set(function.outputs)
        return names

    # Scripts

    def play(self, script: list[Numbers]) -> None:
        """Do what a script says; whatever numbers are in it."""
        for numbers in script:
            self._act(*numbers)
        self.drain()
        self.check_rest()
        self.resume_all()
        self.flaky = 0.0
        self.drain()
        self.check_rest()
        started = len(self.tally.attempts)
        if self.durable and self.restarts < MOST_RESTARTS:
            self.restart()
            self.drain()
            self.check_rest()
            again = [a.node.name for a in self.tally.attempts[started:]]
            expect(not again, "a restart at rest runs something", again)

    def _act(self, *numbers: int) -> None:  # noqa: C901, PLR0912 - a table of actions
        op, x, y, z, wait, more = numbers
        source = self.spec.sources[x % len(self.spec.sources)]
        key = KEYS[y % 3] if source.partitioned else ""
        function = self.spec.functions[x % len(self.spec.functions)]
        unit = (source.name, key)
        value = Value(str(z % 5), str(z % 2))
        self.flaky = 0.3 if more % 4 == 0 else 0.0
        match op % 16:
            case 0 | 1 | 2 | 3 | 4:
                self.arrive((*unit, value))
            case 5:
                keys = KEYS if source.partitioned else ("",)
                self.arrive(*[(source.name, k, Value(f"{z}{k}", str(z % 2))) for k in keys])
            case 6:
                self.arrive((*unit, None))
            case 7:
                if unit in self.files:
                    self.arrive((*unit, None), deleted=True)
            case 8:
                self.pause(function.name, "*")
            case 9:
                self.pause(source.name, "*")
            case 10 | 11:
                for name, each in sorted(self.paused)[:1]:
                    self.pause(name, each, on=False)
            case 12:
                self.request(*self._units(function), force=z % 2 == 0)
            case 13:
                self.restart()
            case 14:
                self.reload(function.name if z % 3 else "")
            case 15:
                self.advance(3.0)
        if function.refresh == "cron" and y % 3 != 0:
            self.tick(function.name)
        self.advance((0.0, 0.0, 0.005, 0.1, 0.5, 2.0)[wait % 6])

    def _units(self, function: FunctionSpec) -> list[Unit]:
        nodes = self.planner.graph.nodes[function.name]
        return [(function.name, key) for key in sorted(nodes)]
