"""The trainer beside the server in real containers: a tiny job, a model, a swap. Needs `docker` and its compose.

Where pytorch.org is out of reach, `TORCH_INDEX_URL=` in the environment takes torch from where pip looks anyway.
"""

from __future__ import annotations

import io
import json
import secrets
import shutil
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stt_server.speech.files import write_flac
from tests.container.test_image import PATIENCE_S, ROOT, Project, first_key, heard, run
from tests.voices import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.voices import Samples

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(7200)]

BUILD_S = 3600
TRAIN_S = 2400
SENTENCES = (
    "open the window",
    "close the door",
    "what time is it",
    "play some music",
    "turn on the light",
    "stop that",
)
VOICES = ("en-us+m1", "en-us+f2", "en-gb", "en-us+m4")
# As little as a run can be: what is proved is the way, not the model.
QUICK = {
    "schedule.epochs": 1,
    "schedule.workers": 0,
    "data.replay_share": 0,
    "report.suspects": 0,
    "report.noise_minutes": 0,
    "gate.most": 4,
    "gate.suspects": 4,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Server and trainer, built of the tracked files and up on an empty volume."""
    for needed in (["docker", "compose", "version"], ["docker", "info"]):
        if shutil.which("docker") is None or subprocess.run(needed, capture_output=True, check=False).returncode:
            pytest.skip(f"{' '.join(needed)} does not work here")
    folder = tmp_path_factory.mktemp("tree")
    for name in run("git", "ls-files").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    project = Project(folder, f"earloop-train-{secrets.token_hex(4)}")
    images = [f"{project.name}-{service}" for service in ("server", "trainer")]
    try:
        project.compose("--profile", "train", "build", within_s=BUILD_S)
        project.compose("--profile", "train", "up", "--detach", "--wait", "--no-build", within_s=10 * PATIENCE_S)
        yield project
    finally:
        project.compose("--profile", "train", "down", "--volumes", "--timeout", "1", within_s=5 * PATIENCE_S)
        run("docker", "image", "rm", "--force", *images)


def inside(project: Project, service: str, *words: str) -> str:
    """With more patience than a server needs: a training works beside it."""
    return project.compose("exec", "--no-TTY", service, *words, within_s=5 * PATIENCE_S)


def give(project: Project, files: dict[str, bytes]) -> None:
    """Put files into the server's volume."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    words = (
        "docker",
        "compose",
        "--project-name",
        project.name,
        "exec",
        "--no-TTY",
        "server",
        "tar",
        "-x",
        "-C",
        "/data",
    )
    run(*words, cwd=project.folder, given=packed.getvalue(), EARLOOP_PORT="0")


def flac(samples: Samples) -> bytes:
    file = io.BytesIO()
    write_flac(file, np.concatenate([np.zeros(4000, np.float32), 0.5 * samples, np.zeros(6000, np.float32)]))
    return file.getvalue()


def test_a_job_is_trained_beside_the_server_and_its_model_taken_over_while_that_runs(project):
    recordings = {
        f"recordings/{number}-{at}.flac": flac(say(text, voice))
        for number, text in enumerate(SENTENCES)
        for at, voice in enumerate(VOICES)
    }
    rows = "".join(f"{number}-{at}.flac,{SENTENCES[number]}\n" for number in range(len(SENTENCES)) for at in range(4))
    give(project, recordings | {"recordings/manifest.csv": f"path,transcript\n{rows}".encode()})
    inside(project, "server", "earloop", "dataset", "create", "home", "--licence", "CC0-1.0")
    imported = ["clips", "import", "/data/recordings", "--statement", "synthetic", "--licence", "CC0-1.0", "--checked"]
    inside(project, "server", "earloop", *imported, "--dataset", "home")

    changes = [f"--set={key}={json.dumps(value)}" for key, value in QUICK.items()]
    job = inside(project, "server", "earloop", "jobs", "submit", "home", *changes).strip()
    done = ended(project, job)
    assert done["status"] == "done", inside(project, "server", "earloop", "jobs", "log", job)
    assert done["result"]["verdict"] in ("passed", "refused", "undecided")

    key, before = first_key(project), heard_by(project)
    assert heard(project.url, key) is not None
    inside(project, "server", "earloop", "models", "promote", done["result"]["model_id"], "--yes")
    deadline = time.monotonic() + 10 * PATIENCE_S
    while heard_by(project) == before:
        assert time.monotonic() < deadline, "the server goes on with the model before"
        time.sleep(0.5)
    assert heard(project.url, key) is not None
    assert project.compose("ps", "--quiet", "trainer").strip(), "the worker waits for the next job"
    assert "/data/runs" not in inside(project, "server", "sh", "-c", "ls -d /data/runs/[0-9a-f]* 2>/dev/null; true")


def ended(project: Project, job: str) -> dict:
    deadline = time.monotonic() + TRAIN_S
    while True:
        told = json.loads(inside(project, "server", "earloop", "jobs", "show", job, "--json"))
        if told["status"] not in ("waiting", "running"):
            return told
        assert time.monotonic() < deadline, inside(project, "server", "earloop", "jobs", "log", job)
        time.sleep(2)


def heard_by(project: Project) -> str:
    """The model that the server answers with now."""
    script = "import json, urllib.request as r; print(json.load(r.urlopen('http://127.0.0.1:2700/readyz'))['version'])"
    return inside(project, "server", "python", "-c", script).strip()


def test_the_trainer_has_no_rights_and_writes_to_its_volume_and_tmp_alone(project):
    told = inside(project, "trainer", "cat", "/proc/1/status").splitlines()
    status = dict(line.split(":\t", 1) for line in told if ":\t" in line)
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    script = "for place in / /opt/earloop /etc /data /tmp; do touch $place/x 2>/dev/null && echo $place; done; true"
    assert inside(project, "trainer", "sh", "-c", script).split() == ["/data", "/tmp"]
    assert inside(project, "trainer", "id", "--user").strip() == "10001"
