"""Clips that are brought rather than heard: what their uploader may say of them, and folders that are read in.

An upload carries its basis as a clip of a stream carries its consent: the consent of whoever uploads, where they gave
it, or a statement why it may be kept, in the uploader's own words, with the licence it comes under.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stt_server.collection.keeping import Basis, Draft, Heard, keep
from stt_server.errors import BadInput, BadOption, Conflict, EarloopError, Forbidden
from stt_server.speech.files import read_audio
from stt_server.speech.text import normalize
from stt_server.speech.vad import SAMPLE_RATE
from stt_server.store.clips import IMPORT
from stt_server.store.rights import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from stt_server.collection.keeping import Rules
    from stt_server.corpus.clip import Clip
    from stt_server.speech.pcm import Samples
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

LONGEST_S: Final = 60.0
MAX_STATEMENT: Final = 2000  # letters
MAX_TEXT: Final = 2000
MAX_LICENCE: Final = 100
_LICENCE: Final = re.compile(r"[^\W\d_][^\x00-\x1f\x7f-\x9f\u2028\u2029]*")  # it goes into lists that spreadsheets open


@dataclass(frozen=True, slots=True)
class Said:
    """What an uploader says of a clip. `release` None: as the uploader has agreed."""

    text: str | None = None
    dataset: str | None = None
    script: str | None = None
    licence: str = ""
    statement: str = ""
    device: str = ""
    release: bool | None = None


def parse_said(fields: Mapping[str, str]) -> Said:
    """Raises BadOption for a field that is not known, is too long or cannot be."""
    bounds = {"text": MAX_TEXT, "dataset": 100, "script": MAX_TEXT, "licence": MAX_LICENCE}
    bounds |= {"statement": MAX_STATEMENT, "device": 100, "release": 5}
    for name, value in fields.items():
        if name not in bounds:
            raise BadOption(f"There is no field {name[:40]!r}; there are audio, {', '.join(bounds)}.", field=name[:40])
        if len(value) > bounds[name]:
            raise BadOption(f"{name} is longer than the {bounds[name]} letters allowed.", field=name)
    licence = fields.get("licence", "").strip()
    if licence and not _LICENCE.fullmatch(licence):
        raise BadOption("licence is a name on one line that begins with a letter, such as CC0-1.0.", field="licence")
    release = fields.get("release", "").casefold()
    if release not in ("", "true", "false"):
        raise BadOption("release must be true or false.", field="release")
    given = {name: value.strip() for name, value in fields.items()}
    return Said(
        text=given.get("text") or None,
        dataset=given.get("dataset") or None,
        script=given.get("script") or None,
        licence=given.get("licence", ""),
        statement=given.get("statement", ""),
        device=given.get("device", ""),
        release=release == "true" if release else None,
    )


def stated(said: Said, person_id: str | None = None) -> Basis:
    """The basis that a statement gives. Raises Forbidden without one, BadOption for a release without a licence."""
    if not said.statement:
        raise Forbidden(
            "Nothing is kept without a basis: agree on the page /consent, or say in `statement` why this recording may "
            "be kept, and in `licence` under which licence."
        )
    if said.release and not said.licence:
        raise BadOption("A clip can be released under a licence only; name it in `licence`.", field="licence")
    purposes = {Purpose.TRAINING, Purpose.RELEASE} if said.release else {Purpose.TRAINING}
    return Basis(frozenset(map(str, purposes)), person_id, statement=said.statement, licence=said.licence)


def agreed(said: Said, consent: Basis) -> Basis:
    """The basis that the uploader's consent gives to this clip, under its licence. A clip may get less than was agreed.

    Raises Forbidden for a release that was not agreed to.
    """
    if said.release and Purpose.RELEASE not in consent.purposes:
        raise Forbidden(
            "You have not agreed to a public release: do so on the page /consent, or say in `statement` why this "
            "recording may be released."
        )
    less = {Purpose.RELEASE} if said.release is False else set()
    return replace(consent, purposes=consent.purposes - less, licence=said.licence)


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of reading a folder in. `faults` are the first few, by file."""

    kept: int
    known: int  # kept before
    faults: tuple[tuple[str, str], ...]
    failed: int


def import_clips(
    database: Database,
    objects: ObjectStore,
    clips: Iterable[Clip],
    said: Said,
    rules: Rules,
    *,
    checked: bool = False,
    hear: Callable[[Samples], Heard] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Imported:
    """Keep the clips of a corpus. What is kept already stays one; a file that cannot be read is noted and passed over.

    The transcript that comes with a clip is its hypothesis unless `hear` says another; `checked` says that it is right.
    Raises as `stated`, and Unavailable.
    """
    count: Counter[str] = Counter()
    faults: list[tuple[str, str]] = []
    for clip in clips:
        licence = clip.licence or said.licence
        try:
            keep(database, objects, _draft(clip, said, licence, checked=checked, hear=hear), rules)
            count["kept"] += 1
        except Conflict:
            count["known"] += 1
        except BadInput as error:
            count["failed"] += 1
            faults.append((str(clip.path), error.message))
        progress()
    return Imported(count["kept"], count["known"], tuple(faults[:20]), count["failed"])


def _draft(clip: Clip, said: Said, licence: str, *, checked: bool, hear: Callable[[Samples], Heard] | None) -> Draft:
    try:
        samples = read_audio(clip.path, SAMPLE_RATE, max_s=LONGEST_S)
    except BadInput:
        raise
    except EarloopError as error:  # not there, or of a kind that is not read: this clip's fault alone
        raise BadInput(error.message) from error
    reference = normalize(clip.text, drop_unspellable=True)
    heard = hear(samples) if hear else Heard(reference)
    basis = stated(Said(licence=licence, statement=said.statement, release=said.release))
    return Draft(
        samples=samples,
        basis=basis,
        heard=heard,
        origin=IMPORT,
        device=clip.source,
        session=clip.speaker or "",
        reference=reference,
        dataset=said.dataset,
        is_right=checked,
    )
