"""`upstream(...)`: a source whose data another afresh makes. A pure declaration."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from afresh.assets.declare import Declared
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor
from afresh.assets.partition import format_ref, parse_ref
from afresh.sensors.kafka_topics.spec import kafka
from afresh.sensors.secret import Secret
from afresh.sensors.webhooks.spec import webhook

_FORMS = 'upstream("kafka://127.0.0.1:9092/versions", asset="orders"), file:///... or webhook:/...'


class UpstreamSpec(msgspec.Struct, frozen=True):
    """Another daemon's asset, as `upstream(...)` was called; checked when the definitions load."""

    url: object
    asset: object
    partitions: object
    secret: object
    security: Mapping[str, Any]
    allow_plaintext: bool

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError for what cannot be."""
        asset = self.asset
        if not isinstance(asset, str) or not asset:
            raise DefinitionError(
                f"Expected the name of the other's asset, found {asset!r}", hint=f"write {_FORMS}"
            )
        ref = parse_ref(asset)
        if ref.partition is not None or ref.version is not None:
            raise DefinitionError(
                f"Expected an asset without key and version, found {asset!r}",
                hint=f'write asset="{format_ref(ref.asset, "")}": its units come as they are',
            )
        inner, path = self._inner()
        options: dict[str, Any] = {
            "asset": asset,
            "kind": inner.kind,
            "options": inner.options,
        }
        if path:
            options["path"] = path
        return Declared(
            sensor=Sensor("upstream", options), captures=_names(self.partitions), format="parquet"
        )

    def _inner(self) -> tuple[Sensor, str]:
        """Give what the events come by, and the path of a webhook."""
        url = self.url if isinstance(self.url, str) else ""
        scheme, found, rest = url.partition(":")
        if scheme == "webhook" and found:
            given: dict[str, Any] = {} if self.secret == "" else {"secret": self.secret}
            return webhook(rest, rate=None, **given).declared().sensor, rest
        parts = urlsplit(url)
        if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
            return Sensor("lines", {"file": parts.path}), ""
        if parts.scheme == "kafka" and parts.netloc and parts.path.count("/") == 1:
            declared = kafka(
                parts.path.removeprefix("/"),
                servers=parts.netloc,
                security=self.security,
                allow_plaintext=self.allow_plaintext,
            ).declared()
            return declared.sensor, ""
        raise DefinitionError(
            f"Expected where events come from, found {self.url!r}", hint=f"write {_FORMS}"
        )


def _names(partitions: object) -> tuple[str, ...]:
    names = (partitions,) if isinstance(partitions, str) else partitions
    if isinstance(names, list | tuple) and all(
        isinstance(n, str) and n.isidentifier() for n in names
    ):
        return tuple(names)
    raise DefinitionError(
        f"Expected names of what makes the key as partitions, found {partitions!r}",
        hint='write partitions="day", or partitions=("region", "day")',
    )


def upstream(
    url: str,
    *,
    asset: str,
    partitions: str | Sequence[str] = (),
    secret: Secret | Sequence[Secret] | str | None = "",
    security: Mapping[str, Any] | None = None,
    allow_plaintext: bool = False,
) -> UpstreamSpec:
    """Take another daemon's asset as a source: its versions are arrivals here, one for one.

    `source("orders", upstream("kafka://127.0.0.1:9092/versions", asset="orders"), schema=Order)`.
    The other says `[[outgoing]]` in its settings, with the same place:

        kind = "kafka"                      # or "file" with path, "webhook" with url
        servers = "127.0.0.1:9092"
        topic = "versions"
        select = "tag:public"               # all of its assets without

    `url` is `kafka://HOST:PORT/TOPIC`, `file:///PATH` of JSON Lines, or `webhook:/PATH`: then
    others call this daemon, signed with `secret` as `webhook` says. The data is read from the
    artifact that an event names, which this daemon must be able to reach (a shared folder or an
    object store), compared with its hash and kept here as a version of its own. Units are the
    other's: `partitions` names what makes its keys. A version that came twice, or late, is no
    arrival; one that is overtaken by the next before it was read is `superseded`.
    """
    return UpstreamSpec(url, asset, partitions, secret, security or {}, allow_plaintext)
