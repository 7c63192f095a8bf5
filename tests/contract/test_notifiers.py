"""One suite for every notifier: what is said outside, and what happens when nobody listens."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import anyio
import pytest

from afresh.daemon.notifiers.base import Alert, Notifier, NotifierError
from afresh.daemon.notifiers.command import CommandNotifier
from afresh.daemon.notifiers.load import build
from afresh.daemon.notifiers.webhook import WebhookNotifier

FAILED = Alert(
    subject="orders[2024-01-02]",
    state="failed",
    error="Expected column 'amount', found none — “$key” `id` $(id)",
    why=("the arrival landing/2024-01-02.csv was rejected", "event 17"),
    owner="data-team",
    at=1_700_000_000.25,
)
RECOVERED = Alert("orders", "recovered", "", (), "", 1_700_000_060.0)


class Receiver(Protocol):
    """The other side of one kind of notifier."""

    def notifier(self, *, timeout_seconds: float = 60.0) -> Notifier: ...
    def received(self) -> list[dict[str, Any]]: ...
    def refuse(self) -> None: ...
    def hang(self) -> None: ...


class CommandReceiver:
    """A real command that appends its standard input to a file."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "inbox.jsonl"
        self.inbox.touch()
        self.script = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read())"

    def notifier(self, *, timeout_seconds: float = 60.0) -> Notifier:
        command = [sys.executable, "-c", self.script, str(self.inbox)]
        return CommandNotifier(command, timeout_seconds=timeout_seconds)

    def received(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.inbox.read_text().splitlines()]

    def refuse(self) -> None:
        self.script = "import sys; sys.exit('the mailbox is full')"

    def hang(self) -> None:
        self.script = "import time; time.sleep(60)"


@dataclass
class WebhookReceiver:
    """A real HTTP server on this machine."""

    server: ThreadingHTTPServer
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 204
    stuck: threading.Event | None = None

    def notifier(self, *, timeout_seconds: float = 60.0) -> Notifier:
        port = self.server.server_address[1]
        url = f"http://127.0.0.1:{port}/hooks/secret?room=data"
        return WebhookNotifier(
            url, headers={"Authorization": "Bearer x"}, timeout_seconds=timeout_seconds
        )

    def received(self) -> list[dict[str, Any]]:
        return self.bodies

    def refuse(self) -> None:
        self.status = 507

    def hang(self) -> None:
        self.stuck = threading.Event()


