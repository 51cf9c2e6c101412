"""Consent over a real server: agreeing, looking, taking out, changing one's mind."""

import asyncio
import csv
import io
import zipfile

import aiohttp
import pytest

from stt_server.errors import Unavailable
from stt_server.speech.files import read_audio
from stt_server.store import clips, consents, people
from stt_server.store.consents import Way
from stt_server.store.database import Database
from stt_server.store.objects import FolderObjects
from stt_server.store.rights import Purpose, Scope
from stt_server.store.ring import now
from tests.store.giving import counts, publish
from tests.web.conftest import Server, Start, until
from tests.web.givers import agreed, clips_of, got, has_clips, newcomer, stt, utterance, withdrawn
from tests.web.keys import bearer, make_key

NOTHING = dict.fromkeys(("clips", "votes", "leases", "skips", "dataset_clips", "snapshot_clips", "erasures"), 0)


@pytest.fixture
async def server(start: Start) -> Server:
    return await start(collect=True)


async def test_nothing_is_agreed_to_until_somebody_agrees(server: Server, http):
    who = await newcomer(server, http)
    state = await got(server, http, "/v1/consent", who)
    assert (state["consent"], state["clips"], state["collecting"]) == (None, 0, True)
    assert set(state["offer"]["purposes"]) == set(Purpose)
    assert "withdraw with one button" in state["offer"]["text"]
    assert await stt(server, http, who, utterance(1)) != ""
    assert await clips_of(server, http, who) == []


async def test_who_agreed_has_a_clip_and_can_hear_it(server: Server, http):
    who = await newcomer(server, http)
    state = await agreed(server, http, who, "training")
    assert (state["consent"]["purposes"], state["consent"]["way"]) == (["training"], "api")
    assert state["consent"]["expires"] > state["consent"]["given"]
    said = await stt(server, http, who, utterance(2))
    (clip,) = await has_clips(server, http, who, 1)
    assert (clip["hypothesis"], clip["status"]) == (said, "waiting")
    async with http.get(server.url + clip["audio"]) as answer:
        assert answer.status == 200
        assert len(read_audio(await answer.read())) / 16_000 == pytest.approx(clip["duration_s"], abs=0.01)


@pytest.mark.parametrize("purposes", [[], ["recognition"]])
async def test_recognition_alone_keeps_nothing(server: Server, http, purposes):
    who = await newcomer(server, http, *purposes)
    await stt(server, http, who, utterance(3))
    assert await clips_of(server, http, who) == []
    assert counts(server.services.store)["clips"] == 0


async def test_while_the_server_does_not_collect_nobodys_consent_keeps_anything(start: Start, http):
    server = await start()
    who = await newcomer(server, http, "training", "release")
    assert (await got(server, http, "/v1/consent", who))["collecting"] is False
    await stt(server, http, who, utterance(4))
    assert counts(server.services.store) == NOTHING


@pytest.mark.parametrize("query", ["&collect=false", "&collect=0", "&collect=true&collect=false"])
async def test_a_request_can_only_narrow_what_is_kept(server: Server, http, query):
    who, stranger = await newcomer(server, http, "training"), await newcomer(server, http)
    await stt(server, http, who, utterance(5), query)
    await stt(server, http, who | {"X-Collect": "false"}, utterance(6))
    await stt(server, http, stranger, utterance(7), "&collect=true")
    await stt(server, http, who, utterance(8))  # after which what came before would be there
    await has_clips(server, http, who, 1)
    assert await clips_of(server, http, stranger) == []


async def test_what_is_neither_true_nor_false_is_refused(server: Server, http):
    who = await newcomer(server, http, "training")
    async with http.post(f"{server.url}/stt?collect=perhaps", data=utterance(9), headers=who) as answer:
        assert answer.status == 400
        assert "collect must be true or false" in answer.headers["X-Earloop-Error"]


async def test_withdrawing_takes_rows_bytes_and_what_follows_at_once(server: Server, http):
    who, other = await newcomer(server, http, "training"), await newcomer(server, http, "training")
    for seed in (10, 11):
        await stt(server, http, who, utterance(seed))
    await stt(server, http, other, utterance(12))
    await has_clips(server, http, who, 2)
    (theirs,) = await has_clips(server, http, other, 1)
    assert await withdrawn(server, http, who) == {"clips": 2, "snapshots": 0, "votes": 0, "models": [], "left": 0}
    await stt(server, http, who, utterance(13))
    await stt(server, http, other, utterance(14))
    await has_clips(server, http, other, 2)
    assert await clips_of(server, http, who) == []
    assert len(list(server.services.objects.each("clips/"))) == 2
    async with http.get(server.url + theirs["audio"]) as answer:
        assert answer.status == 200
    assert (await got(server, http, "/v1/consent", who))["consent"] is None


