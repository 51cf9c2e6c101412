"""Archives are unpacked whole, or refused without a byte outside the folder."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from stt_server.corpus.unpack import unpack
from stt_server.errors import BadInput, TooLarge, Unsupported
from tests.corpus.archives import member, tar, tree, zipped

FILES = {"a/b.txt": b"one", "a/c/d.txt": b"two" * 200_000, "./e.txt": b""}
PACKED = {
    "tar": tar(FILES, "w"),
    "tar.gz": tar(FILES, "w:gz"),
    "tar.bz2": tar(FILES, "w:bz2"),
    "tar.xz": tar(FILES, "w:xz"),
    "zip": zipped(FILES),
}


def unpacked(tmp_path: Path, data: bytes, most: int = 10_000_000) -> dict[str, bytes]:
    archive = tmp_path / "archive"
    archive.write_bytes(data)
    inside = tmp_path / "outer" / "inside"
    inside.mkdir(parents=True)
    try:
        unpack(archive, inside, most)
    finally:
        assert [path.name for path in (tmp_path / "outer").iterdir()] == ["inside"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "outer"]
    return tree(inside)


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED.keys())
def test_what_was_packed_comes_out(tmp_path: Path, data: bytes) -> None:
    assert unpacked(tmp_path, data) == {name.removeprefix("./"): data for name, data in FILES.items()}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED.keys())
def test_progress_comes_near_the_whole_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "archive").write_bytes(data)
    seen: list[tuple[int, int]] = []
    written = unpack(tmp_path / "archive", tmp_path / "out", 10_000_000, lambda *at: seen.append(at))
    assert written == sum(map(len, FILES.values()))
    assert seen == sorted(seen)
    assert {of for _, of in seen} == {len(data)}


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/tmp/earloop-out.txt", "a\\..\\out.txt", ".."])
@pytest.mark.parametrize("pack", [tar, zipped])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, pack, name: str) -> None:
    with pytest.raises(BadInput, match="leads out of the corpus"):
        unpacked(tmp_path, pack({"good.txt": b"1", name: b"evil"}))
    assert not Path("/tmp/earloop-out.txt").exists()


@pytest.mark.parametrize(
    "odd",
    [
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.LNKTYPE, "good.txt"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=["symlink", "hard link", "device", "pipe"],
)
def test_links_and_devices_are_refused(tmp_path: Path, odd: tarfile.TarInfo) -> None:
    with pytest.raises(BadInput, match="is a link or device"):
        unpacked(tmp_path, tar({"good.txt": b"1"}, "w", odd))


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_that_swells_is_stopped_at_its_bound(tmp_path: Path, pack) -> None:
    with pytest.raises(TooLarge, match="unpacks to over 1000000 bytes"):
        unpacked(tmp_path, pack({"zeros": bytes(50_000_000)}), most=1_000_000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("zeros")) <= 1_000_000


def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="exists"):
        unpacked(tmp_path, tar({"a.txt": b"1", "./a.txt": b"2"}))


@pytest.mark.parametrize("kind", PACKED)
def test_a_damaged_archive_is_refused(tmp_path: Path, kind: str) -> None:
    data = PACKED[kind]
    with pytest.raises((BadInput, Unsupported)):
        unpacked(tmp_path, data[: len(data) // 2])


def test_changed_bytes_inside_a_zip_are_found(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", b"hello world")
    with pytest.raises(BadInput, match="damaged: Bad CRC-32"):
        unpacked(tmp_path, packed.getvalue().replace(b"hello", b"jello"))


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="neither a tar nor a zip"):
        unpacked(tmp_path, b"<html>sign in</html>")
