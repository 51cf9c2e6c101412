"""Logs are events with keys: `log.info("stream_opened", stream=7, protocol="native")`.

One line each, as text for a person or as JSON for a collector:

    2026-11-20T10:00:00.123Z INFO engine stream_opened stream=7 protocol=native
    {"at": "2026-11-20T10:00:00.123Z", "level": "info", "part": "engine", "event": "stream_opened", "stream": 7, …}

Never audio, never what somebody said: keys that would carry either are withheld here, whatever the caller passes, and
only the length is kept. A traceback (`log.exception`) holds source lines but no values.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | float | bool | None

ROOT = "earloop"
_PRIVATE = frozenset({"alternatives", "audio", "hotwords", "partial", "pcm", "phrase", "text", "transcript", "words"})


class EventLog:
    """The log of one part of the program. Cheap to make; holds nothing but its name."""

    __slots__ = ("_logger",)

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"{ROOT}.{part}")

    def debug(self, event: str, **keys: Value) -> None:
        self._write(logging.DEBUG, event, keys)

    def info(self, event: str, **keys: Value) -> None:
        self._write(logging.INFO, event, keys)

    def warning(self, event: str, **keys: Value) -> None:
        self._write(logging.WARNING, event, keys)

    def error(self, event: str, **keys: Value) -> None:
        self._write(logging.ERROR, event, keys)

    def exception(self, event: str, **keys: Value) -> None:
        """An error with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, keys, traceback=True)

    def _write(self, level: int, event: str, keys: Mapping[str, Value], *, traceback: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=traceback, extra={"keys": _withhold(keys)})


def _withhold(keys: Mapping[str, Value]) -> dict[str, Value]:
    return {name: f"<withheld, {len(str(value))}>" if name in _PRIVATE else value for name, value in keys.items()}


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        keys: Mapping[str, Value] = getattr(record, "keys", {})
        head = f"{_at(record)} {record.levelname} {_part(record)} {record.getMessage()}"
        line = " ".join([head, *(f"{name}={_plain(value)}" for name, value in keys.items())])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Value] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "part": _part(record),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "keys", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _at(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _part(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{ROOT}.")


def _plain(value: Value) -> str:
    """A value as text shows it: quoted where a blank, a quote or a line break would make the line ambiguous."""
    if isinstance(value, float):
        return f"{value:.6g}"
    word = str(value)
    return word if word.isprintable() and not set(word) & set(' "=') and word else json.dumps(word, ensure_ascii=False)


def configure(level: str = "info", *, as_json: bool = False, stream: IO[str] | None = None) -> None:
    """Send every event of this process, and what libraries log, to `stream` (standard error unless given)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if as_json else _TextLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # libraries: warnings only
    logging.getLogger(ROOT).setLevel(level.upper())
