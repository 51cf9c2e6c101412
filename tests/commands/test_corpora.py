"""`earloop corpora …` as typed: listing, fetching over a real line, checking, converting."""

import csv
import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stt_server import cli
from stt_server.corpus.formats.table import read_corpus
from stt_server.speech.files import write_wav
from tests.corpus.archives import tar, tree
from tests.corpus.recordings import put, record
from tests.corpus.server import serving
from tests.voices import say

Typed = Callable[..., tuple[object, str, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Typed:
    """Type `earloop corpora …`; get exit code, standard output and standard error."""
    monkeypatch.setenv("EARLOOP_CORPORA", str(tmp_path / "corpora"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["corpora", *map(str, words)])
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a registry with one corpus, `home`."""
    for name in ("a", "b"):
        record(tmp_path / "home" / f"{name}.wav")
        put(tmp_path / "home" / f"{name}.txt", "go on")
    record(tmp_path / "home" / "c.wav")
    data = tar(tree(tmp_path / "home"))
    with serving({"home.tar.gz": data}) as served:
        served.files["registry.toml"] = described(served.address("home.tar.gz"), data).encode()
        yield served.address("registry.toml")


def described(url: str, data: bytes) -> str:
    """A registry of one corpus of one archive."""
    entry = '[home]\nwhat = "my voice"\nlicence = "CC0-1.0"\nformat = "text-files"\n[[home.archives]]\n'
    return entry + f'urls = ["{url}"]\nsize = {len(data)}\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'


def spoken(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        folder.mkdir(exist_ok=True)
        write_wav(folder / f"{name}.wav", say(text))
        put(folder / f"{name}.txt", text)
    return folder


def test_the_list_names_every_corpus_with_licence_and_size(typed: Typed) -> None:
    code, out, _ = typed("list")
    assert code == 0
    for told in ("mini-librispeech", "459 MB", "CC-BY-4.0", "speech-commands", "common-voice", "by hand"):
        assert told in out


def test_a_corpus_of_another_registry_is_fetched_and_then_listed_as_here(
    typed: Typed, registry: str, tmp_path: Path
) -> None:
    code, out, err = typed("get", "home", "--registry", registry)
    assert (code, out) == (
        0,
        f"{tmp_path}/corpora/home: 2 clips; 1 things in it gave no clip, see findings.csv there\n",
    )
    assert "home: my voice. Licence CC0-1.0" in err
    listed = typed("list", "--registry", registry)[1]
    assert "here" in listed
    assert f"In {tmp_path}/corpora: home" in listed
    assert typed("get", "home", "--registry", registry)[0] == 5


def test_a_fetch_that_is_stopped_by_hand_is_gone_on_with_by_the_same_command(tmp_path: Path) -> None:
    for n in range(20):
        put(record(tmp_path / "home" / f"{n}.wav", seconds=1).with_suffix(".txt"), "go on")
    data, root = tar(tree(tmp_path / "home"), "w"), tmp_path / "corpora"
    with serving({"home.tar": data}) as served:
        words = ["get", "home", "--registry", put(tmp_path / "r.toml", described(served.address("home.tar"), data))]
        command = [sys.executable, "-m", "stt_server.cli", "corpora", *map(str, words), "--folder", str(root)]
        served.misdeeds.cuts, served.misdeeds.stalls = [400_000], threading.Event()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stopped:
            until(lambda: [path.stat().st_size for path in root.rglob("*.partial")] == [400_000])
            stopped.send_signal(signal.SIGINT)
            assert stopped.wait(20) != 0
        served.misdeeds.stalls.set()
        assert list(root.glob("home")) == []
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert served.ranges == [None, "bytes=400000-"]
    assert done.stdout == f"{root}/home: 20 clips\n"


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_unknown_corpus_and_one_by_hand_end_with_a_sentence(typed: Typed) -> None:
    code, out, err = typed("get", "mini-librespeech")
    assert (code, out) == (3, "")
    assert "did you mean mini-librispeech?" in err
    code, _, err = typed("get", "common-voice")
    assert code == 2
    assert "agree to terms" in err


def test_a_sound_dataset_passes_and_a_faulty_one_is_shown_by_kind_and_written_by_clip(
    typed: Typed, tmp_path: Path
) -> None:
    good = spoken(tmp_path / "good", on="turn it on", off="turn it off")
    code, out, _ = typed("check", good)
    assert (code, out) == (0, f"{good}: text-files, 2 clips\nno findings\n")
    bad = spoken(tmp_path / "bad", on="turn it on", long="x" * 500, odd="打 on", lonely="go")
    (bad / "lonely.txt").unlink()
    (bad / "on.wav").write_bytes(b"RIFF")
    code, out, _ = typed("check", bad, "--csv", tmp_path / "findings.csv")
    assert code == 1
    for told in ("too many characters", "unspellable", "unreadable", "faulty row", "'打' is in 1 texts"):
        assert told in out
    with (tmp_path / "findings.csv").open(newline="") as lines:
        found = {(Path(row["path"]).name, row["kind"]) for row in csv.DictReader(lines)}
    assert {("lonely.wav", "faulty row"), ("on.wav", "unreadable"), ("odd.wav", "unspellable")} <= found


def test_a_folder_of_recordings_becomes_three_csvs(typed: Typed, tmp_path: Path) -> None:
    for n in range(40):
        put(record(tmp_path / "mine" / f"{n}.wav").with_suffix(".txt"), "go on")
    code, out, _ = typed("convert", tmp_path / "mine", tmp_path / "csvs", "--to", "deepspeech", "--split")
    assert code == 0
    assert "split by take" in out
    assert "speakers that may be the same" in out
    clips = read_corpus(tmp_path / "csvs").clips
    assert len(clips) == 40
    assert {clip.split for clip in clips} == {"train", "dev", "test"}


def test_a_format_that_is_only_read_and_a_folder_of_nothing_are_refused(typed: Typed, tmp_path: Path) -> None:
    good = spoken(tmp_path / "good", on="turn it on")
    assert typed("convert", good, tmp_path / "out", "--to", "librispeech")[0] == 2
    (tmp_path / "empty").mkdir()
    code, _, err = typed("check", tmp_path / "empty")
    assert code == 2
    assert "no dataset that we know" in err


def test_without_a_folder_for_corpora_nothing_is_fetched(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARLOOP_CORPORA")
    code, _, err = typed("get", "musan")
    assert code == 3
    assert "set EARLOOP_CORPORA" in err
