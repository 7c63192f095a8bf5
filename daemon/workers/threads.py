"""Which module of a project started a thread while it was imported: it is named, not guessed."""

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from afresh.daemon.workers.linux import FOREIGN_THREADS, thread_names
from afresh.daemon.workers.modules import relative

if TYPE_CHECKING:
    from collections.abc import Callable


class ThreadWatch:
    """Notes where Python threads are started; native ones are only known by their names."""

    def __init__(self) -> None:
        self._starts: list[list[str]] = []
        self._start: Callable[..., Any] = threading.Thread.start

    def __enter__(self) -> Self:
        """Begin to note."""
        start = self._start

        def noting(thread: threading.Thread, *args: Any, **kwargs: Any) -> None:
            files = []
            frame = sys._getframe(1)  # noqa: SLF001 - cheaper than a traceback
            while frame is not None:
                files.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                frame = frame.f_back  # type: ignore[assignment]
            self._starts.append(files)
            start(thread, *args, **kwargs)

        threading.Thread.start = noting  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop noting."""
        threading.Thread.start = self._start  # type: ignore[method-assign]

    def explain(self, root: str) -> str:
        """Say in a sentence what was started, and by which module of the project."""
        places = []
        for files in self._starts:
            own = next((file for file in files if file.startswith(root + os.sep)), "")
            places.append(relative(own or files[0], root))
        native = sorted({n for n in thread_names() if n.startswith(FOREIGN_THREADS)})
        found = ", ".join([*dict.fromkeys(places), *native]) or "threads"
        return (
            f"Expected definitions that start no threads while they are imported, found {found}; "
            "workers are started one by one instead of forked, which takes about a second each"
        )
