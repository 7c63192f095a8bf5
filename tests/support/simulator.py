"""The planner with all that is around it but no loop: simulated time, workers, failures, restarts.

It does in a turn what the reactor does, with the real outcomes, journal and ledger (in memory), and
compares what the planner does with the oracle all along.
"""

from dataclasses import dataclass, field
from heapq import heappop
from random import Random

from afresh.assets.planner.changes import Commands, Paused, Requested, Settled
from afresh.assets.planner.content import Content
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Change, Planner
from afresh.assets.planner.policies import Due
from afresh.assets.planner.releases import OWED
from afresh.assets.planner.topology import build_topology
from afresh.daemon.journal import Journal
from afresh.daemon.pauses import switch_rows
from afresh.daemon.restore.planner import restore_planner
from afresh.daemon.settled import settle_rows
from afresh.daemon.startup.interrupted import interrupted_rows
from afresh.daemon.ticks import released_rows, tick_rows
from afresh.sensors.base import Arrival, Batch
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.memory import MemoryLedger
from support import play
from support.attempts import Under, end_attempt, recover, start_attempt, take_head
from support.finding import Found, expect
from support.graphs import declare
from support.oracle import (
    GraphSpec,
    Oracle,
    Unit,
    Value,
)
from support.rest import check_condition, check_histories, check_rest
from support.roots import expect_asked, expect_tick, let_run_again, note_roots, release
from support.scripts import Numbers

