"""What a notebook's kernel calls its cells."""

from __future__ import annotations

_SEED, _FACTOR, _WORD = 0xC70F6907, 0x5BD1E995, 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the MurmurHash2 of 32 bits, with the seed of a notebook's kernel."""
    whole = len(data) & ~3
    mixed = _SEED ^ len(data)
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _WORD
        part = (part ^ part >> 24) * _FACTOR & _WORD
        mixed = (mixed * _FACTOR & _WORD) ^ part
    if len(data) > whole:
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _WORD
    mixed = (mixed ^ mixed >> 13) * _FACTOR & _WORD
    return mixed ^ mixed >> 15
