"""Values of functions' plain parameters: from the settings, else the default, by their types."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pydantic

from afresh.assets.nearest import did_you_mean
from afresh.daemon.workers.signature import EMPTY, Plain, Problems


def values_of(
    asset: str, plain: Sequence[Plain], table: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str], Problems]:
    """Validate an asset's parameters: the values, the same as canonical JSON, and what is wrong."""
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    problems: Problems = []
    for parameter in plain:
        name = parameter.name
        if name not in table and parameter.default is EMPTY:
            problems.append(
                (
                    f"Expected a value for parameter {name!r} of asset {asset!r}, found none",
                    f"write {name} = ... under {header(asset)} in the settings, or give a default",
                )
            )
            continue
        try:
            adapter = _adapter(parameter.annotation)
            value = adapter.validate_python(table.get(name, parameter.default))
            data = adapter.dump_python(value, mode="json")
            text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        except Exception as error:  # noqa: BLE001 - types are user code
            problems.append(_wrong(asset, name, error, given=name in table))
            continue
        values[name], texts[name] = value, text
    for key in table.keys() - {parameter.name for parameter in plain}:
        problems.append(
            (
                f"Expected a parameter of asset {asset!r} under {header(asset)}, found {key!r}",
                did_you_mean(key, [p.name for p in plain], "remove it from the settings"),
            )
        )
    return values, texts, problems


def header(asset: str) -> str:
    """Write the table's header: a dotted name needs quotes."""
    return f'[parameters."{asset}"]' if "." in asset else f"[parameters.{asset}]"


def unknown_tables(tables: Mapping[str, Any], assets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give the tables of what is no function: names and hints."""
    known = set(assets)
    for name in tables:
        if name not in known:
            yield name, did_you_mean(name, known, "remove it: only functions have parameters")


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    try:
        return _cached(annotation)
    except TypeError:
        # Not hashable.
        return pydantic.TypeAdapter(annotation)


@lru_cache(maxsize=256)
def _cached(annotation: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation)


def _wrong(asset: str, name: str, error: Exception, *, given: bool) -> tuple[str, str]:
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        found = f"{at}: {first['msg']}" if at else first["msg"]
    else:
        found = f"{type(error).__name__}: {error}"
    where = f"under {header(asset)} in the settings" if given else "as its default"
    return (
        f"Expected parameter {name!r} of asset {asset!r} to fit its annotation, found {found}",
        f"the value is {where}",
    )
