"""Files one after another, as a folder, a zip or a tar. Archives come out in pieces, never whole in memory."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from stt_server.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """`name` is a path with slashes, relative to wherever the files go."""

    name: str
    data: bytes


class Container(StrEnum):
    """A way to send many files as one."""

    ZIP = "zip"
    TAR = "tar"


class _Pipe(io.RawIOBase):
    """What an archive is written into: the bytes wait until they are taken away."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # archives write bytes
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def as_zip(files: Iterable[File]) -> Iterator[bytes]:
    """Stored, not deflated: audio is compressed already."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.name), file.data)
            yield pipe.take()
    yield pipe.take()


def as_tar(files: Iterable[File]) -> Iterator[bytes]:
    """In the order given."""
    pipe = _Pipe()
    with tarfile.open(fileobj=pipe, mode="w|") as archive:
        for file in files:
            _add(archive, file)
            yield pipe.take()
    yield pipe.take()


def tar_of(files: Iterable[File]) -> bytes:
    """A small one, whole."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for file in files:
            _add(archive, file)
    return whole.getvalue()


def into_folder(files: Iterable[File], folder: Path) -> int:
    """Write them into a folder that appears when it is complete. Says how many.

    Raises Conflict where there is something in its place, Unavailable where the disk cannot.
    """
    if folder.exists():
        raise Conflict(f"{folder} is there already; name another place or move it away.")
    partial = folder.with_name(f".{folder.name}.partial")
    count = 0
    try:
        for file in files:
            path = partial / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            count += 1
        partial.replace(folder)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def into_archive(pieces: Iterable[bytes], path: Path) -> None:
    """Write an archive that appears when it is complete. Raises as `into_folder`."""
    if path.exists():
        raise Conflict(f"{path} is there already; name another place or move it away.")
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            file.writelines(pieces)
        partial.replace(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, file: File) -> None:
    info = tarfile.TarInfo(file.name)
    info.size = len(file.data)
    archive.addfile(info, io.BytesIO(file.data))


ARCHIVES: Final[dict[Container, Callable[[Iterable[File]], Iterator[bytes]]]] = {
    Container.ZIP: as_zip,
    Container.TAR: as_tar,
}
