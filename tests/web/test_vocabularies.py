"""`/v1/vocabularies` and what streams hear by it, over real sockets; a toy notes what its streams were opened with."""

import asyncio
import json

import aiohttp
import numpy as np
import pytest

from stt_server.errors import NotFound
from stt_server.messages import Grammar, Open
from stt_server.speech.decoder.library import library_path
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.store import vocabularies as rows
from stt_server.store.rights import Scope
from stt_server.store.ring import now
from tests.voices import say, silence
from tests.web.conftest import Server, closed, finals, heard, heard_until, said, until, wav
from tests.web.keys import bearer, make_key
from tests.web.listener import Listener

HOME = {"entities": {"room": ["den", {"name": "Zoë's attic", "boost": 6}]}}
LIGHTS = {"mode": "grammar", "entities": {"room": ["den"]}, "sentences": ["light [the] {room}"]}
GRAMMAR = Grammar(("light [the] {room}", "{room} = den", "[unk]"))


class Noting(Listener):
    """Keeps what its streams asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Open] = []

    def open(self, options: Open):
        if options.protocol != "vocabulary":  # the server's own, to have a grammar ready
            self.asked.append(options)
        return super().open(options)

    @property
    def last(self) -> Open:
        return self.asked[-1]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put is in use, however late a busy machine is."""
    monkeypatch.setattr("stt_server.vocabularies.following.PATIENCE_S", 60.0)


@pytest.fixture
def noting() -> Noting:
    return Noting()


@pytest.fixture
async def server(start, noting) -> Server:
    return await start(noting)


async def called(http, server: Server, method: str, path: str, key: str = "", **more):
    """Status and JSON of an answer."""
    headers = bearer(key) if key else {}
    async with http.request(method, f"{server.url}{path}", headers=headers, **more) as answer:
        return answer.status, (await answer.json() if answer.status != 204 else None)


async def put(http, server: Server, name: str, body: object, key: str = "", query: str = ""):
    return await called(http, server, "PUT", f"/v1/vocabularies/{name}{query}", key, json=body)


async def test_put_get_list_delete(server, http):
    status, made = await put(http, server, "home", HOME)
    assert (status, made["version"], made["owner"], made["mode"]) == (201, 1, "shared", "hotwords")
    assert (made["hotwords"], made["problems"], made["problem_count"]) == (2, [], 0)
    status, again = await put(http, server, "home", LIGHTS)
    assert (status, again["version"], again["mode"], again["hotwords"]) == (200, 2, "grammar", 0)
    status, shown = await called(http, server, "GET", "/v1/vocabularies/home")
    assert status == 200
    assert shown == again
    assert shown["vocabulary"]["sentences"] == LIGHTS["sentences"]
    status, told = await called(http, server, "GET", "/v1/vocabularies")
    assert [(each["name"], each["version"]) for each in told["vocabularies"]] == [("home", 2)]
    assert "vocabulary" not in told["vocabularies"][0]
    assert await called(http, server, "DELETE", "/v1/vocabularies/home") == (204, None)
    status, missing = await called(http, server, "GET", "/v1/vocabularies/home")
    assert (status, missing["error"]["code"]) == (404, "not_found")


async def test_names_that_are_not_heard_are_told_and_wrong_documents_are_refused(server, http):
    status, made = await put(http, server, "home", {"entities": {"room": ["den", "卧室"]}})
    assert (status, made["problem_count"]) == (201, 1)
    assert made["problems"][0]["kind"] == "cannot_spell"
    assert made["problems"][0]["name"] == "卧室"
    for body, field in (
        ({"entities": {"room": ["卧室"]}}, "entities"),
        ({"mode": "grammar", "sentences": ["a (b"]}, "sentences"),
        ({"entity": {}}, "entity"),
    ):
        status, refused = await put(http, server, "home", body)
        assert (status, refused["error"]["field"]) == (400, field)
    status, refused = await put(http, server, "none", HOME)
    assert (status, refused["error"]["field"]) == (400, "vocabulary")
    assert (await put(http, server, "big", {"entities": {"a": ["x" * 200] * 2000}}))[0] == 413
    assert (await called(http, server, "GET", "/v1/vocabularies/home"))[1]["version"] == 1


async def test_one_that_a_newer_server_wrote_is_listed_and_not_shown(server, http):
    def write(database) -> None:
        with database.write() as connection:
            rows.put(connection, rows.SHARED, "songs", {"mode": "songs"}, now())

    await server.services.store.run(write)
    status, told = await called(http, server, "GET", "/v1/vocabularies")
    assert (status, [each["mode"] for each in told["vocabularies"]]) == (200, ["songs"])
    status, refused = await called(http, server, "GET", "/v1/vocabularies/songs")
    assert (status, refused["error"]["code"]) == (400, "bad_input")
    assert "newer" in refused["error"]["message"]


