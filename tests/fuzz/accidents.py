"""What happens to files on their way: bytes cut off, flipped, overwritten, doubled, moved."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

EXTREMES: Final = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 48000, 1 << 24]
HEADER: Final = 200  # bytes where most of what steers a decoder stands


def damaged(data: bytes, dice: random.Random, most: int = 4) -> bytes:
    """The bytes after one to `most` accidents."""
    hurt = bytearray(data)
    for _ in range(dice.randint(1, most)):
        dice.choice(ACCIDENTS)(hurt, dice)
    return bytes(hurt)


def _place(data: bytearray, dice: random.Random) -> int:
    end = min(HEADER, len(data)) if dice.random() < 0.6 else len(data)
    return dice.randrange(end + 1)


def _flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 6)):
        if data:
            data[_place(data, dice) % len(data)] ^= 1 << dice.randrange(8)


def _write_number(data: bytearray, dice: random.Random) -> None:
    at, order = _place(data, dice), dice.choice("<>")
    number = dice.choice(EXTREMES)
    written = struct.pack(order + "I", number) if dice.random() < 0.7 else struct.pack(order + "H", number & 0xFFFF)
    data[at : at + len(written)] = written


def _scribble(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    size = dice.randint(1, 64)
    noise = bytes(size) if dice.random() < 0.5 else dice.randbytes(size)
    data[at : at + len(noise)] = noise


def _cut_end(data: bytearray, dice: random.Random) -> None:
    del data[_place(data, dice) :]


def _cut_out(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    del data[at : at + dice.randint(1, 300)]


def _insert(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    data[at:at] = dice.randbytes(dice.randint(1, 20))


def _double(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    data[at:at] = data[at : at + dice.randint(1, 2000)]


def _swap(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    data[:] = data[at:] + data[:at] if dice.random() < 0.2 else data[:at] + data[at:][::-1]


ACCIDENTS: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    _flip,
    _flip,
    _write_number,
    _write_number,
    _scribble,
    _cut_end,
    _cut_out,
    _insert,
    _double,
    _swap,
)
