"""What stores do when they hang, and when several ask at once."""

import threading
from typing import Any

import anyio
import pytest

from afresh.sensors.buckets import folders
from afresh.sensors.buckets.folders import ABANDONED_AT_MOST, THREADS, FolderStore
from afresh.sensors.buckets.store import StoreError

pytestmark = pytest.mark.anyio

LISTING = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>
<Contents><Key>a.csv</Key><ETag>"1"</ETag><Size>1</Size></Contents></ListBucketResult>"""


async def test_a_store_that_hangs_holds_some_threads_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folders, "DEADLINE_SECONDS", 0.01)
    store = FolderStore("memory", "lake", {}, recursive=False)
    answers, begun = threading.Event(), []

    def hang(*_: Any, **__: Any) -> list[Any]:
        begun.append(1)
        answers.wait()
        return []

    monkeypatch.setattr(store.system, "ls", hang)
    try:
        for _ in range(2 * (THREADS + ABANDONED_AT_MOST)):
            with pytest.raises(StoreError):
                await store.list_folder("lake")
        assert len(begun) == THREADS + ABANDONED_AT_MOST
        with pytest.raises(StoreError, match="still hang"):
            await store.list_folder("lake")
    finally:
        answers.set()
    with anyio.fail_after(60):
        while True:
            try:
                assert await store.list_folder("lake") == ([], [])
            except StoreError:
                await anyio.sleep(0.001)
            else:
                break


async def test_a_listing_is_read_once_however_many_connect_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3 = pytest.importorskip("afresh.sensors.buckets.s3")
    options = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:1"}
    store = s3.S3Store("lake", "", options)
    connect = store.system.set_session

    async def after_a_while() -> Any:
        client = await connect()
        await anyio.lowlevel.checkpoint()  # as where a role's credentials are asked for
        return client

    monkeypatch.setattr(store.system, "set_session", after_a_while)
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(store.connect)
        found: dict[str, Any] = {}
        await store._client.meta.events.emit(
            "before-parse.s3.ListObjectsV2",
            response_dict={"status_code": 200, "body": LISTING},
            customized_response_dict=found,
            operation_model=store._client.meta.service_model.operation_model("ListObjectsV2"),
        )
    finally:
        await store.close()
    assert [item["Key"] for item in found["Contents"]] == ["a.csv"]
