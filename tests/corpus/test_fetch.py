"""From a name to a corpus that recipes find, over a real line, and nothing half done under its name."""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stt_server.corpus.corpora import find_corpus
from stt_server.corpus.download import Patience
from stt_server.corpus.fetch import fetch_corpus
from stt_server.corpus.noise import find_noise
from stt_server.corpus.registry import Entry
from stt_server.errors import BadInput, Conflict, NotFound, TooLarge, Unavailable, Unsupported
from tests.corpus.archives import tar, tree, zipped
from tests.corpus.recordings import put, record
from tests.corpus.server import Served, serving

HASTY = Patience(attempts=3, pause_s=0.01, stall_s=5, deadline_s=30)
Made = Callable[..., Entry]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Two archives in LibriSpeech's folders and one of noise."""
    made = tmp_path / "made"
    for subset, speaker in (("train-clean-5", "19"), ("dev-clean-2", "84")):
        chapter = made / subset / "LibriSpeech" / subset / speaker / "1"
        record(chapter / f"{speaker}-1-0000.flac", seconds=0.5)
        put(chapter / f"{speaker}-1-0000.trans.txt", f"{speaker}-1-0000 GO ON\n")
    record(made / "noise" / "N" / "fans" / "a.wav")
    record(made / "noise" / "N" / "rooms" / "b.wav")
    archives = {f"{name}.tar.gz": tar(tree(made / name)) for name in ("train-clean-5", "dev-clean-2")}
    with serving({**archives, "noise.zip": zipped(tree(made / "noise"))}) as server:
        yield server


@pytest.fixture
def made(served: Served) -> Made:
    def make(*names: str, **fields) -> Entry:
        archives = [
            {"urls": [served.address(name)], "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name in names
            for data in [served.files[name]]
        ]
        described = {"what": "books", "licence": "CC-BY-4.0", "archives": archives, **fields}
        if "noise" not in fields and "by_hand" not in fields:
            described["format"] = "librispeech"
        return Entry.model_validate(described)

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "corpora").mkdir()
    return tmp_path / "corpora"


def test_a_corpus_of_two_archives_is_found_by_name_afterwards(made: Made, root: Path) -> None:
    steps: dict[str, tuple[int, int]] = {}
    entry = made("train-clean-5.tar.gz", "dev-clean-2.tar.gz")
    fetched = fetch_corpus("mini", entry, root, lambda step, *at: steps.update({step: at}), HASTY)
    assert (fetched.folder, fetched.clips, fetched.findings) == (root / "mini", 2, [])
    clips = list(find_corpus(root, "mini").clips())
    assert sorted((clip.text, clip.speaker, clip.split, clip.licence, clip.duration_s) for clip in clips) == [
        ("GO ON", "19", "train", "CC-BY-4.0", 0.5),
        ("GO ON", "84", "dev", "CC-BY-4.0", 0.5),
    ]
    assert all(clip.path.is_file() and clip.source == "mini" for clip in clips)
    assert [done == of for done, of in (steps["fetch train-clean-5.tar.gz"], steps["list"])] == [True, True]
    assert "unpack dev-clean-2.tar.gz" in steps
    assert sorted(path.name for path in (root / "mini").iterdir()) == ["LibriSpeech", "manifest.csv"]
    assert list((root / ".downloads").iterdir()) == []


def test_noise_is_found_by_kind_afterwards(made: Made, root: Path) -> None:
    fetch_corpus("hum", made("noise.zip", noise={"N/fans": "noise", "N/rooms": "rir"}), root, patience=HASTY)
    assert [(clip.kind, clip.path.name, clip.duration_s, clip.licence) for clip in find_noise(root, "hum")] == [
        ("noise", "a.wav", 0.2, "CC-BY-4.0"),
        ("rir", "b.wav", 0.2, "CC-BY-4.0"),
    ]


def test_a_fetch_that_breaks_off_is_gone_on_with(served: Served, made: Made, root: Path) -> None:
    entry = made("train-clean-5.tar.gz", "dev-clean-2.tar.gz")
    served.misdeeds.cuts = [10**9, 1000, 0, 0]
    with pytest.raises(Unavailable, match="1000 of"):
        fetch_corpus("mini", entry, root, patience=HASTY)
    assert not (root / "mini").exists()
    fetch_corpus("mini", entry, root, patience=HASTY)
    assert served.ranges == [None, None, "bytes=1000-", "bytes=1000-", "bytes=1000-"]
    assert len(list(find_corpus(root, "mini").clips())) == 2


