"""A process that decodes whatever audio files it is given, so that a crash in a C library is seen and not suffered.

Decoding()          the process, from here
python -m tests.fuzz.decoding     the process itself: a length and so many bytes in, a line of JSON out
"""

from __future__ import annotations

import io
import json
import os
import resource
import select
import struct
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from stt_server.errors import EarloopError
from stt_server.speech.files import open_audio

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_S: Final = 120.0  # of sound, as much as one damaged file is listened to
ANSWER_S: Final = 60.0  # a damaged file of a second's sound takes milliseconds
HEAD: Final = struct.Struct("<I")


@dataclass(frozen=True)
class Outcome:
    """`code` is empty for samples, else the error's; `memory_mb` the most that the process ever held."""

    code: str
    samples: int
    memory_mb: float


class Decoding:
    """The process. `decode` raises AssertionError where it dies, hangs, or meets an error that is not ours."""

    def __init__(self, keep: Path) -> None:
        self._keep = keep  # where a file that did it is left
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.decoding"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def decode(self, data: bytes) -> Outcome:
        process = self._process
        assert process.stdin
        assert process.stdout
        with suppress(BrokenPipeError):  # it has died; reading says so
            process.stdin.write(HEAD.pack(len(data)) + data)
            process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], ANSWER_S)
        line = process.stdout.readline() if ready else b""
        if not line:
            self._fail(data, "the decoder hangs" if process.poll() is None else "the decoder has crashed")
        said = json.loads(line)
        if "fault" in said:
            self._fail(data, said["fault"])
        return Outcome(**said)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(ANSWER_S)

    def _fail(self, data: bytes, what: str) -> None:
        path = self._keep / f"{time.time_ns()}.audio"
        path.write_bytes(data)
        raise AssertionError(f"{what}; the file is {path}, exit status {self._process.poll()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                if pipe:
                    pipe.close()


def main() -> None:
    """Decode until the input ends. What the libraries print by themselves must not come between the answers."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    while head := sys.stdin.buffer.read(HEAD.size):
        data = sys.stdin.buffer.read(HEAD.unpack(head)[0])
        answers.write(json.dumps(_outcome(io.BytesIO(data))) + "\n")


def _outcome(file: BinaryIO) -> dict[str, object]:
    try:
        code, samples = "", _samples(file)
    except EarloopError as error:
        code, samples = error.code, 0
    except BaseException:  # noqa: BLE001 - told to the parent, which fails with it
        return {"fault": traceback.format_exc()}
    return {"code": code, "samples": samples, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _samples(file: BinaryIO) -> int:
    """How many samples there are, block by block, as the server reads them."""
    count = 0
    with open_audio(file) as reader:
        for block in reader.blocks():
            assert block.ndim == 1
            assert len(block) <= 2 * reader.sample_rate
            count += len(block)
            if count > LONGEST_S * reader.sample_rate:
                break
    return count


if __name__ == "__main__":
    main()
