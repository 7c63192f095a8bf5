"""Files that are read in this very process."""

from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa_pandas
import pyarrow as pa
import pytest

from afresh.assets.errors import ChangedData
from afresh.assets.schema import describe
from afresh.storage.artifacts.store import read_table
from afresh.storage.content import hash_table
from afresh.storage.formats.source_file import read_source
from support.executing import ROW, SCHEMAS, World, rejected, written


class TestIngest:
    def test_text_is_read_by_the_types_of_the_schema(self, world: World) -> None:
        path = world.landed("name,value\n007,1\nNA,2.5\n")
        result = world.execute("rows", path=path, partition="2024,eu")
        output = written(result)
        table = read_table(output.uri, verify_hash=output.hash)
        assert table.to_pylist() == [{"name": "007", "value": 1.0}, {"name": "NA", "value": 2.5}]
        content = hash_table(table)
        assert (output.fingerprint, output.columns) == (content.fingerprint, content.columns)
        assert (output.rows, output.bytes) == (2, Path(output.uri).stat().st_size)
        assert output.schema_version == describe(ROW).version
        assert result.source_hash
        assert result.identity is not None
        assert result.identity.inode == Path(path).stat().st_ino

    def test_captures_become_columns_of_strings(self, world: World) -> None:
        world.source("rows", key_columns=True)
        path = world.landed("name,day\na,1\nb,2\n")
        output = written(world.execute("rows", path=path, partition="20%2C24,eu"))
        assert read_table(output.uri).to_pylist() == [
            {"name": "a", "day": "20,24", "region": "eu"},
            {"name": "b", "day": "20,24", "region": "eu"},
        ]

    def test_content_that_is_known_is_not_written(self, world: World) -> None:
        path = world.landed("name,value\na,1\n")
        first = written(world.execute("rows", path=path, partition="2024,eu"))
        known = {"rows": first.fingerprint}
        again = written(world.execute("rows", path=path, partition="2024,eu", known=known))
        assert (again.uri, again.bytes, again.columns) == ("", 0, first.columns)
        assert len(list((world.root / "artifacts").iterdir())) == 1

    def test_what_breaks_the_schema_is_kept_aside(self, world: World) -> None:
        path = world.landed("name,value\na,1\nb,-5\n")
        result = world.execute("rows", path=path, partition="2024,eu")
        output = rejected(result)
        assert [case["value"] for case in output.cases] == ["-5.0"]
        assert output.total == 1
        assert read_table(output.uri).num_rows == 2
        assert not (world.root / "artifacts").exists()
        assert result.identity is not None

    def test_a_file_that_is_gone(self, world: World) -> None:
        result = world.execute("rows", path=str(world.root / "gone.csv"), partition="2024,eu")
        assert result.failed is not None
        assert result.failed.kind == "vanished"

    def test_a_file_that_is_not_of_its_format(self, world: World) -> None:
        result = world.execute("rows", path=world.landed("name,value\na\n"), partition="2024,eu")
        assert result.failed is not None
        assert result.failed.kind == "unreadable"

    @pytest.mark.parametrize(
        "dtype", ["complex128", "period[M]", pd.ArrowDtype(pa.list_(pa.int8()))]
    )
    def test_a_type_that_no_text_has(
        self, world: World, monkeypatch: pytest.MonkeyPatch, dtype: Any
    ) -> None:
        odd = pa_pandas.DataFrameSchema({"a": pa_pandas.Column(dtype)}, name="Odd")
        monkeypatch.setitem(SCHEMAS, "Odd", odd)
        world.source("rows", "Odd")
        failed = world.execute("rows", path=world.landed("a\n1\n")).failed
        assert failed is not None
        assert failed.kind == "unreadable"
        assert failed.where.endswith("eu.csv")
        assert failed.hint == "declare the column as text and convert it in an asset"

    @pytest.mark.parametrize(("times", "kind"), [(2, None), (3, "changed")])
    def test_a_file_that_is_replaced_is_read_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch, times: int, kind: str | None
    ) -> None:
        left = [ChangedData("replaced")] * times
        real = read_source

        def unsteady(*args: Any, **kwargs: Any) -> Any:
            if left:
                raise left.pop()
            return real(*args, **kwargs)

        monkeypatch.setattr("afresh.daemon.workers.originals.read_source", unsteady)
        path = world.landed("name,value\na,1\n")
        result = world.execute("rows", path=path, partition="2024,eu")
        assert (result.failed.kind if result.failed else None) == kind

    def test_a_source_whose_module_did_not_import(self, world: World) -> None:
        result = world.execute("absent", path=world.landed("a\n1\n"))
        assert result.failed is not None
        assert (result.failed.kind, "did not import" in result.failed.error) == ("internal", True)