@pytest.fixture
def webhook() -> Iterator[WebhookReceiver]:
    receiver: WebhookReceiver

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if receiver.stuck is not None:
                receiver.stuck.wait(60)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status == 204:
                receiver.bodies.append(json.loads(body))
            receiver.headers.append({**self.headers, "path": self.path})
            self.send_response(receiver.status)
            if 300 <= receiver.status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            if receiver.status >= 400:
                self.wfile.write(b"the mailbox is full")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = WebhookReceiver(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield receiver
    if receiver.stuck is not None:
        receiver.stuck.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def command(tmp_path: Path) -> CommandReceiver:
    return CommandReceiver(tmp_path)


@pytest.fixture(params=["command", "webhook"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    made: Receiver = request.getfixturevalue(request.param)
    return made


async def test_an_alert_arrives_whole(receiver: Receiver) -> None:
    await receiver.notifier().notify(FAILED)
    assert receiver.received() == [
        {
            "key": FAILED.key,
            "subject": "orders[2024-01-02]",
            "state": "failed",
            "summary": f"afresh: orders[2024-01-02] failed: {FAILED.error}",
            "error": FAILED.error,
            "why": ["the arrival landing/2024-01-02.csv was rejected", "event 17"],
            "owner": "data-team",
            "at": "2023-11-14T22:13:20.250000+00:00",
        }
    ]


async def test_a_recovery_arrives_too(receiver: Receiver) -> None:
    await receiver.notifier().notify(FAILED)
    await receiver.notifier().notify(RECOVERED)
    assert [(m["subject"], m["state"]) for m in receiver.received()] == [
        ("orders[2024-01-02]", "failed"),
        ("orders", "recovered"),
    ]
    assert receiver.received()[1]["summary"] == "afresh: orders recovered"


async def test_each_attempt_carries_the_same_key(receiver: Receiver) -> None:
    for _ in range(2):
        await receiver.notifier().notify(FAILED)
    await receiver.notifier().notify(RECOVERED)
    first, second, other = [message["key"] for message in receiver.received()]
    assert first == second != other


async def test_a_large_alert_arrives(receiver: Receiver) -> None:
    why = tuple(f"cause {number} " + "x" * 100 for number in range(20_000))
    await receiver.notifier().notify(Alert("orders", "failed", "e", why, "", 0.0))
    (message,) = receiver.received()
    assert message["why"] == list(why)


async def test_a_refusal_is_an_error_that_says_why(receiver: Receiver) -> None:
    receiver.refuse()
    with pytest.raises(NotifierError, match="the mailbox is full"):
        await receiver.notifier().notify(FAILED)


async def test_a_receiver_that_hangs_costs_the_limit_alone(receiver: Receiver) -> None:
    receiver.hang()
    with anyio.fail_after(30), pytest.raises(NotifierError, match=r"within 0\.3 s"):
        await receiver.notifier(timeout_seconds=0.3).notify(FAILED)


async def test_it_can_be_cancelled(receiver: Receiver) -> None:
    receiver.hang()
    began = time.monotonic()
    with anyio.move_on_after(0.2) as scope:
        await receiver.notifier(timeout_seconds=60).notify(FAILED)
    assert scope.cancelled_caught
    assert time.monotonic() - began < 30


async def test_the_loop_goes_on_meanwhile(receiver: Receiver) -> None:
    receiver.hang()
    ended = anyio.Event()

    async def deliver() -> None:
        with pytest.raises(NotifierError):
            await receiver.notifier(timeout_seconds=60).notify(FAILED)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver)
        for _ in range(10):
            await anyio.sleep(0.01)
        assert not ended.is_set()
        tasks.cancel_scope.cancel()


async def test_a_command_gets_values_as_single_arguments(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = "import json,sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w'))"
    argv = [sys.executable, "-c", script, str(out), "$summary", "to:$owner", "$HOME $$5"]
    await CommandNotifier(argv).notify(FAILED)
    assert json.loads(out.read_text()) == [FAILED.summary, "to:data-team", "$HOME $5"]


async def test_a_command_that_reads_nothing_and_complains_much_is_fine() -> None:
    script = "import sys; sys.stderr.write('x' * 1_000_000)"
    why = ("y" * 1_000_000,)
    alert = Alert("orders", "failed", "e", why, "", 0.0)
    await CommandNotifier([sys.executable, "-c", script]).notify(alert)


async def test_what_a_hanging_command_started_is_killed_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    shell = f"sleep 60 & echo $! > {pid_file}; wait"
    seconds = 0.5
    while not pid_file.exists():  # a busy machine takes its time to start a shell
        seconds *= 2
        with pytest.raises(NotifierError):
            await CommandNotifier(["sh", "-c", shell], timeout_seconds=seconds).notify(FAILED)
    stat = Path("/proc", pid_file.read_text().strip(), "stat")
    with anyio.fail_after(60):
        while stat.exists() and stat.read_text().split()[2] != "Z":  # noqa: ASYNC110  a process
            await anyio.sleep(0.01)


async def test_a_command_that_leaves_something_in_the_background_is_not_waited_for(
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    shell = f"sleep 60 & echo $! > {pid_file}"
    await CommandNotifier(["sh", "-c", shell], timeout_seconds=59).notify(FAILED)
    assert time.monotonic() - began < 30
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


async def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(NotifierError, match="no-such-command-here"):
        await CommandNotifier(["no-such-command-here"]).notify(FAILED)


async def test_a_webhook_gets_the_path_and_the_headers(webhook: WebhookReceiver) -> None:
    await webhook.notifier().notify(FAILED)
    (headers,) = webhook.headers
    assert headers["path"] == "/hooks/secret?room=data"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer x"
    assert headers["Idempotency-Key"] == FAILED.key


async def test_a_webhook_follows_no_redirect(webhook: WebhookReceiver) -> None:
    webhook.status = 302
    with pytest.raises(NotifierError, match="302"):
        await webhook.notifier().notify(FAILED)
    assert [headers["path"] for headers in webhook.headers] == ["/hooks/secret?room=data"]


async def test_a_webhook_that_nobody_serves_does_not_tell_its_secret_path() -> None:
    notifier = WebhookNotifier("http://127.0.0.1:9/hooks/secret", timeout_seconds=2)
    with pytest.raises(NotifierError) as caught:
        await notifier.notify(FAILED)
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "//host/x",
        "https://",
        "http://host/a b",
        "x",
        "http://host:99999/",
        "http://[::1",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(NotifierError, match="Expected a"):
        WebhookNotifier(url)


@pytest.mark.parametrize("command", [[], "mail -s x"])
def test_a_command_line_as_text_is_refused(command: Any) -> None:
    with pytest.raises(NotifierError, match="list of arguments"):
        CommandNotifier(command)


async def test_notifiers_are_built_from_settings(webhook: WebhookReceiver) -> None:
    url = f"http://127.0.0.1:{webhook.server.server_address[1]}/"
    notifier = build("webhook", {"url": url, "owners": ["data-team"]})
    await notifier.notify(FAILED)
    await notifier.notify(RECOVERED)  # nobody's: not for this team
    assert [message["state"] for message in webhook.received()] == ["failed"]


def test_settings_that_no_notifier_takes_are_refused() -> None:
    with pytest.raises(NotifierError, match="pigeon"):
        build("pigeon", {})
    with pytest.raises(NotifierError, match="webhook"):
        build("webhook", {"uri": "http://host/"})
    for owners in ("data-team", [5], {"data-team": 1}):
        with pytest.raises(NotifierError, match="list of owners"):
            build("webhook", {"url": "http://host/", "owners": owners})
