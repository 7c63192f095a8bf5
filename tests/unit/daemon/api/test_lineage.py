from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.api.lineage import lineage
from afresh.daemon.api.offline import finish
from support.ledgers import lineage as row
from support.ledgers import run, validity, version
from support.views import FakeView, put, story


def ask(view: FakeView, ref: str, **params: Any) -> Any:
    return finish(lineage(view, {"ref": ref, **params}))


def edges(answer: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(edge["from"], edge["to"], edge["via"]) for edge in answer["edges"]}


def test_up_expands_a_whole_asset_as_of_the_epoch_it_was_read_at(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "total")
    assert edges(answer) == {
        ("daily[k1]@2", "total@2", "r08"),
        ("daily[k2]@1", "total@2", "r08"),
        ("flights[k1]@2", "daily[k1]@2", "r07"),
        ("flights[k2]@1", "daily[k2]@1", "r04"),
    }


def test_up_from_an_older_version_shows_what_it_was_made_from_then(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "total@1")
    assert ("daily[k1]@1", "total@1", "r05") in edges(answer)
    assert ("flights[k1]@1", "daily[k1]@1", "r02") in edges(answer)
    assert not any("@2" in edge["from"] for edge in answer["edges"])


def test_nodes_have_the_promised_keys_and_kinds(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "total")
    assert answer["nodes"][0] == {
        "ref": "total@2",
        "asset": "total",
        "partition": "",
        "version": 2,
        "kind": "asset",
    }
    kinds = {node["asset"]: node["kind"] for node in answer["nodes"]}
    assert kinds == {"total": "asset", "daily": "asset", "flights": "source"}


def test_depth_counts_runs(tmp_path: Path) -> None:
    view = FakeView(story(tmp_path))
    assert len(ask(view, "total", depth=1)["edges"]) == 2
    assert ask(view, "total", depth=0)["edges"] == []


def test_down_finds_what_was_made_of_a_version_alone_or_among_all(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "flights[k2]@1", down=True)
    assert edges(answer) == {
        ("flights[k2]@1", "daily[k2]@1", "r04"),
        ("daily[k2]@1", "total@1", "r05"),
        ("daily[k2]@1", "total@2", "r08"),
    }


def test_down_stops_where_a_version_was_no_longer_valid(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "flights[k1]@1", down=True)
    assert ("daily[k1]@1", "total@1", "r05") in edges(answer)
    assert not any(edge["to"] == "total@2" for edge in answer["edges"])


def test_collapse_keeps_one_node_an_asset(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "total", collapse=True)
    assert [node["ref"] for node in answer["nodes"]] == ["total", "daily", "flights"]
    assert edges(answer) == {("daily", "total", "r08"), ("flights", "daily", "r07")}


def test_columns_are_those_that_the_definitions_declare(tmp_path: Path) -> None:
    answer = ask(FakeView(story(tmp_path)), "total", columns=True, depth=1)
    assert all(edge["columns"] == [] for edge in answer["edges"])


def test_an_equal_result_leads_on_as_of_the_epoch_that_showed_it(tmp_path: Path) -> None:
    # daily[k1]@2 is shown again at epoch 4 from flights[k1]@3: total, which read it at 3, came
    # from flights[k1]@2 all the same, and daily[k1] as it is now from flights[k1]@3.
    path = story(tmp_path)
    put(
        path,
        {
            "run": [run("r10", "daily", "k1", epoch=4, version=2, state="unchanged")],
            "validity": [validity("daily", "k1", 4, 2) | {"run": "r10"}],
            "version": [version("flights", "k1", 3, epoch=4, run="r09")],
            "lineage": [
                row("r10", "p0", "flights", reads="own", epoch=4, partition="k1", version=3)
            ],
        },
    )
    view = FakeView(path)
    assert ("flights[k1]@2", "daily[k1]@2", "r07") in edges(ask(view, "total"))
    assert edges(ask(view, "daily[k1]")) == {("flights[k1]@3", "daily[k1]@2", "r10")}


def test_an_asset_without_a_key_covers_all_its_units(tmp_path: Path) -> None:
    view = FakeView(story(tmp_path))
    answer = ask(view, "flights", down=True)
    assert [node["ref"] for node in answer["nodes"]][:2] == ["flights[k1]@2", "flights[k2]@1"]
    assert edges(answer) == edges(ask(view, "flights[k1]", down=True)) | edges(
        ask(view, "flights[k2]", down=True)
    )
    collapsed = ask(view, "flights", down=True, collapse=True)
    assert [node["ref"] for node in collapsed["nodes"]] == ["flights", "daily", "total"]


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        ask(FakeView(story(tmp_path)), "totals")
    assert "total" in refused.value.hint


@pytest.mark.parametrize("ref", ["total@3", "daily[k3]", "total@v1"])
def test_what_there_is_not_is_refused(tmp_path: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="Expected"):
        ask(FakeView(story(tmp_path)), ref)
