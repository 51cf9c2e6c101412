"""An expert's vote, which decides alone: a curator's, or that of whoever brought a recording and knows its words."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from stt_server.store import queue, votes
from stt_server.store.votes import KeptVote

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Connection
    from stt_server.store.rights import Verdict
    from stt_server.tagging.ballot import Ballot


def cast(
    connection: Connection, person_id: str, clip: KeptClip, verdict: Verdict, ballot: Ballot, now: datetime
) -> None:
    """In the place of what the same one may have said of the clip in this round."""
    for before in votes.of_round(connection, clip):
        if before.person_id == person_id:
            votes.delete_vote(connection, before.id)
    row = KeptVote(
        id=secrets.token_hex(queue.ID_BYTES),
        clip_id=clip.id,
        person_id=person_id,
        round=clip.round,
        verdict=verdict,
        text=ballot.text,
        normal_text=ballot.normal_text,
        expert=True,
        seconds=0.0,
        created=now,
    )
    votes.insert_vote(connection, row)
