"""That everything goes, wherever a withdrawal is cut off."""

import signal
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from stt_server.collection import withdrawal
from stt_server.collection.withdrawal import erase_pending, take_back, withdraw
from stt_server.errors import NotFound, Unavailable
from stt_server.store import audit, consents, people
from stt_server.store.database import Database, open_database
from stt_server.store.objects import FolderObjects, open_objects
from stt_server.store.withdrawal import Why, remove_some
from tests.store.giving import clip, counts, giver, judge, now, publish

SAID = "xylophone quartz vexes"
LEFT = {"clips": 0, "votes": 0, "leases": 0, "skips": 0, "dataset_clips": 0, "erasures": 0}


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    opened = open_objects(tmp_path)
    assert isinstance(opened, FolderObjects)
    return opened


class Away:
    """An object store that cannot be reached while it is away."""

    def __init__(self, objects: FolderObjects) -> None:
        self._objects, self.is_away, self.place = objects, True, objects.place

    def __getattr__(self, name: str):
        return getattr(self._objects, name)

    def delete(self, key: str) -> None:
        if self.is_away:
            raise Unavailable("the store is away")
        self._objects.delete(key)


def bytes_kept(objects: FolderObjects) -> int:
    return len(list(objects.each("clips/")))


def test_a_withdrawal_leaves_nothing_but_tombstones_and_others_clips(database: Database, objects: FolderObjects):
    person, given = giver(database)
    other, others = giver(database)
    mine, theirs = [clip(database, given, objects) for _ in range(3)], clip(database, others, objects)
    for each in mine:
        judge(database, each, other)
    snapshot = publish(database, *mine, theirs)
    report = withdraw(database, objects, person.id, person.id)
    assert (report.clips, report.votes, report.snapshots, report.left) == (3, 3, (snapshot,), 0)
    assert counts(database) == LEFT | {"clips": 1, "dataset_clips": 1, "snapshot_clips": 4}
    assert bytes_kept(objects) == 1
    with database.read() as connection:
        assert people.get(connection, person.id).withdrawn is not None
        assert consents.current(connection, person.id, now()) is None
        assert [entry.action for entry in audit.of(connection, person.id)] == [
            "consent_withdrawn",
            "clips_removed",
            "withdrawal_done",
        ]


def test_more_clips_than_a_transaction_takes_go_too(database: Database, objects: FolderObjects, monkeypatch):
    monkeypatch.setattr(withdrawal, "PAGE", 3)
    few = partial(remove_some, limit=2)
    monkeypatch.setattr(withdrawal, "remove_some", few)
    person, given = giver(database)
    for _ in range(7):
        clip(database, given, objects)
    assert withdraw(database, objects, person.id, "tester").clips == 7
    assert counts(database) == LEFT | {"snapshot_clips": 0}
    assert bytes_kept(objects) == 0


def test_bytes_that_could_not_be_deleted_are_deleted_as_soon_as_they_can_be(database: Database, objects: FolderObjects):
    person, given = giver(database)
    clip(database, given, objects)
    store = Away(objects)
    assert withdraw(database, store, person.id, "tester").left == 1
    assert counts(database)["clips"] == 0
    with pytest.raises(Unavailable):
        erase_pending(database, store)
    store.is_away = False
    assert erase_pending(database, store) == 1
    assert counts(database)["erasures"] == bytes_kept(objects) == 0
    assert erase_pending(database, store) == 0


DYING = """
import os, signal, sys
from pathlib import Path
from stt_server.collection import withdrawal
from stt_server.store.database import open_database
from stt_server.store.objects import FolderObjects, open_objects

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

data, url, person, where = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
if where == "before rows":
    withdrawal._remove_all = die
elif where == "amid rows":
    real, calls = withdrawal.remove_some, []
    withdrawal.remove_some = lambda *given: (calls.append(1), die() if len(calls) > 1 else real(*given, 2))[1]
elif where == "before bytes":
    withdrawal.erase_pending = die
elif where == "amid bytes":
    real_delete, deleted = FolderObjects.delete, []
    FolderObjects.delete = lambda self, key: (deleted.append(1), die() if len(deleted) > 2 else real_delete(self, key))
elif where == "before the rows of what is erased":
    withdrawal.erasures.done = die
withdrawal.withdraw(open_database(data, url), open_objects(data), person, "tester")
"""


@pytest.mark.parametrize(
    "where", ["before rows", "amid rows", "before bytes", "amid bytes", "before the rows of what is erased"]
)
def test_a_withdrawal_that_was_killed_anywhere_is_finished_by_whoever_looks_next(
    database: Database, objects: FolderObjects, database_url: str, tmp_path: Path, where: str
):
    person, given = giver(database)
    for _ in range(5):
        clip(database, given, objects)
    words = [str(tmp_path), database_url, person.id, where]
    killed = subprocess.run([sys.executable, "-c", DYING, *words], timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert counts(database)["clips"] + counts(database)["erasures"] > 0
    erase_pending(database, objects)
    assert counts(database) == LEFT | {"snapshot_clips": 0}
    assert bytes_kept(objects) == 0


def test_nothing_that_was_said_can_be_read_from_the_databases_files_afterwards(tmp_path: Path):
    with closing(open_database(tmp_path)) as database:
        objects = open_objects(tmp_path)
        person, given = giver(database)
        tagger, _ = giver(database)
        kept = [clip(database, given, objects, said=f"{SAID} {number}") for number in range(20)]
        for each in kept:
            judge(database, each, tagger, text=f"{SAID} indeed")
        publish(database, *kept, text=SAID)
        assert SAID.encode() in everything(tmp_path)
        withdraw(database, objects, person.id, person.id)
        assert SAID.encode() not in everything(tmp_path)
    assert SAID.encode() not in everything(tmp_path)


def test_while_somebody_reads_the_old_state_the_erasure_stays_open_until_that_ends(tmp_path: Path, monkeypatch):
    from stt_server.store import database as module

    monkeypatch.setattr(module, "BUSY_S", 0.05)
    with closing(open_database(tmp_path)) as database:
        objects = open_objects(tmp_path)
        person, given = giver(database)
        clip(database, given, objects, said=SAID)
        with database.read() as connection:
            people.get(connection, person.id)
            assert withdraw(database, objects, person.id, "tester").left == 1
        assert erase_pending(database, objects) == 1
        assert SAID.encode() not in everything(tmp_path)


def test_a_single_clip_goes_bytes_and_all(database: Database, objects: FolderObjects):
    person, given = giver(database)
    going, staying = clip(database, given, objects), clip(database, given, objects)
    assert take_back(database, objects, [going.id], person.id, Why.OWNER).clips == 1
    assert [key for key, _ in objects.each("clips/")] == [staying.object_key]


def test_nobody_cannot_withdraw(database: Database, objects: FolderObjects):
    with pytest.raises(NotFound):
        withdraw(database, objects, "nobody", "tester")


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
