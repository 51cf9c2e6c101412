"""Which model hears a session: one pure function of what is known of the session and of the rows.

    name asked for ─► contributor's own ─► language said ─► canary's share ─► live
                                                                  └─► shadow's share listens, too

The first route that fits takes the session. A contributor's own model takes only sessions in its language. Canary and
shadow take their shares of what the live route would get: the canary from the low end of the dice and the shadow from
the high end, so that together they take the same session only where their shares are more than the whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.errors import Unavailable
from stt_server.store.routes import Kind, Route

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a session when it opens."""

    session: str
    model: str | None = None  # the name it asks for
    language: str | None = None  # a tag such as en or en-GB
    person: str | None = None  # the contributor's id
    may_shadow: bool = False  # its people agreed that its audio is used


@dataclass(frozen=True, slots=True)
class Choice:
    """By id: the model that answers, and the one that listens in silence."""

    model_id: str
    shadow_id: str | None = None


def dice(session: str) -> float:
    """A number of [0, 1) that is always the same for a session, on every server, and even over sessions."""
    return int.from_bytes(hashlib.sha256(session.encode()).digest()[:6]) / 2**48


def choose(facts: Facts, routes: Sequence[Route], thrown: float) -> Choice:
    """The model for a session, and its shadow. Names that no route has are the live model's, or the caller's to refuse.

    `thrown` is the session's `dice`. Raises Unavailable while no model is live.
    """
    table = {(route.kind, route.key): route for route in routes}
    own = _by_name(facts, table) or _by_person(facts, table) or _by_language(facts, table)
    if own is not None:
        return Choice(own.model_id)
    live = table.get((Kind.LIVE, ""))
    if live is None:
        raise Unavailable("No model is live; promote one with `earloop models promote`.")
    canary, shadow = table.get((Kind.CANARY, "")), table.get((Kind.SHADOW, ""))
    answering = canary if canary and thrown < canary.share else live
    listens = shadow is not None and facts.may_shadow and thrown >= 1 - shadow.share
    if shadow is None or not listens or shadow.model_id == answering.model_id:
        return Choice(answering.model_id)
    return Choice(answering.model_id, shadow.model_id)


def has_own(facts: Facts, routes: Sequence[Route]) -> bool:
    """Whether a session is for its contributor's own model by these routes, be that loaded or not."""
    table = {(route.kind, route.key): route for route in routes}
    return _by_name(facts, table) is None and _by_person(facts, table) is not None


def _by_name(facts: Facts, table: dict[tuple[str, str], Route]) -> Route | None:
    return table.get((Kind.NAME, facts.model)) if facts.model else None


def _by_person(facts: Facts, table: dict[tuple[str, str], Route]) -> Route | None:
    own = table.get((Kind.PERSON, facts.person)) if facts.person else None
    fits = own is not None and (not facts.language or primary(facts.language) == primary(own.language))
    return own if fits else None


def _by_language(facts: Facts, table: dict[tuple[str, str], Route]) -> Route | None:
    """The route of the whole tag, else that of its language."""
    if not facts.language:
        return None
    return table.get((Kind.LANGUAGE, tag(facts.language))) or table.get((Kind.LANGUAGE, primary(facts.language)))


def tag(language: str) -> str:
    """A language tag as the keys of routes have it: `en_GB` is `en-gb`."""
    return language.lower().replace("_", "-")


def primary(language: str) -> str:
    """The language of a tag: `en-GB` is `en`."""
    return tag(language).partition("-")[0]
