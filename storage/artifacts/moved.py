"""Artifacts of a project that was moved or copied: the ledger names them where they were."""

import os

from afresh.storage.artifacts.paths import below, rebased


def located(uri: str, base: str) -> str:
    """Say where an artifact is, given where the ledger has it and where artifacts are now.

    One that lies below `base` under the same asset, key and name is the one that was meant: names
    are of one run alone. What is not there, or on another store, stays as it is recorded.
    """
    if not uri.startswith("/") or not base.startswith("/") or below(base, uri):
        return uri
    here = rebased(base, uri)
    return here if os.path.lexists(here) else uri
