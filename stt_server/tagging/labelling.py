"""The words of whoever brought a recording, said of it by that one: they are believed as an expert's are.

Who uploads a recording to train with says what is in it; nobody else has to be asked, and a clip with such a label is
in the next snapshot of its datasets. The text is kept as it was written, with capitals and stops; where it names the
words that were heard the verdict is `right`, else `corrected`. Whoever may judge can still doubt it: a suspicion or a
curator reopens the clip as any other, and taggers then decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import Conflict
from stt_server.store import audit, clips, queue, verdicts
from stt_server.store.rights import Verdict
from stt_server.tagging import expertise
from stt_server.tagging.ballot import fill_in, heard_in

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Database


def label(database: Database, clip_id: str, text: str, now: datetime, actor: str, person_id: str | None) -> KeptClip:
    """Say what a clip of one's own says; said again, the last counts. A duplicate is labelled with its original.

    Raises NotFound, BadInput for a text without words or that cannot be spelled, Forbidden for who has withdrawn,
    Conflict for a clip that measures taggers or that somebody called private.
    """
    with database.write() as connection:
        if person_id is not None:
            queue.lock_person(connection, person_id)
        clip = queue.lock_original(connection, clip_id)
        _check(clip)
        ballot = fill_in(Verdict.CORRECTED, text, None)
        verdict = Verdict.RIGHT if ballot.normal_text == heard_in(clip.hypothesis) else Verdict.CORRECTED
        if person_id is not None:
            expertise.cast(connection, person_id, clip, verdict, ballot, now)
        queue.release(connection, clip.id)
        verdicts.set_decided(connection, clip.id, verdict, ballot.text, now)
        verdicts.set_reference(connection, clip_id, text)
        audit.note(connection, now, "clip_labelled", actor, clip_id, verdict=verdict.value)
        return clips.get(connection, clip_id)


def _check(clip: KeptClip) -> None:
    if clip.status == "quarantined":
        raise Conflict("Somebody found this recording to be private; ask a curator to reopen it.")
    if clip.gold:
        raise Conflict("This recording measures taggers, so its text stands; ask a curator.")
