"""Corpora and noise are found by name, whichever of the two folders is given."""

from pathlib import Path

import pytest

from stt_server.corpus.corpora import find_corpus, list_corpora
from stt_server.corpus.noise import find_noise, read_noise
from stt_server.errors import BadInput, NotFound


@pytest.fixture
def root(tmp_path: Path) -> Path:
    speech = tmp_path / "speech"
    (speech / "noise" / "fans").mkdir(parents=True)
    (speech / "manifest.csv").write_text(
        "source,split,speaker,path,duration_s,transcript\n"
        "an4,train,m,an4/a.flac,1,yes\nan4,test,f,an4/b.flac,1,no\nfsdd,train,j,fsdd/c.opus,1,nine\n"
    )
    (speech / "noise" / "manifest.csv").write_text(
        "kind,path,duration_s,licence,rms\nnoise,noise/fans/a.opus,60.0,CC0,0.1\nrir,fans/b.flac,1,MIT,0.1\n"
    )
    for name in ("a.opus", "b.flac"):
        (speech / "noise" / "fans" / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "texts"),
    [("speech", ["yes", "no", "nine"]), ("speech/an4", ["yes", "no"]), ("an4", ["yes", "no"]), ("fsdd", ["nine"])],
)
def test_names_mean_the_same_in_the_folder_and_in_the_folder_above(root: Path, name: str, texts: list[str]) -> None:
    for folder in (root, root / "speech"):
        assert [clip.text for clip in find_corpus(folder, name).clips()] == texts


def test_one_split_of_a_corpus(root: Path) -> None:
    assert [clip.text for clip in find_corpus(root, "an4").clips("test")] == ["no"]


def test_a_manifest_is_a_corpus_by_its_path(root: Path) -> None:
    assert len(list(find_corpus(None, str(root / "speech" / "manifest.csv")).clips())) == 3


def test_an_unknown_name_is_answered_with_the_nearest(root: Path) -> None:
    with pytest.raises(NotFound, match=r"did you mean 'an4'\? There are speech, speech/an4, speech/fsdd"):
        find_corpus(root, "an5")


def test_no_folder_and_a_wrong_folder_say_which_setting_to_mend(root: Path) -> None:
    for folder in (None, root / "gone"):
        with pytest.raises(NotFound, match="EARLOOP_CORPORA"):
            find_corpus(folder, "an4")


def test_a_source_in_two_manifests_must_be_named_in_full(root: Path) -> None:
    (root / "more").mkdir()
    (root / "more" / "manifest.csv").write_text("source,path,transcript\nan4,x.wav,go\n")
    with pytest.raises(BadInput, match="write more/an4 or speech/an4"):
        find_corpus(root, "an4")
    assert [clip.text for clip in find_corpus(root, "more/an4").clips()] == ["go"]


def test_a_changed_manifest_is_read_again(root: Path) -> None:
    assert "speech/new" not in [corpus.name for corpus in list_corpora(root)]
    with (root / "speech" / "manifest.csv").open("a") as manifest:
        manifest.write("new,train,x,new/d.wav,1,go\n")
    assert "speech/new" in [corpus.name for corpus in list_corpora(root)]


def test_noise_is_no_corpus_of_speech_and_is_found_by_its_own_way(root: Path) -> None:
    assert [corpus.name for corpus in list_corpora(root / "speech")] == ["speech", "speech/an4", "speech/fsdd"]
    for folder in (root, root / "speech"):
        for name in ("noise", "speech/noise"):
            noise, rir = find_noise(folder, name)
            assert (noise.kind, noise.duration_s, noise.licence) == ("noise", 60.0, "CC0")
            assert rir.path == root / "speech" / "noise" / "fans" / "b.flac"


def test_a_wrong_row_of_noise_is_named(root: Path) -> None:
    manifest = root / "speech" / "noise" / "manifest.csv"
    manifest.write_text("kind,path,duration_s,licence\nmusic,fans/b.flac,1,MIT\n")
    with pytest.raises(BadInput, match="line 2: kind is 'music'; write noise or rir"):
        list(read_noise(manifest))
    manifest.write_text("kind,path,duration_s,licence\nrir,fans/gone.flac,1,MIT\n")
    with pytest.raises(NotFound, match=r"line 2: there is no file fans/gone\.flac"):
        list(read_noise(manifest))
    with pytest.raises(NotFound, match="no noise folder 'hum'"):
        find_noise(root, "hum")
