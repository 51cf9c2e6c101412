"""The shipped registry is sound, and another one is read with the same checks."""

from pathlib import Path

import pytest

from stt_server.corpus.registry import REGISTRY, find_entry, load_registry
from stt_server.errors import BadInput, NotFound
from tests.corpus.recordings import put
from tests.corpus.server import serving

GOOD = f"""
[mine]
what = "my voice"
licence = "CC0-1.0"
format = "text-files"
[[mine.archives]]
urls = ["https://example.org/mine.tar.gz"]
size = 100
sha256 = "{"ab" * 32}"
"""


def test_every_shipped_corpus_says_what_it_is_and_whose_page_it_is_from() -> None:
    registry = load_registry()
    assert {"mini-librispeech", "librispeech-train-clean-100", "speech-commands", "musan", "common-voice"} <= set(
        registry
    )
    for entry in registry.values():
        assert entry.licence
        assert entry.page.startswith("https://")
        assert all(url.startswith("https://") for archive in entry.archives for url in archive.urls[:1])


def test_the_shipped_digests_are_all_different() -> None:
    digests = [archive.sha256 for entry in load_registry().values() for archive in entry.archives]
    assert len(set(digests)) == len(digests)


def test_a_registry_of_ones_own_is_read_from_a_file_and_from_an_address(tmp_path: Path) -> None:
    from_file = load_registry(str(put(tmp_path / "r.toml", GOOD)))
    with serving({"r.toml": GOOD.encode()}) as served:
        assert load_registry(served.address("r.toml")) == from_file
    entry = find_entry(from_file, "mine")
    assert (entry.size, entry.most_bytes, entry.archives[0].name) == (100, 400, "mine.tar.gz")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[mine]", "[mine", "not TOML"),
        ("[[mine", "[../mine]\n[[mine", "not TOML"),
        ("size = 100", "size = 0", r"mine\.archives\.0\.size"),
        ("ab", "xy", r"mine\.archives\.0\.sha256"),
        ("https://example.org/", "file:///etc/", "no http or https address"),
        ('format = "text-files"', 'format = "text-file"', "did you mean text-files"),
        ('format = "text-files"', "", "either a format or, for noise"),
        ('format = "text-files"', 'noise = {"../x" = "noise"}', "leads out"),
        ('what = "my voice"', 'what = "x"\nlicense = "CC0"', r"mine\.license: Extra"),
        ('what = "my voice"', 'what = "x"\nby_hand = "ask"', "either archives or by_hand"),
        ("\nlicence", "\npage", r"mine\.licence: Field required"),
    ],
)
def test_a_faulty_registry_is_refused_by_place_and_field(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as caught:
        load_registry(str(put(tmp_path / "r.toml", GOOD.replace(old, new))))
    assert "r.toml" in str(caught.value)


def test_a_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pattern"):
        load_registry(
            str(put(tmp_path / "r.toml", GOOD.replace("mine", '"../mine"', 1).replace("[mine.", '["../mine".')))
        )


def test_what_is_not_there_is_answered_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="did you mean musan"):
        find_entry(load_registry(), "musen")
    with pytest.raises(NotFound, match="no such registry"):
        load_registry(str(tmp_path / "gone.toml"))
    assert REGISTRY.is_file()
