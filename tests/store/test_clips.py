"""Keeping clips in rows, where the database decides between two who come at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stt_server.errors import Conflict, EarloopError, LimitReached
from stt_server.store import clips
from stt_server.store.clips import Allowance
from stt_server.store.database import Database, open_database
from tests.store.giving import clip, counts, giver

PATIENCE_S = 60.0


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("same", "allowance", "refused"),
    [(True, clips.NO_LIMIT, Conflict), (False, Allowance(clips_per_day=2), LimitReached)],
    ids=["the same recording", "one more than a person may give"],
)
def test_of_two_that_exclude_each_other_and_come_at_once_one_is_kept(
    database: Database, same: bool, allowance: Allowance, refused: type[EarloopError]
):
    _, consent = giver(database)
    first = clip(database, consent)
    one, other = (replace(first, id=ident, object_key=ident, sha256=ident.encode()) for ident in ("one", "other"))
    other = replace(other, sha256=one.sha256) if same else other

    def keep() -> None:
        with database.write(PATIENCE_S) as connection:
            clips.insert_clip(connection, other, allowance)

    with ThreadPoolExecutor(1) as threads:
        with database.write() as connection:
            clips.insert_clip(connection, one, allowance)
            keeping = threads.submit(keep)
            with pytest.raises(TimeoutError):
                keeping.result(timeout=0.5)  # it waits for what this transaction says
        with pytest.raises(refused):
            keeping.result(timeout=PATIENCE_S)
    assert counts(database)["clips"] == 2


def test_who_leaves_the_token_out_has_no_more_room_for_it_and_imports_have_no_bound(database: Database):
    first = clip(database, giver(database)[1])
    nobodys = replace(first, person_id=None, consent_id=None, statement="I recorded this.")

    def keep(ident: str, origin: str = "upload") -> None:
        with database.write() as connection:
            kept = replace(nobodys, id=ident, object_key=ident, sha256=ident.encode(), origin=origin)
            clips.insert_clip(connection, kept, Allowance(clips_per_day=2))

    for number in range(3):
        keep(f"import{number}", origin=clips.IMPORT)
    for number in range(2):
        keep(f"upload{number}")
    with pytest.raises(LimitReached, match="without a contributor's token"):
        keep("upload2")
    keep("import3", origin=clips.IMPORT)
