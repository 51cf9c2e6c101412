r"""Frames of the Wyoming protocol (OHF-Voice/wyoming, event.py), without a socket.

    {"type":"audio-chunk","version":"1.10.2","data_length":42,"payload_length":640}\n     the header: one line of JSON
    {"rate":16000,"width":2,"channels":1}                                                data_length bytes of JSON
    …                                                                                    payload_length bytes

Data may as well stand in the header, as `data`; where both have a key, the one behind the header counts. The library
writes data behind the header; all of its versions read both.

After a header that is none the next one cannot be found: the fault ends the connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, TooLarge
from stt_server.protocols.codec import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_HEADER_BYTES: Final = 1 << 16  # what the library's own reader takes
MAX_DATA_BYTES: Final = 1 << 18  # thousands of names to listen for
MAX_PAYLOAD_BYTES: Final = 1 << 20  # 4 s of stereo at 48 kHz are 750 KiB


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as the wire has it. `version` is that of the library that wrote it, "" where it says none."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""
    version: str = ""

    def encode(self) -> bytes:
        """The bytes to send. We say no version: there is none of the protocol, only of one library."""
        header: dict[str, Any] = {"type": self.type}
        data = json.dumps(self.data, ensure_ascii=False).encode() if self.data else b""
        if data:
            header["data_length"] = len(data)
        if self.payload:
            header["payload_length"] = len(self.payload)
        return json.dumps(header).encode() + b"\n" + data + self.payload


@dataclass(frozen=True, slots=True)
class _Header:
    type: str
    version: str
    data: dict[str, Any]
    data_bytes: int
    payload_bytes: int


class Frames:
    """What comes from a client, cut anywhere, as frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # bytes of it in which no header ends
        self._header: _Header | None = None  # of the frame whose rest has not come

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are whole with these bytes. Raises BadInput and TooLarge behind those before the fault."""
        self._buffer += received
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        header = self._header = self._header or self._read_header()
        if header is None or len(self._buffer) < header.data_bytes + header.payload_bytes:
            return None
        data, payload = self._take(header.data_bytes), self._take(header.payload_bytes)
        self._header = None
        merged = {**header.data, **_object(data, "The data behind a header")} if data else header.data
        return Frame(header.type, merged, payload, header.version)

    def _read_header(self) -> _Header | None:
        end = self._buffer.find(b"\n", self._searched)
        if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEADER_BYTES:
            raise TooLarge(f"A header is one line of at most {MAX_HEADER_BYTES} bytes.")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        self._searched = 0
        return _header(_object(self._take(end + 1), "A header"))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _header(said: dict[str, Any]) -> _Header:
    kind, version, data = said.get("type"), said.get("version"), said.get("data")
    if not isinstance(kind, str):
        raise BadInput("A header must name the event's type.", field="type")
    if data is not None and not isinstance(data, dict):
        raise BadInput("A header's data must be an object.", field="data")
    return _Header(
        kind,
        version if isinstance(version, str) else "",
        data or {},
        _length(said, "data_length", MAX_DATA_BYTES),
        _length(said, "payload_length", MAX_PAYLOAD_BYTES),
    )


def _length(said: dict[str, Any], name: str, most: int) -> int:
    length = said.get(name)
    if length is None:
        return 0
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise BadInput(f"{name} must be a number of bytes.", field=name)
    if length > most:
        raise TooLarge(f"{name} may be {most} at most; send audio in shorter chunks.", field=name)
    return length


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        return parse_object(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadInput(f"{what} is no UTF-8.") from None
    except BadInput as error:
        raise BadInput(f"{what} is no JSON object: {error.message}") from error
