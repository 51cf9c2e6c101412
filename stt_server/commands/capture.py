"""Where `earloop mic` gets its audio: a microphone by one of three ways, or a file in its place.

    sounddevice     where `pip install sounddevice` was run; its PortAudio knows every system
    arecord, parec  programs of ALSA and PulseAudio, found on most Linux machines

Each source is s16le mono at `RATE` in an asynchronous generator that ends when `stop` is set or the audio is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import Unavailable, Unsupported
from stt_server.speech.sniff import sniff

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

RATE: Final = 16_000
FRAME_MS: Final = 40
FRAME_BYTES: Final = RATE * FRAME_MS // 1000 * 2
END_S: Final = 2.0  # a recorder that was asked to end gets this long
SELF_EVIDENT: Final = {"wav", "flac", "ogg", "aiff"}  # raw samples may look like mp3, never like these
HELD_FRAMES: Final = 10_000 // FRAME_MS  # ten seconds of sound may wait for a slow server

RECORDERS: Final = {
    "arecord": ("-q", "-t", "raw", "-f", "S16_LE", "-r", str(RATE), "-c", "1"),
    "parec": ("--raw", "--format=s16le", f"--rate={RATE}", "--channels=1", f"--latency-msec={FRAME_MS}"),
}
DEVICE_OPTION: Final = {"arecord": ("-D",), "parec": ("-d",)}


def microphone(device: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Frames of the microphone, of the one called `device` unless that is empty.

    Raises Unsupported when there is no way to record; Unavailable, while iterating, when recording fails.
    """
    if find_spec("sounddevice"):
        return _by_sounddevice(device, stop)
    for program, arguments in RECORDERS.items():
        if shutil.which(program):
            chosen = (*DEVICE_OPTION[program], device) if device else ()
            return _by_program([program, *arguments, *chosen], stop)
    raise Unsupported(
        "Nothing here can record: run `pip install sounddevice`, or install arecord (alsa-utils) or parec "
        "(pulseaudio-utils); --input takes a file instead."
    )


async def from_file(path: Path, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """The samples of an audio file of any kind, as fast as the server takes them. Raises NotFound and BadAudio."""
    data = await asyncio.to_thread(_decoded, path)
    for start in range(0, len(data), FRAME_BYTES):
        if stop.is_set():
            return
        yield data[start : start + FRAME_BYTES]


async def from_standard_input(stop: asyncio.Event) -> AsyncIterator[bytes]:
    """Raw samples as they come, so that a pipe is heard while it speaks, or an audio file that says what it is."""
    piece = await asyncio.to_thread(_read_pipe)
    if sniff(piece[:64]) in SELF_EVIDENT:
        while more := await asyncio.to_thread(_read_pipe):
            piece += more
        yield await asyncio.to_thread(_decoded, piece)
        return
    while piece and not stop.is_set():
        yield piece
        piece = await asyncio.to_thread(_read_pipe)


def _read_pipe() -> bytes:
    return os.read(sys.stdin.fileno(), FRAME_BYTES)


def _decoded(source: Path | bytes) -> bytes:
    from stt_server.speech.files import read_audio
    from stt_server.speech.pcm import to_int16

    return to_int16(read_audio(source, RATE)).tobytes()


async def _by_program(command: list[str], stop: asyncio.Event) -> AsyncIterator[bytes]:
    """What a program writes on its standard output. It lives in a session of its own, so that Ctrl-C is ours alone."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, start_new_session=True)
    assert process.stdout
    stopping = asyncio.create_task(_end_when(stop, process))
    try:
        while frame := await process.stdout.read(FRAME_BYTES):
            yield frame
        if not stop.is_set():
            raise Unavailable(f"{command[0]} stopped recording: {await _complaint(process)}")
    except (GeneratorExit, asyncio.CancelledError):
        stop.set()
        await stopping
        raise
    finally:
        stopping.cancel()
        await _gone(process)


async def _end_when(stop: asyncio.Event, process: Process) -> None:
    """Ask a program to end, once: a second signal would take its exit status away from asyncio."""
    await stop.wait()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


async def _gone(process: Process) -> None:
    try:
        async with asyncio.timeout(END_S):
            await process.communicate()
    except TimeoutError:
        process.kill()


async def _complaint(process: Process) -> str:
    """The last line of a program's standard error."""
    assert process.stderr
    lines = (await process.stderr.read(4096)).decode(errors="replace").strip().splitlines()
    return f"{lines[-1]}; name another device with --device." if lines else "it gave no reason; is a device plugged in?"


async def _by_sounddevice(device: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """PortAudio calls from a thread of its own; frames cross to the loop through a bounded queue."""
    sounddevice: Any = import_module("sounddevice")  # no dependency of ours, so a type checker may not know it
    loop, frames = asyncio.get_running_loop(), asyncio.Queue[bytes](HELD_FRAMES)

    def arrived(data: Any, *_about: object) -> None:
        loop.call_soon_threadsafe(_hold, frames, bytes(data))

    try:
        name = int(device) if device.isdigit() else device or None
        form = {"samplerate": RATE, "channels": 1, "dtype": "int16", "blocksize": RATE * FRAME_MS // 1000}
        with sounddevice.RawInputStream(device=name, callback=arrived, **form):
            async for frame in _until(stop, frames):
                yield frame
    except (sounddevice.PortAudioError, ValueError) as error:
        raise Unavailable(f"The microphone cannot be used: {error}; name another with --device.") from error


def _hold(frames: asyncio.Queue[bytes], frame: bytes) -> None:
    """Keep a frame; when ten seconds wait already, the oldest gives way: what is said now matters more."""
    if frames.full():
        frames.get_nowait()
    frames.put_nowait(frame)


async def _until(stop: asyncio.Event, frames: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    """Frames as they come, until `stop`. A device that gives none for five seconds is lost."""
    while not stop.is_set():
        try:
            async with asyncio.timeout(5):
                yield await frames.get()
        except TimeoutError as error:
            raise Unavailable("The microphone gave no sound for 5 s; is it still plugged in?") from error
