"""From the text of a YAML file to a document, safely.

PyYAML scans and composes; nothing is constructed, so no tag can make an object. Types are resolved here, by the YAML
1.2 core schema: PyYAML's 1.1 would read ``off`` as false, ``5:30`` as 330 and ``010`` as 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from otelmon.document.environment import replace_variables
from otelmon.document.model import Entry, Listing, Scalar, Section, Source, Span, Value
from otelmon.document.offsets import Style
from otelmon.errors import ConfigError, Problem

# A configuration is written by people: these are far above what anyone writes, and bound what a file can cost.
_LARGEST_FILE_BYTES = 2 * 1024 * 1024
_DEEPEST = 40
_MOST_VALUES = 200_000

_PLAIN_TAG = "otelmon:plain"
_STRING_TAGS = {"tag:yaml.org,2002:str", "!"}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def read_document(path: Path, *, name: str | None = None, environ: Mapping[str, str] | None = None) -> Value:
    """The document in a file; ``name`` is how errors call it.

    With ``environ``, ``${NAME}`` is replaced. Raises ConfigError: no such file, not UTF-8, not YAML, a key given
    twice, a variable that is not set.
    """
    shown = str(path) if name is None else name
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([Problem(file=shown, message="no such file")]) from None
    except IsADirectoryError:
        raise ConfigError([Problem(file=shown, message="this is a directory", hint="name a YAML file")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError([Problem(file=shown, message=f"cannot be read: {reason}")]) from None
    if len(content) > _LARGEST_FILE_BYTES:
        raise ConfigError([Problem(file=shown, message=f"is larger than {_LARGEST_FILE_BYTES // 1024**2} MiB")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        problem = Problem(file=shown, line=line, column=column, message="is not UTF-8", hint="save the file as UTF-8")
        raise ConfigError([problem]) from None
    return parse_document(text, name=shown, environ=environ)


def parse_document(text: str, *, name: str, environ: Mapping[str, str] | None = None) -> Value:
    """The document in a text, as :func:`read_document` reads it. An empty text is an empty section."""
    source = Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))
    root = _compose(source)
    if root is None:
        return Section(source=source, start=0, end=0, entries={})
    builder = _Builder(source, environ)
    document = builder.build(root)
    if builder.problems:
        raise ConfigError(builder.problems)
    return document


class _Loader(yaml.SafeLoader):
    """PyYAML's scanner, parser and composer, with types left open and depth bounded."""

    depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN_TAG if implicit[0] else "tag:yaml.org,2002:str"
        return super().resolve(kind, value, implicit)  # type: ignore[no-any-return, no-untyped-call]

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested more than {_DEEPEST} levels deep", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(source: Source) -> yaml.Node | None:
    try:
        loader = _Loader(source.text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(source, error)]) from None
    except yaml.reader.ReaderError as error:
        place = source.place(error.position)
        problem = Problem(
            file=source.name,
            line=place.line,
            column=place.column,
            message="a control character that YAML does not allow",
            hint="remove it, or write it as an escape in double quotes",
        )
        raise ConfigError([problem]) from None
    except (ValueError, OverflowError):
        # PyYAML turns "\U00110000" into a character without asking whether there is one.
        problem = Problem(file=source.name, message="an escape in double quotes that stands for no character")
        raise ConfigError([problem]) from None


