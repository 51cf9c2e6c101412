"""Fetching a large file over lines that break: resumed where it broke off, checked against its digest.

What has come lies in `NAME.partial` until the file is whole and has the digest that was promised, so a later call goes
on where this one ended. A place that answers wrongly gives way to the next one; a line that breaks is waited for with
growing pauses, and each byte that comes makes the patience new.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import random
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stt_server.errors import BadInput, EarloopError, NotFound, TimedOut, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Progress = Callable[[int, int], None]  # bytes there, bytes in all

BLOCK = 1 << 18
MOST_TEXT = 1 << 20
HOPELESS = frozenset({400, 401, 403, 404, 405, 410, 451})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on."""

    attempts: int = 8  # in a row without a byte
    pause_s: float = 1.0  # before the second; doubled each time
    longest_pause_s: float = 60.0
    stall_s: float = 60.0  # without a byte
    deadline_s: float = 24 * 3600.0  # in all


def download(
    urls: Sequence[str],
    target: Path,
    size: int,
    sha256: str,
    progress: Progress = lambda done, of: None,
    patience: Patience | None = None,
) -> None:
    """Fetch the file of `size` bytes that lies at each of `urls` to `target`.

    Raises NotFound where no place has it, BadInput where they have another file, Unavailable when the line stays
    broken or the disk is full, TimedOut at the deadline. But for BadInput what has come is kept.
    """
    patience = patience or Patience()
    partial = target.with_name(f"{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience.deadline_s
    is_mixed = partial.is_file()  # what an earlier call left may be of an older file
    places, failures = list(urls), list[EarloopError]()
    while places:
        try:
            _receive_all(places[0], partial, size, until, progress, patience)
            _verify(partial, sha256, places[0])
        except _WrongDigest as error:
            failures += [] if is_mixed else [BadInput(str(error))]
            places = places if is_mixed else places[1:]
            is_mixed = False
        except (NotFound, BadInput, Unavailable) as error:
            failures.append(error)
            places, is_mixed = places[1:], partial.is_file()
        except OSError as error:
            raise _disk(error, partial) from error
        else:
            partial.replace(target)
            return
    raise _all_of(target.name, failures)


def fetch_text(url: str, stall_s: float = 30.0) -> str:
    """A small UTF-8 text. Raises NotFound, Unavailable, BadInput for one over a mebibyte or not UTF-8."""
    try:
        with _open(url, stall_s) as answer:
            data: bytes = answer.read(MOST_TEXT + 1)
        if len(data) > MOST_TEXT:
            raise BadInput(f"{url}: over {MOST_TEXT} bytes; is it the right address?")
        return data.decode("utf-8")
    except urllib.error.HTTPError as error:
        error.close()
        kind = NotFound if error.code in HOPELESS else Unavailable
        raise kind(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{url} cannot be reached: {_reason(error)}; try again later") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{url}: not UTF-8 text") from error


def _receive_all(url: str, partial: Path, size: int, until: float, progress: Progress, patience: Patience) -> None:
    """Ask until every byte is there. Raises NotFound, BadInput, Unavailable, TimedOut, and OSError of the disk."""
    attempt = 0
    while (have := _there(partial, size)) < size:
        try:
            _receive(url, partial, have, size, until, progress, patience.stall_s)
            reason, pause_s = "the line was cut", 0
        except urllib.error.HTTPError as error:
            reason, pause_s = f"{url} answers {error.code} {error.reason}", _asked_pause_s(error)
            error.close()
            if error.code in HOPELESS:
                raise NotFound(reason) from error
        except _Line as error:
            reason, pause_s = str(error), 0
        attempt = 1 if _there(partial, size) > have else attempt + 1
        if attempt >= patience.attempts:
            told = f"{url}: {reason}, {attempt} times in a row; {_there(partial, size)} of {size} bytes are kept"
            raise Unavailable(f"{told}; the same command goes on from there")
        if _there(partial, size) < size:
            _pause(max(pause_s, _backed_off_s(attempt, patience)), until, url, patience)


def _receive(url: str, partial: Path, have: int, size: int, until: float, progress: Progress, stall_s: float) -> None:
    """One answer's bytes behind the `have` that are there, or from the start where the server gives all of it."""
    with _open_from(url, have, stall_s) as answer:
        start = have if answer.status == 206 else 0
        _check_answer(url, answer, start, size)
        with partial.open("r+b" if start else "wb") as out:
            if start:
                out.truncate(start)
                out.seek(start)
            while block := _read(answer):
                if out.tell() + len(block) > size:
                    partial.unlink()
                    raise BadInput(f"{url} sends more than the {size} bytes of the file that is registered")
                out.write(block)
                progress(out.tell(), size)
                if time.monotonic() > until:
                    raise _late(url, out.tell(), size)


class _Line(Exception):
    """The connection failed; whatever OSError is left is the disk's."""


class _WrongDigest(Exception):
    """All bytes are there and are not those of the file."""


def _open_from(url: str, have: int, stall_s: float) -> http.client.HTTPResponse:
    try:
        return _open(url, stall_s, {"Range": f"bytes={have}-"} if have else {})
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Line(_reason(error)) from error


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(BLOCK)  # what is there: `read` would wait on a trickle beyond every deadline
    except (OSError, http.client.HTTPException) as error:
        raise _Line(_reason(error)) from error


def _open(url: str, stall_s: float, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """A GET. The scheme is checked again: `file:` and `ftp:` are urllib's too."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadInput(f"{url}: no http or https address")
    told = {"User-Agent": "earloop", "Accept-Encoding": "identity", **(headers or {})}
    request = urllib.request.Request(url, headers=told)  # noqa: S310
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=stall_s)  # noqa: S310
    return answer


def _check_answer(url: str, answer: http.client.HTTPResponse, start: int, size: int) -> None:
    """Raises BadInput where the server has a file of another size, or gives a part that was not asked for."""
    if answer.status == 206:
        stated = answer.headers.get("Content-Range", "").removeprefix("bytes ")
        if stated not in (f"{start}-{size - 1}/{size}", f"{start}-{size - 1}/*"):
            raise BadInput(f"{url} gives the part {stated!r} when asked for all from byte {start} of {size}")
    elif (length := answer.headers.get("Content-Length")) not in (None, str(size)):
        raise BadInput(f"{url} has a file of {length} bytes, not of {size}; it was changed, or is not the file")


def _verify(partial: Path, sha256: str, url: str) -> None:
    with partial.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256:
        partial.unlink()
        raise _WrongDigest(f"{url} gave a file with SHA-256 {found}, not {sha256}; it was changed, or is not the file")


def _there(partial: Path, size: int) -> int:
    """Bytes that came before; more than the whole cannot be the file."""
    have = partial.stat().st_size if partial.is_file() else 0
    if have > size:
        partial.unlink()
        return 0
    return have


def _backed_off_s(attempt: int, patience: Patience) -> float:
    """Doubled each time, and up to half as long again, so that many who were cut off do not return together."""
    return min(patience.pause_s * 2.0 ** (attempt - 1), patience.longest_pause_s) * random.uniform(1, 1.5)


def _pause(pause_s: float, until: float, url: str, patience: Patience) -> None:
    if time.monotonic() + pause_s > until:
        raise TimedOut(f"{url}: not fetched within {patience.deadline_s:g} s; the same command goes on from there")
    time.sleep(pause_s)


def _asked_pause_s(error: urllib.error.HTTPError) -> int:
    asked = str(error.headers.get("Retry-After", ""))
    return min(int(asked[:6]), 600) if asked.isdecimal() else 0


def _all_of(name: str, failures: Sequence[EarloopError]) -> EarloopError:
    """One error for all places: to be tried again where one of them may only be away."""
    kind = next((each for each in (Unavailable, BadInput) if any(isinstance(it, each) for it in failures)), NotFound)
    return kind(f"{name} cannot be fetched: " + "; ".join(str(failure) for failure in failures))


def _late(url: str, have: int, size: int) -> TimedOut:
    return TimedOut(f"{url}: {have} of {size} bytes at the deadline; the same command goes on from there")


def _disk(error: OSError, partial: Path) -> EarloopError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"{partial.parent}: the disk is full; make room, then the same command goes on from there")
    return BadInput(f"{partial}: cannot be written: {error.strerror}")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__
