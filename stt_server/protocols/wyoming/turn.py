"""When the one transcript of a request is due, by what has been heard of it.

A client that leaves the end of a command to us gets the transcript at the first silence behind words, before it has
said `audio-stop`; any other when it says that, of all it sent. Both ways a request has one transcript, also of silence.

What a client that waits for us must not suffer:

    the end of the wake word     Home Assistant sends what follows the wake word, and often its last sound. Speech that
                                 is over within `TAIL_S` may be that: it is the command only if no other words follow
                                 within `WAIT_S`, and no part of it if they do.
    a room in which nobody       after `NOTHING_S` without a word the transcript is empty; Home Assistant's own
    speaks                       detector, which is off while we listen, gives up after as long.
    a recording sent at once     has its end where it ends, not at its first pause: what comes faster than it can be
                                 spoken (`live` is False) is heard whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stt_server.messages import Final as Utterance

TAIL_S: Final = 0.76
WAIT_S: Final = 2.0
NOTHING_S: Final = 15.0


@dataclass(slots=True)
class Turn:
    """One request. `early`: its client waits for us to say when the command is over."""

    early: bool
    texts: list[str] = field(default_factory=list)  # of the utterances that had words
    _said_s: float = 0.0  # when the last word of them ended
    _tail: bool = False  # the only one so far may be the end of a wake word
    _speaking: bool = False

    def speaking(self, *, now: bool) -> None:
        self._speaking = now

    def ends_with(self, final: Utterance, *, live: bool) -> bool:
        """Take an utterance in; whether the command is over with it."""
        if not final.text:
            return False
        self.texts.append(final.text)
        self._said_s = final.words[-1].end_s if final.words else final.end_s
        if not (self.early and live):
            return False
        if len(self.texts) == 1 and self._said_s <= TAIL_S:
            self._tail = True
            return False
        if self._tail:
            del self.texts[0]
        return True

    def has_waited(self, heard_s: float, *, live: bool) -> bool:
        """Whether, with so many seconds of audio heard, another word is waited for no longer."""
        if not (self.early and live) or self._speaking:
            return False
        return heard_s >= (self._said_s + WAIT_S if self.texts else NOTHING_S)
