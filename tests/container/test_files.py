"""What can be said of the Dockerfile and compose.yaml without an engine: on every machine, at every change."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from stt_server.settings import PREFIX, Settings
from stt_server.store import ring
from stt_server.web import server
from tests.container.dockerfile import let_in, stages

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker" / "server.Dockerfile").read_text(encoding="utf-8")
HEAD, STAGES = stages(TEXT)
FINAL = STAGES[-1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IGNORE = (ROOT / ".dockerignore").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVER = COMPOSE["services"]["server"]
MB = 1 << 20


def default(text: str) -> str:
    """What compose makes of `${NAME:-value}` where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    assert match, f"{text!r} has no {pattern}"
    return match


def size(text: str) -> int:
    """Bytes, as compose counts: 1 m is 1024 k."""
    number, unit = found(r"^(\d+)([kmg])$", text).groups()
    return int(number) << {"k": 10, "m": 20, "g": 30}[unit]


def seconds(text: str) -> float:
    return float(found(r"^([\d.]+)s$", text)[1])


def extras() -> list[str]:
    (stage,) = (each for each in STAGES if "EXTRAS" in each.arguments())
    return stage.arguments()["EXTRAS"].split()


# ---------------------------------------------------------------------------------------------------------- Dockerfile


def test_no_frontend_is_fetched_to_read_the_dockerfile():
    assert not re.search(r"^#\s*syntax\s*=", TEXT, re.MULTILINE | re.IGNORECASE)


def test_every_stage_starts_from_the_base_argument_or_from_another_stage():
    names = {stage.name for stage in STAGES}
    assert {stage.base for stage in STAGES} <= {"${BASE}", *names}


def test_the_base_is_a_slim_python_of_a_stated_version_that_we_support():
    name, _, tag = HEAD.arguments()["BASE"].partition(":")
    assert name == "python"
    assert "slim" in tag
    version = found(r"^(\d+)\.(\d+)-", tag)
    least = found(r"^>=(\d+)\.(\d+)", PROJECT["requires-python"])
    assert [int(each) for each in version.groups()] >= [int(each) for each in least.groups()]


def test_the_package_index_is_an_argument_of_every_stage_that_asks_one_and_empty_by_default():
    for stage in STAGES:
        if any("pip" in run and "--no-index" not in run for run in stage.all("RUN")):
            assert stage.arguments()["PIP_INDEX_URL"] == ""


def test_the_image_runs_as_a_number_that_is_not_root():
    user, _, group = FINAL.last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert FINAL.lines.index(("USER", FINAL.last("USER"))) > max(
        number for number, (word, _) in enumerate(FINAL.lines) if word in ("RUN", "COPY")
    )


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD"])
def test_no_shell_stands_between_a_signal_and_the_server(instruction):
    assert all(isinstance(word, str) for word in json.loads(FINAL.last(instruction)))


def test_the_image_asks_for_the_signal_that_drains():
    assert FINAL.last("STOPSIGNAL") == "SIGTERM"


