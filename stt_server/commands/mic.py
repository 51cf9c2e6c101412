"""`earloop mic`: speak, and read it on the terminal; the server does the work.

Partials are rewritten in place on a terminal (standard error), finals are lines of standard output, so that
`earloop mic | tee notes.txt` keeps what was said and nothing else. Ctrl-C ends the recording; the last words still
come. A connection that breaks is replaced while the recording goes on.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import wave
from contextlib import ExitStack, nullcontext
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands import capture
from stt_server.commands.credential import Key, key_of
from stt_server.errors import NotFound
from stt_server.messages import Behind, Final, Open, Partial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager

    Frames = Callable[[asyncio.Event], AsyncIterator[bytes]]

CLEAR_LINE = "\r\x1b[K"


def mic(
    url: Annotated[str, typer.Option(help="The server to speak to.")] = "http://127.0.0.1:2700",
    device: Annotated[str, typer.Option(help="Microphone, as sounddevice, arecord or parec names it.")] = "",
    save: Annotated[Path | None, typer.Option(help="Write what was recorded into this wav file.")] = None,
    model: Annotated[str, typer.Option(help="Model to ask for; the server's own by default.")] = "",
    key: Key = "",
    source: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="Read a file, or - (raw s16le, 16 kHz), instead.")
    ] = None,
) -> None:
    """Send the microphone to a running server and print what it hears, until Ctrl-C."""
    options = Open("native", model=model or None, resumable=True)
    with _saving(save) as recording:
        asyncio.run(_listen(url, options, key_of(key), _frames_of(device, source), recording))


async def _listen(
    url: str, options: Open, key: str | None, frames_until: Frames, recording: wave.Wave_write | None
) -> None:
    from stt_server.client import connect

    stop = asyncio.Event()
    frames = frames_until(stop)
    async with await connect(url, options, key=key) as stream:
        with _on_interrupt(stop):
            _hint(f"{stream.ready.model} listens; Ctrl-C ends.")
            async for event in stream.converse(_recorded(frames, recording)):
                show(event)


def _frames_of(device: str, source: Path | None) -> Frames:
    """What gives the audio of a source, until it is told to stop."""
    if source is None:
        return lambda stop: capture.microphone(device, stop)
    if str(source) == "-":
        return capture.from_standard_input
    return lambda stop: capture.from_file(source, stop)


async def _recorded(frames: AsyncIterator[bytes], recording: wave.Wave_write | None) -> AsyncIterator[bytes]:
    async for frame in frames:
        if recording:
            recording.writeframesraw(frame)
        yield frame


def show(event: object) -> None:
    """Print a final, rewrite a partial, say that the server lags or was away; nothing for the rest."""
    from stt_server.client import Reconnected

    if isinstance(event, Final):
        _rewrite("")
        if event.text:
            typer.echo(event.text)
    elif isinstance(event, Partial):
        _rewrite(event.text)
    elif isinstance(event, Behind):
        _rewrite(f"… the server is {event.lag_ms} ms behind")
    elif isinstance(event, Reconnected):
        _rewrite(f"… the connection broke for {event.away_s:.1f} s and is back; nothing is lost")


def _rewrite(text: str) -> None:
    """Put text in place of the terminal's line, its end where it is longer; nothing when there is no terminal."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        typer.echo(CLEAR_LINE + text[-width:], nl=False, err=True)


def _hint(text: str) -> None:
    if sys.stderr.isatty():
        typer.echo(text, err=True)


def _on_interrupt(stop: asyncio.Event) -> ExitStack:
    """The first Ctrl-C sets `stop`, a second ends the program at once."""
    loop, stack = asyncio.get_running_loop(), ExitStack()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    stack.callback(loop.remove_signal_handler, signal.SIGINT)
    return stack


def _saving(path: Path | None) -> AbstractContextManager[wave.Wave_write | None]:
    """The wav file to record into. Raises NotFound when its folder is not there."""
    if path is None:
        return nullcontext()
    if not path.absolute().parent.is_dir():
        raise NotFound(f"There is no folder {path.absolute().parent} to save {path.name} in; make it first.")
    recording = wave.open(str(path), "wb")  # noqa: SIM115 - closed by the caller's `with`
    recording.setnchannels(1)
    recording.setsampwidth(2)
    recording.setframerate(capture.RATE)
    return recording
