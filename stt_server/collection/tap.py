"""What one stream of somebody who agreed has sent lately, so that an utterance can be cut out of it at its final.

    took ──► ring of the last seconds, as it came ──┐
    said: Final ────────────────────────────────────┴──► Take: its pieces, and what was heard ──► offer

This runs on the event loop, between a client and its answer, so it only keeps and hands over references to bytes that
are there anyway: nothing is copied, decoded or written. The ring holds an utterance of the longest kind and what may
still wait for the model behind it; where a stream is so dense that this would be more than `MOST_BYTES`, the beginning
of a long utterance is lost, and with it the clip.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from stt_server.messages import Final as Utterance
from stt_server.messages import Finished
from stt_server.speech.pcm import AudioFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.collection.keeping import Basis, Heard
    from stt_server.messages import Event, Open

LEAD_S: Final = 0.3  # an utterance's first sound may be below what counts as speech
TAIL_S: Final = 0.2
MOST_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Take:
    """An utterance as it was sent: raw audio in pieces, of which the first `skip` bytes and the end are not its own."""

    pieces: tuple[bytes, ...] = field(repr=False)
    skip: int
    size: int  # bytes of audio
    form: AudioFormat
    basis: Basis
    heard: Heard
    protocol: str
    device: str
    session: str

    @property
    def held(self) -> int:
        """Bytes that it keeps in memory: pieces are whole messages, of which it may be a small part."""
        return sum(map(len, self.pieces))


class Tap:
    """The witness of one session. `heard` says what recognises, `basis` at each final whether it may still be kept."""

    def __init__(
        self,
        session: str,
        options: Open,
        *,
        longest_s: float,
        share: float,
        heard: Heard,
        device: str,
        basis: Callable[[], Basis | None],
        offer: Callable[[Take], object],
        lost: Callable[[str], None],
    ) -> None:
        spec = options.audio
        self._form = AudioFormat(spec.encoding, spec.sample_rate, spec.channels)
        self._session, self._protocol, self._device = session, options.protocol, device
        self._share = share
        self._heard = heard
        self._basis, self._offer, self._lost = basis, offer, lost
        self._room = min(self._bytes(longest_s), MOST_BYTES)
        self._pieces: deque[bytes] = deque()
        self._begin = 0  # where the ring begins and ends, in bytes of the stream
        self._end = 0

    def took(self, data: bytes) -> None:
        self._pieces.append(data)
        self._end += len(data)
        self._forget(self._end - self._room)

    def said(self, event: Event) -> None:
        if isinstance(event, Utterance):
            if event.text and (self._share >= 1.0 or random.random() < self._share):
                self._cut(event)
            self._forget(self._bytes(event.end_s - LEAD_S))
        elif isinstance(event, Finished):
            self._pieces.clear()

    def _cut(self, final: Utterance) -> None:
        basis = self._basis()
        if basis is None:
            return
        begin = max(0, self._bytes(final.start_s - LEAD_S))
        end = min(self._end, self._bytes(final.end_s + TAIL_S))
        if begin < self._begin or end <= begin:
            self._lost("long")
            return
        from_s = begin / self._form.bytes_per_second
        words = tuple(replace(w, start_s=max(0.0, w.start_s - from_s), end_s=w.end_s - from_s) for w in final.words)
        heard = replace(self._heard, text=final.text, words=words, greedy=final.greedy)
        pieces, skip = self._between(begin, end)
        self._offer(
            Take(pieces, skip, end - begin, self._form, basis, heard, self._protocol, self._device, self._session)
        )

    def _between(self, begin: int, end: int) -> tuple[tuple[bytes, ...], int]:
        """The pieces in which these bytes lie, and how far into the first they begin."""
        found: list[bytes] = []
        skip, at = 0, self._begin
        for piece in self._pieces:
            if at < end and at + len(piece) > begin:
                skip = skip if found else begin - at
                found.append(piece)
            at += len(piece)
        return tuple(found), max(0, skip)

    def _forget(self, before: int) -> None:
        """Let go of whole pieces that end before that byte of the stream."""
        while self._pieces and self._begin + len(self._pieces[0]) <= before:
            self._begin += len(self._pieces.popleft())

    def _bytes(self, seconds: float) -> int:
        """Where a moment lies in the stream: at the beginning of a sample."""
        return round(seconds * self._form.sample_rate) * self._form.frame_bytes
