"""The promqltest files that lie beside the repository in ``shared/``, where they do."""

import re
from pathlib import Path

import pytest

_EVAL = re.compile(r"\s*eval(?:_\w+)?\s+(?:instant at \S+|range from \S+ to \S+ step \S+)\s+(.*\S)\s*$")


def promqltest_expressions():
    """(file:line, expression) of every eval; skips the test where the files are not at hand."""
    folder = next(
        (found for parent in Path(__file__).parents if (found := parent / "shared/conformance/promqltest").is_dir()),
        None,
    )
    if folder is None:
        pytest.skip("no shared/conformance/promqltest beside the repository: expressions of Prometheus's own tests")
    return [
        (f"{path.name}:{number}", found[1])
        for path in sorted(folder.glob("*.test"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := _EVAL.match(line))
    ]
