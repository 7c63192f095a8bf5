"""What was not published: rejected data, and records that are dead letters; trying those again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from afresh.assets.errors import UsageError
from afresh.assets.partition import format_ref
from afresh.daemon.api.by_hand import why_waiting
from afresh.daemon.api.listings import error_line
from afresh.daemon.api.names import parse_known
from afresh.daemon.api.times import iso
from afresh.daemon.api.view import Controls, View
from afresh.sensors.records import decode_records
from afresh.storage.ledger import listings

_LONGEST_VALUE = 10_000
_WAITING = ("dead", "replaying")
_REJECTED_AT = "SELECT ended_at FROM run WHERE run = :run AND asset = :asset"


class Letter(NamedTuple):
    """A dead letter: record `number` of event `seq`; `place` is JSON."""

    seq: int
    number: int
    source: str
    partition: str
    place: str
    reason: str
    record: bytes
    state: str
    run: str
    at: float
    replay_seq: int | None

    @property
    def where(self) -> str:
        """Its place as people name it: `channel:offset`, or event and number within it."""
        place = json.loads(self.place)
        if "offset" in place:
            return f"{place['channel']}:{place['offset']}"
        return f"{self.seq}.{self.number}"


async def rejected(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List rejected data and dead letters, those of one asset if it is named, newest first."""
    asset = parse_known(view, params["asset"]).asset if params.get("asset") else None
    states = None if params.get("all") else _WAITING
    limit = params.get("limit")
    letters = [_letter_row(letter) for letter in _letters(view, asset, states, limit)]
    query = listings.rejections(asset=asset, limit=limit)
    whole = [_rejection_row(view, row) for row in view.reader.rows(*query)]
    # Stable: of one time, in the order in which the ledger lists them.
    newest_first = sorted([*whole, *letters], key=lambda row: row["at"] or "", reverse=True)
    return newest_first[:limit]


async def replay_letters(
    view: View, controls: Controls, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Try dead letters of a source again, once each; answer when that has come to an end.

    All of them, or those at the given places.
    """
    source = _source(view, params["source"])
    places = list(params.get("places") or ())
    dead = _letters(view, source, ("dead",), None)
    if places:
        missing = sorted(set(places) - {letter.where for letter in dead})
        if missing:
            raise UsageError(
                f"Expected the place of a dead letter of {source}, found {missing[0]!r}",
                hint=f"afresh rejected {source} lists them",
            )
        dead = [letter for letter in dead if letter.where in places]
    taken = await controls.replay_letters(
        params["request"], source, [(letter.seq, letter.number, letter.record) for letter in dead]
    )
    in_time = not taken or await controls.wait([(source, "")], params.get("timeout"))
    wanted = {tuple(letter) for letter in taken}
    found = _letters(view, source, None, None)
    again = {(letter.seq, letter.record): letter.reason for letter in found}

    def reason(letter: Letter) -> str:
        if letter.state == "replaying":
            return why_waiting(in_time)
        return again.get((letter.replay_seq or 0, letter.record), "")

    return [
        _letter_row(letter._replace(reason=reason(letter)))
        for letter in reversed(found)
        if letter[:2] in wanted
    ]


def _source(view: View, name: str) -> str:
    asset = parse_known(view, name).asset
    if not any(source.name == asset and source.stream for source in view.manifest.sources):
        raise UsageError(
            f"Expected a source that is a stream, found {asset!r}",
            hint=f"afresh emit {asset} --path PATH looks at a file again",
        )
    return asset


def _letters(
    view: View, source: str | None, states: Sequence[str] | None, limit: int | None
) -> list[Letter]:
    query = listings.dead_letters(source=source, states=states, limit=limit)
    return [Letter(*row) for row in view.reader.rows(*query)]


def _letter_row(letter: Letter) -> dict[str, Any]:
    place = json.loads(letter.place)
    return {
        "kind": "record",
        "ref": format_ref(letter.source, letter.partition),
        "asset": letter.source,
        "partition": letter.partition,
        "state": letter.state,
        "place": letter.where,
        "event": letter.seq,
        "number": letter.number,
        "uri": place.get("uri"),
        "channel": place.get("channel"),
        "offset": place.get("offset"),
        "error": letter.reason,
        "run": letter.run,
        "at": iso(letter.at),
        "replay": letter.replay_seq,
        "value": _value(letter.record),
    }


def _value(record: bytes) -> str | None:
    value = decode_records(record)[0].value
    return None if value is None else value[:_LONGEST_VALUE].decode("utf-8", "backslashreplace")


def _rejection_row(view: View, row: Sequence[Any]) -> dict[str, Any]:
    run, asset, partition, error, cases, total, uri = row
    ended = view.reader.rows(_REJECTED_AT, {"run": run, "asset": asset})
    return {
        "kind": "data",
        "ref": format_ref(asset, partition),
        "asset": asset,
        "partition": partition,
        "state": "rejected",
        "place": run,
        "uri": uri or None,
        "error": error_line(error),
        "run": run,
        "at": iso(ended[0][0]) if ended else None,
        "total": total,
        "cases": json.loads(cases or "[]"),
    }
