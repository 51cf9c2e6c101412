"""Where the bytes of clips lie: a folder, or S3. Keys are paths with slashes, such as `clips/3f/3f….flac`.

    open_objects(data, "")                                            the folder `objects` in the data folder
    open_objects(data, "file:///srv/clips")                           another folder
    open_objects(data, "s3://bucket/prefix?endpoint=https://…")       S3, by `s3.py`; needs earloop[s3]

An object is there whole or not at all, and what `put` has returned from survives a crash of the process and of the
machine: a folder's file is written beside its place, synced, renamed, and its folder is synced.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

from stt_server.errors import BadInput, BadOption, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "objects"
CLIPS: Final = "clips/"
INCOMING: Final = "incoming/"  # what is being written; what stays here belongs to a process that died


class ObjectStore(Protocol):
    """Blocking; safe to use from any thread. All raise Unavailable where the store cannot be reached or is full."""

    place: str  # where it is, without a secret

    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str) -> bytes:
        """Raises NotFound."""
        ...

    def size(self, key: str) -> int:
        """In bytes. Raises NotFound."""
        ...

    def delete(self, key: str) -> None:
        """What is not there is fine."""
        ...

    def each(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """The keys under a prefix that ends in a slash, each with when it was written, in no order."""
        ...


def clip_key(clip_id: str) -> str:
    """The object's key of a clip's audio."""
    return f"{CLIPS}{clip_id[:2]}/{clip_id}.flac"


def open_objects(data: Path, url: str = "") -> ObjectStore:
    """The object store that a URL names. Raises BadOption for a URL that is none, Unavailable where it is not there."""
    parts = urlsplit(url)
    if not url:
        return FolderObjects(data / FOLDER)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FolderObjects(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.hostname:
        from stt_server.store.s3 import open_s3

        return open_s3(url)
    raise BadOption(
        "Setting objects takes s3://bucket/prefix, file:///folder, or nothing for a folder in the data folder.",
        field="objects",
    )


class FolderObjects:
    """A folder, readable to its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)
        with _as_ours(self.place):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        beside = self._path(f"{INCOMING}{secrets.token_hex(16)}")
        with _as_ours(self.place):
            self._make(beside.parent)
            self._make(path.parent)
            try:
                _write_synced(beside, data)
                beside.replace(path)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        with _as_ours(self.place, key):
            return self._path(key).read_bytes()

    def size(self, key: str) -> int:
        with _as_ours(self.place, key):
            return self._path(key).stat().st_size

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _as_ours(self.place):
            try:
                path.unlink()
            except FileNotFoundError:
                return
            _sync_folder(path.parent)  # or a crash of the machine brings it back

    def each(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        for folder, _, names in os.walk(self._path(prefix.rstrip("/"))):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):  # gone meanwhile
                    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    yield path.relative_to(self.root).as_posix(), written

    def _path(self, key: str) -> Path:
        if not key or any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
            raise BadInput(f"{key!r} is no key of an object.")
        return self.root / key

    def _make(self, folder: Path) -> None:
        """Make a folder so that it survives a crash: its parents know of it."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _write_synced(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _as_ours(place: str, key: str = "") -> Iterator[None]:
    """What the disk cannot, as an error of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no object {key} in {place}.") from error
    except OSError as error:
        raise Unavailable(f"The object store {place} cannot be used: {error.strerror or error}.") from error
