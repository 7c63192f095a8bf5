"""What a whole listing did not have is listed once more, each object by its own name.

Absence needs two listings that agree. The second one need not be of everything: then a deletion
would be known only as long after the first as a listing takes.
"""

from collections.abc import Callable, Collection, Iterator

import anyio

from afresh.sensors.buckets.listing import Comparison
from afresh.sensors.buckets.objects import Objects
from afresh.sensors.buckets.store import Store, StoreError

AT_ONCE = 8
PAUSE_SECONDS = 1.0
"""Between the two listings: a store that is behind has time to come up."""


def is_worth_it(absent: int, known: int) -> bool:
    """Whether so many are listed sooner by their names than with all that are known."""
    return absent <= 100 + known // 100


async def find_absent(
    paths: Collection[str],
    objects: Objects,
    store: Store,
    comparison: Comparison,
    now: Callable[[], float],
) -> set[str]:
    """List each of them by its name; what is there arrives, if it is news.

    Gives those that nothing is known of, as the store did not answer. Looks that are made meanwhile
    are to be noted in `comparison`, which knows of these paths in the end which are gone.
    """
    unknown: set[str] = set()
    left = iter(list(paths))
    await anyio.sleep(PAUSE_SECONDS)

    async def work(left: Iterator[str]) -> None:
        for path in left:
            asked_at = anyio.current_time()
            try:
                found = await store.find(path)
            except StoreError:
                unknown.add(path)
                continue
            if found is not None:
                for entry in comparison.news(objects.ours([found]), objects.current, asked_at):
                    objects.arrive(entry, now())
            await objects.room()

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(work, left)
    return unknown
