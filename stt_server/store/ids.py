"""Ids of rows, made before the row is, so that its objects can be named by them and other rows can point to it."""

from __future__ import annotations

import secrets
from typing import Final

ID_BYTES: Final = 8  # of chance: a table would need a billion rows before two ids are likely to be the same


def new_id() -> str:
    """For any row: hexadecimal digits, which nothing else has."""
    return secrets.token_hex(ID_BYTES)
