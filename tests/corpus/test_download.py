"""Downloads over a real line that breaks, stalls and lies: resumed, checked, and never half there under their name."""

import hashlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_server.corpus.download import Patience, download, fetch_text
from stt_server.errors import BadInput, NotFound, TimedOut, Unavailable
from tests.corpus.server import Served, serving

DATA = random.Random(1).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
HASTY = Patience(attempts=3, pause_s=0.01, stall_s=5, deadline_s=30)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving({"corpus.tar": DATA}) as server:
        yield server


def fetch(served: Served, target: Path, *urls: str, patience: Patience = HASTY, **promise) -> list[int]:
    """Download corpus.tar, and the bytes that were there at each report."""
    seen: list[int] = []
    promise = {"size": len(DATA), "sha256": DIGEST, **promise}
    places = urls or (served.address("corpus.tar"),)
    download(places, target, **promise, progress=lambda done, of: seen.append(done), patience=patience)
    return seen


def is_there(target: Path) -> bool:
    return target.read_bytes() == DATA and list(target.parent.iterdir()) == [target]


def test_a_file_is_fetched_and_its_progress_told(served: Served, tmp_path: Path) -> None:
    seen = fetch(served, tmp_path / "deep" / "corpus.tar")
    assert is_there(tmp_path / "deep" / "corpus.tar")
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)


def test_a_cut_line_is_gone_on_with_where_it_broke_off_more_often_than_the_attempts(
    served: Served, tmp_path: Path
) -> None:
    served.misdeeds.cuts = [50_000] * 5
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")
    assert served.ranges == [None, *(f"bytes={n * 50_000}-" for n in range(1, 6))]


def test_a_line_without_a_stated_length_is_found_cut_too(served: Served, tmp_path: Path) -> None:
    served.misdeeds.names_length = False
    served.misdeeds.cuts = [50_000]
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")


def test_a_server_that_knows_no_ranges_gives_it_all_again(served: Served, tmp_path: Path) -> None:
    served.misdeeds.knows_ranges = False
    served.misdeeds.cuts = [50_000, 80_000]
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")


def test_a_line_that_only_breaks_is_given_up_and_what_came_is_kept_for_the_next_call(
    served: Served, tmp_path: Path
) -> None:
    served.misdeeds.cuts = [50_000, 0, 0]
    with pytest.raises(Unavailable, match="cut, 3 times in a row; 50000 of 300000 bytes are kept"):
        fetch(served, tmp_path / "corpus.tar")
    assert not (tmp_path / "corpus.tar").exists()
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")
    assert served.ranges[-1] == "bytes=50000-"


def test_wrong_bytes_are_thrown_away_and_named(served: Served, tmp_path: Path) -> None:
    served.files["corpus.tar"] = b"x" * len(DATA)
    with pytest.raises(BadInput, match=f"SHA-256 [0-9a-f]{{64}}, not {DIGEST}"):
        fetch(served, tmp_path / "corpus.tar")
    assert list(tmp_path.iterdir()) == []


def test_an_old_beginning_that_does_not_fit_is_fetched_anew(served: Served, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.partial").write_bytes(b"x" * 70_000)
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")
    assert served.ranges == ["bytes=70000-", None]


def test_a_beginning_that_is_longer_than_the_file_is_thrown_away(served: Served, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.partial").write_bytes(b"x" * 400_000)
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")


def test_a_whole_file_that_was_not_yet_named_needs_no_line(served: Served, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.partial").write_bytes(DATA)
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")
    assert served.ranges == []


def test_the_next_place_is_asked_when_one_lacks_the_file_or_has_another(served: Served, tmp_path: Path) -> None:
    served.files["other.tar"] = DATA[:-1]
    served.files["wrong.tar"] = b"x" * len(DATA)
    served.misdeeds.names_length = False
    served.files["endless.tar"] = DATA * 3
    urls = [served.address(name) for name in ("gone.tar", "other.tar", "endless.tar", "wrong.tar", "corpus.tar")]
    fetch(served, tmp_path / "corpus.tar", *urls)
    assert is_there(tmp_path / "corpus.tar")


def test_a_file_of_another_size_is_refused_before_a_byte_is_kept(served: Served, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has a file of 300000 bytes, not of 299999"):
        fetch(served, tmp_path / "corpus.tar", size=299_999)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_was_not_asked_for_is_refused(served: Served, tmp_path: Path) -> None:
    served.misdeeds.cuts = [50_000]
    served.misdeeds.content_range = "bytes 0-299999/300000"
    with pytest.raises(BadInput, match="gives the part '0-299999/300000' when asked for all from byte 50000"):
        fetch(served, tmp_path / "corpus.tar")


def test_a_file_that_is_nowhere_is_not_found(served: Served, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"corpus\.tar cannot be fetched: .*gone\.tar answers 404 Not Found"):
        fetch(served, tmp_path / "corpus.tar", served.address("gone.tar"))


def test_a_busy_server_is_asked_again_as_it_asks(served: Served, tmp_path: Path) -> None:
    served.misdeeds.answers = [503, 429]
    fetch(served, tmp_path / "corpus.tar")
    assert is_there(tmp_path / "corpus.tar")
    served.misdeeds.answers, served.misdeeds.retry_after = [503], "500"
    with pytest.raises(TimedOut, match="not fetched within 30 s"):
        fetch(served, tmp_path / "again.tar")


def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    with serving({}) as gone:
        pass
    with pytest.raises(Unavailable, match="refused"):
        fetch(gone, tmp_path / "corpus.tar")


def test_a_line_that_stalls_is_left_and_taken_up_again(served: Served, tmp_path: Path) -> None:
    served.misdeeds.cuts, served.misdeeds.stalls = [50_000], threading.Event()
    patience = Patience(attempts=2, pause_s=0.01, stall_s=2, deadline_s=60)  # a busy machine needs a while to answer
    fetch(served, tmp_path / "corpus.tar", patience=patience)
    assert is_there(tmp_path / "corpus.tar")
    assert served.ranges == [None, "bytes=50000-"]


def test_the_deadline_ends_it_and_keeps_what_came(served: Served, tmp_path: Path) -> None:
    with pytest.raises(TimedOut, match="of 300000 bytes at the deadline; the same command goes on from there"):
        fetch(served, tmp_path / "corpus.tar", patience=Patience(deadline_s=0))
    assert (tmp_path / "corpus.tar.partial").stat().st_size > 0


def test_a_place_that_is_no_web_server_is_refused(served: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    with pytest.raises(BadInput, match="no http or https address"):
        fetch(served, tmp_path / "out" / "corpus.tar", secret.as_uri())


def test_a_full_disk_is_said_as_that(served: Served, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.partial").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="the disk is full"):
        fetch(served, tmp_path / "corpus.tar")


def test_a_small_text_is_fetched_whole_or_refused(served: Served) -> None:
    served.files |= {"r.toml": "ü = 1".encode(), "long.toml": b"x" * (1 << 21), "bytes.toml": b"\xff"}
    assert fetch_text(served.address("r.toml")) == "ü = 1"
    for name, kind in (("long.toml", BadInput), ("bytes.toml", BadInput), ("gone.toml", NotFound)):
        with pytest.raises(kind):
            fetch_text(served.address(name))
    served.misdeeds.answers = [500]
    with pytest.raises(Unavailable, match="answers 500"):
        fetch_text(served.address("r.toml"))
