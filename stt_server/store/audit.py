"""What was done to consent and clips, by whom: it proves a withdrawal and keeps none of what was withdrawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from stt_server.store.tables import AUDIT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

SERVER: Final = "server"  # as an actor: nobody asked, a rule did
COMMAND: Final = "command"  # somebody at the machine itself

_WORD: Final = re.compile(r"[\w.:-]{1,64}", re.ASCII)  # an id, a version, the name of a reason: no sentence


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `audit`."""

    moment: datetime
    action: str
    actor: str
    subject: str
    details: Mapping[str, int | str]


def note(connection: Connection, moment: datetime, action: str, actor: str, subject: str, **details: int | str) -> None:
    """Write down an act, in its own transaction. Raises ValueError for details that could be what somebody said."""
    for value in (action, actor, subject, *details.values()):
        if isinstance(value, str) and not _WORD.fullmatch(value):
            raise ValueError("the audit log takes numbers and single words only")
    row = {"moment": moment, "action": action, "actor": actor, "subject": subject, "details": details}
    connection.execute(insert(AUDIT).values(row))


def of(connection: Connection, subject: str) -> list[Entry]:
    """What was done to somebody or something, oldest first."""
    columns = [AUDIT.c[name] for name in Entry.__slots__]
    rows = connection.execute(select(*columns).where(AUDIT.c.subject == subject).order_by(AUDIT.c.id))
    return [Entry(*row) for row in rows]
