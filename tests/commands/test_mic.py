import asyncio
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_server.commands.bench.server import own_server
from stt_server.speech.files import read_audio, write_flac, write_wav
from stt_server.speech.pcm import to_int16
from tests.bundles import spoken
from tests.client.proxy import Break, proxied

DEADLINE_S = 60
SAID = ("stop", "light")


@pytest.fixture(scope="module")
def url(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with own_server(["--data", str(tmp_path_factory.mktemp("served")), "--model", str(tiny_bundle)], None) as address:
        yield address


def mic(*words: str, **more) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "stt_server.cli", "mic", *words]
    return subprocess.run(command, capture_output=True, timeout=DEADLINE_S, check=False, **more)


def path_with(folder: Path, program: str, script: str) -> dict[str, str]:
    """An environment in which `program` is this shell script, and no other program records."""
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_file_is_printed_as_finals_and_saved_as_it_was_sent(url, tmp_path):
    write_flac(tmp_path / "said.flac", spoken(*SAID))
    done = mic("--url", url, "--input", str(tmp_path / "said.flac"), "--save", str(tmp_path / "kept.wav"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"stop light\n", b"")
    assert abs(read_audio(tmp_path / "kept.wav") - read_audio(tmp_path / "said.flac")).max() < 1e-4


def test_standard_input_may_be_raw_samples_or_a_file(url, tmp_path):
    write_wav(tmp_path / "said.wav", spoken(*SAID))
    for piped in (to_int16(spoken(*SAID)).tobytes(), (tmp_path / "said.wav").read_bytes()):
        assert mic("--url", url, "--input", "-", input=piped).stdout == b"stop light\n"


def test_ctrl_c_ends_the_recording_and_the_last_words_still_come(url, tmp_path):
    """A recorder in arecord's place gives the words, then nothing, as a microphone in a silent room that is muted."""
    (tmp_path / "said.raw").write_bytes(to_int16(spoken(*SAID)).tobytes())
    script = f'cat "{tmp_path}/said.raw"; echo "$@" > "{tmp_path}/asked"; exec sleep 60'
    environment = path_with(tmp_path, "arecord", script)
    command = [sys.executable, "-m", "stt_server.cli", "mic", "--url", url, "--device", "hw:1", "--save"]
    with subprocess.Popen(
        [*command, str(tmp_path / "kept.wav")], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(tmp_path / "asked", process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out, err) == (0, b"stop light\n", b"")
    assert (tmp_path / "asked").read_text().split()[-2:] == ["-D", "hw:1"]
    with wave.open(str(tmp_path / "kept.wav")) as kept:
        assert kept.getnframes() == len(spoken(*SAID))


async def test_a_connection_that_breaks_costs_no_word(url, tmp_path):
    write_flac(tmp_path / "said.flac", spoken(*SAID * 2))
    command = [sys.executable, "-m", "stt_server.cli", "mic", "--input", str(tmp_path / "said.flac")]
    async with proxied(int(url.rpartition(":")[2])) as proxy, asyncio.timeout(DEADLINE_S):
        proxy.plan = [Break("up", 30_000), Break("up", 30_000)]
        process = await asyncio.create_subprocess_exec(*command, "--url", proxy.url, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
    assert (process.returncode, proxy.connections >= 3) == (0, True)
    assert out.split() == " ".join(SAID * 2).encode().split()


def test_a_server_that_asks_for_a_key_takes_the_one_in_a_file_and_no_other(tiny_bundle, tmp_path):
    write_flac(tmp_path / "said.flac", spoken(*SAID))
    create = [sys.executable, "-m", "stt_server.cli", "keys", "create", "--name", "me"]
    environment = {**os.environ, "EARLOOP_DATA": str(tmp_path / "data")}
    made = subprocess.run(create, capture_output=True, timeout=DEADLINE_S, check=True, env=environment)
    (tmp_path / "key").write_bytes(made.stdout)
    with own_server(["--data", str(tmp_path / "data"), "--model", str(tiny_bundle)], None) as address:
        asked = ["--url", address, "--input", str(tmp_path / "said.flac")]
        assert mic(*asked).returncode == 8
        assert mic(*asked, "--key", "el_wrong").returncode == 8
        assert mic(*asked, "--key", f"@{tmp_path}/key").stdout == b"stop light\n"
        assert mic(*asked, "--key", f"@{tmp_path}/nothing").returncode == 3


def test_a_recorder_that_fails_is_quoted(url, tmp_path):
    environment = path_with(tmp_path, "arecord", "echo 'audio open error: Device busy' >&2; exit 1")
    done = mic("--url", url, env=environment)
    assert done.returncode == 7
    assert b"Device busy" in done.stderr
    assert b"--device" in done.stderr


def test_without_a_server_it_says_how_to_start_one(unused_tcp_port, tmp_path):
    write_wav(tmp_path / "said.wav", spoken("yes"))
    done = mic("--url", f"127.0.0.1:{unused_tcp_port}", "--input", str(tmp_path / "said.wav"))
    assert done.returncode == 7
    assert b"earloop serve" in done.stderr


def test_a_model_the_server_does_not_run_is_refused_in_its_words(url, tmp_path):
    write_wav(tmp_path / "said.wav", spoken("yes"))
    done = mic("--url", url, "--model", "huge", "--input", str(tmp_path / "said.wav"))
    assert done.returncode == 2
    assert b"huge" in done.stderr


def test_a_folder_that_is_not_there_cannot_be_saved_into(tmp_path):
    done = mic("--save", str(tmp_path / "nowhere" / "kept.wav"), "--input", "-", input=b"")
    assert done.returncode == 3
    assert b"nowhere" in done.stderr


def wait_for(file: Path, process: subprocess.Popen) -> None:
    """Until the recorder has given all its words; a process that ends before fails the test."""
    while not file.exists() or not file.read_text():
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.communicate()[1])
