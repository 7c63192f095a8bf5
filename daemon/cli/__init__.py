"""The command line. `main` answers `--version` before anything is imported."""

import gc
import io
import os
import sys


def main() -> int:
    """Run the command line; return the exit code: 0, 1 the work failed, 2 the call was wrong."""
    _open_what_is_closed()
    if sys.argv[1:] == ["--version"]:
        # The package is imported already, as our parent; what it declares is all that is asked for.
        sys.stdout.write(f"afresh {sys.modules['afresh'].__version__}\n")
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal's encoding cannot write is escaped, as stderr does.
        sys.stdout.reconfigure(errors="backslashreplace")
    # What is imported stays: nothing is gained by looking for cycles in it, on the way or at exit.
    gc.disable()
    # Lazy: the line above is the fast path.
    from afresh.daemon.cli.root import run  # noqa: PLC0415

    code = run(sys.argv[1:])
    gc.freeze()
    return code


def _open_what_is_closed() -> None:
    """Put /dev/null in the place of standard streams that whoever started us has closed.

    Else the next file that is opened, such as the ledger's lock, would be our output, and that of
    all processes that we start.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # It takes the lowest number that is free: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))
