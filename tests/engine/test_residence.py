"""Which models are loaded where there are more than may be: properties of one pure function."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from stt_server.engine.lineup import Catalog
from stt_server.engine.residence import residence
from stt_server.store.models import Model
from stt_server.store.routes import Kind, Route

PEOPLE = tuple("abcdef")


def model(ident: str) -> Model:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return Model(
        id=ident, name=ident, version="1", language="en", sha256=b"", created=moment, created_by="test", place="toy"
    )


def catalog(names: int, people: tuple[str, ...]) -> Catalog:
    """A live model, so many by name, and one of each of these contributors."""
    shared = [Route(Kind.LIVE, "", "live"), *(Route(Kind.NAME, f"n{number}", f"n{number}") for number in range(names))]
    own = [Route(Kind.PERSON, person, f"own-{person}") for person in people]
    found = (*shared, *own)
    return Catalog(1, found, tuple(model(route.model_id) for route in found))


def test_who_spoke_last_has_room_before_others_and_who_speaks_before_all() -> None:
    given = catalog(0, ("a", "b", "c"))
    assert [each.id for each in residence(given, 2).loaded] == ["live", "own-a"]
    assert [each.id for each in residence(given, 2, ["c", "b"]).loaded] == ["live", "own-c"]
    assert [each.id for each in residence(given, 2, ["c"], {"own-b"}).loaded] == ["live", "own-b"]
    assert [route.key for route in residence(given, 2, ["c"], {"own-b"}).waiting] == ["a", "c"]


@given(
    names=st.integers(0, 4),
    people=st.lists(st.sampled_from(PEOPLE), unique=True).map(tuple),
    most=st.integers(2, 8),
    recent=st.lists(st.sampled_from(PEOPLE), unique=True),
    busy=st.sets(st.sampled_from([f"own-{person}" for person in PEOPLE])),
)
def test_never_more_than_may_be_each_somewhere_and_no_own_one_before_a_shared_one(
    names: int, people: tuple[str, ...], most: int, recent: list[str], busy: set[str]
) -> None:
    asked = catalog(names, people)
    found = residence(asked, most, recent, busy)
    assert len(found.loaded) == min(most, len(asked.models)), "no room is left empty"
    assert found.loaded[0].id == "live"
    placed = [*found.loaded, *found.beyond]
    assert {each.id for each in placed} | {route.model_id for route in found.waiting} == {
        each.id for each in asked.models
    }
    assert len(placed) + len(found.waiting) == len(asked.models)
    if found.beyond:
        assert len(found.waiting) == len(people)
    kept = {each.id for each in found.loaded}
    own = {f"own-{person}" for person in people}
    assert not (busy & own - kept) or kept & own <= busy, "one that is idle gave no room to one that is used"