async def test_a_stream_names_a_vocabulary_in_its_options_and_in_the_query(server, noting, http):
    await put(http, server, "home", HOME)
    async with server.socket("/v1/stream?vocabulary=home") as socket:
        assert (await heard(socket))["type"] == "ready"
        assert noting.last.hotwords == ("den", "zoe's attic")
        assert noting.last.boosts == (("zoe's attic", 6),)
        assert noting.last.vocabulary is None
    await put(http, server, "home", LIGHTS)
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open", "vocabulary": "home", "hotwords": ["stop"]}))
        assert (await heard(socket))["type"] == "ready"
        assert (noting.last.grammar, noting.last.hotwords) == (GRAMMAR, ("stop",))
    async with server.socket("/?vocabulary=home") as socket:  # vosk's protocol has no word for it
        await socket.send(bytes(3200))
        await heard(socket)
        assert noting.last.grammar == GRAMMAR
    async with server.socket("/") as socket:  # but takes it in its config
        await socket.send(json.dumps({"config": {"vocabulary": "home"}}))
        await socket.send(bytes(3200))
        await heard(socket)
        assert noting.last.grammar == GRAMMAR


async def test_uploads_name_it_too(server, noting, http):
    await put(http, server, "home", HOME)
    async with http.post(f"{server.url}/stt?vocabulary=home", data=wav()) as answer:
        assert (answer.status, await answer.text()) == (200, "la la la")
    assert noting.last.hotwords == ("den", "zoe's attic")
    form = aiohttp.FormData({"vocabulary": "home", "keywords[]": "stop"})
    form.add_field("file", wav(), filename="a.wav")
    async with http.post(f"{server.url}/v1/audio/transcriptions", data=form) as answer:
        assert answer.status == 200
    assert noting.last.hotwords == ("stop", "den", "zoe's attic")


async def test_an_unknown_name_is_an_error_with_the_nearest_in_every_protocol(server, http):
    await put(http, server, "kitchen", HOME)
    told = "There is no vocabulary 'kitchn' that you may use; there is kitchen."
    async with server.socket("/v1/stream?vocabulary=kitchn") as socket:
        error = (await said(socket))[-1]
        assert (error["code"], error["message"], error["field"]) == ("not_found", told, "vocabulary")
    async with server.socket("/?vocabulary=kitchn") as socket:
        await socket.send(bytes(3200))
        assert told[:60] in (await closed(socket))[1]
    async with http.post(f"{server.url}/stt?vocabulary=kitchn", data=wav()) as answer:
        assert answer.status == 404
        assert told in answer.headers["X-Earloop-Error"]
    form = aiohttp.FormData({"vocabulary": "kitchn"})
    form.add_field("file", wav(), filename="a.wav")
    async with http.post(f"{server.url}/v1/audio/transcriptions", data=form) as answer:
        assert (answer.status, (await answer.json())["error"]["message"]) == (404, told)
    await server.empty()


async def test_a_grammar_of_its_own_beside_one_that_is_named_is_refused(server, http):
    await put(http, server, "home", LIGHTS)
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open", "vocabulary": "home", "grammar": ["stop"]}))
        error = (await said(socket))[-1]
    assert (error["code"], error["field"]) == ("bad_option", "vocabulary")


async def test_a_keys_default_is_what_its_streams_hear_unless_they_say_otherwise(server, noting, http):
    key, other = await make_key(server), await make_key(server)
    await put(http, server, "home", LIGHTS, key)
    assert await called(http, server, "PATCH", "/v1/keys/me", key, json={"vocabulary": "home"}) == (
        200,
        {"key": key.split("_")[1], "vocabulary": "home"},
    )

    async def opened(who: str, **options: object) -> Open:
        async with server.socket(additional_headers=bearer(who)) as socket:
            await socket.send(json.dumps({"type": "open", **options}))
            assert (await heard(socket))["type"] == "ready"
            return noting.last

    assert (await opened(key)).grammar == GRAMMAR
    assert (await opened(key, grammar=["stop"])).grammar == Grammar(("stop",))
    assert (await opened(key, vocabulary="none")).grammar is None
    assert (await opened(other)).grammar is None
    await put(http, server, "party", HOME, key)
    assert (await opened(key, vocabulary="party")).hotwords == ("den", "zoe's attic")
    assert (await called(http, server, "DELETE", "/v1/vocabularies/home", key))[0] == 409
    assert (await called(http, server, "PATCH", "/v1/keys/me", key, json={"vocabulary": None}))[0] == 200
    assert (await opened(key)).grammar is None
    assert (await called(http, server, "DELETE", "/v1/vocabularies/home", key))[0] == 204


