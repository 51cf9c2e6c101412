"""Manifests in three layouts: read by what they begin with, written so that they read the same, refused by line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.corpus.clip import Clip
from stt_server.corpus.layouts import DEEPSPEECH, EARLOOP, NEMO, Layout, detect_layout
from stt_server.corpus.manifest import read_manifest, write_manifest
from stt_server.errors import BadInput, EarloopError, NotFound, Unsupported
from stt_server.speech.files import write_wav

HEADER = "source,split,speaker,path,duration_s,transcript\n"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_layout_gives_paths_beside_the_manifest(tmp_path: Path) -> None:
    manifest = put(tmp_path, "manifest.csv", HEADER + "an4,dev,an4_m,an4/a.flac,0.800,yes\nan4,test,,/b.flac,,\n")
    assert list(read_manifest(manifest)) == [
        Clip(tmp_path / "an4/a.flac", "yes", "an4", "an4_m", 0.8, "dev"),
        Clip(Path("/b.flac"), "", "an4", None, None, "test"),
    ]


def test_deepspeech_csv_takes_source_and_split_from_folder_and_file_name(tmp_path: Path) -> None:
    manifest = put(tmp_path, "dev.csv", 'wav_filename,wav_filesize,transcript\na.wav,3244,"no, thanks"\n')
    assert list(read_manifest(manifest)) == [Clip(tmp_path / "a.wav", "no, thanks", tmp_path.name, split="dev")]


def test_nemo_lines_are_told_by_their_brace_whatever_the_file_is_called(tmp_path: Path) -> None:
    manifest = put(
        tmp_path, "clips.txt", '\n{"audio_filepath": "a.wav", "duration": 1.5, "text": "hi", "speaker": 7}\n'
    )
    assert list(read_manifest(manifest)) == [Clip(tmp_path / "a.wav", "hi", tmp_path.name, "7", 1.5)]


def test_byte_order_mark_and_windows_line_ends_are_no_obstacle(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(b"\xef\xbb\xbfpath,transcript\r\na.wav,caf\xc3\xa9\r\n")
    assert [clip.text for clip in read_manifest(manifest)] == ["café"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,b\n1,2\n", r"line 1: the columns a, b are no manifest.*wav_filename"),
        ("", r"line 1: the columns \(none\)"),
        (HEADER + "an4,dev,m,a.flac,0.8,yes,please\n", r"line 2: 7 fields under 6 columns; put quotes"),
        (HEADER + "an4,dev,m,a.flac,0.8,yes\nan4,dev,m,,0.8,yes\n", r"line 3: path is missing"),
        (HEADER + "an4,dev,m,a.flac,minus,yes\n", r"line 2: duration_s is 'minus'; write seconds"),
        (HEADER + "an4,dev,m,a.flac,nan,yes\n", r"line 2: duration_s is 'nan'"),
        (HEADER + 'an4,dev,m,a.flac,1,"yes\n', r"line 2: not CSV"),
        ('{"audio_filepath": "a.wav", "text": "a"}\n{"audio_filepath"\n', r"line 2: not JSON"),
        ('{"audio_filepath": "a.wav", "text": "a"}\n[]\n', r"line 2: not an object"),
        ('{"audio_filepath": "a.wav"}\n', r"line 1: text is missing"),
        ('{"audio_filepath": 5, "text": "a"}\n', r"line 1: audio_filepath is missing"),
    ],
)
def test_a_wrong_row_is_refused_with_file_line_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    manifest = put(tmp_path, "m.csv", text)
    with pytest.raises(BadInput, match=complaint) as caught:
        list(read_manifest(manifest))
    assert str(manifest) in str(caught.value)


def test_clips_cut_out_of_a_longer_file_are_refused_rather_than_read_whole(tmp_path: Path) -> None:
    manifest = put(tmp_path, "m.jsonl", '{"audio_filepath": "a.wav", "offset": 3.0, "duration": 1, "text": "a"}\n')
    with pytest.raises(Unsupported, match="line 1.*offset"):
        list(read_manifest(manifest))


def test_a_missing_manifest_and_one_that_is_not_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.csv: there is no such manifest"):
        list(read_manifest(tmp_path / "gone.csv"))
    (tmp_path / "bytes.csv").write_bytes(b"path,transcript\n\xff\xfe\n")
    with pytest.raises(BadInput, match="UTF-8"):
        list(read_manifest(tmp_path / "bytes.csv"))
    with pytest.raises(EarloopError):
        list(read_manifest(tmp_path))


def test_rows_before_a_wrong_one_are_already_out(tmp_path: Path) -> None:
    clips = read_manifest(put(tmp_path, "m.csv", "path,transcript\na.wav,a\nb.wav\n"))
    assert next(clips).text == "a"
    with pytest.raises(BadInput, match="line 3"):
        next(clips)


labels = st.none() | st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1)
records = st.builds(
    Clip,
    path=st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.wav", fullmatch=True).map(Path),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    source=st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1),
    speaker=labels,
    duration_s=st.floats(0.001, 1e5).map(lambda seconds: round(seconds, 3)),
    split=labels,
    licence=labels,
)


@pytest.mark.parametrize("layout", [EARLOOP, NEMO], ids=lambda layout: layout.name)
@given(clips=st.lists(records, min_size=1, max_size=5))
def test_what_is_written_reads_the_same(tmp_path_factory: pytest.TempPathFactory, layout: Layout, clips: list) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    placed = [Clip(folder / c.path, c.text, c.source, c.speaker, c.duration_s, c.split, c.licence) for c in clips]
    write_manifest(folder / "manifest", placed, layout)
    assert detect_layout(folder / "manifest") is layout
    assert list(read_manifest(folder / "manifest")) == placed


def test_deepspeech_is_written_with_the_size_of_each_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(1600, np.float32))
    write_manifest(tmp_path / "train.csv", [Clip(tmp_path / "a.wav", "yes")], DEEPSPEECH)
    assert (tmp_path / "train.csv").read_text() == "wav_filename,wav_filesize,transcript\na.wav,3244,yes\n"


def test_nemo_is_written_with_durations_read_from_the_audio(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(8000, np.float32))
    write_manifest(tmp_path / "m.jsonl", [Clip(tmp_path / "a.wav", "yes", "s")])
    assert [clip.duration_s for clip in read_manifest(tmp_path / "m.jsonl")] == [0.5]


def test_a_failed_write_leaves_the_old_manifest_and_nothing_else(tmp_path: Path) -> None:
    manifest = put(tmp_path, "m.csv", "path,transcript\n")
    with pytest.raises(NotFound, match=r"gone\.wav"):
        write_manifest(manifest, [Clip(tmp_path / "gone.wav", "yes")], DEEPSPEECH)
    assert manifest.read_text() == "path,transcript\n"
    assert list(tmp_path.iterdir()) == [manifest]
