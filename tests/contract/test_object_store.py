"""What the sensor of a bucket needs of every store: pages that agree with looks, honest errors."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

from afresh.assets.manifest import Sensor, Source
from afresh.assets.partition import Pattern
from afresh.daemon.workers.originals import read_original
from afresh.sensors.base import ObjectIdentity
from afresh.sensors.buckets import folders, s3, tokens
from afresh.sensors.buckets.store import Entry, RefusedError, Store, StoreError, state_of
from afresh.sensors.buckets.stores import open_store
from afresh.sensors.buckets.url import object_uri
from services.fault_proxy import FaultProxy
from services.stores import RUNS, ObjectStore, Stores

REAL = [pytest.param(name, marks=pytest.mark.service) for name in RUNS]
ODD = ("a b", "x+y&z=%2F", "ümlaut", "q?uestion#hash", "%2e%2e", "\u202ertl", "plain")


class World:
    """A place for objects, seen by tests and by the store under test."""

    def __init__(self, protocol: str, root: str, files: Any, options: dict[str, Any]) -> None:
        self.protocol = protocol
        self.root = root
        self.files = files
        self.options = options

    def put(self, name: str, text: str = "x") -> str:
        path = f"{self.root}/{name}"
        lead = "/" if self.protocol in ("file", "memory") else ""
        if self.protocol == "file":
            Path(lead + path).parent.mkdir(parents=True, exist_ok=True)
        self.files.pipe_file(lead + path, text.encode())
        return path

    @asynccontextmanager
    async def store(self, pattern: str = "{name}.csv", **options: Any) -> AsyncIterator[Store]:
        parsed = Pattern.parse(f"{self.root}/{pattern}")
        store = open_store(self.protocol, parsed, {**self.options, **options})
        try:
            yield store
        finally:
            await store.close()


@pytest.fixture(params=["file", "memory", *REAL])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    if request.param in ("file", "memory"):
        files = fsspec.filesystem(request.param, skip_instance_cache=True)
        return World(request.param, os.fspath(tmp_path)[1:] + "/days", files, {})
    stores: Stores = request.getfixturevalue("stores")
    store = stores.get(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    root = f"{store.new_bucket()}/lake/days"
    return World(store.protocol, root, store.files(), store.options)


async def entries(store: Store) -> dict[str, Entry]:
    pages, found = store.pages(), {}
    while (page := await pages.next()) is not None:
        found.update({entry.path: entry for entry in page})
    assert await pages.next() is None
    return found


async def test_a_listing_and_a_look_agree(world: World) -> None:
    # adlfs takes what follows a ? for a query.
    names = [name for name in ODD if world.protocol != "az" or "?" not in name]
    paths = [world.put(f"{name}.csv", name) for name in names]
    async with world.store() as store:
        listed = await entries(store)
        assert set(paths) <= set(listed)
        for path, name in zip(paths, names, strict=True):
            looked = await store.look(path)
            assert looked is not None
            assert looked.path == path
            assert state_of(looked.identity) == state_of(listed[path].identity)
            assert looked.identity.size == len(name.encode())
            assert looked.identity.modified_at > 1e9


async def test_what_an_ingest_reads_is_in_the_state_that_was_listed(world: World) -> None:
    """Else the next listing takes it for changed, and there is an event at each of them."""
    path = world.put("a.csv", "n\n1\n")
    options = {"pattern": f"{world.root}/{{name}}.csv", "storage_options": world.options}
    source = Source("days", Sensor("bucket", options), captures=("name",))
    async with world.store() as store:
        listed = (await entries(store))[path]
    read = read_original(object_uri(world.protocol, path), source, None, "/project")
    assert isinstance(read.identity, ObjectIdentity)
    assert state_of(read.identity) == state_of(listed.identity)


async def test_an_overwritten_object_is_in_another_state(world: World) -> None:
    path = world.put("a.csv", "one")
    async with world.store() as store:
        before = (await entries(store))[path]
        world.put("a.csv", "two")
        after = (await entries(store))[path]
        assert state_of(before.identity) != state_of(after.identity)


async def test_nothing_is_there(world: World) -> None:
    path = world.put("a.csv")
    async with world.store() as store:
        assert await store.look(path + "x") is None
        assert await store.look(path.rpartition("/")[0] + "/none/a.csv") is None
        assert await store.look(path.rpartition("/")[0]) is None
    async with world.store("none/at/all/{name}.csv") as store:
        assert await entries(store) == {}


async def test_one_is_found_by_its_name(world: World) -> None:
    names = [name for name in ODD if world.protocol != "az" or "?" not in name]
    paths = [world.put(f"{name}.csv") for name in names]
    world.put(f"{names[-1]}.csv.more")
    async with world.store() as store:
        listed = await entries(store)
        for path in paths:
            found = await store.find(path)
            assert found is not None
            assert state_of(found.identity) == state_of(listed[path].identity)
        assert await store.find(paths[0].removesuffix("v")) is None
        assert await store.find(paths[0] + "x") is None


async def test_folders_are_walked(world: World) -> None:
    paths = {world.put(name) for name in ("a/1.csv", "a/b/2.csv", "c/3.csv", "4.csv")}
    async with world.store("**/{name}.csv") as store:
        assert set(await entries(store)) == paths


async def test_many_objects_come_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (s3, tokens):
        monkeypatch.setattr(module, "PAGE", 7)
    paths = {world.put(f"{number:02}.csv") for number in range(25)}
    async with world.store() as store:
        pages, found, sizes = store.pages(), [], []
        while (page := await pages.next()) is not None:
            sizes.append(len(page))
            found += [entry.path for entry in page]
    assert set(found) == paths
    assert len(found) == 25
    assert max(sizes) <= 7 or world.protocol in ("file", "memory"), "a folder is asked for whole"


async def test_no_page_is_older_than_its_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would bring back what was there before, and then what is there a second time."""
    for module in (s3, tokens):
        monkeypatch.setattr(module, "PAGE", 2)
    names, number, found = [f"{name}.csv" for name in "abcde"], 0, 0
    async with world.store() as store:
        pages = store.pages()
        while True:
            number += 1
            for name in names:
                world.put(name, "x" * number)
            page = await pages.next()
            if page is None:
                break
            assert {entry.identity.size for entry in page} <= {number}
            found += len(page)
    assert found == len(names)


