"""From a name in the registry to a corpus that recipes find: fetched, checked, unpacked and listed.

Each step leaves its work for the next call to go on from: archives in `.downloads/NAME`, the unpacked files in a folder
that gets its name when they are all there, and `manifest.csv` last, without which the folder is no corpus yet.
"""

from __future__ import annotations

import csv
import fcntl
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.corpus.corpora import MANIFEST
from stt_server.corpus.download import download
from stt_server.corpus.findings import write_findings_csv
from stt_server.corpus.formats.format import is_audio
from stt_server.corpus.formats.table import read_corpus
from stt_server.corpus.layouts import EARLOOP
from stt_server.corpus.manifest import write_manifest
from stt_server.corpus.unpack import unpack
from stt_server.errors import BadInput, Conflict, EarloopError, NotFound, Unavailable
from stt_server.speech.files import open_audio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stt_server.corpus.download import Patience
    from stt_server.corpus.findings import Finding
    from stt_server.corpus.registry import Archive, Entry

    Tell = Callable[[str, int, int], None]  # what is being done, how much of it, of how much

DOWNLOADS = ".downloads"
FINDINGS = "findings.csv"


@dataclass(frozen=True, slots=True)
class Fetched:
    folder: Path
    clips: int
    findings: list[Finding]


def fetch_corpus(
    name: str,
    entry: Entry,
    root: Path,
    tell: Tell = lambda step, done, of: None,
    patience: Patience | None = None,
    *,
    keep: bool = False,
) -> Fetched:
    """Fetch the corpus `name` into `root/name`; `keep` keeps its archives.

    Raises Conflict where it is there or being fetched, BadInput for one that must be got by hand, and what `download`
    and `unpack` raise.
    """
    if entry.by_hand:
        raise BadInput(f"{name} cannot be fetched: {entry.by_hand} ({entry.page})")
    home, downloads = root / name, root / DOWNLOADS / name
    if (home / MANIFEST).is_file():
        raise Conflict(f"{name} is in {home} already; remove that folder to fetch it anew")
    with _alone(downloads, name):
        if not home.exists():
            _check_room(root, entry, downloads)
            archives = [_fetch(archive, downloads, tell, patience) for archive in entry.archives]
            _unpack_all(archives, home, entry, tell)
        fetched = _list_noise(home, entry) if entry.noise else _list_clips(name, entry, home, tell)
        if not keep:
            shutil.rmtree(downloads)
    return fetched


@contextmanager
def _alone(downloads: Path, name: str) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    downloads.mkdir(parents=True, exist_ok=True)
    with (downloads / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"{name} is being fetched by another process; wait for it or stop it") from error
        yield


def _check_room(root: Path, entry: Entry, downloads: Path) -> None:
    """Archives and what comes out of them lie side by side for a while; audio hardly shrinks in an archive."""
    there = sum(each.stat().st_size for each in downloads.iterdir())
    needed, free = 2 * entry.size - there, shutil.disk_usage(root).free
    if needed > free:
        raise Unavailable(f"{root}: about {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; make room")


def _fetch(archive: Archive, downloads: Path, tell: Tell, patience: Patience | None) -> Path:
    target = downloads / archive.name
    if not target.is_file():
        step = f"fetch {archive.name}"
        download(archive.urls, target, archive.size, archive.sha256, lambda *at: tell(step, *at), patience)
    return target


def _unpack_all(archives: list[Path], home: Path, entry: Entry, tell: Tell) -> None:
    partial = home.with_name(f".{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    left = entry.most_bytes
    try:
        for archive in archives:
            left -= unpack(archive, partial, left, lambda *at, step=f"unpack {archive.name}": tell(step, *at))
    except EarloopError:
        shutil.rmtree(partial)
        raise
    partial.rename(home)


def _list_clips(name: str, entry: Entry, home: Path, tell: Tell) -> Fetched:
    reading = read_corpus(_base(home), entry.format)
    clips = []
    for done, clip in enumerate(reading.clips, 1):
        duration_s = clip.duration_s or _duration_s(clip.path)
        clips.append(replace(clip, source=name, licence=entry.licence, duration_s=duration_s))
        tell("list", done, len(reading.clips))
    if reading.findings:
        write_findings_csv(home / FINDINGS, reading.findings)
    write_manifest(home / MANIFEST, clips, EARLOOP)
    return Fetched(home, len(clips), reading.findings)


def _base(home: Path) -> Path:
    """An archive often holds one folder with all the rest in it."""
    inside = list(home.iterdir())
    return _base(inside[0]) if len(inside) == 1 and inside[0].is_dir() else home


def _duration_s(path: Path) -> float | None:
    """By the header. What cannot be opened the pre-flight will name."""
    try:
        with open_audio(path) as audio:
            return audio.duration_s
    except EarloopError:
        return None


def _list_noise(home: Path, entry: Entry) -> Fetched:
    """The manifest of `noise`; a folder that the registry names and the archive lacks is NotFound."""
    rows = []
    for folder, kind in entry.noise.items():
        found = sorted(each for each in (home / folder).rglob("*") if is_audio(each))
        if not found:
            raise NotFound(f"{home / folder}: no recording is in it; the registry names a folder that is not there")
        rows += [(kind, each.relative_to(home).as_posix(), _duration_s(each), entry.licence) for each in found]
    partial = home / f".{MANIFEST}.partial"
    with partial.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["kind", "path", "duration_s", "licence"])
        writer.writerows(rows)
    partial.replace(home / MANIFEST)
    return Fetched(home, len(rows), [])
