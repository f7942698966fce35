"""The guide for contributors names the tree as it is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_each_package_has_its_line() -> None:
    packages = {path.parent.name for path in (ROOT / "otelmon").glob("*/__init__.py")}
    assert packages == set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE))


def test_each_folder_of_tests_that_is_no_packages_has_its_line() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    packages = {path.parent.name for path in (ROOT / "otelmon").glob("*/__init__.py")}
    assert folders - packages == set(re.findall(r"^\| `tests/([a-z0-9_]+)` \|", GUIDE, re.MULTILINE))


def test_each_make_target_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^    )make ([a-z-]*[a-z])\b", GUIDE, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
