import os
from pathlib import Path

import pytest

from afresh.assets.errors import ArtifactError, InvalidData, UnreadableData
from afresh.daemon.workers.failures import failure, line_of


def raised(error: BaseException, root: Path | None = None) -> BaseException:
    """Raise it, from a file of the snapshot if there is a root."""
    try:
        if root is None:
            raise error  # noqa: TRY301
        file = root / "helpers" / "clean.py"
        code = compile("\n\ndef clean(error):\n    raise error\nclean(error)", str(file), "exec")
        exec(code, {"error": error})  # noqa: S102
    except BaseException as caught:  # noqa: BLE001
        return caught
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "kind", "line", "name"),
    [
        (ValueError("no\nway"), "raised", "ValueError: no ...", "ValueError"),
        (KeyError(), "raised", "KeyError", "KeyError"),
        (MemoryError(), "memory", "out of memory: MemoryError", "MemoryError"),
        (SystemExit(2), "exited", "the function ended itself: sys.exit(2)", "SystemExit"),
        (KeyboardInterrupt(), "raised", "KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_user_code_is_named_by_its_line(  # noqa: PLR0917
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    kind: str,
    line: str,
    name: str,
) -> None:
    failed, _ = failure(raised(error, tmp_path), str(tmp_path), "/home/project")
    assert (failed.kind, failed.error, failed.exception) == (kind, line, name)
    assert failed.where == "helpers/clean.py:4"
    shown = capsys.readouterr().err
    assert 'File "/home/project/helpers/clean.py", line 4, in clean' in shown
    assert "test_failures.py" not in shown
    assert str(tmp_path) + os.sep not in shown


@pytest.mark.parametrize(
    ("error", "retires"),
    [(ValueError(), False), (SystemExit(), False), (MemoryError(), True), (GeneratorExit(), True)],
)
def test_only_plain_exceptions_leave_the_worker_usable(
    tmp_path: Path, error: BaseException, retires: bool
) -> None:
    _, retire = failure(raised(error, tmp_path), str(tmp_path), "/p")
    assert bool(retire) is retires


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnreadableData("Expected UTF-8", hint="save it so", where="a.csv:3"), "unreadable"),
        (ArtifactError("Expected an artifact, found none"), "internal"),
        (InvalidData("Expected one type, found two"), "raised"),
    ],
)
def test_errors_of_afresh_keep_their_words(
    tmp_path: Path, error: UnreadableData, kind: str
) -> None:
    failed, retire = failure(raised(error), str(tmp_path), "/p")
    assert (failed.kind, failed.error, failed.hint, failed.where) == (
        kind,
        error.error,
        error.hint,
        error.where,
    )
    assert retire == ""


class WrongError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (WrongError(), "WrongError: its text cannot be had"),
        (ValueError("\udcff"), "ValueError: \\udcff"),
    ],
)
def test_an_exception_that_cannot_be_shown_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    failed, _ = failure(raised(error), str(tmp_path), "/p")
    assert failed.error == line


def test_a_line_has_an_end() -> None:
    assert len(line_of("x" * 10_000)) == 500
