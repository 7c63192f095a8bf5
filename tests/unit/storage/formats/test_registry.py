import pytest

from afresh.assets.errors import UsageError
from afresh.storage.formats.registry import FORMATS, detect


def test_no_two_formats_share_a_name_or_a_suffix() -> None:
    names = [kind.name for kind in FORMATS]
    suffixes = [suffix for kind in FORMATS for suffix in kind.suffixes]
    assert len(set(names)) == len(names)
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize("filename", ["data", "data.txt", "data.gz", ".csv.d"])
def test_a_name_that_tells_nothing_is_refused(filename: str) -> None:
    with pytest.raises(UsageError, match="suffix that tells the format") as caught:
        detect(filename)
    assert 'format="csv"' in caught.value.hint


def test_an_unknown_format_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=r"csv, jsonl, parquet, arrow.*found 'xls'"):
        detect("d.csv", "xls")
