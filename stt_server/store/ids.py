"""Ids of rows, made before the row is, so that its objects can be named by them and other rows can point to it."""

from __future__ import annotations

import re
import secrets
from typing import Final

ID_BYTES: Final = 8  # of chance: a table would need a billion rows before two ids are likely to be the same
_WRITTEN: Final = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")


def new_id() -> str:
    """For any row: hexadecimal digits, which nothing else has."""
    return secrets.token_hex(ID_BYTES)


def is_id(text: str) -> bool:
    """Whether it is written as one."""
    return _WRITTEN.fullmatch(text) is not None