def test_what_the_image_sets_are_settings():
    ours = {name for name in FINAL.environment() if name.startswith(PREFIX)}
    assert ours <= {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert FINAL.environment()["EARLOOP_DATA"] in FINAL.all("VOLUME")
    assert FINAL.environment()["EARLOOP_PORT"] in FINAL.all("EXPOSE")


def test_the_compiler_stays_in_a_stage_of_which_only_the_environment_is_taken():
    compiling = [stage.name for stage in STAGES if any("g++" in run for run in stage.all("RUN"))]
    assert compiling == ["environment"]
    assert FINAL.name not in compiling
    assert not any("apt-get" in run for run in FINAL.all("RUN"))
    taken = [copy.split()[1] for copy in FINAL.all("COPY") if copy.startswith("--from=environment ")]
    assert taken == ["/opt/earloop"]


def test_a_change_of_our_code_does_not_build_the_dependencies_again():
    (environment,) = (stage for stage in STAGES if stage.name == "environment")
    assert environment.copied() == []


def test_the_dependencies_it_installs_are_those_of_pyproject():
    asked = [
        *PROJECT["dependencies"],
        *(each for extra in extras() for each in PROJECT["optional-dependencies"][extra]),
    ]
    script = [sys.executable, "docker/requirements.py", "pyproject.toml", *extras()]
    printed = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    assert printed.splitlines() == asked
    assert not {"gpu", "test", "train"} & set(extras())


def test_the_image_is_labelled_with_the_version_of_the_package():
    assert FINAL.arguments()["VERSION"] == PROJECT["version"]
    assert 'org.opencontainers.image.version="${VERSION}"' in FINAL.last("LABEL")


def test_onnxruntime_reports_to_nobody():
    before_the_first_use = FINAL.lines[: FINAL.lines.index(("RUN", FINAL.all("RUN")[0]))]
    assert ("ENV", "ORT_DISABLE_TELEMETRY=1") in before_the_first_use


# ------------------------------------------------------------------------------------------------------- .dockerignore


def test_the_build_sees_all_it_copies():
    for path in (path for stage in STAGES for path in stage.copied()):
        assert (ROOT / path).exists(), path
        assert let_in(path, IGNORE), path


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        "compose.yaml",
        "data/earloop.db",
        "docker/server.Dockerfile",
        "earloop.env",
        "runs/tiny/model.pt",
        "stt_server/web/__pycache__/routes.cpython-311.pyc",
        "tests/conftest.py",
    ],
)
def test_the_build_sees_neither_history_nor_tests_nor_state_nor_secrets(path):
    assert not let_in(path, IGNORE)


def test_the_build_sees_the_shipped_model():
    bundle = next((ROOT / "stt_server" / "bundles").glob("*/bundle.json"))
    assert let_in(str(bundle.relative_to(ROOT)), IGNORE)


# -------------------------------------------------------------------------------------------------------- compose.yaml


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_every_port_is_published_to_this_machine_alone(service):
    for port in service.get("ports", []):
        assert (
            port["host_ip"] if isinstance(port, dict) else port.rpartition(":")[0].rpartition(":")[0]
        ) == "127.0.0.1"


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_every_service_can_do_little_and_take_little(service):
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert "network_mode" not in service
    assert size(service["mem_limit"]) > 0
    assert 0 < service["pids_limit"] < 4096
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_every_image_is_built_here_or_has_a_stated_version(service):
    assert "build" in service or re.search(r":(?!latest)[\w.-]+$", service["image"])


def test_the_server_runs_on_a_read_only_root_with_its_state_in_a_volume():
    assert SERVER["read_only"] is True
    (mount,) = SERVER["volumes"]
    volume, target = mount.split(":")
    assert volume in COMPOSE["volumes"]
    assert target == FINAL.environment()["EARLOOP_DATA"]


def test_the_server_is_published_at_its_own_port_and_wyoming_at_its():
    port, wyoming = SERVER["ports"]
    assert str(port["target"]) == FINAL.environment()["EARLOOP_PORT"] == default(port["published"])
    assert str(wyoming["target"]) == default(wyoming["published"]) == str(Settings.model_fields["wyoming_port"].default)
    assert {str(each["target"]) for each in SERVER["ports"]} == set(FINAL.all("EXPOSE"))


def test_wyoming_which_asks_for_no_key_opens_in_the_container_only_when_it_is_told_to():
    assert not any("WYOMING" in name for name in FINAL.environment())


def test_neither_as_many_uploads_as_are_taken_at_once_nor_temporary_files_fill_half_of_the_memory():
    (mount,) = SERVER["tmpfs"]
    path, options = mount.split(":")
    settings = Settings.model_fields
    uploads = settings["max_uploads"].default * settings["max_body_mb"].default * MB
    room = size(found(r"size=(\w+)", options)[1])
    assert path == "/tmp"
    assert 2 * max(uploads, room) <= size(SERVER["mem_limit"])  # what lies there counts, too


def test_the_engine_waits_longer_than_a_drain_takes():
    drain_s = Settings.model_fields["drain_s"].default
    assert seconds(SERVER["stop_grace_period"]) > drain_s + server.CLOSE_S + ring.CLOSE_S


def test_the_build_of_compose_takes_arguments_that_the_dockerfile_has():
    build = SERVER["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    assert set(build["args"]) <= {name for stage in [HEAD, *STAGES] for name in stage.arguments()}
