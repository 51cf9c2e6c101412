"""The rules of agreement, by example and for whatever votes there may be."""

from hypothesis import given
from hypothesis import strategies as st

from stt_server.store.rights import Verdict
from stt_server.tagging.agreement import (
    Answer,
    Decided,
    Open,
    Parked,
    Quarantined,
    Rules,
    Vote,
    has_conflict,
    judge,
)

HEARD = "turn on the light"
PEOPLE = "ann bob cid dee eve fay gus".split()

words = st.sampled_from([HEARD, "turn off the light", "turn on a light"])
verdicts = st.sampled_from([verdict for verdict in Verdict if verdict is not Verdict.PRIVATE])


@st.composite
def votes_of(draw: st.DrawFn, verdicts=verdicts, most: int = 7) -> list[Vote]:
    """One vote of each of some people, none of them an expert."""
    people = draw(st.lists(st.sampled_from(PEOPLE), unique=True, max_size=most))
    found = []
    for person in people:
        verdict = draw(verdicts)
        text = {Verdict.RIGHT: HEARD, Verdict.CORRECTED: draw(words)}.get(verdict)
        found.append(Vote(person, verdict, text))
    return found


rules = st.builds(Rules, people=st.integers(1, 4), share=st.floats(0.5, 0.99), cap=st.integers(4, 7))
some_people = st.frozensets(st.sampled_from(PEOPLE), max_size=3)


def right(person: str) -> Vote:
    return Vote(person, Verdict.RIGHT, HEARD)


def corrected(person: str, text: str) -> Vote:
    return Vote(person, Verdict.CORRECTED, text)


def test_one_person_decides_nothing_and_two_who_agree_decide():
    assert judge([right("ann")], HEARD) == Open(1)
    assert judge([right("ann"), right("bob")], HEARD) == Decided(Verdict.RIGHT, HEARD)


def test_who_writes_what_was_heard_agrees_with_who_calls_it_right():
    assert judge([right("ann"), corrected("bob", HEARD)], HEARD) == Decided(Verdict.RIGHT, HEARD)


def test_on_conflict_others_are_asked_until_more_than_three_quarters_agree():
    votes = [right("ann"), corrected("bob", "x"), right("cid")]
    assert judge(votes, HEARD) == Open(3)
    assert judge([*votes, right("dee")], HEARD) == Open(4)  # three of four are not more than three quarters
    assert judge([*votes, right("dee"), right("eve")], HEARD) == Decided(Verdict.RIGHT, HEARD)


def test_where_nobody_can_be_asked_any_more_an_expert_decides():
    votes = [right("ann"), right("bob"), corrected("cid", "x"), corrected("dee", "x")]
    assert judge(votes, HEARD) == Parked()
    assert judge([*votes, Vote("eve", Verdict.CORRECTED, "y", expert=True)], HEARD) == Decided(Verdict.CORRECTED, "y")


def test_noise_has_an_empty_text_and_the_unclear_none():
    for verdict, text in ((Verdict.NOISE, ""), (Verdict.UNCLEAR, None), (Verdict.OTHER_LANGUAGE, None)):
        assert judge([Vote("ann", verdict), Vote("bob", verdict)], HEARD) == Decided(verdict, text)


def test_the_giver_agreeing_with_themselves_under_any_rule_decides_nothing():
    assert judge([right("ann")], HEARD, givers=frozenset(["ann"]), rules=Rules(people=1)) == Open(1)


@given(votes_of(), some_people, some_people, rules, st.randoms())
def test_the_order_of_the_votes_means_nothing(votes, givers, distrusted, rules, random):
    shuffled = list(votes)
    random.shuffle(shuffled)
    more = {"givers": givers, "distrusted": distrusted, "rules": rules}
    assert judge(votes, HEARD, **more) == judge(shuffled, HEARD, **more)


@given(votes_of(), some_people, some_people, rules)
def test_a_decision_has_enough_trusted_people_one_of_whom_did_not_give_the_clip(votes, givers, distrusted, rules):
    outcome = judge(votes, HEARD, givers=givers, distrusted=distrusted, rules=rules)
    if isinstance(outcome, Decided):
        names_words = outcome.verdict in (Verdict.RIGHT, Verdict.CORRECTED)
        answer = Answer(None, outcome.text) if names_words else Answer(outcome.verdict, None)
        counted = [vote for vote in votes if vote.person not in distrusted]
        agreeing = {vote.person for vote in counted if vote.answer == answer}
        assert len(agreeing) >= rules.people
        assert len(agreeing) > rules.share * len(counted)
        assert agreeing - givers


@given(votes_of(), some_people, rules)
def test_more_of_the_same_leave_a_decision_as_it_is(votes, givers, rules):
    outcome = judge(votes, HEARD, givers=givers, rules=rules)
    if isinstance(outcome, Decided):
        verdict, text = outcome.verdict, outcome.text
        again = Vote("newcomer", verdict, text if verdict in (Verdict.RIGHT, Verdict.CORRECTED) else None)
        assert judge([*votes, again], HEARD, givers=givers, rules=rules) == outcome


@given(votes_of(), rules)
def test_nobody_is_asked_beyond_the_cap_nor_when_agreement_cannot_come(votes, rules):
    outcome = judge(votes, HEARD, rules=rules)
    if isinstance(outcome, Open):
        assert len(votes) < rules.cap
        hopes = {vote.answer: vote for vote in votes} or {None: right("nobody")}
        newcomers = [f"new{number}" for number in range(rules.cap - len(votes))]
        ends = [
            judge([*votes, *(Vote(each, hope.verdict, hope.text) for each in newcomers)], HEARD, rules=rules)
            for hope in hopes.values()
        ]
        assert any(isinstance(end, Decided) for end in ends)


@given(votes_of(), rules)
def test_a_parked_clip_could_not_be_decided_by_whoever_was_left_to_ask(votes, rules):
    if isinstance(judge(votes, HEARD, rules=rules), Parked):
        for hope in {vote.answer: vote for vote in votes}.values():
            newcomers = [Vote(f"new{number}", hope.verdict, hope.text) for number in range(rules.cap - len(votes))]
            for asked in range(len(newcomers) + 1):
                assert not isinstance(judge([*votes, *newcomers[:asked]], HEARD, rules=rules), Decided)


@given(votes_of(), st.sampled_from(PEOPLE), some_people, rules)
def test_that_a_clip_is_private_is_believed_of_everybody_at_once(votes, person, distrusted, rules):
    others = [vote for vote in votes if vote.person != person]
    private = Vote(person, Verdict.PRIVATE)
    assert judge([*others, private], HEARD, distrusted=distrusted | {person}, rules=rules) == Quarantined()


@given(votes_of(st.sampled_from(Verdict)), verdicts, rules)
def test_an_expert_decides_alone(votes, verdict, rules):
    text = HEARD if verdict in (Verdict.RIGHT, Verdict.CORRECTED) else None
    outcome = judge([*votes, Vote("expert", verdict, text, expert=True)], HEARD, rules=rules)
    assert isinstance(outcome, Decided)
    assert outcome.verdict is (Verdict.RIGHT if text else verdict)


@given(votes_of(), some_people, rules)
def test_votes_of_the_distrusted_change_nothing(votes, distrusted, rules):
    trusted = [vote for vote in votes if vote.person not in distrusted]
    assert judge(votes, HEARD, distrusted=distrusted, rules=rules) == judge(trusted, HEARD, rules=rules)


def test_a_conflict_is_two_answers_not_two_verdicts():
    assert not has_conflict([right("ann"), corrected("bob", HEARD)])
    assert has_conflict([right("ann"), corrected("bob", "x")])
