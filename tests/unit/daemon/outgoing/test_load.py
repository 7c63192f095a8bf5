"""Targets as settings: what is wrong is told, and no secret."""

from pathlib import Path

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.config import load_settings
from afresh.daemon.outgoing.file import FileTarget
from afresh.daemon.outgoing.kafka import KafkaTarget
from afresh.daemon.outgoing.load import build_target, check_outgoing, target_name
from afresh.daemon.outgoing.webhook import WebhookTarget

GOOD = """
name = "shop"
[[outgoing]]
kind = "file"
path = "out/versions.jsonl"
select = "tag:public"
[[outgoing]]
kind = "webhook"
url = "https://example.org/hooks/x"
secret = { env = "X" }
[[outgoing]]
kind = "kafka"
servers = "127.0.0.1:9092"
topic = "versions"
name = "bus"
"""


def test_targets_are_settings(tmp_path: Path) -> None:
    (tmp_path / "afresh.toml").write_text(GOOD)
    settings = load_settings(str(tmp_path), {})
    assert settings.name == "shop"
    assert [target_name(table) for table in settings.outgoing] == [
        "file:out/versions.jsonl",
        "webhook:example.org",
        "bus",
    ]
    built = [
        build_target(table, project=str(tmp_path), now=lambda: 1.0) for table in settings.outgoing
    ]
    assert [type(target) for target in built] == [FileTarget, WebhookTarget, KafkaTarget]


@pytest.mark.parametrize(
    "text",
    [
        "outgoing = 5",
        '[[outgoing]]\nkind = "mail"',
        '[[outgoing]]\nkind = "file"',
        '[[outgoing]]\nkind = "file"\npath = "x"\nurl = "y"',
        '[[outgoing]]\nkind = "file"\npath = 5',
        '[[outgoing]]\nkind = "webhook"\nurl = "http://x"\nsecret = "hunter2"',
        '[[outgoing]]\nkind = "file"\npath = "x"\n[[outgoing]]\nkind = "file"\npath = "x"',
        '[[outgoing]]\nkind = "file"\npath = "x"\nselect = "a,,b"',
        '[[outgoing]]\nkind = "webhook"\nurl = "hunter2.example"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://me:hunter2@x.example/y"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://x.example/hunter2 y"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://x.example/hunter2\\ty"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://x.example/hunter2ü"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://x.example:99999/hunter2"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://x.example:port/hunter2"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://[::1/hunter2"',
        '[[outgoing]]\nkind = "file"\npath = ""',
        '[[outgoing]]\nkind = "file"\npath = "a\\u0000b"',
        '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1"\ntopic = "t"',
        '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1:1"\ntopic = "a b"',
        '[[outgoing]]\nkind = "kafka"\nservers = "x.example:1"\ntopic = "t"',
        '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1:1"\ntopic = "t"\nsecurity = 5',
        (
            '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1:1"\ntopic = "t"\n'
            '[outgoing.security]\nsasl = "PLAIN"\nusername = "me"\npassword = "hunter2"'
        ),
    ],
)
def test_wrong_targets_are_told_and_no_secret_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "afresh.toml").write_text(text)
    with pytest.raises(UsageError, match="Expected") as raised:
        load_settings(str(tmp_path), {})
    assert "hunter2" not in str(raised.value)


def test_plaintext_to_a_broker_beyond_this_machine_is_a_choice() -> None:
    table = {"kind": "kafka", "servers": ["kafka.example:9092"], "topic": "t"}
    with pytest.raises(ValueError, match="TLS"):
        check_outgoing([table])
    (checked,) = check_outgoing([{**table, "allow_plaintext": True}])
    assert isinstance(build_target(checked, project="/", now=lambda: 1.0), KafkaTarget)
