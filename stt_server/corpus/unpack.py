"""Unpacking tar and zip archives of strangers: nothing leaves the folder, no link is made, the disk is not filled."""

from __future__ import annotations

import errno
import lzma
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from stt_server.errors import BadInput, TooLarge, Unavailable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Progress = Callable[[int, int], None]  # bytes of the archive read, bytes in all
    Member = tuple[str, IO[bytes] | None]  # its name, and its bytes; None for a folder

BLOCK = 1 << 18
MOST_FILES = 2_000_000

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


def unpack(archive: Path, folder: Path, most_bytes: int, progress: Progress = lambda done, of: None) -> int:
    """Unpack into `folder`, which is this call's own. Returns the bytes written.

    Raises BadInput for a damaged archive, a path out of the folder, a link or a file that comes twice, TooLarge beyond
    `most_bytes`, Unsupported for what is neither tar nor zip, Unavailable when the disk is full.
    """
    try:
        return _write_all(archive, folder, most_bytes, progress)
    except _DAMAGE as error:
        raise BadInput(f"{archive}: the archive is damaged: {error}; remove it and fetch it again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(f"{folder}: the disk is full; make room and run the command again") from error
        raise BadInput(f"{archive}: cannot be unpacked: {error}") from error


def _write_all(archive: Path, folder: Path, most_bytes: int, progress: Progress) -> int:
    written = 0
    for number, (name, data) in enumerate(_members(archive, progress)):
        if number >= MOST_FILES:
            raise TooLarge(f"{archive}: over {MOST_FILES} files; it is not what the registry describes")
        path = _inside(archive, folder, name)
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with data, path.open("xb") as out:
            while block := data.read(BLOCK):
                written += len(block)
                if written > most_bytes:
                    raise TooLarge(f"{archive}: unpacks to over {most_bytes} bytes; it is not what is registered")
                out.write(block)
    return written


def _inside(archive: Path, folder: Path, name: str) -> Path:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name:
        raise BadInput(f"{archive}: the path {name!a} leads out of the corpus; do not use this archive")
    return folder.joinpath(*parts.parts)


def _members(archive: Path, progress: Progress) -> Iterator[Member]:
    if tarfile.is_tarfile(archive):
        return _tar_members(archive, progress)
    if zipfile.is_zipfile(archive):
        return _zip_members(archive, progress)
    raise Unsupported(f"{archive}: neither a tar nor a zip archive")


def _tar_members(archive: Path, progress: Progress) -> Iterator[Member]:
    size = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw) as tar:
        for member in tar:
            progress(raw.tell(), size)
            if member.isdir():
                yield member.name, None
            elif member.isfile() and not member.issparse():
                yield member.name, tar.extractfile(member)
            else:
                raise BadInput(f"{archive}: {member.name!a} is a link or device, which no corpus needs")


def _zip_members(archive: Path, progress: Progress) -> Iterator[Member]:
    size, done = archive.stat().st_size, 0
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            done += member.compress_size
            progress(done, size)
            if member.flag_bits & 1:
                raise Unsupported(f"{archive}: {member.filename!a} is encrypted")
            try:
                yield member.filename, None if member.is_dir() else packed.open(member)
            except NotImplementedError as error:
                raise Unsupported(f"{archive}: {member.filename!a}: {error}") from error
