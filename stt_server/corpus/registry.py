"""Public corpora that can be fetched by name: `registry.toml` beside this module, or somebody's own file like it.

[name]
what, licence, page                     said to whoever lists or fetches it
format = "librispeech"                  how it is laid out, by a name of `formats.table`; or, where there are no words,
noise = {"folder" = "noise"}            which folders hold noise, and which impulse responses ("rir")
by_hand = "how to get it"               instead of archives, where nobody may fetch it for another
unpacked_bytes = 123                    the most it may unpack to; four times its archives by default
[[name.archives]]
urls, size, sha256                      any of the places it lies in, its bytes and their digest
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from stt_server.corpus.download import fetch_text
from stt_server.corpus.formats.table import find_format
from stt_server.errors import BadInput, EarloopError, NotFound

REGISTRY: Final = Path(__file__).with_name("registry.toml")


def _known_format(name: str) -> str:
    try:
        return find_format(name).name
    except EarloopError as error:
        raise ValueError(str(error)) from error


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not PurePosixPath(parts.path).name:
        raise ValueError(f"{url!r} is no http or https address of a file")
    return url


def _inside(folder: str) -> str:
    if PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts:
        raise ValueError(f"{folder!r} leads out of the corpus")
    return folder


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Archive(_Part):
    """A tar or zip."""

    urls: tuple[Annotated[str, AfterValidator(_web_address)], ...] = Field(min_length=1)
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.urls[0]).path).name


class Entry(_Part):
    """A corpus, or a collection of noise."""

    what: str
    licence: str
    page: str = ""
    format: Annotated[str, AfterValidator(_known_format)] | None = None
    noise: dict[Annotated[str, AfterValidator(_inside)], Literal["noise", "rir"]] = {}
    by_hand: str = ""
    unpacked_bytes: int | None = Field(None, gt=0)
    archives: tuple[Archive, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Entry:
        if bool(self.archives) == bool(self.by_hand):
            raise ValueError("there must be either archives or by_hand, which says how a person gets it")
        if bool(self.format) == bool(self.noise):
            raise ValueError("there must be either a format or, for noise, its folders")
        if len({archive.name for archive in self.archives}) != len(self.archives):
            raise ValueError("two archives have the same file name")
        return self

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(archive.size for archive in self.archives)

    @property
    def most_bytes(self) -> int:
        """What it may unpack to: a bound on archives that are made to fill a disk."""
        return self.unpacked_bytes or 4 * self.size


_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]  # a folder's name, and no path
_Registry = TypeAdapter(dict[_Name, Entry])


def load_registry(place: str | None = None) -> dict[str, Entry]:
    """The registry at a path or address, or the one that comes with Earloop.

    Raises NotFound, BadInput naming the place and the field that is wrong, and what `fetch_text` does.
    """
    if place and urlsplit(place).scheme in ("http", "https"):
        return _parse(place, fetch_text(place))
    path = Path(place) if place else REGISTRY
    try:
        return _parse(str(path), path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"{path}: there is no such registry; give the path or address of a TOML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a registry: {error}") from error


def find_entry(registry: dict[str, Entry], name: str) -> Entry:
    """Raises NotFound with the nearest name."""
    if name not in registry:
        near = difflib.get_close_matches(name, registry, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise NotFound(f"no corpus is called {name!r}; {hint}There are {', '.join(registry)}")
    return registry[name]


def _parse(place: str, text: str) -> dict[str, Entry]:
    try:
        return _Registry.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{place}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{place}: {field}: {first['msg']}", field=field) from error
