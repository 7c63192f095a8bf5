"""Attempts in workers that are not there: each is checked, and its result worked out at once."""

from dataclasses import dataclass
from heapq import heappush
from typing import TYPE_CHECKING

from afresh.assets.planner.content import Content, Gone
from afresh.assets.planner.nodes import Attempt, Node
from afresh.daemon.attempts.dispatch import make_task, run_rows
from afresh.daemon.attempts.ingest_outcomes import end_delete, end_ingest, is_change
from afresh.daemon.attempts.outcome_rows import Outcome
from afresh.daemon.attempts.run_outcomes import end_run
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.storage.ledger.commit import Update
from support.finding import expect
from support.oracle import Mark, Reads, Value, breaks, make

if TYPE_CHECKING:
    from support.simulator import World


@dataclass
class Under:
    """An attempt in a worker."""

    attempt: Attempt
    result: Result | None


def start_attempt(world: "World", attempt: Attempt) -> None:
    """Check that it may start, and work out its result, which comes later."""
    world.count += 1
    attempt.run, attempt.started_at = f"r{world.count:08d}", world.now
    node, name = attempt.node, attempt.node.plan.name
    expect(node.name not in world.running, "two attempts at once", node.name)
    expect(len(world.running) < world.workers, "more attempts than places")
    world.running.add(node.name)
    world.tally.attempts.append(attempt)
    world.tally.started_at.append(world.now)
    expect(attempt.kind != "run" or bool(attempt.reasons), "no reason", node.name)
    expect(attempt.cause[1] is not None, "no event that caused it", node.name, attempt.cause)
    result: Result | None = None
    seconds = 0.0
    if attempt.kind == "run":
        result = _compute(world, attempt)
    else:
        for seq in attempt.events:
            world.tally.consumed[seq] = world.tally.consumed.get(seq, 0) + 1
        if attempt.kind == "ingest":
            result = _read(world, attempt)
    if attempt.kind != "delete":
        path = world.journal.pending[attempt.events[-1]]["uri"] if attempt.kind == "ingest" else ""
        rows = run_rows(attempt, make_task(attempt, "memory://a", path), world.now)
        world.commit([Update("insert", "run", rows)])
        seconds = (
            world.random.choice([0.01, 0.05, 0.2, 1.0, 3.0])
            if world.seconds is None
            else world.seconds.get(name, 0.001)
        )
    heappush(world.flight, (world.now + seconds, world.count, Under(attempt, result)))


def _written(attempt: Attempt, asset: str, value: Value) -> Written:
    return Written(asset, f"memory://{attempt.run}", value.fingerprint, value.columns, 1, 1, "", "")


def _read(world: "World", attempt: Attempt) -> Result:
    """Read the file as it is now."""
    unit = attempt.node.name
    if attempt.number < 3 and world.random.random() < world.flaky:
        return Result(attempt.run, failed=Failed("killed", "killed"))
    if unit not in world.files:
        return Result(attempt.run, failed=Failed("vanished", "gone"))
    value = world.files[unit]
    if value is None:
        return Result(attempt.run, (Rejected(unit[0], "bad"),))
    return Result(attempt.run, (_written(attempt, unit[0], value),))


def _reads_of(attempt: Attempt) -> Reads:
    return tuple(
        tuple((key, Value(**part.columns).project(item.edge.columns)) for key, part in item.parts)
        for item in attempt.pinned
    )


def _compute(world: "World", attempt: Attempt) -> Result:
    """Check the cut against the oracle's (P3) and what is known (P4), then run."""
    node = attempt.node
    spec = world.functions[node.plan.name]
    reads = _reads_of(attempt)
    must = world.oracle.cut(spec, node.key, attempt.epoch)
    expect(reads == must, "not the cut of its epoch", node.name, attempt.epoch, reads, must)
    expect(attempt.code == world.oracle.code_at(spec.name, attempt.epoch), "not its epoch's code")
    signature = (attempt.code, reads)
    known = world.signatures.setdefault(node.name, {})
    expect(
        attempt.forced or signature not in known,
        "a run whose run key was known",
        node.name,
        known.get(signature),
        attempt.reasons,
    )
    if attempt.number < spec.attempts and world.random.random() < world.flaky:
        return Result(attempt.run, failed=Failed("killed", "killed"))
    broken = [breaks(spec, out, node.key, attempt.code, reads) for out in spec.outputs]
    if spec.fails == "raises" and any(broken):
        return Result(attempt.run, failed=Failed("raised", "boom"))
    return Result(
        attempt.run,
        tuple(
            Rejected(out, "invalid")
            if bad
            else _written(attempt, out, make(out, node.key, attempt.code, reads))
            for out, bad in zip(spec.outputs, broken, strict=True)
        ),
    )


def end_attempt(world: "World", under: Under, epoch: int) -> Outcome:
    """Give what its end commits, and tell the oracle of what it changes."""
    attempt, result = under.attempt, under.result
    world.running.discard(attempt.node.name)
    if attempt.kind == "run":
        assert result is not None
        return end_run(attempt, result, world.now, world.random)
    changed = is_change(attempt, result)
    taken = epoch if changed else world.planner.epoch
    _tell_oracle(world, attempt, result, epoch, changed=changed)
    if result is None:
        return end_delete(attempt, taken, world.now)
    return end_ingest(attempt, result, taken, world.now, world.random)


def _tell_oracle(
    world: "World", attempt: Attempt, result: Result | None, epoch: int, *, changed: bool
) -> None:
    """What a source's unit is now, by what an arrival means."""
    unit = attempt.node.name
    source = next(each for each in world.spec.sources if each.name == unit[0])
    last = world.oracle.last(unit)
    if result is None:
        marks = {"propagate": Mark.DELETED, "fail": Mark.HELD}
        now = marks.get(source.on_delete) or world.oracle.last_value(unit)
        now = now if last is not None else None
    elif result.failed is not None:
        return
    elif isinstance(result.outputs[0], Rejected):
        now = Mark.HELD if source.on_reject == "hold" and last is not None else last
    else:
        now = Value(**result.outputs[0].columns)
    if now is not None and now != last:
        expect(changed, "a change takes no epoch", unit, last, now)
        world.oracle.change(epoch, unit, now)
    if isinstance(now, Value):
        world.heads[unit] = now


def take_head(world: "World", outcome: Outcome) -> None:
    """What the commit made visible, and which run keys are known by it."""
    ended, attempt = outcome.ended, outcome.attempt
    assert ended is not None
    if attempt.kind != "run" or ended.retry_at is not None:
        return
    node, states = attempt.node, ended.states
    known = world.signatures.setdefault(node.name, {})
    reads = _reads_of(attempt)
    failed = states is None or Gone.HELD in states
    if failed:
        _forget_failed(world, node)
    known[attempt.code, reads] = "failed" if failed else "good"
    if states is None:
        return
    recover(world, node, states)
    for asset, state in zip(node.plan.assets, states, strict=True):
        if isinstance(state, Content):
            unit = (asset, node.key)
            world.heads[unit] = Value(**state.columns)
            world.grow(unit, attempt.epoch)


def recover(world: "World", node: Node, states: tuple[object, ...]) -> None:
    """What failed before is tried again once the unit was well in between."""
    if Gone.HELD not in states:
        _forget_failed(world, node)


def _forget_failed(world: "World", node: Node) -> None:
    """What failed before the last failure, or before the unit was well, is tried again."""
    known = world.signatures.get(node.name, {})
    for signature in [s for s, how in known.items() if how == "failed"]:
        del known[signature]
