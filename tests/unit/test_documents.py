"""What the documents show is what there is: definitions load, commands and files are there."""

import re
from pathlib import Path

import pytest

from afresh.daemon.cli.root import COMMANDS
from afresh.daemon.workers.definitions import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), ROOT / "deploy/README.md"])
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
# What the example of sources takes for granted.
BEFORE = """
import pandera.pandas as pa
from pandera.typing import DataFrame

class Row(pa.DataFrameModel):
    amount: float

Flight = Order = Signup = Ticket = Totals = Row

async def new_tickets(cursor):
    yield [], cursor
"""


def test_the_first_example_loads(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(EXAMPLES[0])
    manifest = load(str(tmp_path), ["pipeline"], {}, "d").manifest
    assert manifest.problems == ()
    assert [source.name for source in manifest.sources] == ["flights"]
    assert [function.name for function in manifest.functions] == ["delays_by_carrier"]


def test_the_example_of_sources_loads(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(BEFORE + EXAMPLES[1])
    manifest = load(str(tmp_path), ["pipeline"], {}, "d").manifest
    assert manifest.problems == ()
    kinds = [source.sensor.kind for source in manifest.sources]
    assert kinds == ["file", "bucket", "kafka", "webhook", "custom", "schedule", "upstream"]
    assert [function.name for function in manifest.functions] == ["large", "dashboard"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    text = document.read_text()
    named = re.findall(r"(?:`|\$ |^|&& )afresh ([a-z]+)", text, re.MULTILINE)
    assert set(named) - set(COMMANDS) == set()
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
