"""The events of `stream=true`, as text/event-stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    data: {"type":"transcript.text.delta","delta":"turn on"}
    data: {"type":"transcript.text.delta","delta":" the light"}
    data: {"type":"transcript.text.done","text":"turn on the light","usage":{…}}
    data: [DONE]

A delta is an utterance, sent as soon as it is final: when a pause of the recording ended it, while the rest has still
to be heard. Partials do not become deltas. A delta cannot be taken back, and the final of an utterance is heard again
with the language model, which may correct any of its words. So the deltas always spell the text of `done`, and that is
the text the same request gives without `stream`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stt_server.protocols.openai.answers import logprobs, usage
from stt_server.protocols.openai.refusals import refusal

if TYPE_CHECKING:
    from stt_server.errors import EarloopError
    from stt_server.messages import Final as Utterance
    from stt_server.messages import Transcript

EVENTS: Final = "text/event-stream; charset=utf-8"
DONE: Final = "data: [DONE]\n\n"


class Deltas:
    """One stream's events. `logprobs` asks for those of the words with every delta and with `done`."""

    def __init__(self, *, logprobs: bool = False) -> None:
        self._logprobs = logprobs
        self._said: list[str] = []

    def of(self, final: Utterance) -> str | None:
        """The event of an utterance; none where it has no words."""
        if not final.text:
            return None
        begins = not self._said
        delta = final.text if begins else f" {final.text}"
        self._said.append(delta)
        event = {"type": "transcript.text.delta", "delta": delta}
        return _event(self._with_logprobs(event, logprobs(final.words, begins=begins)))

    def done(self, transcript: Transcript) -> str:
        """The last event but for `DONE`: the deltas joined."""
        event = {"type": "transcript.text.done", "text": "".join(self._said), "model": transcript.model}
        return _event(self._with_logprobs({**event, "usage": usage(transcript)}, logprobs(transcript.words)))

    def _with_logprobs(self, event: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
        return {**event, "logprobs": found} if self._logprobs else event


def failed(error: EarloopError) -> str:
    """The event that ends a stream which went wrong after it had begun: the clients raise on its key `error`."""
    return f"data: {refusal(error)}\n\n"


def _event(said: dict[str, Any]) -> str:
    return f"data: {json.dumps(said, ensure_ascii=False)}\n\n"
