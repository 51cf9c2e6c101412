"""How many bytes an object holds, all it refers to included."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping


def held_bytes(thing: object, seen: set[int] | None = None) -> int:
    """Bytes of an object and of what its attributes, slots and items reach; classes and functions are everybody's."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type) or callable(thing):
        return 0
    seen.add(id(thing))
    return sys.getsizeof(thing) + sum(held_bytes(part, seen) for part in _parts(thing))


def _parts(thing: object) -> list[object]:
    if isinstance(thing, str | bytes | int | float):
        return []
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    parts: list[object] = [getattr(thing, name) for name in slots if hasattr(thing, name)]
    parts += [vars(thing)] if hasattr(thing, "__dict__") else []
    if isinstance(thing, Mapping):
        return [*parts, *thing.keys(), *thing.values()]
    return [*parts, *thing] if isinstance(thing, Collection) else parts
