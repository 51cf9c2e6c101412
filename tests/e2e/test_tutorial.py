"""The tutorial's page, command by command as it stands there, by the real curl against a server of its own process."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stt_server.catalog.importing import import_bundle
from stt_server.speech.bundle import shipped
from stt_server.speech.files import write_wav
from stt_server.store import jobs
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.ring import now
from tests.bundles import spoken
from tests.faults.process import Remote, process
from tests.voices import Samples, at_level, pink_noise, say

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "stt_server" / "web" / "TUTORIAL.md"
HOST = "http://127.0.0.1:2700"
PHRASE = "The proof is in the pudding."
FILE = "path/to/yourFile.wav"
PATIENCE_S = 120.0  # a server loads a new model in a thread that gives way
QUIET = 'curl() { command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }; '

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@dataclass
class Reader:
    """Somebody who types the page's commands, with what the answers said in the places of its examples."""

    url: str
    known: dict[str, str] = field(default_factory=dict)

    def types(self, beginning: str) -> Any:
        """The command of the page whose path begins so; its answer."""
        found = [each for each in commands() if re.search(rf"{re.escape(HOST + beginning)}(?![\w/])", each)]
        assert found, f"the page has no command for {beginning}"
        command = found[0].replace(HOST, self.url)
        for example, value in self.known.items():
            command = command.replace(example, value)
        done = subprocess.run(["bash", "-c", QUIET + command], capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    def begin(self) -> None:
        """A key and a dataset."""
        made = self.types("/v1/keys")
        self.known |= {"SECRET:KEY": f"{made['secret']}:{made['key']}"}
        self.known |= {"dddddddd-1111-2222-3333-444444444444": self.types("/v1/datasets")["dataset_id"]}

    def uploads(self, recording: Path) -> dict[str, Any]:
        self.known |= {FILE: str(recording)}
        made: dict[str, Any] = self.types("/v1/resources")
        self.known |= {"{resource-id}": made["resource_id"]}
        told: dict[str, Any] = self.types("/v1/resources/{resource-id}/transcript")
        return told

    def trains(self) -> dict[str, Any]:
        """A model of the dataset; the run that waits for a worker."""
        self.known |= {"{model-id}": self.types("/v1/models")["model_id"]}
        assert len(self.types("/models/{model-id}/datasets")["datasets"]) == 1
        run: dict[str, Any] = self.types("/v1/train")
        self.known |= {"{train-id}": run["id"]}
        return run

    def hears(self, recording: Path) -> str:
        self.known |= {FILE: str(recording)}
        text: str = self.types("/stt")
        return text


def commands() -> list[str]:
    """Those of the page, in its order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block.strip() for block in blocks]


def takes(folder: Path, count: int) -> Iterator[Path]:
    """The phrase by some voices at some speeds and pitches, each over a little noise of its own."""
    voices = ("en-us", "en-us+f3", "en-gb", "en-gb+m3", "en-us+m7")
    for number in range(count):
        voice = voices[number % len(voices)]
        speech = say(PHRASE, voice, 130 + 7 * (number % 9), pitch=30 + 3 * (number % 13))
        noise = pink_noise(len(speech) / 16_000, -50.0, seed=number)[: len(speech)]
        yield write(folder / f"take{number:02}.wav", at_level(speech, -22.0) + noise)


def write(path: Path, samples: Samples) -> Path:
    write_wav(path, samples, 16_000)
    return path


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.2)


def worked(data: Path, bundle: Path) -> None:
    """What a worker does at the end of a run: its bundle becomes a model, and the job is done."""
    with closing(open_database(data)) as database:
        with database.write() as connection:
            job = jobs.claim(connection, "tester", now(), 60.0)
        assert job is not None
        assert job.params["custom_model"]
        made = import_bundle(
            database, open_objects(data), bundle, name=job.params["name"], actor="worker", job_id=job.id
        )
        with database.write() as connection:
            jobs.finish(connection, job, {"model_id": made.id, "wer": 0.0, "verdict": "passed"}, now())


async def test_the_pages_commands_run_in_order_and_a_deployed_model_is_heard(tmp_path: Path, tiny_bundle: Path):
    data, recordings = tmp_path / "data", tmp_path / "takes"
    recordings.mkdir()
    async with process("--data", str(data), "--collect") as server:
        ann = Reader(server.url)
        ann.begin()
        for recording in takes(recordings, 4):
            told = ann.uploads(recording)
            assert (told["transcript"], told["status"]) == (PHRASE, "LABELED")
        run = ann.trains()
        assert (run["status"], run["finished"]) == ("PENDING", None)

        worked(data, tiny_bundle)
        assert ann.types("/v1/train/{train-id}")["status"] == "TRAINED"
        told = ann.types("/v1/models/{model-id}")
        assert (told["status"], told["wer"], told["model_name"]) == ("TRAINED", 0.0, "Proof-in-the-Pudding")
        assert ann.types("/v1/models/{model-id}/deploy")["deployed"]
        heard = write(recordings / "heard.wav", spoken("stop", "light"))
        await until(lambda: answers_with(ann, server, heard) == "proof-in-the-pudding")
        assert ann.hears(heard) == "stop light"
        await until(lambda: uses(ann) == {"en-small", "proof-in-the-pudding"})


def answers_with(ann: Reader, server: Remote, recording: Path) -> str:
    """The model that the key gets by itself, without the id that is behind its name."""
    secret = ann.known["SECRET:KEY"]
    command = ["curl", "-s", "-u", secret, "-D", "-", "-o", "/dev/null", "--data-binary", f"@{recording}"]
    done = subprocess.run([*command, f"{server.url}/stt"], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"X-Earloop-Model: (\S+)", done.stdout)
    assert found, done.stdout
    return re.sub(r"-[0-9a-f]{8}$", "", found[1])


def uses(ann: Reader) -> set[str]:
    """The models that have heard something for the key."""
    return {re.sub(r"-[0-9a-f]{8}$", "", each["model"]) for each in ann.types("/v1/usage")["days"]}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_fifty_recordings_train_a_model_that_hears_the_phrase(tmp_path: Path):
    data, recordings = tmp_path / "data", tmp_path / "takes"
    recordings.mkdir()
    async with process("--data", str(data), "--collect") as server:
        ann = Reader(server.url)
        ann.begin()
        heard = [ann.uploads(recording)["hypothesis"] for recording in takes(recordings, 50)]
        assert not any("pudding" in text for text in heard)
        unheard = write(recordings / "unheard.wav", at_level(say(PHRASE, "en-gb-scotland", 150), -20.0))
        ann.trains()
        worker = [sys.executable, "-m", "stt_server.cli", "worker", "--once"]
        child = await asyncio.create_subprocess_exec(*worker, cwd=ROOT, env=environment(data))
        try:
            async with asyncio.timeout(3000):
                assert await child.wait() == 0
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        told = ann.types("/v1/models/{model-id}")
        assert told["status"] == "TRAINED", ann.types("/v1/train/{train-id}")
        assert told["wer"] < 0.2
        assert told["trained_at"]
        ann.types("/v1/models/{model-id}/deploy")
        await until(lambda: answers_with(ann, server, unheard) == "proof-in-the-pudding")
        assert ann.hears(unheard) == "the proof is in the pudding"
        assert "pudding" not in ann.hears(shipped() / "golden.flac")  # it has not come to hear nothing else


def environment(data: Path) -> dict[str, str]:
    """Of a worker beside that server."""
    return {**os.environ, "EARLOOP_DATA": str(data)}
