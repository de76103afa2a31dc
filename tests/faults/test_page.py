"""docs/faults.md: each test that it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_each_row_names_tests_that_are_there():
    text = (ROOT / "docs/faults.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 25
    for row in rows:
        assert NAMED.search(row) or "`make soak`" in row, row
    for file, name in NAMED.findall(text):
        tree = ast.parse((ROOT / file).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not name or name in names, f"{file}::{name}"
    assert re.search(r"^soak:", (ROOT / "Makefile").read_text(), re.MULTILINE)
