"""Commands as they are typed, in this process.

run = partial(typed.run, family="models")
assert run(capsys, "list") == (0, "…", "")
"""

import json
from typing import Any

import pytest

from stt_server import cli


def run(capsys: pytest.CaptureFixture[str], *words: object, family: str) -> tuple[int, str, str]:
    """The exit code, and what `earloop FAMILY WORDS…` wrote to standard output and to standard error."""
    with pytest.raises(SystemExit) as ended:
        cli.main([family, *map(str, words)])
    return int(ended.value.code or 0), *capsys.readouterr()


def told(capsys: pytest.CaptureFixture[str], *words: object, family: str) -> Any:
    """What it says as JSON; it succeeds and complains of nothing."""
    code, out, err = run(capsys, *words, "--json", family=family)
    assert (code, err) == (0, ""), err
    return json.loads(out)
