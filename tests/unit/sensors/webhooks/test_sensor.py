import errno
import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.sensors.base import Batch
from afresh.sensors.records import Record, decode_records
from afresh.sensors.staged import stage
from afresh.sensors.webhooks.sensor import ACKNOWLEDGE_SECONDS, MOST_WAITING
from support.hooks import Clock, Known, Ledger, hooked
from support.watching import until


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_SECRET", "s3cret")


def records(ledger: Ledger) -> list[Record]:
    found = []
    for arrival in ledger.arrivals:
        if arrival.kind == "arrived":
            payload = arrival.payload or Path(arrival.staged).read_bytes()
            found += decode_records(payload)
    return found


async def test_a_delivery_is_recorded_before_it_is_answered(tmp_path: Path) -> None:
    async with hooked(tmp_path) as hook:
        answer = await hook.call(b'{"a":1}', key="k1")
        assert (answer.status, answer.said) == (202, {"recorded": ["k1"]})
        (arrival,) = hook.ledger.arrivals
        assert (arrival.uri, arrival.partition) == ("webhook:/hooks/orders#k1", "")
        (record,) = records(hook.ledger)
        assert (record.value, record.key) == (b'{"a":1}', b"k1")
        assert record.headers == (("content-type", b"application/json"),)
        assert record.timestamp_ms == 1_800_000_000_000
        assert "s3cret" not in repr(hook.ledger.batches)


async def test_a_repeated_delivery_has_the_same_answer_and_is_recorded_once(tmp_path: Path) -> None:
    ledger = Ledger()
    async with hooked(tmp_path, ledger=ledger) as hook:
        first = await hook.call(key="k1", at=hook.clock())
        hook.clock.now += 60
        for at in (hook.clock() - 60, hook.clock()):
            again = await hook.call(key="k1", at=at)
            assert (again.status, again.said) == (first.status, first.said)
            assert again.headers == {"Idempotency-Replayed": "true"}
    # After a restart too.
    async with hooked(tmp_path, ledger=ledger) as hook:
        again = await hook.call(key="k1")
        assert (again.status, again.said) == (first.status, first.said)
    assert len(records(ledger)) == 1


async def test_two_that_come_at_once_are_one(tmp_path: Path) -> None:
    ledger = Ledger()
    async with hooked(tmp_path, ledger=ledger) as hook:
        ledger.hold = anyio.Event()
        answers = []

        async def call() -> None:
            answers.append(await hook.call(key="k1"))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            assert not answers
            assert not hook.sensor.is_quiet
            assert hook.sensor.health.lag == 1
            ledger.hold.set()
        assert [answer.status for answer in answers] == [202] * 3
        assert hook.sensor.is_quiet
    assert len(records(ledger)) == 1


async def test_a_key_with_another_body_is_refused(tmp_path: Path) -> None:
    async with hooked(tmp_path) as hook:
        assert (await hook.call(b"1", key="k")).status == 202
        assert (await hook.call(b"2", key="k")).status == 422
        assert len(records(hook.ledger)) == 1


async def test_a_key_with_another_body_is_refused_while_the_first_is_on_its_way(
    tmp_path: Path,
) -> None:
    ledger = Ledger()
    async with hooked(tmp_path, ledger=ledger) as hook:
        ledger.hold = anyio.Event()
        answers = {}

        async def call(body: bytes) -> None:
            answers[body] = (await hook.call(body, key="k")).status

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, b"1")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(call, b"2")
            await anyio.wait_all_tasks_blocked()
            ledger.hold.set()
        assert answers == {b"1": 202, b"2": 422}
        assert [record.value for record in records(ledger)] == [b"1"]


async def test_without_a_key_time_and_body_make_it_one(tmp_path: Path) -> None:
    async with hooked(tmp_path) as hook:
        for at in (0, 0, 1, 1.5):
            assert (await hook.call(at=hook.clock() + at)).status == 202
        assert len(records(hook.ledger)) == 3


async def test_what_is_captured_cannot_be_sent_again_under_another_key(tmp_path: Path) -> None:
    ledger = Ledger()
    async with hooked(tmp_path, ledger=ledger) as hook:
        assert (await hook.call(key="k1")).status == 202
        assert (await hook.call(key="k2")).status == 401
    async with hooked(tmp_path, ledger=ledger) as hook:
        assert (await hook.call(key="k2")).status == 401
        assert (await hook.call(key="k1")).status == 202
    assert len(records(ledger)) == 1