def test_wrong_bytes_never_reach_the_corpora(served: Served, made: Made, root: Path) -> None:
    entry = made("train-clean-5.tar.gz")
    served.files["train-clean-5.tar.gz"] = bytes(entry.size)
    with pytest.raises(BadInput, match="SHA-256"):
        fetch_corpus("mini", entry, root, patience=HASTY)
    assert [path.name for path in root.iterdir()] == [".downloads"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (tar({"../../evil.txt": b"x"}), BadInput),
        (tar({"zeros.wav": bytes(20_000_000)}), TooLarge),
        (b"no archive", Unsupported),
    ],
    ids=["path", "bomb", "html"],
)
def test_an_archive_that_should_not_be_unpacked_leaves_nothing(
    served: Served, made: Made, root: Path, data, error
) -> None:
    served.files["evil.tar.gz"] = data
    with pytest.raises(error, match="evil"):
        fetch_corpus("evil", made("evil.tar.gz"), root, patience=HASTY)
    assert [path.name for path in root.iterdir()] == [".downloads"]
    assert not (root.parent / "evil.txt").exists()


def test_an_archive_without_the_corpus_is_told_and_an_unlisted_folder_is_listed_again(
    served: Served, made: Made, root: Path
) -> None:
    served.files["empty.zip"] = zipped({"README.txt": b"nothing here"})
    with pytest.raises(BadInput, match="no clip in it could be read as librispeech"):
        fetch_corpus("empty", made("empty.zip"), root, patience=HASTY)
    with pytest.raises(NotFound, match="names a folder that is not there"):
        fetch_corpus("hum", made("noise.zip", noise={"N/music": "noise"}), root, patience=HASTY)
    fetch_corpus("hum", made("noise.zip", noise={"N/fans": "noise"}), root, patience=HASTY)
    assert served.ranges == [None, None]  # the third call fetched nothing


def test_what_is_there_or_being_fetched_or_got_by_hand_is_not_fetched(made: Made, root: Path) -> None:
    entry = made("train-clean-5.tar.gz")
    fetch_corpus("mini", entry, root, patience=HASTY, keep=True)
    assert (root / ".downloads" / "mini" / "train-clean-5.tar.gz").is_file()
    with pytest.raises(Conflict, match="is in .*mini already"):
        fetch_corpus("mini", entry, root, patience=HASTY)
    with (root / ".downloads" / "mini" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (root / "mini" / "manifest.csv").unlink()
        with pytest.raises(Conflict, match="fetched by another process"):
            fetch_corpus("mini", entry, root, patience=HASTY)
    with pytest.raises(BadInput, match="cannot be fetched: ask its publisher"):
        fetch_corpus("cv", made(by_hand="ask its publisher", format="common-voice"), root)


def test_a_corpus_too_large_for_the_disk_is_refused_before_a_byte_comes(served: Served, made: Made, root: Path) -> None:
    entry = made("train-clean-5.tar.gz")
    huge = entry.model_copy(update={"archives": (entry.archives[0].model_copy(update={"size": 10**18}),)})
    with pytest.raises(Unavailable, match="GB are needed"):
        fetch_corpus("mini", huge, root, patience=HASTY)
    assert served.ranges == []


def test_what_gave_no_clip_is_listed_beside_the_manifest(
    served: Served, made: Made, root: Path, tmp_path: Path
) -> None:
    chapter = tmp_path / "made" / "train-clean-5" / "LibriSpeech" / "train-clean-5" / "19" / "1"
    record(chapter / "19-1-0001.flac")
    served.files["train-clean-5.tar.gz"] = tar(tree(tmp_path / "made" / "train-clean-5"))
    fetched = fetch_corpus("mini", made("train-clean-5.tar.gz"), root, patience=replace(HASTY))
    assert len(fetched.findings) == 1
    assert "19-1-0001" in (root / "mini" / "findings.csv").read_text()
