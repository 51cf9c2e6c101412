import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.pages import PARTS, Part

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def between(start: str, end: str) -> str:
    return README.split(f"<!-- {start} -->\n", 1)[1].split(f"<!-- {end} -->", 1)[0]


def commands() -> list[str]:
    return re.findall(r"```sh\n(.*?)\n```", README)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.document}:{part.name}")
def test_what_is_made_from_the_code_is_as_the_code_is_now(part: Part):
    """Where this fails, `python -m tests.pages` writes it anew."""
    _, stands, _ = part.cut()
    assert stands == f"{part.make()}\n"


def test_there_are_two_commands_the_first_serves_and_the_second_tests():
    serve, tests = commands()
    assert serve.endswith("earloop serve")
    assert tests.endswith("python -m pytest")


def test_the_commands_install_extras_that_exist_and_never_cpu_and_gpu_together():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = [set(extras.split(",")) for extras in re.findall(r"\.\[([a-z0-9,]+)\]", " ".join(commands()))]
    assert len(asked) == 2
    for extras in asked:
        assert extras <= set(known)
        assert not {"cpu", "gpu"} <= extras


def test_ci_runs_the_second_command_as_it_stands():
    """The line of .ci/run that cuts the command out of the README, run as bash runs it there."""
    extract = re.search(r"^test_command=.*$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert extract is not None
    script = f'{extract[0]}\nprintf %s "$test_command"'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == commands()[1]


def test_ci_ends_with_that_command():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == 'bash -euo pipefail -c "$test_command"'


@pytest.mark.parametrize("path", re.findall(r"^\| `([^`]+)`", between("map", "/map"), re.MULTILINE))
def test_what_the_map_names_is_there(path):
    assert (ROOT / path).exists()


DOCUMENTS = [Path("README.md"), *(path.relative_to(ROOT) for path in sorted(ROOT.glob("[a-z]*/**/*.md")))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_between_documents_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / document).parent.joinpath(target).exists(), target
