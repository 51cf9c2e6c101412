"""What is measured on: by name, and never what was learned from."""

from dataclasses import replace
from pathlib import Path

import pytest

from stt_server.corpus.clip import Clip
from stt_server.errors import BadOption, NotFound
from training.gate import guard_set, learned_clips, target_set
from training.gate.sets import digest, kind_of, kit_sets, set_hash, thinned, without


def clip(folder: Path, name: str, split: str | None = None) -> Clip:
    path = folder / f"{name}.wav"
    path.write_bytes(name.encode())
    return Clip(path, name, split=split)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("earlier-kitchen", "earlier"), ("noise", "noise"), ("Commands_short", "commands"), ("an4", "general")],
)
def test_a_guards_name_says_its_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_a_guard_cannot_take_the_name_of_the_target_or_of_the_kit() -> None:
    for name in ("target", "kit-clean"):
        with pytest.raises(BadOption, match="call the guard set otherwise"):
            guard_set(name, [])


def test_of_one_list_the_learned_part_is_doubted_and_the_rest_measured_on(tmp_path: Path) -> None:
    clips = [clip(tmp_path, name, split) for name, split in zip("abcd", ("train", "dev", "test", None), strict=True)]
    assert [each.text for each in target_set(clips).clips] == ["c", "d"]
    assert [each.text for each in guard_set("mine", clips).clips] == ["c", "d"]
    assert [each.text for each in learned_clips(clips, [])] == ["a"]


def test_a_recording_that_was_learned_from_is_left_out_under_any_name(tmp_path: Path) -> None:
    clips = [clip(tmp_path, name) for name in "ab"]
    copy = tmp_path / "copy.wav"
    copy.write_bytes(clips[0].path.read_bytes())
    assert without(target_set(clips), {digest(Clip(copy, "a"))}).clips == (clips[1],)
    assert without(target_set(clips), set()).clips == tuple(clips)


def test_the_hash_is_of_recordings_and_texts_in_any_order(tmp_path: Path) -> None:
    clips = [clip(tmp_path, name) for name in "ab"]
    assert set_hash(clips) == set_hash(clips[::-1])
    assert set_hash(clips) != set_hash([clips[0], replace(clips[1], text="c")])
    clips[1].path.write_bytes(b"another")
    assert set_hash([clips[0]]) != set_hash(clips)
    with pytest.raises(NotFound, match="cannot be read"):
        set_hash([Clip(tmp_path / "none.wav", "")])


def test_a_set_is_thinned_over_its_whole_length(tmp_path: Path) -> None:
    many = target_set(Clip(tmp_path / str(number), "") for number in range(100))
    assert len(thinned(many, 30).clips) <= 30
    assert thinned(many, 30).clips[-1].path.name == "96"
    assert thinned(many, None) == thinned(many, 100) == many


def test_the_kit_of_the_shipped_bundle_is_three_guards(shipped_bundle: Path) -> None:
    kinds = {each.name: (each.kind, len(each.clips)) for each in kit_sets(shipped_bundle)}
    assert kinds == {"kit-clean": ("general", 100), "kit-noisy": ("noise", 100), "kit-quiet": ("silence", 20)}


def test_a_bundle_without_kit_brings_no_guard(tiny_bundle: Path) -> None:
    assert kit_sets(tiny_bundle) == []
