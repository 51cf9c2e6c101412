import pytest

from stt_server.errors import LimitReached
from stt_server.web import logins
from stt_server.web.logins import ADDRESSES, AT_ONCE, EVERY_S, Failures


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> Failures:
    return Failures(clock)


def exhaust(failures: Failures, address: str) -> None:
    for _ in range(AT_ONCE):
        failures.note(address)


def test_an_address_has_some_tries_and_then_one_every_few_seconds(failures: Failures, clock: Clock):
    exhaust(failures, "10.0.0.1")
    with pytest.raises(LimitReached) as caught:
        failures.note("10.0.0.1")
    assert caught.value.retry_after_s == pytest.approx(EVERY_S)
    clock.now += EVERY_S
    failures.note("10.0.0.1")
    with pytest.raises(LimitReached):
        failures.note("10.0.0.1")


def test_trying_in_vain_does_not_lengthen_the_wait(failures: Failures, clock: Clock):
    exhaust(failures, "10.0.0.1")
    for _ in range(50):
        with pytest.raises(LimitReached):
            failures.note("10.0.0.1")
    clock.now += EVERY_S
    failures.note("10.0.0.1")


def test_addresses_are_counted_apart_but_those_of_one_ipv6_subscriber_together(failures: Failures):
    exhaust(failures, "2001:db8::1")
    failures.note("2001:db8:0:1::1")
    with pytest.raises(LimitReached):
        failures.note("2001:db8::ffff")


def test_the_table_is_bounded_and_forgets_who_failed_longest_ago(failures: Failures, monkeypatch):
    monkeypatch.setattr(logins, "ADDRESSES", 3)
    exhaust(failures, "a")
    for other in "bcd":
        failures.note(other)
    assert len(failures) == 3
    failures.note("a")
    assert ADDRESSES <= 10_000
