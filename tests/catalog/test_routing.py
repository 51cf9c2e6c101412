"""Routing is one pure function; what it must do is said as properties over drawn sessions and rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.catalog.routing import Choice, Facts, choose, dice
from stt_server.errors import Unavailable
from stt_server.store.routes import Route

LIVE = Route("live", "", "live", 1.0, "en")
NAMES = st.sampled_from(["kitchen", "hall", "attic"])
LANGUAGES = st.sampled_from(["en", "en-GB", "de", "de_AT"])
PEOPLE = st.sampled_from(["anna", "ben"])
THROWS = st.floats(0, 1, exclude_max=True)
SHARES = st.floats(0.001, 1)

FACTS = st.builds(
    Facts, st.text(max_size=8), st.none() | NAMES, st.none() | LANGUAGES, st.none() | PEOPLE, st.booleans()
)


@st.composite
def tables(draw) -> list[Route]:
    """Routes as the database may hold them: one of a kind and key."""
    found = {("live", ""): LIVE}
    keyed = (("name", "kitchen"), ("name", "hall"), ("language", "de"), ("language", "en-gb"), ("person", "anna"))
    for kind, key in keyed:
        if draw(st.booleans()):
            found[kind, key] = Route(kind, key, f"{kind} {key}", 1.0, draw(st.sampled_from(["en", "de"])))
    for kind in ("canary", "shadow"):
        if draw(st.booleans()):
            found[kind, ""] = Route(kind, "", draw(st.sampled_from([kind, "candidate", "live"])), draw(SHARES), "en")
    return draw(st.permutations(list(found.values())))


@given(FACTS, tables(), THROWS)
def test_every_session_gets_a_model_of_the_table_whatever_the_order_of_rows(facts, table, thrown):
    choice = choose(facts, table, thrown)
    assert choice.model_id in {route.model_id for route in table}
    assert choose(facts, table[::-1], thrown) == choice


@given(FACTS, tables(), THROWS)
def test_a_shadow_hears_only_those_who_agreed_and_never_what_answers(facts, table, thrown):
    choice = choose(facts, table, thrown)
    if choice.shadow_id is not None:
        assert facts.may_shadow
        assert choice.shadow_id != choice.model_id
        assert choice.model_id in {"live", "canary", "candidate"}  # never beside somebody's own, or a named one


@given(FACTS, tables(), THROWS)
def test_a_name_goes_before_everything(facts, table, thrown):
    named = {route.key: route for route in table if route.kind == "name"}
    if facts.model in named:
        assert choose(facts, table, thrown) == Choice(named[facts.model].model_id)


@given(FACTS, tables(), THROWS)
def test_a_contributors_own_model_hears_that_one_only_and_only_in_its_language(facts, table, thrown):
    own = next((route for route in table if route.kind == "person"), None)
    choice = choose(facts, table, thrown)
    if own is not None and choice.model_id == own.model_id:
        assert facts.person == own.key
        assert facts.language is None or facts.language[:2] == own.language
    elif own is not None and facts.person == own.key:
        named = any(route.kind == "name" and route.key == facts.model for route in table)
        assert named or (facts.language and facts.language[:2] != own.language)


@given(FACTS, tables(), THROWS, THROWS)
def test_who_is_on_the_canary_stays_there_while_its_share_grows(facts, table, thrown, more):
    canary = next((route for route in table if route.kind == "canary"), None)
    if canary is None:
        return
    larger = [route for route in table if route is not canary]
    larger.append(Route("canary", "", canary.model_id, min(1.0, canary.share + more), "en"))
    if thrown < canary.share:
        assert choose(facts, larger, thrown).model_id == choose(facts, table, thrown).model_id


@given(SHARES, SHARES, THROWS)
def test_canary_and_shadow_meet_only_where_they_are_more_than_all(canary, shadow, thrown):
    table = [LIVE, Route("canary", "", "canary", canary), Route("shadow", "", "shadow", shadow)]
    choice = choose(Facts("s", may_shadow=True), table, thrown)
    if canary + shadow <= 1:
        assert choice != Choice("canary", "shadow")
    assert (choice.model_id == "canary") == (thrown < canary)
    assert (choice.shadow_id is not None) == (thrown >= 1 - shadow)


def test_a_language_finds_its_own_route_before_its_languages():
    table = [LIVE, Route("language", "de", "german"), Route("language", "de-at", "austrian")]
    for said, model in (("de", "german"), ("de_AT", "austrian"), ("DE-ch", "german"), ("fr", "live")):
        assert choose(Facts("s", language=said), table, 0.5) == Choice(model)


def test_without_a_live_model_it_says_what_to_do():
    with pytest.raises(Unavailable, match="earloop models promote"):
        choose(Facts("s"), [Route("name", "kitchen", "m")], 0.5)


def test_the_dice_are_the_same_for_a_session_and_even_over_sessions():
    thrown = [dice(f"session {number}") for number in range(4000)]
    assert thrown == [dice(f"session {number}") for number in range(4000)]
    assert all(0 <= each < 1 for each in thrown)
    for tenth in range(10):
        assert 330 < sum(tenth <= each * 10 < tenth + 1 for each in thrown) < 470
