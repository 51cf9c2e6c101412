"""The image built and run by a real engine, as docker/README.md tells people to: `docker` and its compose on PATH.

Everything goes by `docker compose` over a copy of the tracked files, under a project name and at a port of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openai
import pytest
import soundfile

from stt_server.client import connect, recognize
from stt_server.messages import AudioSpec, Final, Finished, Open, Partial
from stt_server.speech.bundle import read_manifest, shipped
from tests.recordings import recording

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
MAX_BYTES = 600_000_000
BUILD_S = 1500
PATIENCE_S = 60
KEY = re.compile(r"\bel_[0-9a-f]{16}_\S+")

GOLDEN = read_manifest(shipped()).golden
SAMPLES, RATE = soundfile.read(shipped() / GOLDEN.path, dtype="float32")
PCM = (SAMPLES * 32767).astype(np.int16).tobytes()
OPTIONS = Open("native", AudioSpec(sample_rate=RATE))

# Of every module that the server has loaded: is its byte code there, and of this very source?
STALE = """
import importlib.util, os, struct, sys
import stt_server.commands.keys, stt_server.commands.serve, kenlm, pyctcdecode, av, uvloop
for name, module in sorted(sys.modules.items()):
    source, cached = getattr(module, "__file__", None) or "", getattr(module, "__cached__", None)
    if not source.endswith(".py") or not cached:
        continue
    try:
        with open(cached, "rb") as file:
            _, flags, modified, size = struct.unpack("<4sIII", file.read(16))
    except FileNotFoundError:
        print(name, "is not compiled")
        continue
    state = os.stat(source)
    if (flags, modified, size) != (0, int(state.st_mtime), state.st_size):
        print(name, "is compiled from something else")
"""


def run(*command: str, cwd: Path = ROOT, within_s: float = PATIENCE_S, given: bytes = b"", **env: str) -> str:
    variables = {**os.environ, **env}
    done = subprocess.run(
        command, cwd=cwd, env=variables, input=given, capture_output=True, check=False, timeout=within_s
    )
    out, errors = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, f"{' '.join(command)}: {out[-2000:]}{errors[-4000:]}"
    return out


@dataclass(frozen=True, slots=True)
class Project:
    """A compose project of this test run in a folder with the tracked files."""

    folder: Path
    name: str

    @property
    def image(self) -> str:
        return f"{self.name}-server"

    @property
    def url(self) -> str:
        return f"http://{self.compose('port', 'server', '2700').strip()}"

    @property
    def logs(self) -> str:
        return self.compose("logs", "--no-log-prefix", "server")

    def compose(self, *words: str, within_s: float = PATIENCE_S) -> str:
        command = "docker", "compose", "--project-name", self.name, *words
        return run(*command, cwd=self.folder, within_s=within_s, EARLOOP_PORT="0")

    def up(self) -> None:
        """Back when the health check has said yes."""
        self.compose("up", "--detach", "--wait", "--no-build")

    def down(self, *words: str) -> None:
        self.compose("down", *words)

    def execute(self, *words: str) -> str:
        return self.compose("exec", "--no-TTY", "server", *words)

    def state(self) -> dict[str, object]:
        container = self.compose("ps", "--all", "--quiet", "server").strip()
        (found,) = json.loads(run("docker", "inspect", container))
        state: dict[str, object] = found["State"]
        return state


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    if shutil.which("docker") is None:
        pytest.skip("no docker on this machine")
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False, timeout=PATIENCE_S
    ).returncode:
        pytest.skip("this docker has no compose")
    if subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=PATIENCE_S).returncode:
        pytest.skip("no docker engine answers")
    folder = tmp_path_factory.mktemp("tree")
    for name in run("git", "ls-files").splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    project = Project(folder, f"earloop-test-{secrets.token_hex(4)}")
    project.compose("build", within_s=BUILD_S)
    yield project
    run("docker", "image", "rm", project.image)


@pytest.fixture
def project(built: Project) -> Iterator[Project]:
    """Up for the first time, on an empty volume."""
    built.up()
    yield built
    built.down("--volumes", "--timeout", "1")


def first_key(project: Project) -> str:
    (key,) = KEY.findall(project.logs)
    return str(key)


def heard(url: str, key: str, kind: str = "flac") -> str | None:
    """What OpenAI's client is told the clip says; None where it is not let in."""
    file = f"clip.{kind}", recording(kind, SAMPLES)
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, timeout=PATIENCE_S, max_retries=0) as client:
        try:
            return client.audio.transcriptions.create(model="whisper-1", file=file).text
        except openai.AuthenticationError:
            return None


def heard_by_websocket(url: str, key: str) -> str:
    return recognize(url, [PCM[at : at + 3200] for at in range(0, len(PCM), 3200)], OPTIONS, key=key).text


# ----------------------------------------------------------------------------------------------------------- the image


