"""Secrets by name: declarations say where one is, and it is read when it is needed.

What is in the manifest, the ledger and every log is the name alone.
"""
# Paths are strings: declarations load on the command line's fast path.
# ruff: noqa: PTH123

import os
from collections.abc import Mapping

import msgspec

from afresh.assets.errors import DefinitionError, SensorError


class Secret(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a secret is: a variable of the daemon's environment, or a file that it can read."""

    env: str = ""
    file: str = ""

    def __str__(self) -> str:
        """Name it, for people."""
        return f"the environment variable {self.env}" if self.env else f"the file {self.file!r}"

    def read(self, environ: Mapping[str, str] = os.environ) -> bytes:
        """Give its value. Raises SensorError where there is none, or it is empty."""
        if self.env:
            value = environ.get(self.env, "").encode(errors="surrogateescape")
        else:
            try:
                with open(self.file, "rb") as file:
                    value = file.read(64 << 10).rstrip(b"\r\n")
            except OSError as error:
                raise SensorError(
                    f"Expected a secret in {self}, found {error.strerror}",
                    hint="the user who runs the daemon must be able to read it",
                ) from error
        if not value:
            raise SensorError(
                f"Expected a secret in {self}, found none",
                hint="set it for the process that runs `afresh up`",
            )
        return value


def env(name: object) -> Secret:
    """Name a secret in the daemon's environment: `env("ORDERS_SECRET")`."""
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise DefinitionError(
            f"Expected the name of an environment variable, found {name!r}",
            hint='write env("ORDERS_SECRET")',
        )
    return Secret(env=name)


def secret_file(path: object) -> Secret:
    """Name a secret in a file of its own: `secret_file("/run/secrets/orders")`.

    A line end after it is not part of it.
    """
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise DefinitionError(
            f"Expected the absolute path of a file, found {path!r}",
            hint='write secret_file("/run/secrets/orders")',
        )
    return Secret(file=path)
