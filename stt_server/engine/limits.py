"""How much an engine takes on: every bound and deadline of the way between a session and the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server, however many engines it has; only the queues are counted per engine or per stream."""

    max_streams: int = 64  # live streams at once
    max_uploads: int = 8  # uploads at once
    max_stream_s: float = 3600.0  # audio of one stream in all
    max_queue_s: float = 10.0  # audio of one stream that waits
    max_engine_queue_s: float = 320.0  # audio of all streams of one engine that waits: 10 MB at 16 kHz s16le
    max_queue_pieces: int = 1024  # commands of one stream that wait: tiny frames and floods of Flush cost memory too
    max_events: int = 1024  # events of one stream that wait for its reader
    max_batch: int = 64  # streams in one call of the model
    gather_s: float = 0.03  # from one batch's beginning to the next, so that streams come together
    lag_notice_ms: int = 500  # a live stream this far behind is told so
    max_lag_ms: int = 1000  # beyond this, smoothed, new live streams are refused; see `load`
    max_load: float = 0.9  # the share of an engine's time that its live streams may need
    hang_timeout_s: float = 20.0  # a turn of the thread that takes longer counts as a hang
    send_timeout_s: float = 10.0  # a sender waits this long for room
    write_timeout_s: float = 10.0  # a reader may leave events untaken this long
    retry_after_s: float = 2.0  # what the refused are told
