"""The options of a declaration, checked one by one: values of the manifest, and what is wrong."""

import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

from afresh.assets.declare import FunctionDeclaration, OnCodeChange, SourceDeclaration
from afresh.assets.duration import seconds
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Input, Retry
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import is_asset_name
from afresh.assets.policy import Budget, Eager, Policy
from afresh.assets.refresh import bind_inputs, read_policy
from afresh.daemon.workers.signature import Problems

_LABEL = re.compile(r"[^\s,+!*@\[\]\x00-\x1f\x7f]+")
_LONGEST_NAME = 200
ON_CODE_CHANGE: tuple[str, ...] = get_args(OnCodeChange)
CodePolicy = Literal["rebuild", "new_only", "manual"]


def name_problem(name: object) -> tuple[str, str] | None:
    """Tell what is wrong with the name of an asset, if anything is."""
    if isinstance(name, str) and is_asset_name(name) and len(name) <= _LONGEST_NAME:
        return None
    return (
        f"Expected a name for an asset, found {name!r:.300}",
        f"identifiers of ASCII letters, digits and _, joined by dots, {_LONGEST_NAME} at most",
    )


def labels(option: str, value: str | Sequence[str], problems: Problems) -> tuple[str, ...]:
    """Read tags or the like: one word or several."""
    words: tuple[object, ...] = (value,) if isinstance(value, str) else tuple(value)
    for word in words:
        if not isinstance(word, str) or not _LABEL.fullmatch(word):
            problems.append(
                (
                    f"Expected words in {option}, found {word!r}",
                    "selections name them: no spaces, no , + ! * @ [ ]",
                )
            )
            return ()
    return tuple(dict.fromkeys(map(str, words)))


def group(value: str, problems: Problems) -> str:
    """Read a group: one word, or "" for none."""
    return next(iter(labels("group", value, problems)), "") if value else ""


def text(option: str, value: object, problems: Problems) -> str:
    """Read an option that is any text."""
    if isinstance(value, str):
        return value
    problems.append((f"Expected text for {option}, found {value!r}", "write a string"))
    return ""


def description(declaration: FunctionDeclaration, problems: Problems) -> str:
    """Read the description: what is given, else the first line of the docstring."""
    if declaration.description:
        return text("description", declaration.description, problems)
    doc = getattr(declaration.function, "__doc__", None)
    return doc.strip().partition("\n")[0].strip() if isinstance(doc, str) else ""


def retry(value: object, problems: Problems) -> Retry:
    """Read retries: their number, or a whole policy."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1000:
        return Retry(attempts=value + 1)
    if isinstance(value, Retry):
        if value.attempts >= 1 and 0 <= value.delay_seconds <= value.max_seconds < float("inf"):
            return value
        problems.append(
            (
                f"Expected a Retry of 1 or more attempts, delay up to max_seconds, found {value}",
                "Retry(attempts=3, delay_seconds=1, max_seconds=60)",
            )
        )
        return Retry()
    problems.append(
        (
            f"Expected retries as a number from 0 to 1000 or a Retry, found {value!r}",
            "write retries=3",
        )
    )
    return Retry()


def timeout(value: object, problems: Problems) -> float | None:
    """Read a timeout in seconds, None for none."""
    if value is None:
        return None
    try:
        number = seconds(value)
    except ValueError as error:
        problems.append((str(error), "this is the option timeout"))
        return None
    if number == 0:
        problems.append(
            ("Expected a timeout of more than 0 seconds, found 0", "leave it out for none")
        )
    return number or None


def new_rows(declaration: FunctionDeclaration, problems: Problems) -> int:
    """Read how many new rows one run is given at most, 0 for what the project is set to."""
    value: object = declaration.new_rows
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        problems.append((f"Expected new_rows of 1 or more, found {value!r}", "write new_rows=1000"))
        return 0
    if not declaration.new:
        problems.append(
            ("Expected new= beside new_rows=, found none", "it bounds what a run reads of a stream")
        )
    return value


def version(value: object, problems: Problems) -> str | None:
    """Read a version that replaces the fingerprint, None for none."""
    if value is None or (isinstance(value, str) and value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    problems.append(
        (f"Expected a version as text or a number, found {value!r}", 'write version="1"')
    )
    return None


def refresh(value: object, inputs: Sequence[Input], problems: Problems) -> Policy:
    """Read a refresh policy; its conditions name these inputs."""
    try:
        return bind_inputs(read_policy(value), [(each.parameter, each.asset) for each in inputs])
    except DefinitionError as error:
        problems.append((error.error, error.hint))
        return Eager()


def on_code_change(value: object, problems: Problems, *, kept: bool) -> CodePolicy:
    """Read what new code means: by default old partitions and rows are kept."""
    if value is None:
        return "new_only" if kept else "rebuild"
    chosen: Any = _one_of("on_code_change", value, ON_CODE_CHANGE, problems)
    policy: CodePolicy = chosen
    return policy


def source_policies(
    declaration: SourceDeclaration, problems: Problems
) -> tuple[Literal["keep", "propagate", "fail"], Literal["keep", "hold"]]:
    """Read what deletion and rejection mean for a source."""
    delete: Any = _one_of(
        "on_delete", declaration.on_delete, ("keep", "propagate", "fail"), problems
    )
    reject: Any = _one_of("on_reject", declaration.on_reject, ("keep", "hold"), problems)
    return delete, reject


def budget(value: object, problems: Problems) -> Budget | None:
    """Read how often a source's data may be read: a number of readings in a time."""
    if value is None:
        return None
    count, _, time = value.partition("/") if isinstance(value, str) else ("", "", "")
    try:
        number, span = int(count), seconds(time.strip())
    except ValueError:
        number, span = 0, 0.0
    if number > 0 and span > 0:
        return Budget(number, span)
    problems.append(
        (f"Expected a budget of readings in a time, found {value!r}", 'write budget="1000/1m"')
    )
    return None


def keep(
    value: object, problems: Problems, *, stream: bool, kind: str = ""
) -> tuple[Literal["data", "reference"], float | None]:
    """Read what is kept of a source: its data, and of a stream for how many seconds."""
    if value == "reference" and kind == "upstream":
        problems.append(
            (
                "Expected keep='data' of another daemon's asset, found 'reference'",
                "leave it out: that daemon collects its artifacts when it needs them no more",
            )
        )
        return "data", None
    if value == "data":
        return "data", None
    try:
        kept = seconds(value)
    except ValueError:
        kept = 0.0
    if stream and kept:
        return "data", kept
    if value == "reference" and not stream:
        return "reference", None
    expected = "'data' or a time such as '30d'" if stream else "'data' or 'reference'"
    problems.append((f"Expected keep of {expected}, found {value!r}", "write keep='data'"))
    return "data", None


def _one_of(option: str, value: object, choices: Sequence[str], problems: Problems) -> str:
    if value in choices:
        return str(value)
    problems.append(
        (
            f"Expected {option} of {', '.join(map(repr, choices))}, found {value!r}",
            did_you_mean(str(value), choices, f"write {option}={choices[0]!r}"),
        )
    )
    return choices[0]