def _syntax_problem(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    index = 0 if mark is None else mark.index
    message = error.problem or "this is not YAML"
    hint = None
    if source.text[index : index + 1] == "\t":
        message, hint = "a tab where YAML wants spaces", "indent with spaces"
    elif "mapping values are not allowed" in message:
        message, hint = (
            "a colon where no key can stand",
            "put the text in quotes if it has ': ' in it; check indentation",
        )
    elif "could not find expected ':'" in message:
        message, hint = "a key without ':'", "write key: value"
    elif message.startswith("expected <block end>"):
        message, hint = "this line does not line up with the ones above", "check its indentation"
    elif "but found another document" in message:
        message, hint = "a second document begins here", "write one document a file"
    elif message.startswith("found undefined alias"):
        hint = "put text that begins with * in quotes"
    elif "cannot start any token" in message:
        hint = "put text that begins with this character in quotes"
    place = source.place(index)
    return Problem(file=source.name, line=place.line, column=place.column, message=message, hint=hint)


class _Builder:
    """Turns composed nodes into values; collects what is wrong instead of stopping at the first."""

    def __init__(self, source: Source, environ: Mapping[str, str] | None) -> None:
        self.source = source
        self.environ = environ
        self.problems: list[Problem] = []
        self._count = 0
        self._open: list[int] = []

    def build(self, node: yaml.Node) -> Value:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise ConfigError([self._problem(node, f"aliases make more than {_MOST_VALUES} values of this")])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, self.environ)
        if id(node) in self._open:
            raise ConfigError([self._problem(node, "an alias inside of what it stands for", "write it out")])
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._refuse_tag(node)
        self._open.append(id(node))
        value = self._section(node) if isinstance(node, yaml.MappingNode) else self._listing(node)
        self._open.pop()
        return value

    def _scalar(self, node: yaml.ScalarNode, environ: Mapping[str, str] | None) -> Scalar:
        written = str(node.value)
        style = Style(node.style or "")
        text = written
        spans: tuple[Span, ...] = ()
        start, end = node.start_mark.index, node.end_mark.index
        if environ is not None:
            replaced = replace_variables(written, environ)
            text, spans = replaced.text, replaced.spans
            bare = Scalar(
                source=self.source, start=start, end=end, text=written, value=None, written=written, style=style
            )
            for offset, message, hint in replaced.faults:
                place = bare.place_at(offset)
                self.problems.append(
                    Problem(file=self.source.name, line=place.line, column=place.column, message=message, hint=hint)
                )
        if node.tag not in _STRING_TAGS and node.tag != _PLAIN_TAG:
            self._refuse_tag(node)
        if not _is_text(text):
            self.problems.append(self._problem(node, "half of a surrogate pair is no character"))
        value = _resolve(text) if node.tag == _PLAIN_TAG else text
        return Scalar(
            source=self.source, start=start, end=end, text=text, value=value, written=written, style=style, spans=spans
        )

    def _listing(self, node: Any) -> Listing:
        items = tuple(self.build(item) for item in node.value)
        return Listing(source=self.source, start=node.start_mark.index, end=node.end_mark.index, items=items)

    def _section(self, node: yaml.MappingNode) -> Section:
        entries: dict[str, Entry] = {}
        merged: list[Section] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._problem(key_node, "a list or a section cannot be a key"))
                continue
            key = self._scalar(key_node, None)
            value = self.build(value_node)
            if key.text == "<<" and key.is_plain:
                merged.extend(self._merged(value))
            elif key.text in entries:
                first = entries[key.text].key.place.line
                self.problems.append(
                    self._problem(key_node, f"{key.shown} is given twice, first in line {first}", "keep one of them")
                )
            else:
                entries[key.text] = Entry(key=key, value=value)
        for section in merged:
            for name, entry in section.entries.items():
                entries.setdefault(name, entry)
        return Section(source=self.source, start=node.start_mark.index, end=node.end_mark.index, entries=entries)

    def _merged(self, value: Value) -> list[Section]:
        """What ``<<: *anchor`` stands for: the keys of one section, or of several in a list."""
        found = value.items if isinstance(value, Listing) else (value,)
        sections = [item for item in found if isinstance(item, Section)]
        if len(sections) < len(found):
            place = value.place
            self.problems.append(
                Problem(
                    file=self.source.name,
                    line=place.line,
                    column=place.column,
                    message="<< merges sections of keys only",
                )
            )
        return sections

    def _refuse_tag(self, node: yaml.Node) -> None:
        tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
        self.problems.append(self._problem(node, f"the tag {tag} is not read here", "write the value without it"))

    def _problem(self, node: yaml.Node, message: str, hint: str | None = None) -> Problem:
        place = self.source.place(node.start_mark.index)
        return Problem(file=self.source.name, line=place.line, column=place.column, message=message, hint=hint)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _resolve(text: str) -> str | int | float | bool | None:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        if _INTEGER.fullmatch(text):
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass  # more digits than Python converts: text it stays
    return text
