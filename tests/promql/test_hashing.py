"""The hash by which limit_ratio picks."""

from __future__ import annotations

import pytest

from otelmon.labels import Labels
from otelmon.promql.hashing import labels_hash, xxh64


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # https://github.com/cespare/xxhash, xxhash_test.go: the library that Prometheus hashes with
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"as", 0x1C330FB2D66BE179),
        (b"asd", 0x631C37CE72A97393),
        (b"asdf", 0x415872F599CEA71E),
        (b"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02A2E85470D6FD96),
    ],
)
def test_it_is_xxh64(data: bytes, expected: int) -> None:
    assert xxh64(data) == expected


def test_labels_are_hashed_as_prometheus_keeps_them() -> None:
    assert labels_hash(Labels({"b": "22", "a": "1"})) == xxh64(b"\x01a\x011\x01b\x0222")
    assert labels_hash(Labels({"a": "x" * 300})) == xxh64(b"\x01a\xff\x2c\x01\x00" + b"x" * 300)
    assert labels_hash(Labels({"a": "é"})) == xxh64(b"\x01a\x02\xc3\xa9")
