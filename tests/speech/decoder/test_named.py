"""Language models by name: there when their file is, changed when it changes, and never worse for a damaged one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stt_server.errors import BadOption
from stt_server.messages import Open
from stt_server.speech.decoder.library import library_path
from stt_server.speech.decoder.named import NamedModels, Profile
from stt_server.speech.recognizer import Recognizer
from tests.bundles import spoken
from training.lm import estimate, write_model

pytestmark = pytest.mark.skipif(not library_path(), reason="the native decoder was not built here")


class User:
    """Whoever decodes with these models."""


USER = User()
PROFILE = Profile(" 'abcdefghijklmnopqrstuvwxyz", 0.5, 1.0, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lms").mkdir()
    return tmp_path / "lms"


def put(path: Path, *sentences: str) -> None:
    write_model(estimate(sentences, 2), path)


def knows(named: NamedModels, name: str, word: str) -> bool:
    model = named.decoder(name, PROFILE).lm
    assert model is not None
    return model.knows(word)


def test_models_come_change_and_go_with_their_files(folder: Path) -> None:
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    with pytest.raises(BadOption, match="no language model 'home' here$"):
        named.decoder("home", PROFILE)
    put(folder / "home.arpa.gz", "lamp on")
    put(folder / "medical.lm", "scalpel please")
    named.refresh()
    assert [each.name for each in named.models] == ["home", "medical"]
    assert knows(named, "home", "lamp")
    assert not knows(named, "home", "dimmer")
    opened = named.decoder("home", PROFILE)
    put(folder / "home.arpa.gz", "dimmer on")
    named.refresh()
    assert knows(named, "home", "dimmer")
    assert opened.lm is not None
    assert opened.lm.knows("lamp"), "streams keep what they opened with"
    (folder / "home.arpa.gz").unlink()
    named.refresh()
    with pytest.raises(BadOption, match="no language model 'home' here; choose one of: medical") as caught:
        named.decoder("home", PROFILE)
    assert caught.value.field == "lm"


def test_kenlms_own_form_is_there_by_its_name_too(folder: Path) -> None:
    shutil.copyfile(Path(__file__).with_name("kenlm_trie.binary"), folder / "home.binary")
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    assert knows(named, "home", "light")
    assert not knows(named, "home", "dimmer")


def test_what_nobody_uses_any_more_is_not_kept_ready(folder: Path) -> None:
    put(folder / "home.lm", "lamp on")
    named, other = NamedModels(folder), User()
    named.join(USER, PROFILE)
    named.join(other, replace(PROFILE, beam=8))
    assert len(named.models[0].decoders) == 2
    del other
    named.refresh()
    assert list(named.models[0].decoders) == [PROFILE]


def test_what_has_not_changed_is_not_loaded_again(folder: Path) -> None:
    put(folder / "home.lm", "lamp on")
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    first = named.decoder("home", PROFILE)
    named.refresh()
    assert named.decoder("home", PROFILE) is first


def test_a_damaged_file_leaves_the_model_before_it_and_says_why(folder: Path) -> None:
    put(folder / "home.arpa", "lamp on")
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    (folder / "home.arpa").write_text("\\data\\\nngram 1=x\n")
    (folder / "new.arpa").write_text("nothing")
    named.refresh()
    assert knows(named, "home", "lamp")
    assert {each.name: bool(each.fault) for each in named.models} == {"home": True, "new": True}
    with pytest.raises(BadOption, match="'new' cannot be used: new.arpa is not a language model"):
        named.decoder("new", PROFILE)
    put(folder / "home.arpa", "dimmer on")
    named.refresh()
    assert knows(named, "home", "dimmer")
    assert not named.models[0].fault


def test_a_model_may_have_weights_of_its_own(folder: Path) -> None:
    put(folder / "home.lm", "lamp on")
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    (folder / "home.json").write_text(json.dumps({"alpha": 2.0}))
    before = named.decoder("home", PROFILE)
    named.refresh()
    assert named.decoder("home", PROFILE) is not before
    for wrong in ('{"alpha": "much"}', '{"gamma": 1}', "[1]", "no json"):
        (folder / "home.json").write_text(wrong)
        named.refresh()
        assert "home.json" in named.models[0].fault
        assert named.models[0].usable


@pytest.mark.parametrize("name", ["two words.lm", ".hidden.lm", "home.txt", "x" * 65 + ".lm"])
def test_files_that_are_no_named_models_are_passed_over(name: str, folder: Path) -> None:
    (folder / name).write_text("x")
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    assert named.models == ()


def test_a_folder_that_is_not_there_holds_no_models(tmp_path: Path) -> None:
    named = NamedModels(tmp_path / "gone")
    named.join(USER, PROFILE)
    assert named.models == ()


def test_a_file_that_goes_while_it_is_looked_at_is_no_fault_of_ours(folder: Path) -> None:
    (folder / "home.lm").symlink_to(folder / "nowhere")
    named = NamedModels(folder)
    named.join(USER, PROFILE)
    with pytest.raises(BadOption, match="cannot be used"):
        named.decoder("home", PROFILE)


def test_a_stream_hears_by_the_model_that_it_names(tiny_bundle: Path, folder: Path) -> None:
    put(folder / "shop.lm", "stop stop")
    named = NamedModels(folder)
    recognizer = Recognizer.load(tiny_bundle, named=named)
    assert recognizer.transcribe(spoken("stop", "light"), Open("test", lm="shop")).text
    with pytest.raises(BadOption, match="no language model 'home'"):
        recognizer.open(Open("test", lm="home"))
    with pytest.raises(BadOption, match="the decoder greedy takes no language model by name"):
        recognizer.open(Open("test", lm="shop", decoder="greedy"))
    put(folder / "home.lm", "light on")
    named.refresh()
    recognizer.open(Open("test", lm="home"))
