"""Attempts in workers that are not there: each is checked, and its result worked out at once."""

from dataclasses import dataclass
from heapq import heappush
from typing import TYPE_CHECKING

from afresh.assets.planner.nodes import Attempt
from afresh.daemon.attempts.dispatch import make_task, run_rows
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.storage.ledger.commit import Update
from support.finding import expect
from support.oracle import (
    Reads,
    Value,
    breaks,
    make,
)

if TYPE_CHECKING:
    from support.simulator import World


@dataclass
class Under:
    """An attempt in a worker."""

    attempt: Attempt
    result: Result | None


def start_attempt(world: "World", attempt: Attempt) -> None:
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


def _compute(world: "World", attempt: Attempt) -> Result:
    """Check the cut against the oracle's (P3) and what is known (P4), then run."""
    node = attempt.node
    spec = world.functions[node.plan.name]
    reads: Reads = tuple(
        tuple((key, Value(**part.columns).project(item.edge.columns)) for key, part in item.parts)
        for item in attempt.pinned
    )
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
