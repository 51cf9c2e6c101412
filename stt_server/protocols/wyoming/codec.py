"""One connection of a Wyoming client, as pure as every codec: frames in, commands and frames out.

transcribe?  audio-start?  audio-chunk…  audio-stop       a request; a connection may bring any number
describe, ping                                            at any time; types that we do not know are passed over

┌──────┐ first audio ┌───────────┐ audio-stop ┌───────────┐
│ idle ├────────────►│ listening ├───────────►│ finishing │
└─▲──▲─┘             └─────┬─────┘            └─────┬─────┘
  │  │ audio-stop          │ the command is over    │ all was heard
  │  │  ┌──────────┐       │ (turn.py): transcript  │ transcript
  │  └──┤ answered │◄──────┘                        │
  │     └──────────┘   what still comes of it        │
  │                    is passed over                │
  └──────────────────────────────────────────────────┘
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from stt_server.errors import BadOption
from stt_server.messages import Audio, Finish, Finished, Heard, Open, Ready, SpeechStarted, SpeechStopped
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Reply
from stt_server.protocols.wyoming.requests import Format, Narrowing, Wishes
from stt_server.protocols.wyoming.telling import Telling, framed
from stt_server.protocols.wyoming.turn import Turn

if TYPE_CHECKING:
    from stt_server.errors import EarloopError
    from stt_server.messages import Event
    from stt_server.protocols.wyoming.frames import Frame

KNOWS_EARLY: Final = (1, 10)  # versions of the library from which on it says who needs a detector of the client's
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})")

State = Literal["idle", "listening", "finishing", "answered"]


@dataclass(frozen=True, slots=True)
class Describe:
    """The client asks what is here; `info.py` has the answer."""


Item = Open | Audio | Finish | Reply | Describe


class WyomingCodec:
    """With `endpointing`, clients that can know it get the transcript as soon as the command is over.

    While the state is `finishing` no frame may be received: it might be of the next request.
    """

    name = "wyoming"

    def __init__(self, *, endpointing: bool = True) -> None:
        self._endpointing = endpointing
        self.state: State = "idle"
        self.wishes = Wishes()
        self._stated = Format()  # by the last audio-start
        self._format = Format()  # of the audio that is being heard
        self._narrowing = Narrowing(self._format.width)
        self._turn = Turn(early=False)
        self._telling = Telling()

    @property
    def busy(self) -> bool:
        """Whether a request is being heard; when it was and is not any more, its session is of no more use."""
        return self.state in ("listening", "finishing")

    # ------------------------------------------------------------------------------------------------------ from client

    def receive(self, frame: Frame) -> list[Item]:
        """What a frame asks for. Raises BadOption and Unsupported."""
        match frame.type:
            case "describe":
                return [Describe()]
            case "ping":
                text = frame.data.get("text")
                return [Reply(framed("pong", text=text if isinstance(text, str) else None))]
            case "transcribe":
                self._begin_anew()
                self.wishes = Wishes.of(frame.data)
            case "audio-start":
                self._begin_anew()
                self._stated = Format().with_data(frame.data)
            case "audio-chunk":
                return self._audio(frame)
            case "audio-stop":
                return self._stop()
        return []

    def _begin_anew(self) -> None:
        """A request that was answered is over, whether or not its `audio-stop` has come."""
        if self.state == "answered":
            self._end()

    def _audio(self, frame: Frame) -> list[Item]:
        if self.state == "answered" or not frame.payload:
            return []
        said = self._stated.with_data(frame.data)
        did: list[Item] = [] if self.busy else [self._open(said, frame.version)]
        if said != self._format:
            raise BadOption("The audio of a request is of one format; send audio-stop before one of another.")
        return [*did, Audio(self._narrowing.narrow(frame.payload))]

    def _open(self, audio: Format, version: str) -> Open:
        early = self._endpointing and (self.wishes.sensitivity is not None or _may_know(version))
        self.state, self._format, self._narrowing = "listening", audio, Narrowing(audio.width)
        self._turn, self._telling = Turn(early), Telling()
        return self.wishes.options(audio, early=early)

    def _stop(self) -> list[Item]:
        if self.state == "listening":
            self.state = "finishing"
            return [Finish()]
        nothing_came = self.state == "idle"
        self._end()
        return [Reply(frame) for frame in Telling().whole([])] if nothing_came else []

    def _end(self) -> None:
        """What was wished for one request goes for no other."""
        self.state, self.wishes, self._stated = "idle", Wishes(), Format()

    # ------------------------------------------------------------------------------------------------------- to client

    def send(self, event: Event, *, live: bool) -> list[bytes]:
        """What tells the client an event. `live`: its audio has come no faster than it can have been spoken."""
        live = live and self.state == "listening"
        match event:
            case Ready():
                self._telling = Telling(event.language)
            case SpeechStarted(at_s):
                self._turn.speaking(now=True)
                return [framed("voice-started", timestamp=round(at_s * 1000))]
            case SpeechStopped(at_s):
                self._turn.speaking(now=False)
                return [framed("voice-stopped", timestamp=round(at_s * 1000))]
            case Utterance():
                return self._utterance(event, live=live)
            case Heard(audio_s) if self._turn.has_waited(audio_s, live=live):
                return self._answer()
            case Finished():
                return self._answer()
        return []

    def render_error(self, error: EarloopError) -> list[bytes]:
        """What tells it an error. The connection must be closed behind it: old clients know no errors, and wait."""
        return [framed("error", text=error.message, code=error.code)]

    def _utterance(self, final: Utterance, *, live: bool) -> list[bytes]:
        if self._turn.ends_with(final, live=live):
            return self._answer()
        # The first words of one who waits for us may turn out to be the end of the wake word, and no news.
        return [] if self._turn.early else self._telling.news(self._turn.texts)

    def _answer(self) -> list[bytes]:
        """The transcript. Of a request whose `audio-stop` has not come something may follow."""
        if self.state == "finishing":
            self._end()
        else:
            self.state = "answered"
        return self._telling.whole(self._turn.texts)


def _may_know(version: str) -> bool:
    """Whether a client may have been told that we hear the end of a command: not one that writes an old version."""
    found = _VERSION.match(version)
    return found is None or (int(found[1]), int(found[2])) >= KNOWS_EARLY
