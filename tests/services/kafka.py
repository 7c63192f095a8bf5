"""A real Apache Kafka broker in KRaft mode, alone on loopback ports, for as long as the tests run.

`AFRESH_TEST_KAFKA=host:port` uses a broker that somebody runs; what must kill or stop the broker
is skipped then.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from services.java import classpath
from services.missing import Missing, skip
from services.ports import free_port, free_ports
from services.server import launch

START_SECONDS = 90.0
_JAVA = ("java", "-XX:+UseSerialGC", "-Xshare:auto")
HEAP_MB = 512
_QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class Kafka:
    """One broker with its log folder: stopped, killed and started again on the same port."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, heap_mb: int = HEAP_MB
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self._log = folder / "broker.log"
        self.port, self.controller = free_ports(2)
        self._heap = (f"-Xms{heap_mb // 2}m", f"-Xmx{heap_mb}m")
        self.servers = f"127.0.0.1:{self.port}"
        self._settings = dict(settings or {})
        self._listeners = [("PLAINTEXT", "PLAINTEXT", self.port, self.servers)]
        self._users: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._jars = classpath("kafka")

    @property
    def pid(self) -> int:
        """The broker's process id. Raises AssertionError when it is not running."""
        assert self._process is not None
        return self._process.pid

    def add_listener(self, name: str, protocol: str) -> int:
        """Listen on one port more, before the start; give the port. It advertises itself."""
        port = free_port()
        self._listeners.append((name, protocol, port, f"127.0.0.1:{port}"))
        return port

    def advertise(self, name: str, address: str) -> None:
        """Tell those who come by a listener to go on at another address, such as a proxy's."""
        self._listeners = [
            (other, protocol, port, address if other == name else known)
            for other, protocol, port, known in self._listeners
        ]

    def set(self, name: str, value: str) -> None:
        """Add a setting before the start."""
        self._settings[name] = value

    def add_user(self, mechanism: str, name: str, password: str) -> None:
        """Add a user of SCRAM-SHA-256 or SCRAM-SHA-512, before the start."""
        self._users += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]

    def format(self) -> None:
        """Write the settings and an empty log folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": ",".join(
                [f"{name}://127.0.0.1:{port}" for name, _, port, _ in self._listeners]
                + [f"CONTROLLER://127.0.0.1:{self.controller}"]
            ),
            "advertised.listeners": ",".join(
                f"{name}://{address}" for name, _, _, address in self._listeners
            ),
            "listener.security.protocol.map": ",".join(
                [f"{name}:{protocol}" for name, protocol, _, _ in self._listeners]
                + ["CONTROLLER:PLAINTEXT"]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
            "log.dirs": str(self.logs),
            "num.partitions": "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # A broker that was killed may come back at once, not after nine seconds.
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "250",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.check.interval.ms": "1000",
            "log.initial.task.delay.ms": "500",
            "file.delete.delay.ms": "500",
            "log.cleaner.backoff.ms": "200",
            "message.max.bytes": str(32 << 20),
            # As brokers come: who asks for a topic makes it. A reader must not do that.
            "auto.create.topics.enable": "true",
            **self._settings,
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "server.properties").write_text(lines)
        self._java(
            "kafka.tools.StorageTool",
            *("format", "-t", "afreshtestsafreshtests", "-c", "server.properties", *self._users),
        )

    def _java(self, *command: str) -> None:
        done = subprocess.run(
            [*_JAVA, *self._heap, _QUIET, "-cp", self._jars, *command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        self.wait_ready()

    @property
    def running(self) -> bool:
        """Has it been launched, and not ended."""
        return self._process is not None

    def launch(self) -> None:
        """Start it."""
        if not (self.folder / "server.properties").exists():
            self.format()
        command = [*_JAVA, *self._heap, _QUIET, "-cp", self._jars]
        command += ["kafka.Kafka", "server.properties"]
        self._process = launch(command, log=self._log)

    def wait_ready(self) -> None:
        """Return when it answers. Raises Missing if it does not."""
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                said = self._log.read_text(errors="replace")[-2000:]
                raise Missing(f"the broker did not start: {said}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Does it answer a request for its API versions: the port alone is open too early."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                sock.sendall(b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff")
                return len(sock.recv(8)) > 0
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def hang(self) -> None:
        """Stop its process without closing anything."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on after `hang`."""
        os.kill(self.pid, signal.SIGCONT)


def kafka_running(
    settings: Mapping[str, str] | None = None,
    prepare: Callable[[Kafka], None] = lambda _broker: None,
) -> Iterator[Kafka]:
    """Run one, for a fixture: skips the test where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="afresh-kafka-") as folder:
        try:
            broker = Kafka(Path(folder), settings)
            prepare(broker)
            broker.start()
        except Missing as missing:
            skip("Kafka", missing)
        try:
            yield broker
        finally:
            broker.kill()


@pytest.fixture(scope="session")
def kafka_servers() -> Iterator[str]:
    """Where a broker is that all tests share: they use topics of their own and leave it alone."""
    given = os.environ.get("AFRESH_TEST_KAFKA")
    if given:
        yield given
        return
    for broker in kafka_running():
        yield broker.servers


@pytest.fixture(scope="module")
def kafka() -> Iterator[Kafka]:
    """A broker that a module's tests may stop, kill and start again."""
    yield from kafka_running()
