"""How far a shadow's words are from those that were answered. Only counts come out of here.

The two models end their utterances at different places, so the shadow's words are dealt out to the answered utterances
by their times: each word belongs to that answered utterance whose stretch of time holds its middle, and a stretch ends
half-way to the next utterance. Words are compared as they stand.
"""

from __future__ import annotations

from bisect import bisect
from itertools import pairwise
from typing import TYPE_CHECKING

from stt_server.speech.wer import count_errors
from stt_server.store.shadow_days import Figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.messages import Final


def disagreement(answered: Sequence[Final], shadow: Sequence[Final]) -> Figures:
    """Of one session's finals, in order. An utterance that both left empty is none."""
    spoken = [final for final in answered if final.text] or list(answered[:1])
    pairs = zip((" ".join(final.text.split()) for final in spoken), _dealt(spoken, shadow), strict=True)
    found = [(count_errors([(said, heard)]), said != heard) for said, heard in pairs if said or heard]
    return Figures(
        utterances=len(found),
        differing=sum(differs for _, differs in found),
        words=sum(errors.words for errors, _ in found),
        edits=sum(errors.total for errors, _ in found),
    )


def _dealt(spoken: Sequence[Final], shadow: Sequence[Final]) -> list[str]:
    """The shadow's words for each of the utterances."""
    ends = [(one.end_s + after.start_s) / 2 for one, after in pairwise(spoken)]
    dealt: list[list[str]] = [[] for _ in spoken]
    for word in (word for final in shadow for word in final.words):
        if dealt:
            dealt[bisect(ends, (word.start_s + word.end_s) / 2)].append(word.text)
    return [" ".join(words) for words in dealt]
