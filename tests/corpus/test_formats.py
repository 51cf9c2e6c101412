"""Each format is recognised by what lies there, read in full, and written so that it reads the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.corpus.clip import Clip
from stt_server.corpus.findings import Kind
from stt_server.corpus.formats.table import FORMATS, find_format, read_corpus, recognise, write_corpus
from stt_server.errors import BadInput, BadOption, NotFound
from tests.corpus.recordings import put, record

WRITTEN = [each.name for each in FORMATS if each.write]


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    root = tmp_path / "LibriSpeech"
    for subset, speaker, texts in (
        ("train-clean-5", "19", ["MISTER QUILTER", "IS THE"]),
        ("dev-clean-2", "84", ["GO"]),
    ):
        chapter = root / subset / speaker / "198"
        names = [f"{speaker}-198-{n:04}" for n in range(len(texts))]
        for name in names:
            record(chapter / f"{name}.flac")
        lines = "".join(f"{name} {text}\n" for name, text in zip(names, texts, strict=True))
        put(chapter / f"{speaker}-198.trans.txt", lines)
    return root


@pytest.fixture
def speech_commands(tmp_path: Path) -> Path:
    root = tmp_path / "commands"
    for name in ("yes/0a_nohash_0.wav", "yes/0a_nohash_1.wav", "no/1b_nohash_0.wav", "no/2c_nohash_0.wav"):
        record(root / name)
    record(root / "_background_noise_" / "tap.wav")
    put(root / "testing_list.txt", "no/1b_nohash_0.wav\n")
    put(root / "validation_list.txt", "no/2c_nohash_0.wav\n")
    put(root / "README.md", "words\n")
    return root


@pytest.fixture
def common_voice(tmp_path: Path) -> Path:
    root = tmp_path / "cv-corpus" / "en"
    header = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\n"
    put(root / "train.tsv", header + 'aa\tc1.mp3\tHe said "no, thanks".\t2\t0\t\nbb\tc2.mp3\tYes.\t2\t0\tfifties\n')
    put(root / "test.tsv", header + "cc\tc3\tGo.\t2\t0\t\n")
    put(root / "validated.tsv", header + "dd\tc4.mp3\tNever read.\t2\t0\t\n")
    put(root / "clip_durations.tsv", "clip\tduration[ms]\nc1.mp3\t1500\nc3.mp3\t720\n")
    (root / "clips").mkdir()
    return root


def test_librispeech_is_read_with_speakers_and_splits(librispeech: Path) -> None:
    reading = read_corpus(librispeech)
    assert reading.format.name == "librispeech"
    assert [(clip.text, clip.speaker, clip.split) for clip in reading.clips] == [
        ("GO", "84", "dev"),
        ("MISTER QUILTER", "19", "train"),
        ("IS THE", "19", "train"),
    ]
    assert all(clip.path.is_file() and clip.source == "LibriSpeech" for clip in reading.clips)
    assert reading.findings == []


def test_a_part_of_librispeech_is_read_alone(librispeech: Path) -> None:
    (clip,) = read_corpus(librispeech / "dev-clean-2").clips
    assert (clip.split, clip.source) == ("dev", "dev-clean-2")


def test_lines_and_recordings_of_librispeech_that_miss_each_other_are_findings(librispeech: Path) -> None:
    chapter = librispeech / "dev-clean-2" / "84" / "198"
    (chapter / "84-198.trans.txt").write_bytes(b"84-198-0000 GO\n84-198-0000 GO\n84-198-0001 GONE\n84-198-0003 \xff\n")
    record(chapter / "84-198-0002.flac")
    record(librispeech / "dev-clean-2" / "85" / "1" / "85-1-0000.flac")
    told = [found.sentence for found in read_corpus(librispeech).findings]
    assert len(told) == 5
    assert "line 2: 84-198-0000 has a line above already" in told[0]
    assert "line 3: there is no recording 84-198-0001" in told[1]
    assert "line 4: not UTF-8" in told[2]
    assert "84-198-0002.flac: 84-198.trans.txt has no line" in told[3]
    assert "85/1: recordings but no" in told[4]


def test_speech_commands_take_words_from_folders_and_splits_from_lists(speech_commands: Path) -> None:
    reading = read_corpus(speech_commands)
    assert reading.format.name == "speech-commands"
    assert [(clip.text, clip.speaker, clip.split) for clip in reading.clips] == [
        ("no", "1b", "test"),
        ("no", "2c", "dev"),
        ("yes", "0a", "train"),
        ("yes", "0a", "train"),
    ]
    assert reading.findings == []


def test_speech_commands_without_lists_have_no_splits_and_odd_files_are_findings(speech_commands: Path) -> None:
    (speech_commands / "testing_list.txt").unlink()
    put(speech_commands / "validation_list.txt", "yes/gone_nohash_0.wav\n")
    record(speech_commands / "no" / "odd.wav")
    reading = read_corpus(speech_commands)
    assert {clip.split for clip in reading.clips} == {None}
    assert [found.kind for found in reading.findings] == [Kind.FAULTY_ROW] * 2
    assert "validation_list.txt, line 1: there is no file 'yes/gone_nohash_0.wav'" in reading.findings[0].sentence
    assert "odd.wav: its name does not say the speaker" in reading.findings[1].sentence


def test_common_voice_is_read_with_speakers_durations_and_splits(common_voice: Path) -> None:
    reading = read_corpus(common_voice)
    assert reading.format.name == "common-voice"
    clips = common_voice / "clips"
    assert reading.clips == [
        Clip(clips / "c1.mp3", 'He said "no, thanks".', "en", "aa", 1.5, "train"),
        Clip(clips / "c2.mp3", "Yes.", "en", "bb", None, "train"),
        Clip(clips / "c3.mp3", "Go.", "en", "cc", 0.72, "test"),
    ]


def test_common_voice_with_empty_parts_is_read_from_what_was_validated(common_voice: Path) -> None:
    for name in ("train.tsv", "test.tsv"):
        put(common_voice / name, "client_id\tpath\tsentence\n")
    (clip,) = read_corpus(common_voice).clips
    assert (clip.text, clip.split) == ("Never read.", None)


def test_faulty_rows_of_common_voice_are_findings_by_line(common_voice: Path) -> None:
    put(common_voice / "clip_durations.tsv", "clip\tduration[ms]\nc1.mp3\tlong\n")
    with (common_voice / "test.tsv").open("a") as rows:
        rows.write("ee\t\tno path\t1\t0\t\nee\tc5.mp3\n")
    reading = read_corpus(common_voice)
    assert len(reading.clips) == 3
    told = [found.sentence for found in reading.findings]
    assert "clip_durations.tsv, line 2: duration[ms] is 'long'" in told[0]
    assert "test.tsv, line 3: path is missing" in told[1]
    assert "test.tsv, line 4: 2 fields under 6 columns" in told[2]


def test_recordings_beside_texts_are_read_and_the_lonely_ones_are_findings(tmp_path: Path) -> None:
    for name in ("train/a.wav", "b.WAV", "silent.wav", "c.flac", "c.wav"):
        record(tmp_path / name)
    put(tmp_path / "train" / "a.txt", "turn it\n  on\n")
    put(tmp_path / "b.txt", "\ufeffoff")
    put(tmp_path / "c.txt", "up")
    put(tmp_path / "lost.txt", "where")
    put(tmp_path / "README.txt", "my voice")
    reading = read_corpus(tmp_path)
    assert reading.format.name == "text-files"
    assert [(clip.text, clip.split) for clip in reading.clips] == [("off", None), ("up", None), ("turn it on", "train")]
    told = [found.sentence for found in reading.findings]
    assert "c.wav: c.flac has the same text file" in told[0]
    assert "silent.wav: there is no silent.txt beside it" in told[1]
    assert "lost.txt: there is no recording lost" in told[2]
    assert len(told) == 3


def test_a_text_that_is_no_text_and_one_that_is_a_book_are_findings(tmp_path: Path) -> None:
    for name in ("good", "bytes", "book"):
        record(tmp_path / f"{name}.wav")
    put(tmp_path / "good.txt", "go")
    put(tmp_path / "book.txt", "word " * 20_000)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    reading = read_corpus(tmp_path)
    assert [clip.text for clip in reading.clips] == ["go"]
    assert ["over 65536 bytes" in reading.findings[0].sentence, "not UTF-8" in reading.findings[1].sentence] == [
        True
    ] * 2


def test_three_csvs_in_a_folder_are_one_dataset(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        record(tmp_path / f"{split}.wav")
        put(tmp_path / f"{split}.csv", f"wav_filename,wav_filesize,transcript\n{split}.wav,1,{split}\n")
    reading = read_corpus(tmp_path)
    assert reading.format.name == "deepspeech"
    assert [(clip.text, clip.split) for clip in reading.clips] == [(split, split) for split in ("train", "dev", "test")]


def test_a_faulty_row_is_a_finding_and_the_others_are_read(tmp_path: Path) -> None:
    rows = 'wav_filename,wav_filesize,transcript\na.wav,1,one\nb.wav,1,two,three\nc.wav,1,"x"y\nd.wav,1,four\n'
    (tmp_path / "m.csv").write_bytes(rows.encode() + b"e.wav,1,\xff\n" + b'f.wav,1,"open\ng.wav,1,lost\n')
    reading = read_corpus(tmp_path / "m.csv")
    assert [clip.text for clip in reading.clips] == ["one", "four"]
    lines = [found.sentence.split(": ")[0].rsplit(", ", 1)[1] for found in reading.findings]
    assert lines == ["line 3", "line 4", "line 6", "line 7"]
    assert "a quote opens here and never closes" in reading.findings[-1].sentence


def test_a_format_may_be_said_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    manifest = put(tmp_path / "m.csv", "wav_filename,wav_filesize,transcript\na.wav,1,one\n")
    assert len(read_corpus(manifest, "deepspeech").clips) == 1
    with pytest.raises(BadInput, match="of the format deepspeech, not nemo"):
        read_corpus(manifest, "nemo")
    with pytest.raises(BadInput, match="not of Common Voice"):
        read_corpus(manifest, "common-voice")
    with pytest.raises(BadOption, match="did you mean nemo"):
        read_corpus(manifest, "nimo")
    with pytest.raises(NotFound, match=r"no manifest\.jsonl in it, nor any of train\.jsonl"):
        read_corpus(tmp_path, "nemo")


def test_what_is_no_dataset_is_refused_with_what_would_be_one(librispeech: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file or folder"):
        read_corpus(tmp_path / "gone")
    with pytest.raises(BadInput, match=r"song\.txt, line 1: the columns"):
        read_corpus(put(tmp_path / "song.txt", "la\n"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match=r"no dataset that we know(.|\n)*librispeech(.|\n)*text-files"):
        read_corpus(empty)
    with pytest.raises(BadInput, match="no clip in it could be read as deepspeech; is it the right"):
        read_corpus(put(tmp_path / "none.csv", "wav_filename,wav_filesize,transcript\n"))
    with pytest.raises(BadInput, match="the first fault: .*line 2"):
        read_corpus(put(tmp_path / "bad.csv", "wav_filename,wav_filesize,transcript\n1\n"))


def test_the_dataset_one_folder_further_down_is_named(common_voice: Path) -> None:
    with pytest.raises(BadInput, match=f"Did you mean {common_voice}"):
        read_corpus(common_voice.parent)


def test_a_folder_with_our_manifest_is_what_the_manifest_says(librispeech: Path) -> None:
    put(librispeech / "manifest.csv", "source,path,transcript\nlibri,a.flac,yes\n")
    assert recognise(librispeech).name == "earloop"


words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
recorded = st.lists(
    st.builds(
        Clip,
        path=st.just(Path()),
        text=texts,
        source=words,
        speaker=st.none() | words,
        duration_s=st.floats(0.001, 1e4).map(lambda seconds: round(seconds, 3)),
        split=st.sampled_from(["train", "dev", "test", None]),
        licence=st.none() | words,
    ),
    min_size=1,
    max_size=6,
)
FORGOTTEN: dict[str, dict[str, Any]] = {
    "earloop": {},
    "nemo": {},
    "deepspeech": {"source": "data", "speaker": None, "duration_s": None, "licence": None},
    "common-voice": {"source": "data", "duration_s": None, "licence": None},
    "audiofolder": {"source": "data"},
}


@pytest.mark.parametrize("name", WRITTEN)
@given(clips=recorded)
def test_a_folder_that_is_written_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, name: str, clips: list
) -> None:
    folder = tmp_path_factory.mktemp("corpus") / "data"
    audio = record(folder / "a.wav")
    placed = [replace(clip, path=folder / "clips" / f"{n}.wav") for n, clip in enumerate(clips)]
    for clip in placed:
        clip.path.parent.mkdir(exist_ok=True)
        clip.path.hardlink_to(audio)
    write_corpus(folder, placed, name)
    reading = read_corpus(folder)
    order = ["train", "dev", "test", None]
    expected = [replace(clip, **FORGOTTEN[name]) for clip in placed]
    if name in ("deepspeech", "common-voice", "audiofolder"):  # a file per split
        expected.sort(key=lambda clip: order.index(clip.split))
    assert reading.format.name == name
    assert reading.findings == []
    assert reading.clips == expected


def test_every_format_has_a_round_trip_or_is_only_read() -> None:
    assert set(WRITTEN) == set(FORGOTTEN)


def test_one_file_of_several_splits_is_refused_where_it_would_forget_them(tmp_path: Path) -> None:
    audio = record(tmp_path / "a.wav")
    clips = [Clip(audio, "a", split="train"), Clip(audio, "b", split="dev")]
    with pytest.raises(BadInput, match=r"no column for the split \(dev, train\); name a folder"):
        write_corpus(tmp_path / "all.csv", clips, "deepspeech")
    assert write_corpus(tmp_path / "out" / "train.csv", clips[:1], "deepspeech") == [tmp_path / "out" / "train.csv"]
    assert write_corpus(tmp_path / "all.jsonl", clips, "nemo") == [tmp_path / "all.jsonl"]
    with pytest.raises(BadOption, match="librispeech is read and not written; write one of earloop"):
        write_corpus(tmp_path / "x", clips, "librispeech")


def test_tabs_and_line_ends_in_a_text_become_spaces_where_nothing_is_quoted(tmp_path: Path) -> None:
    write_corpus(tmp_path / "train.tsv", [Clip(record(tmp_path / "a.wav"), "turn\tit\r\non")], "common-voice")
    (clip,) = read_corpus(tmp_path / "train.tsv").clips
    assert clip.text == "turn it  on"


def test_every_format_says_what_it_is() -> None:
    for each in FORMATS:
        assert find_format(each.name) is each
        assert each.what


def test_an_audiofolder_of_others_is_read_whatever_they_call_the_text(tmp_path: Path) -> None:
    record(tmp_path / "train" / "a.wav")
    put(tmp_path / "train" / "metadata.csv", 'file_name,text,age\na.wav,"yes, please",30\n,no,\n')
    reading = read_corpus(tmp_path)
    assert [(clip.text, clip.split, clip.path.name) for clip in reading.clips] == [("yes, please", "train", "a.wav")]
    assert "line 3: file_name is missing" in reading.findings[0].sentence
    put(tmp_path / "train" / "metadata.csv", "name,text\na.wav,yes\n")
    with pytest.raises(BadInput, match="it has a column file_name and one of transcription, text, sentence"):
        read_corpus(tmp_path, "audiofolder")
