"""Settings from anywhere: a damaged TOML file, any variable, any argument. Settings, or one sentence that names one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import BadOption, NotFound
from stt_server.settings import Settings, load_settings
from tests.fuzz import inputs
from tests.fuzz.accidents import damaged
from tests.fuzz.budget import both_runs, counted, drawn, play, played

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PATHS: Final = ("data", "corpora")
NAMES: Final = sorted(Settings.model_fields)
TOML: Final = b"""# a server in the kitchen
port = 2701
model = "kitchen"
max_streams = 4
max_queue_s = 2.5
decoder = "greedy"
log_json = true
host = '::1'
corpora = "~/corpora"
"""
LINES: Final = [
    b"[table]\n",
    b"port = 9\n",
    b"prot = 9\n",
    b"port = 99999\n",
    b"max_queue_s = nan\n",
    b"beam = 1e99\n",
    b"log_level = 'loud'\n",
    b"data = '/x'\n",
    b"model = 2026-11-21\n",
    b"host = [1, {a = 2}]\n",
    b"[[x]]\n",
    b"engines = 0x10\n",
    b"a." * 500 + b"b = 1\n",
    b"host = " + b"[" * 3000 + b"\n",
    b"port = " + b"9" * 5000 + b"\n",
]
SENTENCE: Final = 2500  # letters: where nothing is near, all settings are named


@both_runs
def test_a_damaged_settings_file_is_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nightly: bool):
    path = tmp_path / "earloop.toml"
    monkeypatch.setenv("EARLOOP_CONFIG", str(path))
    path.write_bytes(TOML)
    assert load_settings().port == 2701

    def case(seed: str) -> None:
        dice = random.Random(seed)
        text = TOML + b"".join(dice.choices(LINES, k=dice.randrange(2)))
        path.write_bytes(damaged(text, dice) if dice.random() < 0.8 else text)
        try:
            assert isinstance(load_settings(), Settings)
        except BadOption as error:
            assert 0 < len(error.message) < SENTENCE

    play("damaged settings files", case, nightly=nightly)


@both_runs
def test_any_argument_and_any_variable_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch, nightly: bool):
    name = "arguments and variables"
    values = (
        st.booleans()
        | st.integers()
        | st.floats()
        | inputs.LETTERS
        | st.sampled_from(["1", "0", "-1", "true", "nan", "1e400", "auto", "::", "~", "~nobody/x"])
    )
    names = st.sampled_from(NAMES) | inputs.LETTERS
    in_environment = st.text(st.characters(exclude_characters="\0=", exclude_categories=["Cs"]), max_size=20)

    @drawn(name, nightly=nightly)
    @given(given_=st.dictionaries(names, values, max_size=2), variable=names, said=in_environment)
    def check(given_: dict[str, object], variable: str, said: str) -> None:
        played[name] += 1
        with monkeypatch.context() as patch:
            if variable in NAMES:
                patch.setenv(f"EARLOOP_{variable.upper()}", said)
            try:
                # The command line gives paths as text, the rest as typer has typed it.
                said_here = {name: str(value) if name in PATHS else value for name, value in given_.items()}
                assert isinstance(load_settings(**said_here), Settings)
            except (BadOption, NotFound) as error:
                assert 0 < len(error.message) < SENTENCE

    with counted(name, nightly=nightly):
        check()
