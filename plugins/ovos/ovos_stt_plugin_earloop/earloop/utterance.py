"""One utterance, from the first audio to its text, over as many connections as it takes.

    feed, feed, feed … finish ─► text, or a Failure by the deadline
      │
      └─ all audio is kept until the end. A connection that breaks is dialled again and the stream resumed; a server
         that knows nothing of it any more, since it was restarted, hears the utterance from its beginning

A server that is away is dialled again and again while somebody speaks, since it may be back by the end; after the end
for `retry_s`, but not if it was away for as long already: then the fallback engine shall have its turn at once.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from .failures import Failure, Fault, Late, Refused
from .wire import Connection

if TYPE_CHECKING:
    from .settings import Settings

LOG = logging.getLogger(__name__)

MOST_S = 300.0  # of audio, so that a forgotten stream has an end
PAUSE_S = 0.25  # between two attempts to dial at first
LONGEST_PAUSE_S = 1.0
MOST_FAULTS = 3  # of the server's own over one utterance, which then is not heard again
PIECE_BYTES = 16384
_BYTES_PER_SAMPLE = 2


class Utterance:
    """16-bit mono samples in, text out. `language` may be set anew up to the end: it is heard again then."""

    def __init__(self, settings: Settings, rate: int, *, language: str, hotwords: tuple[str, ...], keep: bool) -> None:
        self.language = language
        self.heard_language = ""  # what the server's model hears
        self._settings = settings
        self._rate = rate
        self._hotwords = hotwords
        self._keep = keep
        self._audio = bytearray()
        self._ended = False
        self._connection: Connection | None = None
        self._forget()
        self._failing_since: float | None = None
        self._dial_at = 0.0
        self._pause_s = PAUSE_S
        self._failure: Failure | None = None  # the last one
        self._faults = 0

    @property
    def seconds(self) -> float:
        return len(self._audio) / (_BYTES_PER_SAMPLE * self._rate)

    def feed(self, audio: bytes) -> None:
        """More audio; never waits longer than for one attempt to dial. Raises Refused, Fault."""
        if self.seconds > MOST_S:
            raise Refused(f"Longer than {MOST_S:g} s is no utterance.")
        self._audio += audio
        self.advance(0.0)

    def advance(self, wait_s: float) -> None:
        """Send what is unsent, hear what is said within `wait_s`. Raises Refused, Fault."""
        try:
            if self._connection is None:
                if time.monotonic() < self._dial_at:
                    time.sleep(min(wait_s, PAUSE_S))
                    return
                self._connect()
            if self._connection is not None:
                self._send_rest()
                self._hear(wait_s)
        except Refused as refused:
            self._reconsider(refused)
        except Failure as failure:
            self._broke(failure)

    def finish(self) -> str:
        """All that was said. Raises Failure."""
        if self._asked_language is not None and _base(self._asked_language) != _base(self.language):
            self._leave()  # the assistant has found out what is spoken only after it began
            self._forget()
        self._ended = True
        began, patience_s = time.monotonic(), self._settings.timeout_s + self._unsent_s
        while not self._finished:
            now = time.monotonic()
            if now - began >= patience_s:
                raise self._failure or Late(f"No text within {patience_s:.1f} s after the last audio.")
            if self._failing_since is not None and now - self._failing_since >= self._settings.retry_s:
                raise self._failure or Late("The server is away.")
            self.advance(min(PAUSE_S, patience_s))
        return " ".join(text for _, text in sorted(self._finals.items()) if text)

    def close(self) -> None:
        self._leave()

    @property
    def _unsent_s(self) -> float:
        return (len(self._audio) - self._sent) / (_BYTES_PER_SAMPLE * self._rate)

    def _forget(self) -> None:
        """Nothing of it was heard yet."""
        self._token = ""
        self._seq = 0
        self._sent = 0
        self._said_finish = False
        self._finished = False
        self._finals: dict[int, str] = {}
        self._asked_language: str | None = None

    def _connect(self) -> None:
        """Leaves `_connection` None where the server knows nothing of the stream any more: all is to be said again."""
        connection = Connection(self._settings, self._settings.connect_s)
        try:
            self._greet(connection)
        except Refused as refused:
            connection.close()
            if not self._token:
                raise
            LOG.warning("The server has lost the stream (%s); the utterance is sent once more.", refused)
            self._forget()
        except Failure:
            connection.drop()
            raise
        else:
            self._connection = connection
            self._failing_since, self._pause_s = None, PAUSE_S

    def _greet(self, connection: Connection) -> None:
        if self._token:
            connection.say("resume", token=self._token, seq=self._seq)
        else:
            self._forget()
            connection.say("open", **self._options())
            self._asked_language = self.language
        said = connection.hear(self._settings.connect_s)
        if said is None:
            raise Late(f"The server took no stream within {self._settings.connect_s:g} s.")
        self._greeted(said)

    def _greeted(self, said: dict[str, Any]) -> None:
        if said["type"] == "resumed":
            self._token, self._sent = said["resume"], said["received_bytes"]
            self._said_finish = said["received_commands"] > 0
            return
        if said["type"] != "ready":
            raise Refused(f"The server began with {said['type']!r}.")
        self._token, self._seq = said.get("resume") or "", said.get("seq", 0)
        self.heard_language = said["language"]

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        asked: dict[str, Any] = {"sample_rate": self._rate, "partials": False, "resumable": True}
        asked["device"] = settings.device or settings.label
        asked.update({"model": settings.model} if settings.model else {})
        asked.update({"language": self.language} if self.language else {})
        asked.update({"hotwords": list(self._hotwords)} if self._hotwords else {})
        asked.update({} if self._keep else {"collect": False})
        return {**settings.options, **asked}

    def _send_rest(self) -> None:
        """As much as the server has shown to keep up with."""
        connection = self._connection
        while connection and connection.has_room and self._sent < len(self._audio):
            piece = bytes(self._audio[self._sent : self._sent + PIECE_BYTES])
            connection.send(piece)
            self._sent += len(piece)
            self._hear(0.0)
        if connection and self._ended and not self._said_finish and self._sent == len(self._audio):
            connection.say("finish")
            connection.ask()
            self._said_finish = True

    def _hear(self, wait_s: float) -> None:
        """All that has come; waits for the first of it alone."""
        while self._connection and not self._finished and (said := self._connection.hear(wait_s)) is not None:
            self._seq = said.get("seq", self._seq)
            if said["type"] == "final":
                self._finals[said["utterance"]] = said["text"]
            self._finished = said["type"] == "finished"
            wait_s = 0.0

    def _reconsider(self, refused: Refused) -> None:
        """A hotword that cannot be spelled must not make an assistant deaf; any other refusal is raised."""
        self._leave()
        if not (refused.field.startswith("hotwords") and self._hotwords):
            raise refused
        LOG.warning("Hotwords are left out: %s", refused)
        self._hotwords = ()

    def _broke(self, failure: Failure) -> None:
        self._leave(politely=False)
        self._failure, now = failure, time.monotonic()
        self._faults += isinstance(failure, Fault)
        if self._faults >= MOST_FAULTS:
            raise failure
        if self._failing_since is None:
            self._failing_since = now
        self._dial_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _leave(self, *, politely: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            (connection.close if politely else connection.drop)()


def _base(tag: str) -> str:
    """`en` of `en-US`."""
    return tag.replace("_", "-").partition("-")[0].lower()