async def test_a_stream_that_is_open_keeps_nothing_more_after_withdrawing(server: Server, http):
    who = await newcomer(server, http, "training")
    async with server.socket(additional_headers=who) as socket:
        await socket.send(utterance(15))
        await has_clips(server, http, who, 1)
        await withdrawn(server, http, who)
        await socket.send(utterance(16))
        await socket.send('{"type": "finish"}')
        async for _ in socket:
            pass
    other = await newcomer(server, http, "training")
    await stt(server, http, other, utterance(17))
    await has_clips(server, http, other, 1)  # after which what the stream had kept would be there
    assert await clips_of(server, http, who) == []


async def test_a_withdrawal_is_known_to_another_server_within_a_minute(start: Start, http, database_url):
    here, there = await start(collect=True, database=database_url), await start(collect=True, database=database_url)
    who = await newcomer(here, http, "training")
    await there.services.consents.renewed()
    await stt(there, http, who, utterance(18))
    await has_clips(there, http, who, 1)
    await withdrawn(here, http, who)
    await stt(there, http, who, utterance(19))  # it may not know yet, but the row is refused
    person = there.services.consents.person(who["X-Contributor"].split("_")[1])
    async with asyncio.timeout(60):
        await until(lambda: there.services.consents.may_keep(person) is None)
    assert counts(there.services.store)["clips"] == 0


async def test_who_withdrew_may_agree_again_with_the_same_token(server: Server, http):
    who = await newcomer(server, http, "training")
    await withdrawn(server, http, who)
    await agreed(server, http, who, "training")
    await stt(server, http, who, utterance(20))
    await has_clips(server, http, who, 1)


async def test_taking_training_back_deletes_clips_and_taking_the_release_back_keeps_them(server: Server, http):
    who = await newcomer(server, http, "release")
    await stt(server, http, who, utterance(21))
    await has_clips(server, http, who, 1)
    assert (await agreed(server, http, who, "training"))["clips"] == 1
    (purposes,) = await server.services.store.run(purposes_kept)
    assert purposes == {"training"}
    state = await agreed(server, http, who, "recognition")
    assert (state["clips"], state["consent"]["purposes"]) == (0, ["recognition"])
    assert list(server.services.objects.each("clips/")) == []


async def test_old_words_cannot_be_agreed_to(server: Server, http):
    who = await newcomer(server, http)
    body = {"version": "0", "purposes": ["training"]}
    async with http.put(f"{server.url}/v1/consent", headers=who, json=body) as answer:
        assert answer.status == 409
        assert "have changed" in (await answer.json())["error"]["message"]


