"""The manifest of a graph that the oracle knows."""

from afresh.assets.manifest import Function, Input, Manifest, Output, Retry, Sensor, Source
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
from support.oracle import (
    FunctionSpec,
    GraphSpec,
    Refresh,
)

NEVER_SECONDS = 1e9


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