def at(store: ObjectStore, port: int) -> dict[str, Any]:
    """How the store is reached through another port."""
    old, new = f"127.0.0.1:{store.port}", f"127.0.0.1:{port}"
    settings = {**store.options, **store.environment}
    return {name: str(value).replace(old, new) for name, value in settings.items()}


@pytest.mark.service
@pytest.mark.parametrize("name", list(RUNS))
async def test_a_page_is_asked_for_again_after_an_error(
    name: str, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (s3, tokens):
        monkeypatch.setattr(module, "PAGE", 7)
    monkeypatch.setattr(folders, "DEADLINE_SECONDS", 2)
    real = stores.get(name)
    with FaultProxy(("127.0.0.1", real.port)) as proxy:
        settings = at(real, proxy.port)
        for variable in real.environment:
            monkeypatch.setenv(variable, settings[variable])
        options = {option: settings[option] for option in real.options}
        direct = World(real.protocol, f"{real.new_bucket()}/days", real.files(), {})
        paths = [direct.put(f"{number:02}.csv") for number in range(20)]
        direct.options = options
        async with direct.store() as store:
            pages = store.pages()
            first = await pages.next()
            assert first is not None
            proxy.take_down()
            with pytest.raises(StoreError):
                await pages.next()
            with pytest.raises(StoreError):
                await store.look(paths[0])
            proxy.bring_up()
            found = [entry.path for entry in first]
            while (page := await pages.next()) is not None:
                found += [entry.path for entry in page]
    assert found == paths


@pytest.mark.service
@pytest.mark.parametrize("name", list(RUNS))
async def test_without_rights_it_says_so_and_goes_on_when_it_has_them(
    name: str, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stores.get(name)
    with FaultProxy(("127.0.0.1", real.port)) as proxy:
        settings = at(real, proxy.port)
        for variable in real.environment:
            monkeypatch.setenv(variable, settings[variable])
        world = World(real.protocol, f"{real.new_bucket()}/days", real.files(), {})
        path = world.put("a.csv")
        world.options = {option: settings[option] for option in real.options}
        async with world.store() as store:
            proxy.answer = 403
            pages = store.pages()
            for ask in (pages.next, partial(store.look, path), partial(store.find, path)):
                with pytest.raises(RefusedError, match="Expected the store to ") as caught:
                    await ask()
                assert "credentials" in caught.value.hint
            proxy.bring_up()
            assert [entry.path for entry in await pages.next() or ()] == [path]


@pytest.mark.service
@pytest.mark.parametrize("name", list(RUNS))
async def test_a_bucket_that_is_not_there_is_named(
    name: str, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stores.get(name)
    for variable, value in real.environment.items():
        monkeypatch.setenv(variable, value)
    world = World(real.protocol, "no-such-bucket/days", None, real.options)
    async with world.store() as store:
        with pytest.raises(StoreError, match="no-such-bucket"):
            await store.pages().next()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"endpont_url": "x"}, "Expected storage_options that S3's client takes, found: "),
        (
            {"endpoint_url": "http://127.0.0.1:1"},
            "Expected the store to list s3://lake/days/, found: Could not connect",
        ),
    ],
)
async def test_wrong_options_are_told_with_a_way_out(options: dict[str, Any], found: str) -> None:
    keys = {"key": "k", "secret": "s", "client_kwargs": {"region_name": "us-east-1"}}
    store = open_store("s3", Pattern.parse("lake/days/{name}.csv"), {**keys, **options})
    with pytest.raises(StoreError) as caught:
        await store.pages().next()
    await store.close()
    assert caught.value.error.startswith(found)
    assert caught.value.hint
