"""The one way in which a clip comes to be, for what streams say, for uploads and for imports.

    draft ─ flac, fingerprint ─ may it be kept? ─ bytes to the object store ─ row

Everything here blocks: it runs in the recorder's thread, or in another that waits for nothing but this.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from stt_server.collection.fingerprint import NEAR_DURATION_S, are_near, content_of, fingerprint_of
from stt_server.errors import BadInput, Conflict, LimitReached, NotFound
from stt_server.speech.files import write_flac
from stt_server.speech.vad import SAMPLE_RATE
from stt_server.store import clips
from stt_server.store.clips import NO_LIMIT, Allowance, KeptClip
from stt_server.store.objects import clip_key

if TYPE_CHECKING:
    from stt_server.messages import Word
    from stt_server.speech.pcm import Samples
    from stt_server.store.database import Connection, Database
    from stt_server.store.objects import ObjectStore

MAX_DEVICE: Final = 100
MAX_MODEL: Final = 100


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a clip may be kept and what for: its person's consent, or the statement of whoever brings it."""

    purposes: frozenset[str]
    person_id: str | None = None
    consent_id: str | None = None
    statement: str | None = None
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was recognised, by what. Words have their times in seconds from the clip's first sample."""

    text: str = ""
    words: tuple[Word, ...] = ()
    model: str = ""
    lm: str = ""
    language: str = ""
    greedy: str | None = None  # without a language model, where that is another text

    @property
    def confidence(self) -> float:
        """The mean over the words, 0 without any."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A clip that might be kept: 16 kHz samples (n,) and all that is known of them."""

    samples: Samples = field(repr=False)
    basis: Basis
    heard: Heard
    origin: str
    protocol: str = ""
    device: str = ""
    session: str = ""
    script: str | None = None
    reference: str | None = None
    dataset: str | None = None
    is_right: bool = False  # the reference is known to be what is said: nobody needs to judge it


@dataclass(frozen=True, slots=True)
class Rules:
    """What the server's settings say of clips. Quality is asked of streams only; uploads are looked at by people."""

    share: float = 1.0  # of utterances
    least_s: float = 0.3
    least_confidence: float = 0.0
    least_snr_db: float = 0.0
    allowance: Allowance = NO_LIMIT
    expiry: timedelta | None = None  # of clips that nobody judged


def keep(database: Database, objects: ObjectStore, draft: Draft, rules: Rules) -> KeptClip:
    """Keep a clip; it is kept when this returns.

    Raises Conflict where consent has ended or the recording is kept already, LimitReached, NotFound for a dataset that
    is not there, Unavailable where a store cannot.
    """
    clip, data = _prepared(draft, rules)
    with database.read() as connection:  # before bytes are written for nothing
        clips.check_clip(connection, clip, rules.allowance)
    objects.put(clip.object_key, data)
    try:
        with database.write() as connection:
            clip = clips.insert_clip(connection, _collapsed(connection, clip), rules.allowance)
            if draft.dataset:
                clips.join_dataset(connection, clip.id, draft.dataset, clip.created)
    except (BadInput, Conflict, LimitReached, NotFound):  # after others it is not known whether the row is there
        objects.delete(clip.object_key)
        raise
    return clip


def as_flac(samples: Samples) -> bytes:
    """Samples at 16 kHz as they are stored."""
    file = io.BytesIO()
    write_flac(file, samples, SAMPLE_RATE)
    return file.getvalue()


def _prepared(draft: Draft, rules: Rules) -> tuple[KeptClip, bytes]:
    """The row, and the bytes that go before it."""
    ident, now, data, basis, heard = clips.new_id(), datetime.now(UTC), as_flac(draft.samples), draft.basis, draft.heard
    clip = KeptClip(
        id=ident,
        created=now,
        object_key=clip_key(ident),
        sha256=content_of(draft.samples),
        fingerprint=fingerprint_of(draft.samples),
        size=len(data),
        duration_s=len(draft.samples) / SAMPLE_RATE,
        person_id=basis.person_id,
        consent_id=basis.consent_id,
        statement=basis.statement,
        licence=basis.licence,
        purposes=basis.purposes,
        origin=draft.origin,
        protocol=draft.protocol,
        device=draft.device[:MAX_DEVICE],
        session=draft.session,
        expires=now + rules.expiry if rules.expiry else None,
        hypothesis=heard.text,
        words=tuple((word.text, word.start_s, word.end_s, word.confidence) for word in heard.words),
        confidence=heard.confidence,
        greedy=heard.greedy,
        model=heard.model[:MAX_MODEL],
        lm=heard.lm[:MAX_MODEL],
        language=heard.language,
        script=draft.script,
        reference=draft.reference,
        value=1.0 - heard.confidence,
    )
    return (_decided(clip) if draft.is_right else clip), data


def _decided(clip: KeptClip) -> KeptClip:
    return replace(
        clip, status="decided", verdict="right", text=clip.reference, decided=clip.created, expires=None, value=0.0
    )


def _collapsed(connection: Connection, clip: KeptClip) -> KeptClip:
    """The clip, said to be a duplicate of an earlier take that sounds the same, where there is one.

    Imports have no person; of those only equal samples are found, which an index does.
    """
    if clip.fingerprint is None or clip.person_id is None:
        return clip
    for ident, fingerprint in clips.like(connection, clip, NEAR_DURATION_S):
        if are_near(fingerprint, clip.fingerprint):
            return replace(clip, duplicate_of=ident)
    return clip
