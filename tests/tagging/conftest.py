"""A queue to judge in, on either database, under a clock that stands until it is moved."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from stt_server.store import audit, clips, people
from stt_server.store import queue as leases
from stt_server.store.clips import KeptClip
from stt_server.store.consents import Consent
from stt_server.store.database import Database, open_database
from stt_server.store.people import Person
from stt_server.store.queue import Lease
from stt_server.store.rights import Verdict
from stt_server.tagging import curation, judging
from stt_server.tagging.judging import Task, Terms
from tests.store import giving

HEARD = "turn on the light"


@dataclass
class Queue:
    """Everything a test does with clips, in few words. Taggers are people by name."""

    database: Database
    giver: Person
    consent: Consent
    terms: Terms = field(default_factory=Terms)
    now: datetime = field(default_factory=giving.now)

    def __post_init__(self) -> None:
        self._people: dict[str, str] = {"giver": self.giver.id}

    def person(self, name: str) -> str:
        if name not in self._people:
            with self.database.write() as connection:
                self._people[name] = people.create(connection, self.now)[0].id
        return self._people[name]

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)

    def clip(self, said: str = HEARD, **more) -> str:
        return giving.clip(self.database, self.consent, None, said, **{"created": self.now, **more}).id

    def gold(self, said: str = HEARD, **more) -> str:
        decided = {"status": "decided", "verdict": "right", "text": said, "decided": self.now, "gold": True}
        return self.clip(said, **decided, **more)

    def row(self, clip: str) -> KeptClip:
        with self.database.read() as connection:
            return clips.get(connection, clip)

    def acts(self, clip: str) -> list[str]:
        with self.database.read() as connection:
            return [entry.action for entry in audit.of(connection, clip)]

    def lease(self, name: str) -> Task | None:
        self.pass_(seconds=1)  # so that nothing happens at the same moment
        return judging.lease(self.database, self.person(name), self.now, self.terms)

    def leased(self, name: str) -> Task:
        task = self.lease(name)
        assert task is not None
        return task

    def take(self, name: str, clip: str | None = None) -> Lease:
        """Lease this clip, or a gold one, whether or not it is its turn."""
        person = self.person(name)
        with self.database.write() as connection:
            if clip is None:
                lease = leases.take(connection, person, self.now, self.terms.lasts, gold=True)
            else:
                lease = leases.take_clip(connection, clip, person, self.now, self.terms.lasts)
        assert lease is not None
        return lease

    def beat(self, name: str, task: Task) -> None:
        judging.beat(self.database, self.person(name), task.lease.id, self.now, self.terms)

    def vote(self, name: str, task: Task, verdict: Verdict = Verdict.RIGHT, text: str | None = None) -> tuple[str, int]:
        return judging.vote(self.database, self.person(name), task.lease.id, verdict, text, self.now, self.terms)

    def says(self, name: str, text: str = HEARD) -> str:
        """Lease what comes and write that; which clip it was."""
        return self.vote(name, self.leased(name), Verdict.CORRECTED, text)[0]

    def skip(self, name: str, task: Task) -> None:
        judging.skip(self.database, self.person(name), task.lease.id, self.now)

    def undo(self, name: str) -> str:
        return judging.undo(self.database, self.person(name), self.now, self.terms)

    def decide(self, name: str, clip: str, verdict: Verdict = Verdict.RIGHT, text: str | None = None) -> KeptClip:
        person = self.person(name)
        return curation.decide(self.database, person, clip, verdict, text, self.now, self.terms.rules)

    def reopen(self, clip: str) -> KeptClip:
        return curation.reopen(self.database, "key1", clip, self.now)

    def suspect(self, *suspicions: tuple[str, float]) -> int:
        return curation.suspect(self.database, "key1", suspicions, self.now)

    def set_gold(self, clip: str, *, gold: bool = True) -> None:
        curation.set_gold(self.database, "key1", clip, self.now, gold=gold)


@pytest.fixture
def queue(tmp_path: Path, database_url: str) -> Iterator[Queue]:
    with closing(open_database(tmp_path, database_url)) as database:
        yield Queue(database, *giving.giver(database))
