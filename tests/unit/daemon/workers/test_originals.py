"""Objects read into their units: by version where there is one, never a mixture of two states."""

import traceback
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from blake3 import blake3
from s3fs import S3FileSystem

from afresh.assets.errors import ArtifactError, ChangedData, StorageUnavailable, VanishedData
from afresh.assets.manifest import Sensor, Source
from afresh.daemon.workers.originals import read_original, read_reference
from afresh.sensors.base import ObjectIdentity
from afresh.sensors.buckets.options import as_plain
from afresh.sensors.buckets.url import object_uri
from afresh.sensors.secret import env
from afresh.storage import stores as kept
from afresh.storage.references import parse_reference, reference_uri
from services.fault_proxy import FaultProxy
from services.stores import ObjectStore


def source(options: dict[str, Any] | None = None, **more: Any) -> Source:
    sensor = Sensor("bucket", {"pattern": "lake/{day}.csv", "storage_options": options or {}})
    return Source("sales", sensor, captures=("day",), **more)


class Lake:
    """A bucket of the server of S3, with versions or without."""

    def __init__(self, store: ObjectStore, *, versions: bool) -> None:
        self.bucket = store.new_bucket()
        self.files = store.files()
        self.source = source(store.options)
        if versions:
            self.files.call_s3(
                "put_bucket_versioning",
                Bucket=self.bucket,
                VersioningConfiguration={"Status": "Enabled"},
            )

    @property
    def url(self) -> str:
        return object_uri("s3", f"{self.bucket}/a b.csv")

    def put(self, text: str) -> None:
        self.files.pipe_file(f"{self.bucket}/a b.csv", text.encode())


@pytest.fixture(params=[False, True], ids=["plain", "versioned"])
def lake(request: pytest.FixtureRequest, moto: ObjectStore) -> Lake:
    return Lake(moto, versions=request.param)


@pytest.mark.service
def test_an_object_is_read(lake: Lake) -> None:
    lake.put("n\n1\n")
    read = read_original(lake.url, lake.source, None, "/project")
    assert read.table.to_pylist() == [{"n": 1}]
    assert read.hash == blake3(b"n\n1\n").hexdigest()
    assert isinstance(read.identity, ObjectIdentity)
    assert read.identity.size == 4
    assert read.identity.version == read.version


@pytest.mark.service
def test_an_object_is_read_in_one_request(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("n\n1\n")
    asked: list[str] = []
    real = S3FileSystem._call_s3

    async def call(self: Any, method: str, *args: Any, **options: Any) -> Any:
        asked.append(method)
        return await real(self, method, *args, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", call)
    read_original(lake.url, lake.source, None, "/project")
    assert asked == ["get_object"]


@pytest.mark.service
def test_a_large_object_is_read_in_more(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put("n\n1\n")
    at_once = read_original(lake.url, lake.source, None, "/project")
    monkeypatch.setattr(kept, "PIECE_BYTES", 4)
    in_more = read_original(lake.url, lake.source, None, "/project")
    assert in_more._replace(table=at_once.table) == at_once
    assert in_more.table == at_once.table


@pytest.mark.service
def test_an_object_replaced_while_it_is_read_is_read_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PIECE_BYTES", 1)
    lake.put("n\n1\n")
    real, times = kept.RemoteStore.read, 0

    def read(self: Any, *args: Any) -> bytes:
        nonlocal times
        times += 1
        if times == 1:
            lake.put("n\n22\n")
        return real(self, *args)

    monkeypatch.setattr(kept.RemoteStore, "read", read)
    found = read_original(lake.url, lake.source, None, "/project")
    versioned = bool(found.version)
    assert found.table.to_pylist() == [{"n": 1 if versioned else 22}]
    assert times == (1 if versioned else 2)


@pytest.mark.service
def test_an_object_that_always_changes_is_no_version(
    moto: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PIECE_BYTES", 1)
    lake = Lake(moto, versions=False)
    lake.put("n\n1\n")
    real = kept.RemoteStore.read

    def read(self: Any, *args: Any) -> bytes:
        data = real(self, *args)
        lake.put(data.decode() + "1\n")
        return data

    monkeypatch.setattr(kept.RemoteStore, "read", read)
    with pytest.raises(ChangedData):
        read_original(lake.url, lake.source, None, "/project")


@pytest.mark.service
def test_a_reference_is_read_as_it_was_or_not_at_all(lake: Lake) -> None:
    lake.put("n\n1\n")
    read = read_original(lake.url, lake.source, None, "/project")
    reference = parse_reference(reference_uri(read.url, read.version))
    assert reference is not None
    lake.put("n\n2\n")

    def again() -> pa.Table:
        return read_reference(reference, read.hash, lake.source, None, None, partition="a b")

    if read.version:
        assert again().to_pylist() == [{"n": 1}]
        return
    with pytest.raises(ArtifactError, match="found other bytes") as caught:
        again()
    assert read.url in caught.value.error
    lake.files.rm_file(f"{lake.bucket}/a b.csv")
    with pytest.raises(ArtifactError, match="found nothing"):
        again()
    lake.put("n\n1\n")
    assert again().to_pylist() == [{"n": 1}]


@pytest.mark.service
def test_what_is_absent_has_vanished(lake: Lake) -> None:
    with pytest.raises(VanishedData):
        read_original(lake.url, lake.source, None, "/project")


@pytest.mark.service
def test_a_store_that_does_not_answer_may_later(
    moto: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PAUSES_SECONDS", (0.01,))
    with FaultProxy(("127.0.0.1", moto.port)) as proxy:
        lake = Lake(moto, versions=False)
        lake.put("n\n1\n")
        at = source({"endpoint_url": f"http://{proxy.address}"})
        assert read_original(lake.url, at, None, "/").table.num_rows == 1
        for fault in ("take_down", "answer"):
            if fault == "answer":
                proxy.answer = 503
            else:
                proxy.take_down()
            with pytest.raises(StorageUnavailable):
                read_original(lake.url, at, None, "/")
            proxy.bring_up()
        assert read_original(lake.url, at, None, "/").table.num_rows == 1


def test_no_error_of_a_store_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PAUSES_SECONDS", ())
    monkeypatch.setenv("LAKE_URL", "http://127.0.0.1:1/t0p-secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    at = source(as_plain({"endpoint_url": env("LAKE_URL")}))
    with pytest.raises(StorageUnavailable) as caught:
        read_original("s3://lake/a.csv", at, None, "/")
    shown = "".join(traceback.format_exception(caught.value))
    assert "***" in shown
    assert "t0p-secret" not in shown


@pytest.mark.parametrize("version", ["", "3HL4kqt,x=#/ü"])
def test_a_reference_is_written_and_read_back(version: str) -> None:
    url = object_uri("s3", "lake/a#reference,b?.csv")
    assert parse_reference(reference_uri(url, version)) == (url, version)
    assert parse_reference("s3://lake/made/x.parquet") is None
    assert parse_reference("/a/b#reference.parquet") is None


def test_a_local_object_is_read_by_its_url(tmp_path: Path) -> None:
    path = tmp_path / "a,b.csv"
    path.write_text("n\n1\n")
    url = object_uri("file", str(path)[1:])
    assert read_original(url, source(), None, "/").table.num_rows == 1
    assert fsspec.filesystem("file").exists(path)
    path.unlink()
    with pytest.raises(VanishedData):
        read_original(url, source(), None, "/")
