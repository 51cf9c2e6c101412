"""What somebody answers, checked and brought into the form in which answers are compared. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stt_server.errors import BadInput
from stt_server.speech.text import normalize
from stt_server.store.rights import Verdict

MAX_TEXT: Final = 2000  # letters; the longest utterance has 30 s


@dataclass(frozen=True, slots=True)
class Ballot:
    """A verdict on a clip. `normal_text` is None where the verdict names no words."""

    verdict: Verdict
    text: str | None = None
    normal_text: str | None = None


def heard_in(hypothesis: str) -> str:
    """What the model heard, in normal form; a model may write what our alphabet cannot spell."""
    return normalize(hypothesis, drop_unspellable=True)


def fill_in(verdict: Verdict, text: str | None, hypothesis: str | None) -> Ballot:
    """A ballot; the hypothesis is None where it was not shown. Raises BadInput for an answer that says nothing."""
    if verdict is Verdict.RIGHT:
        return _as_heard(hypothesis)
    if verdict is Verdict.CORRECTED:
        return _as_written(text or "")
    return Ballot(verdict)


def _as_heard(hypothesis: str | None) -> Ballot:
    if hypothesis is None:
        raise BadInput("What was heard was not shown to you; write what you hear.", field="verdict")
    if not (normal := heard_in(hypothesis)):
        raise BadInput("Nothing was heard in this clip, so that cannot be right: say noise, or write.", field="verdict")
    return Ballot(Verdict.RIGHT, hypothesis, normal)


def _as_written(text: str) -> Ballot:
    if "\0" in text:  # which PostgreSQL cannot keep
        raise BadInput("The text has a character with the code 0.", field="text")
    if len(text) > MAX_TEXT:
        raise BadInput(f"The text is longer than {MAX_TEXT} letters.", field="text")
    try:
        normal = normalize(text)
    except BadInput as error:
        raise BadInput(f"The text has letters that we {error.message}.", field="text") from error
    if not normal:
        raise BadInput("The text has no words: write what you hear, or say noise or unclear.", field="text")
    return Ballot(Verdict.CORRECTED, text, normal)
