"""YAML as people write it, read safely, with a place for everything."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.document.fields import as_boolean
from otelmon.document.load import parse_document, read_document
from otelmon.document.model import Listing, Scalar, Section
from otelmon.errors import ConfigError


def section(text: str, environ: dict[str, str] | None = None) -> Section:
    document = parse_document(text, name="f.yaml", environ=environ)
    assert isinstance(document, Section)
    return document


def scalar(text: str, environ: dict[str, str] | None = None) -> Scalar:
    value = section(text, environ).entries["key"].value
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("5:30", "5:30"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("123456789012345678", 123456789012345678),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("0.05", 0.05),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("2026-01-02", "2026-01-02"),
        ("5%", "5%"),
        ("1_000", "1_000"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_plain_value_is_what_yaml_1_2_says(written, value):
    assert scalar(f"key: {written}").value == value
    assert type(scalar(f"key: {written}").value) is type(value)


@pytest.mark.parametrize(("word", "meant"), [("off", False), ("On", True), ("no", False), ("yes", True), ("x", None)])
def test_the_old_words_for_true_and_false_are_understood_where_a_boolean_is_asked_for(word, meant):
    assert as_boolean(scalar(f"key: {word}")) is meant


def test_keys_and_values_know_their_line_and_column():
    document = section("a: 1\nb:\n  - x\n  - {c:   d}\n")
    assert (document.entries["b"].key.place.line, document.entries["b"].key.place.column) == (2, 1)
    listing = document.entries["b"].value
    assert isinstance(listing, Listing)
    inner = listing.items[1]
    assert isinstance(inner, Section)
    place = inner.entries["c"].value.place
    assert (place.line, place.column) == (4, 11)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1", "'a' is given twice, first in line 1"),
        ("a:\n  b: 1\n  'b': 2\n", "f.yaml:3:3", "'b' is given twice, first in line 2"),
        ("a:\n\tb: 1\n", "f.yaml:2:1", "a tab where YAML wants spaces; indent with spaces"),
        ("a: b: c\n", "f.yaml:1:5", "a colon where no key can stand"),
        ("a: [1, 2\nb: 3\n", "f.yaml:2:2", "expected ',' or ']'"),
        ("a: 1\n b: 2\n", "f.yaml:2:3", "a colon where no key can stand"),
        ("a:\n    b: 1\n  c: 2\n", "f.yaml:3:3", "this line does not line up with the ones above"),
        ("a: *b\n", "f.yaml:1:4", "found undefined alias"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "a second document begins here"),
        ("a: @b\n", "f.yaml:1:4", "put text that begins with this character in quotes"),
        ("a: 'b\n", "f.yaml:2:1", "found unexpected end of stream"),
        ("a: !!python/object:os.system {}\n", "f.yaml:1:4", "the tag !!python/object:os.system is not read here"),
        ("a: !!int 5\n", "f.yaml:1:4", "the tag !!int is not read here"),
        ("? [a, b]\n: 1\n", "f.yaml:1:3", "a list or a section cannot be a key"),
        ("a: &x [*x]\n", "f.yaml:1:4", "an alias inside of what it stands for"),
        ("a: {<<: 5}\n", "f.yaml:1:9", "<< merges sections of keys only"),
        ("a: \x07\n", "f.yaml:1:4", "a control character that YAML does not allow"),
        ('a: "\\U00110000"\n', "f.yaml", "an escape in double quotes that stands for no character"),
        ('a: "\\uD800"\n', "f.yaml:1:4", "half of a surrogate pair"),
        ("a: " + "[" * 50 + "]" * 50, "f.yaml:1:43", "nested more than 40 levels deep"),
        ("just text: [", "f.yaml:1:13", "expected the node content"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text, place, said):
    with pytest.raises(ConfigError) as raised:
        parse_document(text, name="f.yaml")
    message = str(raised.value)
    assert message.startswith(place + ": "), message
    assert said in message


def test_aliases_that_multiply_are_stopped():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(ConfigError, match="aliases make more than 200000 values"):
        parse_document("\n".join(lines), name="f.yaml")


def test_an_anchor_is_written_once_and_merged_without_overriding():
    document = section("base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\n")
    other = document.entries["other"].value
    assert isinstance(other, Section)
    assert {name: entry.value.value for name, entry in other.entries.items()} == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("written", "environ", "text"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("'a ${A} c'", {"A": "b"}, "a b c"),
        ("${A:-y}", {}, "y"),
        ("${A:-y}", {"A": ""}, "y"),
        ("${A:-}", {}, ""),
        ("'$${A}'", {}, "${A}"),
        ("'cost: $$5'", {}, "cost: $5"),
        ("'{{ $labels.x }} $1 ${1}'", {}, "{{ $labels.x }} $1 ${1}"),
        ("${A}", {"A": "a: b\n- ${B} *x [{"}, "a: b\n- ${B} *x [{"),
    ],
)
def test_variables_are_replaced_after_parsing(written, environ, text):
    assert scalar(f"key: {written}", environ).text == text


def test_a_value_from_the_environment_cannot_make_structure():
    document = section("key: ${A}\nnext: 1", {"A": "1\nevil: true\n"})
    assert list(document.entries) == ["key", "next"]


def test_without_an_environment_variables_are_text():
    assert scalar("key: ${A}").text == "${A}"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\nkey: 'x ${NOPE}'\n", "f.yaml:2:9", "the environment variable NOPE is not set"),
        ("key: ${A-b}\n", "f.yaml:1:6", "write ${NAME} or ${NAME:-default}"),
        ("key: 'x ${A'\n", "f.yaml:1:9", "this reads no environment variable"),
        ("key: |\n  one\n  two ${NOPE}\n", "f.yaml:3:7", "NOPE is not set"),
    ],
)
def test_a_variable_that_is_not_set_is_told_with_its_place(text, place, said):
    with pytest.raises(ConfigError) as raised:
        parse_document(text, name="f.yaml", environ={})
    assert str(raised.value).startswith(place + ": ")
    assert said in str(raised.value)


def test_an_error_shows_what_was_written_never_what_the_environment_has():
    value = scalar("key: '${TOKEN} and more'", {"TOKEN": "s3cret"})
    assert value.text == "s3cret and more"
    assert value.shown == "'${TOKEN} and more'"


def test_an_error_shows_no_path_of_an_address():
    assert scalar("key: https://discord.com/api/webhooks/1/s3cret").shown == "'https://...'"


def test_files_that_cannot_be_read_are_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        read_document(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="this is a directory"):
        read_document(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(Path("nul\0byte.yaml"))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin.yaml:2:7: is not UTF-8"):
        read_document(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (2 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="is larger than 2 MiB"):
        read_document(large)


def test_line_ends_and_byte_order_marks_of_other_systems_are_read(tmp_path: Path):
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read_document(path)
    assert isinstance(document, Section)
    assert list(document.entries) == ["a", "b"]
    assert document.entries["b"].key.place.line == 2


EXPRESSION = 'sum by (job) (\n  rate(x{a="it\'s"}[5m])\n) > 1'


@pytest.mark.parametrize(
    ("text", "needle", "place"),
    [
        ("key: rate(x[5m]) > 1", "x", (1, 11)),
        ("key: 'it''s x'", "x", (1, 13)),
        ('key: "a \\"b\\" \\u0041 x"', "x", (1, 22)),
        ("key: |\n  one\n    two x\n", "x", (3, 9)),
        ("key: |2-  # why\n   one\n  two x\n", "x", (3, 7)),
        ("key: >\n  one\n  two x\n", "x", (3, 7)),
        ("key: >-\n  one\n\n  two\n  x\n", "x", (5, 3)),
        ("key: one\n  two\n  x y\n", "x", (3, 3)),
        ('key: "one\n  two \\\n  x"\n', "x", (3, 3)),
        ("- 1\n- [a, b x]\n", "x", None),
    ],
)
def test_a_character_of_a_text_knows_its_place_in_the_file(text, needle, place):
    if place is None:
        listing = parse_document(text, name="f.yaml")
        assert isinstance(listing, Listing)
        inner = listing.items[1]
        assert isinstance(inner, Listing)
        value = inner.items[1]
        assert isinstance(value, Scalar)
        place = (2, 9)
    else:
        value = scalar(text)
    found = value.place_at(value.text.index(needle))
    assert (found.line, found.column) == place


def test_a_place_after_a_replaced_variable_is_right_too():
    value = scalar("key: '${A} > ${B} x'", {"A": "much longer than its name", "B": ""})
    found = value.place_at(value.text.index("x"))
    assert (found.line, found.column) == (1, 19)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.text(alphabet="abcxyz(){}[]'\"\\:#-|>, ", min_size=1, max_size=12), min_size=1, max_size=5),
    style=st.sampled_from(["|", "'", '"', ">", None]),
)
def test_every_visible_character_is_found_in_the_source(lines, style):
    text = "\n".join(lines)
    source = yaml.dump({"key": text}, default_style=style, allow_unicode=True, width=20)
    value = section(source).entries.get("key")
    if value is None or not isinstance(value.value, Scalar) or value.value.text != text:
        return
    rows = source.split("\n")
    for offset, character in enumerate(text):
        if character.isspace():
            continue
        place = value.value.place_at(offset)
        written = rows[place.line - 1][place.column - 1 :]
        assert written[0] == character or written[:2] == "\\" + character, (source, offset, place)