MOST_TURNS = 20_000
MOST_RESTARTS = 2
"""Three interruptions in a row are a failure by rule, which the oracle knows nothing of."""


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
    """A daemon without a loop. Attempts take `seconds`, by name; without, random times."""

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
        self.most_restarts = MOST_RESTARTS
        self.count = 0
        self.flight: list[tuple[float, int, Under]] = []
        self.running: set[Unit] = set()
        self.signatures: dict[Unit, dict[object, str]] = {}
        self._last_epoch: dict[Unit, int] = {}
        self.heads: dict[Unit, Value] = {}
        self.since = 0
        """History before this epoch is not in the planner's memory."""
        self.compared: dict[tuple[Unit, int], tuple[object, int]] = {}
        """Of each unit and start of an interval: its states, and until when they are right."""
        self.journal = Journal(0, self.ledger.reader.rows)
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
        """Start over the ledger: as `startup/recovery` and `takeover.rebuild` do."""
        state = saved.load_state(self.ledger.reader.rows)
        rows, _ = interrupted_rows(state.under_way, self.ledger.reader.rows, self.now)
        if state.under_way:
            self.commit(rows)
        self.journal = Journal(state.seq, self.ledger.reader.rows)
        self.journal.restore(state.pending)
        self._rebuild(state.epoch + 1)
        let_run_again(self)

    def _rebuild(self, epoch: int) -> None:
        manifest = declare(self.spec, self.codes)
        event = self.journal.request("code", "", "digest", self.now, epoch)
        row = {"epoch": epoch, "digest": "digest", "manifest": b"", "loaded_at": self.now}
        self.commit([Update("insert", "definitions", [row]), Update("insert", "event", [event])])
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

    def restart(self) -> None:
        """Kill it at once and start it again: what ran is lost."""
        if not self.durable or self.restarts >= self.most_restarts:
            return
        self.restarts += 1
        self.flight, self.running = [], set()
        self._boot()
        self.turn()

    def reload(self, function: str = "") -> None:
        """Take over definitions in which a function's code is another; what runs goes on."""
        if not self.durable:
            return
        old = self.planner
        epoch = old.epoch + 1
        if function:
            self.count += 1
            self.codes[function] = f"c{self.count}"
            self.oracle.recode(epoch, function, self.codes[function])
        self._rebuild(epoch)
        for attempt in old.running:
            expect(self.planner.adopt(attempt), "an attempt was not adopted", attempt.node.name)
        let_run_again(self)
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
        self.commit(list(recorded.updates))
        for change in recorded.changes:
            self.tally.consumed[change.seq] = 0
        self.turn([*recorded.changes])

    def pause(self, name: str, key: str = "*", *, on: bool = True) -> None:
        """Pause or resume."""
        units = (name, key)
        if on and units in self.paused:
            return
        (self.paused.add if on else self.paused.discard)(units)
        paused = [saved.PauseRow(*row) for row in self.ledger.reader.rows(queries.PAUSES)]
        self.commit(switch_rows("asset", [units], paused, self.now, on=on))
        self.turn([Paused((units,), on)])

    def resume_all(self) -> None:
        """Nothing is paused any more."""
        for name, key in sorted(self.paused):
            self.pause(name, key, on=False)

    def request(self, *units: Unit, force: bool = False) -> None:
        """Someone asks for units."""
        epoch = self.planner.epoch + 1
        event = self.journal.request("request", "", "", self.now, epoch)
        self.commit([Update("insert", "event", [event])])
        for known in self.signatures.values():
            for signature in [s for s, how in known.items() if how == "failed"]:
                del known[signature]
        expect_asked(self, units, epoch)
        self.turn([Requested(epoch, units, force, event["seq"])])

    def tick(self, name: str) -> None:
        """The schedule of a function ticks."""
        plan = self.planner.topology.plans[name]
        self.turn(dues=[Due(name, self.planner.policies.units_due(plan), "tick")])

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
        return [at for at, *_ in self.flight[:1]] + [at for at in wakes if at is not None]

    def _take_ends(self) -> list[Under]:
        ends = []
        while self.flight and self.flight[0][0] <= self.now:
            ends.append(heappop(self.flight)[2])
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
        outcomes = [end_attempt(self, under, epoch) for under in ends or []]
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
            expect_tick(self, due.name, epoch)
        self.commit(updates)
        for outcome in outcomes:
            take_head(self, outcome)
        self._follow(self.planner.step(told, self.now))
        check_histories(self)
        free = self.workers - len(self.flight)
        while free > 0:
            attempts = self.planner.start(free, self.now)
            self._follow(self.planner.take_commands())
            for attempt in attempts:
                start_attempt(self, attempt)
            if not attempts:
                break
            free = self.workers - len(self.flight)

    def _follow(self, commands: Commands) -> None:
        self.commit(released_rows(commands.released, commands.fulfilled, self.now))
        self._settled(commands.settled)
        for node, tick in commands.released:
            if tick.kind != OWED:
                release(self, node, tick)
            if tick.kind == "tick" and not self.since:
                check_condition(self, node, tick)
        note_roots(self)

    def commit(self, updates: list[Update]) -> None:
        if not updates or not self.durable:
            return
        errors: list[Exception] = []
        self.ledger.submit(Commit(tuple(updates)), lambda e: errors.append(e) if e else None)
        expect(not errors, "the ledger refused", errors)

    def _settled(self, settled: list[Settled]) -> None:
        for move in settled:
            self.commit(settle_rows(move, self.now))
            for asset, state in zip(move.node.plan.assets, move.states, strict=True):
                unit = (asset, move.node.key)
                if isinstance(state, Content):
                    self.heads[unit] = Value(**state.columns)
                    self.grow(unit, move.epoch)
            recover(self, move.node, tuple(move.states))

    def grow(self, unit: Unit, epoch: int) -> None:
        """A unit has a head as of an epoch."""
        expect(epoch >= self._last_epoch.get(unit, 0), "a head went back", unit, epoch)
        self._last_epoch[unit] = epoch
        self.tally.heads.setdefault(unit, []).append((self.now, epoch))

    def check_rest(self) -> None:
        """Every unit that nothing paused keeps back is what it must be."""
        check_rest(self)

    def play(self, script: list[Numbers]) -> None:
        """Do what a script says; whatever numbers are in it."""
        play.play(self, script)
