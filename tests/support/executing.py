"""A generation made by hand, and tasks in this very process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa_pandas
import pyarrow as pa

from afresh.assets.frames import to_table
from afresh.assets.manifest import Function, Given, Input, Manifest, Output, Sensor, Source
from afresh.assets.schema import describe
from afresh.daemon.workers.execute import execute
from afresh.daemon.workers.live import LiveFunction, LiveSource, Loaded
from afresh.daemon.workers.task import Part, Rejected, Result, Target, Task, TaskInput, Written
from afresh.daemon.workers.wire import Plan
from afresh.storage.artifacts.store import write_table

ROW = pa_pandas.DataFrameSchema(
    {"name": pa_pandas.Column(str), "value": pa_pandas.Column(float, pa_pandas.Check.ge(0))},
    name="Row",
)


NARROW = pa_pandas.DataFrameSchema({"name": pa_pandas.Column(str)}, strict="filter", name="Narrow")


TIGHT = pa_pandas.DataFrameSchema(
    {"value": pa_pandas.Column(float, pa_pandas.Check.lt(2))}, name="Tight"
)


KINDS = pa_pandas.DataFrameSchema({"kind": pa_pandas.Column("category")}, name="Kinds")


COERCED = pa_pandas.DataFrameSchema(
    {"value": pa_pandas.Column(int, coerce=True, parsers=pa_pandas.Parser(abs))},
    strict="filter",
    name="Coerced",
)


SCHEMAS = {"Row": ROW, "Narrow": NARROW, "Tight": TIGHT, "Kinds": KINDS, "Coerced": COERCED}


class Seen:
    """A function that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: Any = None

    def __call__(self, rows: Any) -> None:
        self.rows = rows


class World:
    """A generation made by hand, and a folder for what it writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.functions: dict[str, LiveFunction] = {}
        self.sources: dict[str, LiveSource] = {}
        self.runs = 0
        self.source("rows", "Row")

    def source(self, name: str, schema: str = "", **more: Any) -> None:
        sensor = Sensor("file", {"pattern": "landing/{day}/{region}.csv"})
        declared = Source(name, sensor, ("day", "region"), schema, "csv", **more)
        self.sources[name] = LiveSource(declared, SCHEMAS.get(schema))

    def function(
        self,
        body: Callable[..., Any],
        *inputs: Input,
        outputs: tuple[Output, ...] = (Output("made", "pandas"),),
        parameters: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        declared = Function(outputs[0].asset, inputs, outputs, "key", **more)
        self.functions[declared.name] = LiveFunction(
            declared,
            body,
            {item.parameter: SCHEMAS.get(item.schema) for item in inputs},
            {item.asset: SCHEMAS.get(item.schema) for item in outputs},
            parameters or {},
        )

    def loaded(self) -> Loaded:
        manifest = Manifest(
            "digest",
            tuple(live.declaration for live in self.sources.values()),
            tuple(live.declaration for live in self.functions.values()),
            {name: describe(schema) for name, schema in SCHEMAS.items()},
        )
        return Loaded(manifest, self.functions, self.sources)

    def execute(self, name: str = "made", *inputs: TaskInput, **more: Any) -> Result:
        self.runs += 1
        assets = [name]
        if name in self.functions:
            assets = [output.asset for output in self.functions[name].declaration.outputs]
        folder = f"{self.root}/artifacts"
        targets = tuple(Target(a, f"{folder}/{self.runs}-{a}.parquet") for a in assets)
        kind: Any = more.pop("kind", "ingest" if "path" in more else "run")
        partition = more.pop("partition", "")
        task = Task(f"run{self.runs}", kind, name, partition, 2, targets, inputs, **more)
        root, state = str(self.root), f"{self.root}/.afresh"
        plan = Plan("digest", f"{state}/snapshots/digest", (), "{}", root, state, 0)
        return execute(task, self.loaded(), plan)[0]

    def part(self, table: pa.Table, partition: str = "", version: int = 1) -> Part:
        self.runs += 1
        stored = write_table(table, f"{self.root}/parts/{self.runs}.parquet")
        return Part(partition, version, stored.uri, stored.hash, table.num_rows)

    def landed(self, text: str) -> str:
        path = self.root / "landing" / "2024" / "eu.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)


def written(result: Result, place: int = 0) -> Written:
    assert result.failed is None, result.failed
    output = result.outputs[place]
    assert isinstance(output, Written), output
    return output


def rejected(result: Result, place: int = 0) -> Rejected:
    output = result.outputs[place]
    assert isinstance(output, Rejected), output
    return output


def rows(**columns: Any) -> pa.Table:
    return to_table(pd.DataFrame(columns))


def own(given: Given = "pandas", schema: str = "", columns: tuple[str, ...] = ()) -> Input:
    return Input("rows", "rows", "own", given, columns, schema)
