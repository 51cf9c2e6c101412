"""What audio file begins with these bytes, and is its wav header whole? By content alone, without a decoder."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from stt_server.errors import BadAudio, Unsupported

if TYPE_CHECKING:
    from typing import BinaryIO

UNDERSTOOD = "send wav, aiff, flac, ogg (opus, vorbis, flac), mp3; with the extra `av` also mp4, m4a, webm, mpeg, aac"

_MAGIC = [
    (0, b"RIFF", "wav"),
    (0, b"RF64", "wav"),
    (0, b"FORM", "aiff"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (0, b"\x1aE\xdf\xa3", "webm"),
    (4, b"ftyp", "mp4"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b".snd", "au"),
    (0, b"#!AMR", "amr"),
    (0, b"caff", "caf"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "wma"),
]
_READ = {"wav", "aiff", "flac", "ogg", "mp3", "mp4", "webm", "mpeg", "aac"}
_OGG_CODECS = {b"OpusHead": "opus", b"\x01vorbis": "vorbis", b"\x7fFLAC": "flac"}

_MAX_WAV_CHUNKS = 64


def sniff(head: bytes) -> str:
    """Name of the container or codec that these first bytes (64 are enough) begin, or "" when they are none known."""
    for offset, magic, name in _MAGIC:
        if head[offset:].startswith(magic):
            return name
    return _mpeg_kind(head)


def container_of(head: bytes, name: str) -> str:
    """The kind of a file we read by its first 64 bytes: `wav`, `flac`, `ogg/opus`, …

    Raises `Unsupported` saying what was seen and what is understood. `name` is what messages call the file.
    """
    if not head:
        raise BadAudio(f"{name}: empty; {UNDERSTOOD}", field="samples")
    kind = sniff(head)
    if kind == "ogg":
        codecs = [codec for mark, codec in _OGG_CODECS.items() if head[28:].startswith(mark)]
        if not codecs:
            raise Unsupported(f"{name}: an ogg file with a codec we do not read; {UNDERSTOOD}")
        return f"ogg/{codecs[0]}"
    if kind not in _READ:
        seen = f"looks like {kind}" if kind else f"begins with {head[:8]!r}, which is no audio file we know"
        raise Unsupported(f"{name}: {seen}; {UNDERSTOOD}")
    return kind


def open_ended_size(stream: BinaryIO, name: str) -> int | None:
    """Check that a wav header is whole; where its data size stands if that is 0 and yet samples follow, as from a pipe.

    Sizes beyond the end of the file, such as 0xFFFFFFFF from a pipe, libsndfile already reads as "to the end".
    """
    end = stream.seek(0, io.SEEK_END)
    stream.seek(4)
    riff_size, form = int.from_bytes(stream.read(4), "little"), stream.read(4)
    if end >= 12 and form != b"WAVE":
        raise Unsupported(f"{name}: a RIFF file but not wav; {UNDERSTOOD}")
    at = 12
    for _ in range(_MAX_WAV_CHUNKS):
        stream.seek(at)
        chunk = stream.read(8)
        if len(chunk) < 8:
            raise BadAudio(f"{name}: the wav file is cut inside its header, after {end} bytes")
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            stated_whole = riff_size + 8 == end  # really empty, with other chunks behind
            return at + 4 if size == 0 and end > at + 8 and not stated_whole else None
        at += 8 + size + size % 2
    raise BadAudio(f"{name}: the wav header has no data among its first {_MAX_WAV_CHUNKS} chunks")


def _mpeg_kind(head: bytes) -> str:
    """mp3 or aac by the fields of a frame header (ISO 11172-3, 13818-7): 11 sync bits, then version and layer."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return ""
    layer, bitrate, rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if layer == 0:
        return "aac" if head[1] & 0xF0 == 0xF0 else ""
    return "mp3" if bitrate != 15 and rate != 3 else ""