async def test_a_signature_of_a_clock_that_is_ahead_is_known_again_as_long_as_it_holds(
    tmp_path: Path,
) -> None:
    ledger, clock = Ledger(), Clock()
    at = clock.now + 290
    async with hooked(tmp_path, ledger=ledger, clock=clock) as hook:
        assert (await hook.call(key="k1", at=at)).status == 202
    clock.now += 400
    async with hooked(tmp_path, ledger=ledger, clock=clock) as hook:
        assert (await hook.call(key="k2", at=at)).status == 401
    assert len(records(ledger)) == 1


async def test_forged_and_old_calls_are_refused(tmp_path: Path) -> None:
    async with hooked(tmp_path) as hook:
        assert (await hook.call(secret="x" * 6)).status == 401
        assert (await hook.call(secret="")).status == 401
        assert (await hook.call(at=hook.clock() - 301)).status == 401
        assert not hook.ledger.arrivals


async def test_no_secret_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_SECRET")
    with pytest.raises(ExceptionGroup) as raised:
        async with hooked(tmp_path):
            pass
    assert raised.group_contains(SensorError, match="ORDERS_SECRET")


async def test_anybody_may_call_what_has_no_secret(tmp_path: Path) -> None:
    async with hooked(tmp_path, secret=None) as hook:
        for key in ("", "", "k", "k"):
            headers = {"idempotency-key": key} if key else {}
            assert (await hook.call(secret="", headers=headers)).status == 202
        assert len(records(hook.ledger)) == 3


async def test_cloudevents_are_one_by_source_and_id(tmp_path: Path) -> None:
    one = {"specversion": "1.0", "id": "1", "type": "t", "source": "s", "data": {"a": 1}}
    two = {**one, "id": "2"}
    batch = {"content-type": "application/cloudevents-batch+json"}
    async with hooked(tmp_path) as hook:
        single = {"content-type": "application/cloudevents+json"}
        assert (await hook.call(json.dumps(one).encode(), headers=single)).status == 202
        answer = await hook.call(json.dumps([one, two, two]).encode(), headers=batch)
        assert (answer.status, answer.said) == (202, {"recorded": ["ce:s 1", "ce:s 2"]})
        found = records(hook.ledger)
        assert [(r.key, r.value) for r in found] == [(b"1", b'{"a": 1}'), (b"2", b'{"a": 1}')]
        assert dict(found[0].headers)["ce_type"] == b"t"
        assert (await hook.call(b"[{}]", headers=batch)).status == 400
        contradiction = [{**one, "id": "3"}, {**one, "id": "3", "data": 0}]
        assert (await hook.call(json.dumps(contradiction).encode(), headers=batch)).status == 400
        assert len(records(hook.ledger)) == 2


async def test_the_ids_of_other_senders(tmp_path: Path) -> None:
    async with hooked(tmp_path, signature="stripe") as hook:
        for _ in range(2):
            assert (await hook.call(b'{"id":"evt_1"}', form="stripe")).status == 202
            hook.clock.now += 1
        assert [a.uri for a in hook.ledger.arrivals] == ["webhook:/hooks/orders#id:evt_1"]
    async with hooked(tmp_path, signature="github") as hook:
        kept = {"x-github-event": "push"}
        for _ in range(2):
            assert (await hook.call(form="github", key="d1", headers=kept)).status == 202
        assert (await hook.call(form="github")).status == 400
        (record,) = records(hook.ledger)
        assert dict(record.headers)["x-github-event"] == b"push"


async def test_more_than_the_rate_is_told_to_come_again(tmp_path: Path) -> None:
    async with hooked(tmp_path, rate="2/s") as hook:
        assert [(await hook.call(key=f"k{n}", at=hook.clock() + n)).status for n in range(3)] == [
            202,
            202,
            429,
        ]
        answer = await hook.call(key="k3", at=hook.clock() + 3)
        assert (answer.status, answer.headers) == (429, {"Retry-After": "1"})
        # What was recorded is answered all the same; and time brings more.
        assert (await hook.call(key="k0")).status == 202
        hook.clock.now += 1
        assert (await hook.call(key="k3", at=hook.clock() + 3)).status == 202


