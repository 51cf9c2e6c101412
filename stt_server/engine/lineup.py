"""Which models answer whom: one value, put in the place of the one before in one assignment.

    Caller, Open ──► catalog.routing.choose ──► Pick: the recognizer, a shadow, whose trial it is

A session asks the line-up once, when it opens, and keeps what it got: a line-up that was replaced is held by nobody,
and a model that no line-up has any more is gone with its last stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from stt_server.catalog.routing import Facts, choose, dice, has_own, primary, tag
from stt_server.engine.trial import Tally, Trial
from stt_server.errors import BadOption
from stt_server.store.routes import Kind, Route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stt_server.engine.interface import Recognizer
    from stt_server.messages import Open
    from stt_server.store.models import Model

PUBLIC = (Kind.LIVE, Kind.NAME, Kind.LANGUAGE)  # whoever asks may be heard by these; a canary answers for the live one


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of who opens a stream, beside its options. `may_shadow`: they agreed that their audio is used."""

    person: str | None = None
    may_shadow: bool = False


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the catalog says at one revision; `models` are those that the routes lead to, the most needed first."""

    revision: int
    routes: tuple[Route, ...]
    models: tuple[Model, ...]
    trial: int = 0  # the change that began that of the canary


@dataclass(frozen=True, slots=True)
class Pick:
    """What a session is opened with. `ids` are those of the shadow and of the model that answers; `speaker` is the
    contributor whose own model would hear it, if it were loaded. "" where they have none.
    """

    recognizer: Recognizer
    shadow: Recognizer | None = None
    ids: tuple[str, str] = ("", "")
    tally: Tally | None = None
    speaker: str = ""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Lineup:
    """Routes whose models are all loaded, by the model's id in the catalog; one of them is live.

    `revision` is the catalog's. `alarm` says what is wrong, such as models that did not load; "" where all is well.
    `waiting` are routes of contributors whose own models are loaded when they speak; till then the live one hears them.
    """

    routes: tuple[Route, ...]
    models: Mapping[str, Recognizer]
    revision: int = 0
    alarm: str = ""
    trial: Trial | None = None
    waiting: tuple[Route, ...] = ()
    _live: Recognizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_live", self.models[self.model_of(Kind.LIVE) or ""])

    @classmethod
    def of(cls, recognizer: Recognizer) -> Self:
        """One model that is in no catalog, for everybody."""
        return cls((Route(Kind.LIVE, "", ""),), {"": recognizer})

    @property
    def live(self) -> Recognizer:
        return self._live

    def model_of(self, kind: Kind) -> str | None:
        """The id of the model that a route without a key leads to; None where there is no such route."""
        return next((route.model_id for route in self.routes if route.kind == kind), None)

    def has_language(self, language: str) -> bool:
        """Whether a route is there for a language tag."""
        keys = {route.key for route in self.routes if route.kind == Kind.LANGUAGE}
        return not keys.isdisjoint({tag(language), primary(language)})

    @property
    def personal(self) -> bool:
        """Whether anybody has a model of their own."""
        return bool(self.waiting) or any(route.kind == Kind.PERSON for route in self.routes)

    @property
    def names(self) -> tuple[str, ...]:
        """What a client may ask for: the live model's name, those that have a route, and the models of languages."""
        found = dict.fromkeys([self.live.name])
        for route in self.routes:
            if route.kind in PUBLIC:
                found[route.key if route.kind == Kind.NAME else self.models[route.model_id].name] = None
        return tuple(found)

    def after(
        self, catalog: Catalog, models: Mapping[str, Recognizer], alarm: str = "", waiting: tuple[Route, ...] = ()
    ) -> Lineup:
        """The line-up of these routes with these models. A route whose model is not among them stays as it is here,
        and where there is none here, or it is `waiting`, its sessions are the live model's.
        """
        before = {(route.kind, route.key): route for route in self.routes}
        standing = (
            route if route.model_id in models else before.get((route.kind, route.key))
            for route in catalog.routes
            if route not in waiting
        )
        routes = tuple(route for route in standing if route is not None and route.model_id in models)
        used = {route.model_id: models[route.model_id] for route in routes}
        return Lineup(routes, used, catalog.revision, alarm, self._trial_among(routes, catalog.trial), waiting)

    def _trial_among(self, routes: Sequence[Route], number: int) -> Trial | None:
        """That of the canary in these routes, begun anew where it or the live model is another one."""
        leads = {route.kind: route.model_id for route in routes if not route.key}
        if Kind.CANARY not in leads:
            return None
        pair = leads[Kind.CANARY], leads[Kind.LIVE]
        now = self.trial
        same = now is not None and (now.canary_id, now.live_id, now.number) == (*pair, number)
        return now if same else Trial(*pair, Tally(), Tally(), number)

    def pick(self, session: str, options: Open, caller: Caller) -> Pick:
        """What hears this session. Raises BadOption for a model that is not there, naming those that are."""
        may_shadow = caller.may_shadow and options.collect
        facts = Facts(session, options.model, options.language, caller.person, may_shadow)
        if options.model is not None and not self._has_route(options.model):
            if options.model != self.live.name:
                return Pick(self._named(options.model))
            facts = Facts(session, may_shadow=may_shadow)  # whoever asks for the live one gets it
        choice = choose(facts, self.routes, dice(session))
        shadow = self.models[choice.shadow_id] if choice.shadow_id is not None else None
        tally = self.trial.tally_of(choice.model_id) if self.trial else None
        ids, speaker = (choice.shadow_id or "", choice.model_id), self._speaker(facts)
        return Pick(self.models[choice.model_id], shadow, ids, tally, speaker)

    def _speaker(self, facts: Facts) -> str:
        own = facts.person if facts.person and self.personal else ""
        return own if own and has_own(facts, (*self.routes, *self.waiting)) else ""

    def _has_route(self, name: str) -> bool:
        return any(route.kind == Kind.NAME and route.key == name for route in self.routes)

    def _named(self, name: str) -> Recognizer:
        """The model of a language's route that is called so."""
        for route in self.routes:
            if route.kind == Kind.LANGUAGE and self.models[route.model_id].name == name:
                return self.models[route.model_id]
        known = ", ".join(repr(each) for each in self.names)
        raise BadOption(f"there is no model {name[:60]!r}; this server runs {known}", field="model")
