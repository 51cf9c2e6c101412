from pathlib import Path

import pytest
from pydantic import ValidationError

from stt_server.errors import BadOption, NotFound
from stt_server.settings import Settings, load_settings


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of this test, and an environment without settings."""
    monkeypatch.delenv("EARLOOP_CORPORA", raising=False)
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path))
    return tmp_path


def test_without_a_word_every_setting_has_its_default(data):
    settings = load_settings()
    assert (settings.host, settings.port, settings.corpora) == ("127.0.0.1", 2700, None)


def test_the_command_line_beats_the_environment_which_beats_the_file(data, monkeypatch):
    (data / "earloop.toml").write_text("port = 1\nmax_streams = 1\nbeam = 1\n")
    monkeypatch.setenv("EARLOOP_PORT", "2")
    monkeypatch.setenv("EARLOOP_MAX_STREAMS", "2")
    settings = load_settings(port=3)
    assert (settings.port, settings.max_streams, settings.beam) == (3, 2, 1)


def test_what_the_command_line_leaves_open_is_none_and_does_not_count(data, monkeypatch):
    monkeypatch.setenv("EARLOOP_PORT", "4")
    assert load_settings(port=None).port == 4


def test_the_file_is_sought_in_the_data_folder_the_command_line_names(data, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "earloop.toml").write_text("beam = 7\n")
    assert load_settings(data=other).beam == 7


def test_earloop_config_names_another_file(data, monkeypatch):
    (data / "earloop.toml").write_text("beam = 1\n")
    (data / "mine.toml").write_text("beam = 2\n")
    monkeypatch.setenv("EARLOOP_CONFIG", str(data / "mine.toml"))
    assert load_settings().beam == 2


def test_an_earloop_config_that_is_not_there_refuses_to_start(data, monkeypatch):
    monkeypatch.setenv("EARLOOP_CONFIG", str(data / "none.toml"))
    with pytest.raises(NotFound, match=r"none\.toml"):
        load_settings()


def test_an_unknown_key_in_the_file_names_the_nearest_setting(data):
    (data / "earloop.toml").write_text("max_steams = 9\n")
    with pytest.raises(BadOption, match="did you mean max_streams") as caught:
        load_settings()
    assert caught.value.field == "max_steams"


def test_an_unknown_variable_names_the_nearest_setting(data, monkeypatch):
    monkeypatch.setenv("EARLOOP_PROT", "80")
    with pytest.raises(BadOption, match="EARLOOP_PROT in the environment.*did you mean EARLOOP_PORT"):
        load_settings()


def test_an_unknown_name_near_nothing_lists_the_settings(data, monkeypatch):
    monkeypatch.setenv("EARLOOP_XYZZYQ", "1")
    with pytest.raises(BadOption, match="EARLOOP_HOST, EARLOOP_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("port", "65536", "whole number from 0 to 65535"),
        ("port", "http", "whole number"),
        ("max_queue_s", "0", "number above 0"),
        ("decoder", "magic", "auto, greedy, native or reference"),
        ("log_json", "maybe", "true or false"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_what_the_setting_takes(data, monkeypatch, name, value, takes):
    monkeypatch.setenv(f"EARLOOP_{name.upper()}", value)
    with pytest.raises(BadOption, match=f"{name} cannot be .*{takes}") as caught:
        load_settings()
    assert caught.value.field == name


def test_a_file_that_is_no_toml_is_refused_by_its_path(data):
    (data / "earloop.toml").write_text("port 2700\n")
    with pytest.raises(BadOption, match=r"earloop\.toml is no valid TOML"):
        load_settings()


def test_a_file_in_the_data_folder_cannot_move_the_data_folder(data):
    (data / "earloop.toml").write_text('data = "/elsewhere"\n')
    with pytest.raises(BadOption, match="EARLOOP_DATA"):
        load_settings()


def test_an_empty_variable_counts_as_unset(data, monkeypatch):
    monkeypatch.setenv("EARLOOP_PORT", "")
    assert load_settings().port == 2700


def test_home_is_expanded(data):
    assert load_settings(corpora="~/speech").corpora == Path.home() / "speech"


def test_settings_cannot_be_changed_after_the_start(data):
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]


def test_every_setting_has_its_help():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", ["Port", "earloop_port", "EARLOOP_PORT"])
def test_a_name_in_the_file_is_written_as_the_table_writes_it(tmp_path, name):
    (tmp_path / "earloop.toml").write_text(f"{name} = 2701\n")
    with pytest.raises(BadOption, match=r"did you mean port\?"):
        load_settings(data=tmp_path)


@pytest.mark.parametrize("text", ["host = " + "[" * 5000, "port = " + "9" * 5000, "host = '\udc80'"])
def test_a_file_that_no_reader_of_toml_finishes_is_refused(tmp_path, text):
    (tmp_path / "earloop.toml").write_text(text, errors="surrogateescape")
    with pytest.raises(BadOption, match="no valid TOML"):
        load_settings(data=tmp_path)


@pytest.mark.parametrize("folder", ["~nobody-of-that-name/x", "x" * 5000])
def test_a_folder_that_cannot_be_is_refused_in_a_sentence(folder):
    with pytest.raises(BadOption) as caught:
        load_settings(data=folder)
    assert caught.value.field == "data"
