"""The files of collector-config/ as data, read the strict way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "collector-config"

# What `otelmon serve` listens on where nothing else is said.
GRPC, HTTP, PUBLIC = 4317, 4318, 4319

_PINNED = re.compile(r"[\w./-]+:v?\d+(?:\.\d+)+[\w.-]*(?:@sha256:[0-9a-f]{64})?")


class _Strict(yaml.SafeLoader):
    """No tags that make objects, and no key twice: YAML takes the last one and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {sorted(map(str, twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(text: str) -> list[Any]:
    """Every document of a YAML text. Raises YAMLError for what no safe loader reads, and for a key there twice."""
    return list(yaml.load_all(text, Loader=_Strict))


def document(text: str) -> Any:
    """The one document of a YAML text."""
    (found,) = documents(text)
    return found


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each text in a document, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts(inner, f"{path}[{number}]")
    elif isinstance(value, str):
        yield path, value


def is_pinned(image: str) -> bool:
    """Whether an image is named with a version of two numbers at least: a moving tag is another program tomorrow."""
    return _PINNED.fullmatch(image) is not None
