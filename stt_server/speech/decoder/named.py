"""A server's language models by name: those that the catalog offers, and files of a folder that is looked at again and
again. No restart is needed.

    NAME.lm, NAME.arpa.gz, NAME.arpa        the model; the first of these where there are several
    NAME.binary                             the same in KenLM's form, where its package is installed
    NAME.json                               {"alpha": 0.8, "beta": 1.2}, where it has weights of its own

What is offered comes before a file of the same name. Whatever a stream may ask for is made ready in `refresh`, never
while a stream opens. A file that cannot be read leaves in place what was there before, and says why. Streams keep the
model that they opened with. Put a new file in an old one's place by renaming it, as `earloop lm` does: one that is
written over changes below those who have it mapped.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from stt_server.errors import BadBundle, BadInput, BadOption, EarloopError
from stt_server.logs import EventLog
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.confidence import UNCALIBRATED, Calibration
from stt_server.speech.decoder.native import NativeDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Stamp = tuple[tuple[str, int, int, int], ...]

log = EventLog("decoder")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ENDINGS = (".lm", ".arpa.gz", ".arpa", ".binary")
WEIGHTS = ".json"
WEIGHED = ("alpha", "beta")


@dataclass(frozen=True, slots=True)
class Profile:
    """What the decoders of a model bundle have in common: the letters it writes with, and its own weights."""

    letters: str
    alpha: float
    beta: float
    beam: int
    confidence: Calibration = UNCALIBRATED


@dataclass(frozen=True, slots=True)
class Offer:
    """A file that is offered by name, with its weights beside it; `title` has its version. It never changes: another
    version is another file. `fault` says why it could not be had; "" where it is there.
    """

    path: Path
    title: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A language model by name. `fault` says why its file, or its newer one, cannot be used; "" where it can.

    `title` is what to call the one that is in use, with its version where it has one.
    """

    name: str
    title: str
    offer: Offer
    stamp: Stamp
    profiles: tuple[Profile, ...]  # that it was made ready for
    decoders: Mapping[Profile, NativeDecoder]
    fault: str = ""

    @property
    def usable(self) -> bool:
        return bool(self.decoders)


class NamedModels:
    """May be asked from any thread while another refreshes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changing = threading.Lock()
        self._joined: WeakKeyDictionary[object, Profile] = WeakKeyDictionary()
        self._offers: Mapping[str, Offer] = {}
        self._models: dict[str, Named] = {}

    def offer(self, offers: Mapping[str, Offer]) -> None:
        """From now on these are there as well, until others are offered. Blocking, as `refresh` is."""
        with self._changing:
            self._offers = dict(offers)
        self.refresh()

    def join(self, user: object, profile: Profile) -> None:
        """Have a decoder with this profile for every name, as long as the user lives. Blocking, as `refresh` is."""
        with self._changing:
            self._joined[user] = profile
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder: load what is new or has changed, forget what is gone."""
        with self._changing:
            profiles = tuple(dict.fromkeys(self._joined.values()))
            found = self._found()
            self._models = {name: _made(name, offer, profiles, self._models.get(name)) for name, offer in found.items()}

    @property
    def models(self) -> tuple[Named, ...]:
        """By name."""
        return tuple(self._models.values())

    def title(self, name: str) -> str:
        """What to call the model that a stream gets for this name."""
        named = self._models.get(name)
        return named.title if named else name

    def decoder(self, name: str, profile: Profile) -> NativeDecoder:
        """The one for streams that ask for the name. Raises BadOption where there is none, or none that can be read."""
        named = self._models.get(name)
        if named is None:
            usable = ", ".join(each.name for each in self.models if each.usable)
            have = f"; choose one of: {usable}" if usable else ""
            raise BadOption(f"there is no language model {name[:60]!r} here{have}", field="lm")
        if profile not in named.decoders:
            raise BadOption(f"the language model {name!r} cannot be used: {named.fault}", field="lm")
        return named.decoders[profile]

    def _found(self) -> dict[str, Offer]:
        """The file of every name, sorted by name."""
        found = dict(self._offers)
        for ending in ENDINGS:
            for path in sorted(self._folder.glob(f"*{ending}")):
                name = path.name.removesuffix(ending)
                if NAME.fullmatch(name):
                    found.setdefault(name, Offer(path, name))
        return dict(sorted(found.items()))


def _made(name: str, offer: Offer, profiles: tuple[Profile, ...], before: Named | None) -> Named:
    """The model as it is now; as it was before where nothing has changed, or where the new file is no good."""
    own = _beside(offer.path)
    stamp = _stamp(offer.path, own)
    if before and (before.offer, before.stamp, before.profiles) == (offer, stamp, profiles):
        return before
    try:
        if offer.fault:
            raise BadBundle(offer.fault, field="lm")
        weights = _weights(own)
        decoders = {profile: _decoder(offer.path, profile, weights) for profile in profiles}
    except (EarloopError, OSError) as error:  # an OSError: taken away while it was looked at
        kept, title = (before.decoders, before.title) if before else ({}, offer.title)
        log.warning("language_model_refused", name=name, why=str(error), in_use=bool(kept))
        return Named(name, title, offer, stamp, profiles, kept, str(error))
    log.info("language_model_loaded", name=name, model=offer.title)
    return Named(name, offer.title, offer, stamp, profiles, decoders)


def _beside(path: Path) -> Path:
    """Where its own weights are, if it has any."""
    ending = next(each for each in ENDINGS if path.name.endswith(each))
    return path.with_name(path.name.removesuffix(ending) + WEIGHTS)


def own_weights(path: Path) -> dict[str, float]:
    """Those beside a language model's file. Raises BadInput naming what is wrong with them."""
    return _weights(_beside(path))


def _stamp(*paths: Path) -> Stamp:
    """By which files are known to have changed; those that are not there leave nothing."""
    marks = []
    for path in paths:
        with suppress(FileNotFoundError):
            marks.append(_mark(path))
    return tuple(marks)


def _mark(path: Path) -> tuple[str, int, int, int]:
    told = path.stat()
    return path.name, told.st_ino, told.st_size, told.st_mtime_ns


def _decoder(path: Path, profile: Profile, weights: Mapping[str, float]) -> NativeDecoder:
    alpha, beta = (weights.get(name, getattr(profile, name)) for name in WEIGHED)
    letters, beam, confidence = Alphabet(profile.letters), profile.beam, profile.confidence
    return NativeDecoder(letters, path, alpha=alpha, beta=beta, beam=beam, confidence=confidence)


def _weights(path: Path) -> dict[str, float]:
    """The weights of a file that may be there. Raises BadInput naming what is wrong with it."""
    if not path.exists():
        return {}
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path.name} is no JSON: {error}", field="lm") from error
    if not isinstance(given, dict) or not given.keys() <= set(WEIGHED):
        raise BadInput(f"{path.name} holds {', '.join(WEIGHED)} and nothing else", field="lm")
    if not all(isinstance(value, int | float) and -100 <= value <= 100 for value in given.values()):
        raise BadInput(f"{path.name}: {' and '.join(WEIGHED)} are numbers between -100 and 100", field="lm")
    return {name: float(value) for name, value in given.items()}
