"""What was delivered before: keys as the ledger knows them, and the signatures that still hold."""

from collections.abc import Mapping

import anyio.lowlevel
import msgspec

from afresh.sensors.base import Arrival, Batch, Emit, ObjectIdentity
from afresh.sensors.webhooks.signature import Signed

FORGET_AT_ONCE = 500
_identity = msgspec.json.Decoder(ObjectIdentity)


class Memory:
    """Of one webhook. `known` maps what was recorded to identities as JSON, as of now."""

    def __init__(
        self, known: Mapping[str, str], *, tolerance_seconds: float, remember_seconds: float
    ) -> None:
        self._known = known
        self._tolerance_seconds = tolerance_seconds
        self._remember_seconds = remember_seconds
        self._used: dict[bytes, float] = {}

    def digest_of(self, uri: str) -> str:
        """Give the digest of what came with a key; "" if nothing did."""
        known = self._known.get(uri)
        return _identity.decode(known).etag if known is not None else ""

    def is_used(self, signed: Signed | None) -> bool:
        """Say whether a signature that holds for some time came before."""
        return signed is not None and signed.at is not None and signed.digest in self._used

    def use(self, signed: Signed | None) -> None:
        """Note that a signature came."""
        if signed is not None and signed.at is not None:
            self._used[signed.digest] = signed.at

    def release(self, signed: Signed | None) -> None:
        """Note that what it came with was not recorded: it may come again."""
        if signed is not None:
            self._used.pop(signed.digest, None)

    async def recall(self, now: float) -> None:
        """Know the signatures again that were used and may still hold."""
        # Of calls it is known when they came; their signatures may be of so much later.
        since = now - 2 * self._tolerance_seconds
        for number, text in enumerate(self._known.values()):
            identity = _identity.decode(text)
            if identity.version and identity.modified_at >= since:
                self._used[bytes.fromhex(identity.version)] = identity.modified_at
            if number % FORGET_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()

    async def forget(self, now: float, sensor: str, emit: Emit) -> None:
        """Let go of keys and signatures whose time is over."""
        limit = now - 2 * self._tolerance_seconds
        self._used = {digest: at for digest, at in self._used.items() if at >= limit}
        oldest = now - self._remember_seconds
        gone: list[Arrival] = []
        for number, (uri, text) in enumerate(self._known.items()):
            # Never of the one that is walked over: meanwhile its row is told from memory.
            if len(gone) == FORGET_AT_ONCE:
                await emit(Batch(sensor, tuple(gone)))
                gone = []
            if _identity.decode(text).modified_at < oldest:
                gone.append(Arrival(uri, "deleted", None, now))
            if number % FORGET_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
        if gone:
            await emit(Batch(sensor, tuple(gone)))
