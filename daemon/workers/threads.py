"""Which module of a project started a thread while it was imported: it is named, not guessed."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any, Self

from afresh.daemon.workers.linux import FOREIGN_THREADS, thread_names
from afresh.daemon.workers.modules import relative


class ThreadWatch:
    """Notes who starts threads below `root`: Python's by their calls, native ones by module."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._places: dict[str, None] = {}
        self._native = set(_native())
        self._importing: list[str] = []
        self._start: Any = threading.Thread.start
        self._execute: Any = SourceFileLoader.exec_module

    def __enter__(self) -> Self:
        """Begin to note."""
        start, execute = self._start, self._execute

        def noting_start(thread: threading.Thread) -> None:
            self._places[self._caller()] = None
            start(thread)

        def noting_execute(loader: SourceFileLoader, module: ModuleType) -> None:
            with self._importing_module(loader.path):
                execute(loader, module)

        threading.Thread.start = noting_start  # type: ignore[method-assign, assignment]
        SourceFileLoader.exec_module = noting_execute  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop noting."""
        threading.Thread.start = self._start  # type: ignore[method-assign]
        SourceFileLoader.exec_module = self._execute  # type: ignore[method-assign]

    def explain(self) -> str:
        """Say in a sentence what was started, and by which module of the project."""
        found = ", ".join(self._places) or ", ".join(_native()) or "threads"
        return (
            "Expected definitions that start no threads while they are imported, found that "
            f"{found} does; each worker is now started on its own, which takes about a second"
        )

    @contextmanager
    def _importing_module(self, path: str) -> Iterator[None]:
        if not path.startswith(self._root + os.sep):
            yield
            return
        self._look()
        self._importing.append(relative(path, self._root))
        try:
            yield
        finally:
            self._look()
            self._importing.pop()

    def _look(self) -> None:
        """Put new native threads down to the module that is being imported."""
        new = set(_native()) - self._native
        if new and self._importing:
            self._places[f"{self._importing[-1]} ({', '.join(sorted(new))})"] = None
        self._native |= new

    def _caller(self) -> str:
        """Find the project's line that is at work, else the one that called."""
        frame = sys._getframe(2)  # noqa: SLF001 - cheaper than a traceback
        first = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self._root + os.sep):
                return f"{relative(file, self._root)}:{frame.f_lineno}"
            frame = frame.f_back  # type: ignore[assignment]
        return first


def _native() -> list[str]:
    return sorted({name for name in thread_names() if name.startswith(FOREIGN_THREADS)})