async def test_a_households_names_are_read_and_changed_by_its_own_key_and_an_admins(server, http):
    ann, bob, admin = [await make_key(server, scope) for scope in (Scope.STREAM, Scope.STREAM, Scope.ADMIN)]
    owner = ann.split("_")[1]
    assert (await put(http, server, "home", HOME, ann))[1]["owner"] == owner
    for method in ("GET", "DELETE"):
        assert (await called(http, server, method, "/v1/vocabularies/home", bob))[0] == 404
        assert (await called(http, server, method, f"/v1/vocabularies/home?owner={owner}", bob))[0] == 403
    assert (await put(http, server, "home", HOME, bob, f"?owner={owner}"))[0] == 403
    assert (await put(http, server, "home", HOME, bob, "?owner=shared"))[0] == 403
    assert await called(http, server, "GET", "/v1/vocabularies", bob) == (200, {"vocabularies": []})
    for query in (f"?owner={owner}", "?owner=all"):
        assert (await called(http, server, "GET", f"/v1/vocabularies{query}", bob))[0] == 403
    async with server.socket("/v1/stream?vocabulary=home", additional_headers=bearer(bob)) as socket:
        error = (await said(socket))[-1]
        assert error["code"] == "not_found"
        assert "home;" not in error["message"]
    assert (await called(http, server, "PATCH", f"/v1/keys/{owner}", bob, json={"vocabulary": None}))[0] == 404
    status, shown = await called(http, server, "GET", f"/v1/vocabularies/home?owner={owner}", admin)
    assert (status, shown["owner"]) == (200, owner)
    status, told = await called(http, server, "GET", "/v1/vocabularies?owner=all", admin)
    assert [each["owner"] for each in told["vocabularies"]] == [owner]
    assert (await called(http, server, "PATCH", f"/v1/keys/{owner}", admin, json={"vocabulary": "home"}))[0] == 200


async def test_a_shared_vocabulary_is_used_by_all_and_a_keys_own_of_that_name_goes_before_it(server, noting, http):
    ann, admin = await make_key(server), await make_key(server, Scope.ADMIN)
    assert (await put(http, server, "home", LIGHTS, admin, "?owner=shared"))[1]["owner"] == "shared"
    assert (await called(http, server, "GET", "/v1/vocabularies/home", ann))[1]["owner"] == "shared"
    assert (await called(http, server, "DELETE", "/v1/vocabularies/home?owner=shared", ann))[0] == 403
    for _ in range(2):
        async with server.socket("/v1/stream?vocabulary=home", additional_headers=bearer(ann)) as socket:
            await heard_until(socket, "ready")
        if noting.last.grammar:
            await put(http, server, "home", HOME, ann)
    assert noting.last.hotwords == ("den", "zoe's attic")


async def test_a_key_keeps_no_more_of_them_than_the_setting_says(start, noting, http):
    server = await start(noting, key_vocabularies=1)
    key = await make_key(server)
    assert (await put(http, server, "a", HOME, key))[0] == 201
    assert (await put(http, server, "a", HOME, key))[0] == 200
    status, refused = await put(http, server, "b", HOME, key)
    assert (status, refused["error"]["code"]) == (429, "limit_reached")
    assert "key_vocabularies" in refused["error"]["message"]


async def test_a_stream_that_is_open_keeps_what_it_opened_with(server, noting, http):
    await put(http, server, "home", HOME)
    async with server.socket("/v1/stream?vocabulary=home") as socket:
        await heard_until(socket, "ready")
        await called(http, server, "DELETE", "/v1/vocabularies/home")
        await socket.send(b"\xff\x3f" * 7680)
        await socket.send(json.dumps({"type": "finish"}))
        async with asyncio.timeout(60):
            assert finals(await said(socket)) == ["la la la"]


def sounded(text: str) -> bytes:
    return encode_pcm(AudioFormat("s16le", 16_000, 1), np.concatenate([say(text, "en-us+f5", 150), silence(1.0)]))


def knows(server: Server, name: str) -> bool:
    try:
        return bool(server.services.vocabularies.of(name))
    except NotFound:
        return False


async def hears(server: Server, pcm: bytes, query: str = "") -> str:
    """What a live stream of the server hears."""
    async with server.socket(f"/v1/stream{query}") as socket:
        await socket.send(json.dumps({"type": "open"}) if not query else json.dumps({"type": "ping"}))
        await socket.send(pcm)
        await socket.send(json.dumps({"type": "finish"}))
        return " ".join(finals(await said(socket)))


@pytest.mark.skipif(library_path() is None, reason="the native decoder was not built")
async def test_a_name_that_is_put_at_one_server_is_heard_by_a_live_stream_of_another(start, recognizer, http):
    here, there = await start(recognizer), await start(recognizer)
    command, other = sounded("turn on the gazebo"), sounded("the weather is nice today")
    assert "gazebo" not in await hears(there, command)
    names = {"device": ["gazebo", "soundbar"], "room": ["scullery"]}
    status, made = await put(http, here, "home", {"entities": names})
    assert (status, {each["text"] for each in made["problems"]}) == (
        201,
        {"gazebo", "soundbar", "scullery"},
    )
    assert {each["kind"] for each in made["problems"]} == {"unknown_word"}
    await until(lambda: knows(there, "home"))
    assert await hears(there, command, "?vocabulary=home") == "turn on the gazebo"
    sentences = {"mode": "grammar", "entities": names, "sentences": ["turn (on | off) [the] {device} [in the {room}]"]}
    await put(http, there, "home", sentences)
    assert await hears(there, command, "?vocabulary=home") == "turn on the gazebo"
    assert await hears(there, other, "?vocabulary=home") in ("[unk]", "")
