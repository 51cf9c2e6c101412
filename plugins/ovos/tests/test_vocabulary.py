"""Hotwords from an assistant's own files."""

from pathlib import Path

import pytest

from ovos_stt_plugin_earloop.earloop import vocabulary
from ovos_stt_plugin_earloop.earloop.vocabulary import phrases_in


def written(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_names_of_entities_and_words_are_taken_and_templates_are_not(tmp_path: Path):
    written(
        tmp_path / "room.entity", "Living Room\nden\nJohn’s desk\n(upper|lower) bathroom\n{place}\n# note\n:0\nx9\n"
    )
    written(tmp_path / "lamp.voc", "lamp\nden\n")
    written(tmp_path / "skill.py", "import this\n")
    assert phrases_in([str(tmp_path)], "en-US") == ("lamp", "den", "living room", "john's desk")


def test_only_the_folders_of_the_language_are_read(tmp_path: Path):
    for folder, word in (("en-us", "light"), ("de-de", "licht"), ("en-GB", "lamp")):
        written(tmp_path / "skill" / "locale" / folder / "thing.voc", word)
    written(tmp_path / "skill" / "common.entity", "both")
    assert set(phrases_in([str(tmp_path)], "en-US")) == {"light", "lamp", "both"}
    assert set(phrases_in([str(tmp_path)], "de")) == {"licht", "both"}


def test_a_file_may_be_named_itself_and_one_that_is_not_there_is_only_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    written(tmp_path / "names.txt", "ada\n")
    assert phrases_in([str(tmp_path / "names.txt"), str(tmp_path / "none")], "en") == ("ada",)
    assert "none" in caplog.text


def test_there_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(vocabulary, "MOST_PHRASES", 2)
    written(tmp_path / "a.entity", "one\ntwo\nthree\n")
    assert phrases_in([str(tmp_path)], "en") == ("one", "two")
    assert "first 2" in caplog.text
