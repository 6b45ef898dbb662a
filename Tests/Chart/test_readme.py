"""The chart's README names every value, with its default and what it is for."""

import table
from tools import CHART


def test_the_table_is_that_of_the_values(ratel):
    text = (CHART / "README.md").read_text()
    assert table.with_table(text) == text, "run Tests/Chart/table.py"


def test_every_value_is_there(ratel):
    rows = table.table().splitlines()[2:]
    assert len(rows) > 100, len(rows)
    assert any(row.startswith("| `drain.longestStreamSeconds` | `300` |") for row in rows), rows
