"""Objects in S3, or in what speaks like it, through obstore.

    s3://bucket/prefix?endpoint=https://s3.example&region=eu-central-1

Who may read and write there is said by `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and their kin, which obstore finds
by itself, or by the URL as in `s3://KEY:SECRET@bucket`. An endpoint of plain http is taken for what it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from stt_server.errors import BadOption, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from urllib.parse import SplitResult

    from obstore.store import S3Store

CALL_S: Final = 20  # one request
TRIES_S: Final = 30  # a request and its repetitions
TRIES: Final = 4
OPTIONS: Final = ("endpoint", "region")


def open_s3(url: str) -> S3Objects:
    """Raises BadOption for a URL with unknown options or without the extra, Unavailable where the bucket is not."""
    parts = urlsplit(url)
    try:
        import obstore
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise BadOption("Objects in S3 need obstore: install earloop[s3].", field="objects") from error
    place = f"s3://{parts.hostname}{parts.path}".rstrip("/")
    with _as_ours(obstore, place):
        store = S3Store(
            str(parts.hostname),
            prefix=parts.path.strip("/") or None,
            config=_config(parts),  # type: ignore[arg-type] # a TypedDict with these keys
            client_options={"timeout": timedelta(seconds=CALL_S), "allow_http": True},
            retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=TRIES_S)},
        )
        return S3Objects(obstore, store, place)


class S3Objects:
    """Made by `open_s3`."""

    def __init__(self, obstore: Any, store: S3Store, place: str) -> None:
        self._obstore = obstore
        self._store = store
        self.place = place

    def put(self, key: str, data: bytes) -> None:
        with _as_ours(self._obstore, self.place):
            self._obstore.put(self._store, key, data, use_multipart=False)

    def get(self, key: str) -> bytes:
        with _as_ours(self._obstore, self.place, key):
            return bytes(self._obstore.get(self._store, key).bytes())

    def size(self, key: str) -> int:
        with _as_ours(self._obstore, self.place, key):
            return int(self._obstore.head(self._store, key)["size"])

    def delete(self, key: str) -> None:
        with _as_ours(self._obstore, self.place):
            try:
                self._obstore.delete(self._store, key)
            except (FileNotFoundError, self._obstore.exceptions.NotFoundError):
                return  # S3 itself does not mind; some that speak like it do

    def each(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        pages = self._obstore.list(self._store, prefix.rstrip("/"))
        while True:
            with _as_ours(self._obstore, self.place):
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                yield found["path"], found["last_modified"]


def _config(parts: SplitResult) -> dict[str, str]:
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise BadOption(f"{unknown[0]} is no option of an S3 URL; there are {', '.join(OPTIONS)}.", field="objects")
    config = {"region": options.get("region", "us-east-1")}
    if "endpoint" in options:
        config["endpoint"] = options["endpoint"]
    if parts.username and parts.password:
        config |= {"access_key_id": unquote(parts.username), "secret_access_key": unquote(parts.password)}
    return config


@contextmanager
def _as_ours(obstore: Any, place: str, key: str = "") -> Iterator[None]:
    """What S3 cannot, as an error of ours: the first line of what it says, never the request with its headers."""
    faults = obstore.exceptions
    try:
        yield
    except (FileNotFoundError, faults.NotFoundError) as error:
        raise (NotFound(f"There is no object {key} in {place}.") if key else _unusable(place, error)) from error
    except (OSError, faults.BaseError) as error:
        raise _unusable(place, error) from error


def _unusable(place: str, error: Exception) -> Unavailable:
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return Unavailable(f"The object store {place} cannot be used: {why[:200]}.")
