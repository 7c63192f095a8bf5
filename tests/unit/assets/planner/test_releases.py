"""A tick of an asset that reads nothing, while it is paused."""

from afresh.assets.manifest import Function, Manifest, Output
from afresh.assets.planner.changes import Ended, Paused, Ticked
from afresh.assets.planner.content import Columns, Content
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import build_topology
from afresh.assets.policy import Every


def tick(planner: Planner, now: float) -> list[Attempt]:
    """Take what is due at that time."""
    changes = [
        Ticked(planner.epoch + 1, int(now), due.name, due.keys, due.detail, due.until)
        for due in planner.find_due(now)
    ]
    planner.step(changes, now)
    return planner.start(9, now)


def test_it_is_made_up_for_once() -> None:
    function = Function("f", (), (Output("f", "pandas"),), "c", refresh=Every(60.0))
    planner = Planner(build_topology(Manifest("d", functions=(function,))), epoch=1)
    planner.policies.begin({"f": 0.0})
    (run,) = tick(planner, 61.0)
    made = Content(1, "f1", Columns.of({"a": "1"}))
    planner.step([Ended(run, run.epoch, (made,))], 62.0)
    planner.step([Paused((("f", "*"),), on=True)], 70.0)
    assert tick(planner, 121.0) == []
    assert tick(planner, 181.0) == []
    planner.step([Paused((("f", "*"),), on=False)], 190.0)
    (again,) = tick(planner, 190.0)
    planner.step([Ended(again, again.epoch, (made,))], 191.0)
    assert tick(planner, 191.0) == []
