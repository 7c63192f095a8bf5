import pickle

from afresh.assets.context import Context, Partition


def test_partition_is_a_string_with_parts() -> None:
    key = Partition("2024,e%2Cu", ("day", "region"))
    assert key == "2024,e%2Cu"
    assert key.parts == ("2024", "e,u")
    assert key.named == {"day": "2024", "region": "e,u"}
    assert Partition().parts == ()
    assert pickle.loads(pickle.dumps(key)).named == key.named  # noqa: S301 - our own bytes


def test_context_is_a_plain_value() -> None:
    context = Context()
    context.add_metadata(rows=3, note="ok", share=0.5, gone=None)
    assert context.metadata == {"rows": "3", "note": "ok", "share": "0.5", "gone": "null"}
    context.logger.info("nothing listens")
    assert Context().metadata == {}