def test_the_image_is_small_and_runs_as_nobody(built):
    (image,) = json.loads(run("docker", "image", "inspect", built.image))
    assert image["Size"] <= MAX_BYTES
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Entrypoint"] == ["earloop"]


def test_the_image_has_no_compiler_no_cache_no_tests_and_nothing_of_the_build(built):
    look = "command -v gcc g++ cc make cmake git curl; ls -d /source /wheels /requirements.txt /root/.cache; true"
    assert run("docker", "run", "--rm", "--entrypoint", "sh", built.image, "-c", look) == ""
    list_all = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    installed = run("docker", "run", "--rm", "--entrypoint", "python", built.image, "-c", list_all).split()
    assert {"earloop", "kenlm", "onnxruntime", "pyctcdecode", "av"} <= set(installed)
    assert not {"pip", "setuptools", "pytest", "torch", "onnx", "mypy"} & set(installed)


def test_everything_the_server_loads_is_compiled_already(built):
    command = "docker", "run", "--rm", "--interactive", "--entrypoint", "python", built.image, "-"
    assert run(*command, given=STALE.encode()) == ""


def test_the_image_transcribes_a_file_without_network_and_without_a_writable_root(built):
    limits = "--rm", "--interactive", "--network", "none", "--read-only", "--tmpfs", "/tmp"
    clip = (shipped() / GOLDEN.path).read_bytes()
    assert GOLDEN.text in run("docker", "run", *limits, built.image, "transcribe", "-", given=clip)


def test_any_user_may_be_put_in_place_of_its_own(built):
    words = "--detach", "--init", "--user", "12345", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"
    container = run("docker", "run", *words, "--health-interval", "1s", built.image).strip()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while '"healthy"' not in run("docker", "inspect", "--format", "{{json .State.Health.Status}}", container):
            assert time.monotonic() < deadline, run("docker", "logs", container)
        assert "Uid:\t12345\t" in run("docker", "exec", container, "cat", "/proc/self/status")
    finally:
        run("docker", "rm", "--force", "--volumes", container)


# --------------------------------------------------------------------------------------------------------- the service


def test_it_hears_nobody_without_a_key_and_whoever_has_the_first_one(project):
    url, key = project.url, first_key(project)
    assert url.startswith("http://127.0.0.1:")
    assert not heard(url, "el_0123456789abcdef_guessed")
    assert heard(url, key) == GOLDEN.text
    assert heard(url, key, "m4a") == GOLDEN.text  # the stripped libraries of PyAV work
    assert heard_by_websocket(url, key) == GOLDEN.text


def test_the_first_key_is_shown_once_and_lives_as_long_as_the_volume(project):
    key = first_key(project)
    project.compose("restart", "server")
    project.up()
    assert first_key(project) == key, "shown again, or another one"
    project.down()
    project.up()
    assert not KEY.search(project.logs)
    assert heard(project.url, key) == GOLDEN.text


def test_keys_are_made_listed_and_revoked_beside_the_running_server(project):
    made = json.loads(project.execute("earloop", "keys", "create", "--name", "kitchen", "--json"))
    assert heard(project.url, made["key"]) == GOLDEN.text
    project.execute("earloop", "keys", "revoke", made["id"])
    assert '"revoked"' in project.execute("earloop", "keys", "list", "--json")
    deadline = time.monotonic() + PATIENCE_S
    while heard(project.url, made["key"]):
        assert time.monotonic() < deadline, "revoked, and still let in"


def test_the_process_has_no_rights_and_can_write_to_its_volume_and_tmp_alone(project):
    status = dict(
        line.split(":\t", 1) for line in project.execute("cat", "/proc/self/status").splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    places = "/ /opt/earloop /etc /usr/local/bin /var/tmp /data /tmp"
    script = f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done; true"
    assert project.execute("sh", "-c", script).split() == ["/data", "/tmp"]


async def test_stop_lets_an_open_stream_say_its_final_and_ends_with_code_0(project):
    async with await connect(project.url, OPTIONS, key=first_key(project)) as stream:
        await stream.send(PCM[: len(PCM) * 2 // 3])  # in the middle of the sentence
        events = aiter(stream)
        async for event in events:
            assert not isinstance(event, Final)
            if isinstance(event, Partial) and event.text:
                break
        stopping = asyncio.create_task(asyncio.to_thread(project.compose, "stop", "server"))
        async with asyncio.timeout(PATIENCE_S):
            said = [event async for event in events]
        await stopping
    said_last = " ".join(event.text for event in said if isinstance(event, Final))
    assert said_last.split()[:2] == GOLDEN.text.split()[:2]
    assert isinstance(said[-1], Finished)
    state = project.state()
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def test_a_stop_while_it_starts_is_heeded_at_once(built):
    built.compose("up", "--detach", "--no-build")
    began = time.monotonic()
    try:
        built.compose("stop", "server")
        assert time.monotonic() - began < 20  # compose would kill it after 30
        assert built.state()["ExitCode"] != 137
    finally:
        built.down("--volumes", "--timeout", "1")