async def test_the_words_may_be_the_operators_own(start: Start, http, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("We keep what you say.", encoding="utf-8")
    server = await start(collect=True, consent_words=words)
    who = await newcomer(server, http, "training")
    assert (await got(server, http, "/v1/consent", who))["offer"]["text"] == "We keep what you say."


async def test_the_take_out_has_every_clip_a_manifest_and_the_words(server: Server, http):
    who, other = await newcomer(server, http, "training"), await newcomer(server, http, "training")
    for seed in (22, 23):
        await stt(server, http, who, utterance(seed))
    await stt(server, http, other, utterance(24))
    mine = {clip["id"]: clip for clip in await has_clips(server, http, who, 2)}
    async with http.get(f"{server.url}/v1/consent/takeout", headers=who) as answer:
        assert answer.content_type == "application/zip"
        file = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert file.testzip() is None
    rows = list(csv.DictReader(io.StringIO(file.read("manifest.csv").decode())))
    assert {row["id"] for row in rows} == set(mine)
    assert set(file.namelist()) == {"consent.txt", "manifest.csv", *(row["file"] for row in rows)}
    for row in rows:
        assert row["hypothesis"] == mine[row["id"]]["hypothesis"]
        assert len(read_audio(file.read(row["file"]))) / 16_000 == pytest.approx(float(row["duration_s"]), abs=0.01)
    assert "withdraw with one button" in file.read("consent.txt").decode()


async def test_a_take_out_that_breaks_off_is_no_whole_file_to_who_reads_it(server: Server, http, monkeypatch, caplog):
    who = await newcomer(server, http, "training")
    for seed in (27, 28):
        await stt(server, http, who, utterance(seed))
    await has_clips(server, http, who, 2)
    whole, asked = FolderObjects.get, []

    def get(objects: FolderObjects, key: str) -> bytes:
        asked.append(key)
        if len(asked) > 1:
            raise Unavailable("the store is away")
        return whole(objects, key)

    monkeypatch.setattr(FolderObjects, "get", get)
    async with http.get(f"{server.url}/v1/consent/takeout", headers=who) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    assert "download_cut" in caplog.text
    monkeypatch.undo()
    assert len(await clips_of(server, http, who)) == 2


async def test_a_single_clip_can_be_deleted_by_whose_it_is_and_by_nobody_else(server: Server, http):
    who, other = await newcomer(server, http, "training"), await newcomer(server, http, "training")
    for seed in (25, 26):
        await stt(server, http, who, utterance(seed))
    first, second = await has_clips(server, http, who, 2)
    for asks, status in ((other, 404), (who, 204), (who, 404)):
        async with http.delete(f"{server.url}/v1/clips/{first['id']}", headers=asks) as answer:
            assert answer.status == status
    assert [clip["id"] for clip in await clips_of(server, http, who)] == [second["id"]]
    assert len(list(server.services.objects.each("clips/"))) == 1


async def test_clips_come_in_pages(server: Server, http):
    who = await newcomer(server, http, "training")
    for seed in range(30, 35):
        await stt(server, http, who, utterance(seed))
    every = [clip["id"] for clip in await has_clips(server, http, who, 5)]
    seen, after = [], ""
    while after is not None:
        page = await got(server, http, f"/v1/consent/clips?limit=2&after={after}", who)
        seen += [clip["id"] for clip in page["clips"]]
        after = page["next"]
    assert seen == every
    await got(server, http, "/v1/consent/clips?limit=0", who, status=400)


async def test_a_key_has_a_person_of_its_own_that_is_made_when_it_agrees(server: Server, http):
    key = await make_key(server, Scope.CONTRIBUTE, Scope.STREAM)
    state = await got(server, http, "/v1/consent", bearer(key))
    assert server.services.consents.of_key(key.split("_")[1]) is None
    assert state["consent"] is None
    await agreed(server, http, bearer(key), "training")
    await stt(server, http, bearer(key), utterance(40))
    await has_clips(server, http, bearer(key), 1)


async def test_on_an_open_server_somebody_without_a_token_is_nobody(server: Server, http):
    assert (await got(server, http, "/v1/consent", {}))["consent"] is None
    await agreed(server, http, {}, "training", status=400)
    async with http.delete(f"{server.url}/v1/consent") as answer:
        assert answer.status == 400


@pytest.mark.parametrize("token", ["elc_x", "el_a_b", "elc_0123456789abcdef_wrong", "x"])
async def test_a_token_that_is_not_valid_is_refused_and_never_taken_for_nobody(server: Server, http, token):
    await got(server, http, "/v1/consent", {"X-Contributor": token}, status=401)
    await got(server, http, f"/v1/consent?contributor={token}", {}, status=401)


async def test_a_right_id_with_a_wrong_secret_is_refused(server: Server, http):
    who = await newcomer(server, http)
    await got(server, http, "/v1/consent", {"X-Contributor": who["X-Contributor"] + "x"}, status=401)


async def test_two_tokens_in_one_request_are_refused(server: Server, http):
    one, other = await newcomer(server, http), await newcomer(server, http)
    await got(server, http, f"/v1/consent?contributor={one['X-Contributor']}", other, status=400)


async def test_consent_given_beside_the_server_is_known_in_a_moment(server: Server, http):
    def give(database: Database) -> str:
        with database.write() as connection:
            person, token = people.create(connection, now())
            consents.give(connection, person.id, "1", "words", [Purpose.TRAINING], Way.COMMAND, now())
            return token

    who = {"X-Contributor": await server.services.store.run(give)}
    await stt(server, http, who, utterance(41))
    await has_clips(server, http, who, 1)


async def test_a_withdrawal_tells_how_many_snapshots_refuse_its_clips_now(server: Server, http):
    who = await newcomer(server, http, "training")
    await stt(server, http, who, utterance(42))
    await has_clips(server, http, who, 1)

    def snapshot(database: Database) -> None:
        with database.read() as connection:
            (kept,) = clips.listed(connection)
        publish(database, kept)

    await server.services.store.run(snapshot)
    assert (await withdrawn(server, http, who))["snapshots"] == 1


def purposes_kept(database: Database) -> list[set[str]]:
    with database.read() as connection:
        return [set(clip.purposes) for clip in clips.listed(connection)]


async def test_over_http_nobody_can_say_that_they_agreed_by_another_way(server: Server, http):
    who = await newcomer(server, http)
    version = (await got(server, http, "/v1/consent", who))["offer"]["version"]
    for way, status in (("command", 400), ("import", 400), ("page", 200)):
        body = {"version": version, "purposes": ["training"], "way": way}
        async with http.put(f"{server.url}/v1/consent", headers=who, json=body) as answer:
            assert answer.status == status
    assert (await got(server, http, "/v1/consent", who))["consent"]["way"] == "page"


async def test_a_contributor_who_is_logged_in_makes_no_others(server: Server, http):
    token = (await newcomer(server, http))["X-Contributor"]
    async with http.post(f"{server.url}/v1/login", json={"key": token}) as answer:
        cookie = {"Cookie": f"earloop_session={answer.cookies['earloop_session'].value}"}
    csrf = {"X-CSRF-Token": (await got(server, http, "/v1/me", cookie))["csrf"]}
    async with http.post(f"{server.url}/v1/people", headers=cookie | csrf) as answer:
        assert answer.status == 403
