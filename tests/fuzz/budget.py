"""How many cases each fuzz plays, and how many it really played.

The normal run is the same each time: a change that breaks nothing cannot fail by bad luck. The nightly run draws anew
and prints what repeats a failure: hypothesis its blob, the bulk its seed.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


both_runs: Final = pytest.mark.parametrize(
    "nightly", [pytest.param(False, id="normal"), pytest.param(True, id="nightly", marks=pytest.mark.nightly)]
)


@dataclass(frozen=True)
class Cases:
    normal: int
    nightly: int


# Where one case is cheap there are many. The sums are asserted in test_budget.py.
BUDGET: Final = {
    "native conversations": Cases(350, 20_000),
    "vosk conversations": Cases(350, 20_000),
    "damaged conversations in bulk": Cases(8_600, 880_000),
    "Deepgram conversations": Cases(60, 5_000),
    "Realtime conversations": Cases(60, 5_000),
    "Kaldi conversations": Cases(40, 3_000),
    "deepspeech and sherpa conversations": Cases(40, 3_000),
    "Deepgram queries": Cases(150, 10_000),
    "queries of a native stream": Cases(250, 10_000),
    "/stt requests": Cases(250, 10_000),
    "OpenAI forms": Cases(250, 10_000),
    "damaged audio files": Cases(400, 40_000),
    "websocket frames": Cases(100, 3_000),
    "malformed requests": Cases(150, 10_000),
    "engines told anything": Cases(50, 1_500),
    "cuts of raw audio": Cases(250, 10_000),
    "sounds through the recogniser": Cases(30, 1_500),
    "manifests with anything anywhere": Cases(150, 5_000),
    "damaged bundles": Cases(100, 5_000),
    "damaged settings files": Cases(100, 5_000),
    "arguments and variables": Cases(100, 5_000),
    "requests drawn from the description": Cases(20, 400),  # for each route
    "forms with speech, right and wrong": Cases(50, 500),
}

played: Final[Counter[str]] = Counter()
spent_s: Final[dict[str, float]] = defaultdict(float)


def wanted(name: str, *, nightly: bool) -> int:
    return BUDGET[name].nightly if nightly else BUDGET[name].normal


def drawn(name: str, *, nightly: bool, steps: int = 50) -> settings:
    """Settings for a fuzz, `steps` for a state machine. Without a deadline: a busy machine is no fault."""
    return settings(
        max_examples=wanted(name, nightly=nightly),
        derandomize=not nightly,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        stateful_step_count=steps,
    )


@contextmanager
def counted(name: str, *, nightly: bool, at_least: int | None = None) -> Iterator[None]:
    """A fuzz, which must play all the cases it is meant to; `at_least` where there are not so many different ones."""
    before, began = played[name], time.perf_counter()
    yield
    spent_s[name] += time.perf_counter() - began
    due = wanted(name, nightly=nightly) if at_least is None else at_least
    assert played[name] - before >= due, f"{name}: only {played[name] - before} cases"


def play(name: str, case: Callable[[str], None], *, nightly: bool) -> None:
    """All cases of a fuzz that draws from a seed of its own; a failure says which. hypothesis is not fast for all."""
    run = random.SystemRandom().getrandbits(32) if nightly else 1
    with counted(name, nightly=nightly):
        for number in range(wanted(name, nightly=nightly)):
            seed = f"{run}:{number}"
            try:
                case(seed)
            except BaseException as error:
                error.add_note(f"this case of {name!r} has the seed {seed!r}")
                raise
            played[name] += 1
