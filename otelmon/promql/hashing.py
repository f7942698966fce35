"""The hash of a label set by which ``limit_ratio`` picks: Prometheus's own, so that both pick the same series.

XXH64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, seed 0) of the label set as Prometheus 3 keeps it
in memory by default (model/labels, ``labels_stringlabels.go``): names and values in the order of the names, each after
its length in bytes; a length of 255 and more as 255 and three bytes, the lowest first.
"""

from __future__ import annotations

import struct

from otelmon.labels import Labels

_MASK = 2**64 - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_LONG = 255


def labels_hash(labels: Labels) -> int:
    """Prometheus's ``Labels.Hash()``, 64 bits."""
    parts = []
    for pair in labels.pairs:
        for text in pair:
            data = text.encode("utf-8", "surrogateescape")
            size = len(data)
            parts.append(bytes([size]) if size < _LONG else bytes([_LONG]) + size.to_bytes(3, "little"))
            parts.append(data)
    return xxh64(b"".join(parts))


def xxh64(data: bytes) -> int:
    """XXH64 with seed 0."""
    length, at = len(data), 0
    if length >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= length:
            words = struct.unpack_from("<4Q", data, at)
            lanes = [_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
            at += 32
        value = sum(_rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            value = ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        value = _P5
    value = (value + length) & _MASK
    while at + 8 <= length:
        value ^= _round(0, struct.unpack_from("<Q", data, at)[0])
        value = (_rotated(value, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= length:
        value ^= struct.unpack_from("<I", data, at)[0] * _P1 & _MASK
        value = (_rotated(value, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        value = _rotated(value ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    for shift, prime in ((33, _P2), (29, _P3), (32, 1)):
        value = (value ^ (value >> shift)) * prime & _MASK
    return value


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK
