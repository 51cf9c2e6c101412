"""What a query says. Of routes that are called from a shell, quotes that got through it are not part of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption

if TYPE_CHECKING:
    from aiohttp import web

LONGEST: Final = 100
PAGE: Final = 50
_QUOTES: Final = "\"'"


def several(request: web.Request, name: str) -> list[str]:
    """All values of a parameter that may be there more than once. Raises BadOption as `given`."""
    found = [_bare(value) for each in (name, name.replace("-", "_")) for value in request.query.getall(each, [])]
    for value in found:
        _check(name, value, LONGEST)
    return list(dict.fromkeys(found))


def given(request: web.Request, name: str, *, longest: int = LONGEST) -> str | None:
    """The value of a parameter, `dataset-id` or `dataset_id`; None where there is none.

    Raises BadOption for one that is empty, too long, cannot be printed or is there twice with two values.
    """
    values = {_bare(value) for each in (name, name.replace("-", "_")) for value in request.query.getall(each, [])}
    if not values:
        return None
    value = values.pop()
    if values:
        raise BadOption(f"{name} is there twice with two values; send one.", field=name)
    return _check(name, value, longest)


def required(request: web.Request, name: str) -> str:
    """The same for one that must be there. Raises BadOption."""
    value = given(request, name)
    if value is None:
        raise BadOption(f"Say {name} in the query, as in `?{name}=…`.", field=name)
    return value


def limit_of(request: web.Request, most: int) -> int:
    """How many rows of a list are wanted, `PAGE` unless said. Raises BadOption."""
    said = request.query.get("limit", str(PAGE))
    if not (said.isascii() and said.isdigit() and len(said) < 10 and 1 <= int(said) <= most):
        raise BadOption(f"limit must be a whole number from 1 to {most}.", field="limit")
    return int(said)


def _check(name: str, value: str, longest: int) -> str:
    if not value or len(value) > longest or not value.isprintable():
        raise BadOption(f"{name} takes 1 to {longest} letters.", field=name)
    return value


def _bare(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
        value = value[1:-1].strip()
    return value
