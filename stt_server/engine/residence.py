"""Which models are loaded, where there are more than `max_models`: one pure function of the catalog and of who spoke.

    live, canary, languages, names, shadow     always, in this order; what is beyond the bound is an alarm
    contributors' own                          in what room is left: those that a stream hears with now, then those of
                                               who spoke last, then the others, as the catalog has them

A contributor whose own model waits is heard by the live model, as if they had none; that they spoke has it loaded, in
the place of the one whose contributor has been silent longest, and their next stream is heard with it. No stream waits
for a model, and none loses the one it has.

Models by name do not take turns so, those that keys have deployed neither: who asks by name is heard by that model or
refused, never by another one, so one that waits would turn its clients away. `web/deploying.py` deploys no more of them
than there is room for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.store.routes import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stt_server.engine.lineup import Catalog
    from stt_server.store.models import Model
    from stt_server.store.routes import Route


@dataclass(frozen=True, slots=True)
class Residence:
    """`loaded` are to be, the most needed first. `beyond` have no room though many may ask for them. `waiting` are the
    routes of contributors whose own models are loaded when they speak.
    """

    loaded: tuple[Model, ...]
    beyond: tuple[Model, ...]
    waiting: tuple[Route, ...]


def residence(catalog: Catalog, most: int, recent: Sequence[str] = (), busy: Collection[str] = ()) -> Residence:
    """Who has room among `most`. `recent`: contributors, who spoke last first; `busy`: ids of models that hear now."""
    for_many = {route.model_id for route in catalog.routes if route.kind != Kind.PERSON}
    shared = [model for model in catalog.models if model.id in for_many]
    rank = {person: place for place, person in enumerate(recent)}
    own = {route.model_id: route for route in catalog.routes if route.kind == Kind.PERSON}

    def urgency(model: Model) -> tuple[bool, int]:
        return model.id not in busy, rank.get(own[model.id].key, len(rank))

    personal = sorted((model for model in catalog.models if model.id not in for_many), key=urgency)
    room = max(0, most - len(shared))
    late = {model.id for model in personal[room:]}
    waiting = tuple(route for route in catalog.routes if route.kind == Kind.PERSON and route.model_id in late)
    return Residence((*shared[:most], *personal[:room]), tuple(shared[most:]), waiting)
