"""`GET /v1/usage`: how much was heard for a key, by day and model; for an admin's, for all keys.

Days are UTC's, from `from` to `to`, the last 30 unless said. What is being heard now is counted within seconds.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.errors import BadOption
from stt_server.store import custom_models, models, usage
from stt_server.store.rights import Scope, allows
from stt_server.store.ring import now
from stt_server.web.asked import given
from stt_server.web.context import identity_of, services_of

if TYPE_CHECKING:
    from stt_server.store.database import Connection, Database

SHOWN: Final = timedelta(days=29)
MOST: Final = timedelta(days=3660)


async def show(request: web.Request) -> web.Response:
    """What was used. Raises BadOption for days that are none, or too many."""
    identity = identity_of(request)
    last = _day(request, "to") or now().date()
    first = _day(request, "from") or max(date.min + SHOWN, last) - SHOWN
    if not timedelta() <= last - first <= MOST:
        raise BadOption(f"from is to be before to, by {MOST.days} days at most.", field="from")
    key_id = None if allows(identity.scopes, Scope.ADMIN) else identity.id
    days = await services_of(request).store.run(_used, first, last, key_id)
    total_s = round(sum(each["audio_s"] for each in days), 3)
    return web.json_response({"from": str(first), "to": str(last), "audio_s": total_s, "days": days})


def _day(request: web.Request, name: str) -> date | None:
    text = given(request, name)
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise BadOption(f"{name} is a day such as 2026-11-21.", field=name) from None


def _used(database: Database, first: date, last: date, key_id: str | None) -> list[dict[str, Any]]:
    with database.read() as connection:
        found = usage.by_model(connection, first, last, key_id)
        custom = {name: _custom(connection, name) for name in {name for _, _, name, _ in found}}
    return [
        {
            "day": str(day),
            "key": key,
            "model": name,
            "model_id": custom[name],
            "audio_s": round(used.audio_s, 3),
            "streams": used.streams,
            "uploads": used.uploads,
        }
        for key, day, name, used in found
    ]


def _custom(connection: Connection, name: str) -> str | None:
    """The id of the custom model that bundles of this name are of."""
    found = models.listed(connection, name, removed=True)
    return custom_models.asked_for(connection, found[0].id) if found else None
