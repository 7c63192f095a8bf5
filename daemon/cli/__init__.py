"""The command line. `main` answers `--version` before anything is imported."""

import gc
import sys


def main() -> int:
    """Run the command line; return the exit code: 0, 1 the work failed, 2 the call was wrong."""
    if sys.argv[1:] == ["--version"]:
        # The package is imported already, as our parent; what it declares is all that is asked for.
        sys.stdout.write(f"afresh {sys.modules['afresh'].__version__}\n")
        return 0
    # What is imported stays: nothing is gained by looking for cycles in it, on the way or at exit.
    gc.disable()
    # Lazy: the line above is the fast path.
    from afresh.daemon.cli.root import run  # noqa: PLC0415

    code = run(sys.argv[1:])
    gc.freeze()
    return code