async def test_while_the_ledger_cannot_be_written_callers_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.webhooks.sensor.ACKNOWLEDGE_SECONDS", 0.01)
    assert ACKNOWLEDGE_SECONDS > 1
    ledger = Ledger()
    async with hooked(tmp_path, ledger=ledger) as hook:
        ledger.hold = anyio.Event()
        answer = await hook.call(key="k1")
        assert (answer.status, answer.headers) == (503, {"Retry-After": "5"})
        assert (await hook.call(key="k1")).status == 503
        ledger.hold.set()
        monkeypatch.setattr("afresh.sensors.webhooks.sensor.ACKNOWLEDGE_SECONDS", 5.0)
        assert (await hook.call(key="k1")).status == 202
    assert len(records(ledger)) == 1


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afresh.sensors.webhooks.sensor.MOST_WAITING_BYTES", 10)
    assert MOST_WAITING > 1
    async with hooked(tmp_path) as hook:
        assert (await hook.call(b'"0123456789"')).status == 503
        assert (await hook.call(b'"0"')).status == 202


async def test_a_large_body_is_staged_and_synced(tmp_path: Path) -> None:
    async with hooked(tmp_path) as hook:
        body = json.dumps("x" * 100_000).encode()
        assert (await hook.call(body, key="k")).status == 202
        (arrival,) = hook.ledger.arrivals
        assert arrival.payload == b""
        assert records(hook.ledger)[0].value == body


async def test_a_full_disk_costs_no_delivery(tmp_path: Path) -> None:
    (tmp_path / "staged").write_text("in the way")
    async with hooked(tmp_path) as hook:
        body = json.dumps("x" * 100_000).encode()
        assert (await hook.call(body, key="k")).status == 503
        (tmp_path / "staged").unlink()
        assert (await hook.call(body, key="k")).status == 202


async def test_a_full_disk_does_not_keep_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        if any(path.parent.iterdir() if path.parent.exists() else ()):
            raise OSError(errno.ENOSPC, "No space left on device")
        stage(path, data)

    monkeypatch.setattr("afresh.sensors.webhooks.sensor.stage", full)
    event = {"specversion": "1.0", "type": "t", "source": "s", "data": "x" * 100_000}
    body = json.dumps([{**event, "id": "1"}, {**event, "id": "2"}]).encode()
    batch = {"content-type": "application/cloudevents-batch+json"}
    async with hooked(tmp_path) as hook:
        assert (await hook.call(body, headers=batch)).status == 503
    assert list((tmp_path / "staged").iterdir()) == []


async def test_keys_are_forgotten_when_their_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.webhooks.sensor.FORGET_EACH_SECONDS", 0.001)
    ledger, clock = Ledger(), Clock()
    async with hooked(tmp_path, ledger=ledger, clock=clock, remember="1h") as hook:
        await hook.call(key="k1")
        clock.now += 3000
        await hook.call(key="k2")
        clock.now += 1000
        await until(lambda: "webhook:/hooks/orders#k1" not in ledger.known_rows)
        assert list(ledger.known_rows) == ["webhook:/hooks/orders#k2"]
        assert (await hook.call(key="k1")).status == 202
    assert len(records(ledger)) == 3


async def test_many_keys_are_forgotten_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.webhooks.memory.FORGET_AT_ONCE", 2)
    ledger, clock = Ledger(), Clock()
    async with hooked(tmp_path, ledger=ledger, clock=clock) as hook:
        for number in range(5):
            await hook.call(b"%d" % number, key=f"k{number}")
    walked: list[str] = []
    told_after: list[int] = []
    walk, emit = Known.__iter__, ledger.emit

    def walking(known: Known) -> Iterator[str]:
        for uri in walk(known):
            walked.append(uri)
            yield uri

    async def telling(batch: Batch) -> None:
        told_after.append(len(walked))
        await emit(batch)

    async with hooked(tmp_path, ledger=ledger, clock=clock) as hook:
        monkeypatch.setattr(Known, "__iter__", walking)
        await hook.sensor._memory.forget(clock.now + 4 * 86400, "orders", telling)
    assert told_after == [3, 5, 5]
