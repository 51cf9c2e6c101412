"""Clips at a real server: what streams leave of those who agreed, and what comes in by upload."""

import asyncio
import json

import aiohttp
import numpy as np
import pytest

from stt_server.speech.files import read_audio
from stt_server.store import clips, consents, people
from stt_server.store.clips import KeptClip
from stt_server.store.consents import Way
from stt_server.store.database import Database
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from tests.engine.toy import loud, quiet
from tests.voices import say
from tests.web.conftest import PATIENCE_S, SPEECH, Server, Start, finals, flac, heard_until, said, until, wav
from tests.web.givers import agreed, withdrawn

SPOKEN = (say("turn on the light") * 32767).astype("<i2").tobytes()
KEEP_ALL = {"collect": True, "clip_min_s": 0, "clip_min_snr_db": 0}
STATED = {"statement": "I recorded this myself.", "licence": "CC0-1.0"}


@pytest.fixture
async def collecting(start: Start) -> Server:
    return await start(**KEEP_ALL)


async def contributor(server: Server, *purposes: Purpose) -> str:
    """The token of somebody who agreed."""

    def make(database: Database) -> str:
        with database.write() as connection:
            person, token = people.create(connection, now())
            consents.give(connection, person.id, "1", "words", purposes or [Purpose.TRAINING], Way.API, now())
            return token

    token = await server.services.store.run(make)
    await server.services.consents.renewed()
    return token


async def kept(server: Server) -> list[KeptClip]:
    def read(database: Database) -> list[KeptClip]:
        with database.read() as connection:
            return clips.listed(connection)

    return await server.services.store.run(read)


async def settled(server: Server, count: int) -> list[KeptClip]:
    """The clips, when there are so many; what more may come is waited for by closing the recorder."""
    found: list[KeptClip] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found := await kept(server)) < count:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)
    await asyncio.to_thread(server.services.recorder.close)
    assert len(await kept(server)) == count
    return found


def form(audio: bytes, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(fields)
    data.add_field("audio", audio, filename="sample.wav", content_type="audio/wav")
    return data


async def by_native(server: Server, http: aiohttp.ClientSession, token: str) -> None:
    async with server.socket(f"/v1/stream?contributor={token}&device=kitchen") as socket:
        await socket.send(SPEECH)
        await socket.send('{"type": "finish"}')
        assert finals(await said(socket)) == ["la la la"]


async def by_vosk(server: Server, http: aiohttp.ClientSession, token: str) -> None:
    async with server.socket("/", additional_headers={"X-Contributor": token}) as socket:
        await socket.send('{"config": {"sample_rate": 16000}}')
        await socket.send(SPEECH)
        await socket.recv()
        await socket.send('{"eof": 1}')
        await socket.recv()


async def by_stt(server: Server, http: aiohttp.ClientSession, token: str) -> None:
    async with http.post(f"{server.url}/stt", data=wav(), headers={"X-Contributor": token}) as answer:
        assert await answer.text() == "la la la"


async def by_raw_stt(server: Server, http: aiohttp.ClientSession, token: str) -> None:
    address = f"{server.url}/stt?format=16K_PCM16"
    async with http.post(address, data=SPEECH, headers={"X-Contributor": token}) as answer:
        assert await answer.text() == "la la la"


async def by_openai(server: Server, http: aiohttp.ClientSession, token: str) -> None:
    data = aiohttp.FormData({"model": "toy"})
    data.add_field("file", wav(), filename="sample.wav")
    address = f"{server.url}/v1/audio/transcriptions"
    async with http.post(address, data=data, headers={"X-Contributor": token}) as answer:
        assert (await answer.json())["text"] == "la la la"


WAYS = {"native": by_native, "vosk": by_vosk, "stt": by_stt, "raw stt": by_raw_stt, "openai": by_openai}


@pytest.mark.parametrize("way", WAYS)
async def test_what_somebody_who_agreed_says_becomes_a_clip_over_every_protocol(way: str, collecting: Server, http):
    await WAYS[way](collecting, http, await contributor(collecting))
    [clip] = await settled(collecting, 1)
    assert clip.protocol == way.removeprefix("raw ")
    assert (clip.hypothesis, clip.origin, clip.model, clip.lm) == ("la la la", "stream", "toy 1", "toy-lm")
    played = read_audio(collecting.services.objects.get(clip.object_key))
    assert np.count_nonzero(np.abs(played) > 0.1) == len(loud(3)) // 2  # all of what was loud, to the sample
    assert clip.device == ("kitchen" if way == "native" else clip.device)
    assert clip.device != ""


@pytest.mark.parametrize("way", WAYS)
async def test_of_others_nothing_is_kept_over_any_protocol(way: str, collecting: Server, http):
    token = await contributor(collecting, Purpose.RECOGNITION)
    await WAYS[way](collecting, http, token)
    await settled(collecting, 0)
    assert list(collecting.services.objects.each("clips/")) == []


async def test_a_server_that_does_not_collect_keeps_nothing_whatever_anybody_agreed_to(start: Start, http):
    server = await start()
    token = await contributor(server)
    await by_stt(server, http, token)
    await settled(server, 0)
    async with http.post(f"{server.url}/v1/clips", data=form(wav(), **STATED)) as answer:
        assert answer.status == 403
        assert "collect" in (await answer.json())["error"]["message"]


async def test_a_request_may_ask_that_nothing_is_kept_in_every_protocol(collecting: Server, http):
    token = await contributor(collecting)
    async with collecting.socket(f"/v1/stream?contributor={token}&collect=false") as socket:
        await socket.send(SPEECH)
        await socket.send('{"type": "finish"}')
        await said(socket)
    async with collecting.socket("/v1/stream", additional_headers={"X-Contributor": token}) as socket:
        await socket.send(json.dumps({"type": "open", "collect": False}))
        await socket.send(SPEECH)
        await socket.send('{"type": "finish"}')
        assert finals(await said(socket)) == ["la la la"]
    async with collecting.socket("/", additional_headers={"X-Contributor": token}) as socket:
        await socket.send('{"config": {"sample_rate": 16000, "collect": false}}')
        await socket.send(SPEECH)
        await socket.recv()
        await socket.send('{"eof": 1}')
        await socket.recv()
    headers = {"X-Contributor": token, "X-Collect": "false"}
    async with http.post(f"{collecting.url}/stt", data=wav(), headers=headers) as answer:
        assert await answer.text() == "la la la"
    data = aiohttp.FormData({"model": "toy", "collect": "false"})
    data.add_field("file", wav(), filename="sample.wav")
    address = f"{collecting.url}/v1/audio/transcriptions"
    async with http.post(address, data=data, headers={"X-Contributor": token}) as answer:
        assert answer.status == 200
    await settled(collecting, 0)


async def test_a_stream_that_was_resumed_gives_the_clip_of_an_unbroken_one(collecting: Server):
    token = await contributor(collecting)
    path = f"/v1/stream?contributor={token}"
    async with collecting.socket(f"{path}&resumable=true") as socket:
        ready = await heard_until(socket, "ready")
        await socket.send(loud(1.5))
        await heard_until(socket, "partial")
        assert socket.transport is not None
        socket.transport.abort()
    await until(lambda: collecting.counted("earloop_streams_parked_total") == 1)
    async with collecting.socket("/v1/stream", additional_headers={"X-Contributor": token}) as socket:
        await socket.send(json.dumps({"type": "resume", "token": ready["resume"], "seq": 0}))
        resumed = await heard_until(socket, "resumed")
        data = loud(3) + quiet(3)
        await socket.send(data[resumed["received_bytes"] :])
        await socket.send('{"type": "finish"}')
        assert finals(await said(socket)) == ["la la la"]
    [clip] = await settled(collecting, 1)
    played = read_audio(collecting.services.objects.get(clip.object_key))
    assert np.count_nonzero(np.abs(played) > 0.1) == len(loud(3)) // 2


@pytest.mark.parametrize("goes_on", ["another contributor", "nobody", "collect=false"])
async def test_of_a_stream_that_somebody_else_goes_on_with_nothing_more_is_kept(goes_on: str, collecting: Server):
    token, other = await contributor(collecting), await contributor(collecting)
    async with collecting.socket(f"/v1/stream?contributor={token}&resumable=true") as socket:
        ready = await heard_until(socket, "ready")
        await socket.send(loud(1.5))
        await heard_until(socket, "partial")
        assert socket.transport is not None
        socket.transport.abort()
    await until(lambda: collecting.counted("earloop_streams_parked_total") == 1)
    who = {"another contributor": {"X-Contributor": other}, "nobody": {}}
    headers = who.get(goes_on, {"X-Contributor": token, "X-Collect": "false"})
    async with collecting.socket("/v1/stream", additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "resume", "token": ready["resume"], "seq": 0}))
        await heard_until(socket, "resumed")
        await socket.send(SPEECH)
        await socket.send('{"type": "finish"}')
        assert finals(await said(socket)) != []
    await settled(collecting, 0)


async def test_what_was_said_between_withdrawing_and_agreeing_anew_is_not_kept(collecting: Server, http):
    token = await contributor(collecting)
    async with collecting.socket(f"/v1/stream?contributor={token}") as socket:
        await socket.send('{"type": "open"}')
        await heard_until(socket, "ready")
        await withdrawn(collecting, http, {"X-Contributor": token})
        await socket.send(loud(1.5))
        await heard_until(socket, "partial")
        await agreed(collecting, http, {"X-Contributor": token}, "training")
        await socket.send(SPEECH)
        await socket.send('{"type": "finish"}')
        assert finals(await said(socket)) != []
    await settled(collecting, 0)
    assert list(collecting.services.objects.each("clips/")) == []


# -------------------------------------------------------------------------------------------------------------- uploads


@pytest.mark.parametrize("path", ["/v1/clips", "/v1/open_data"])
async def test_an_upload_that_wants_nothing_kept_is_refused_whatever_its_giver_agreed_to(
    path: str, collecting: Server, http
):
    who = {"X-Contributor": await contributor(collecting)}
    async with http.post(f"{collecting.url}{path}?collect=false", data=form(wav()), headers=who) as answer:
        assert answer.status == 403
    async with http.post(f"{collecting.url}{path}", data=form(wav()), headers=who | {"X-Collect": "0"}) as answer:
        assert answer.status == 403
    assert await kept(collecting) == []
    address = f"{collecting.url}/v1/clips?check=only&collect=false"
    async with http.post(address, data=form(wav()), headers=who) as answer:
        assert answer.status == 200


async def test_an_upload_is_kept_by_the_consent_of_who_gives_it(collecting: Server, http):
    token = await contributor(collecting)
    address = f"{collecting.url}/v1/clips"
    async with http.post(address, data=form(wav(SPOKEN)), headers={"X-Contributor": token}) as answer:
        assert answer.status == 201
        told = await answer.json()
    [clip] = await kept(collecting)
    assert told["id"] == clip.id
    assert clip.consent_id is not None
    assert (clip.statement, clip.origin, clip.hypothesis) == (None, "upload", told["hypothesis"])
    async with http.post(address, data=form(flac(SPOKEN)), headers={"X-Contributor": token}) as answer:
        assert answer.status == 409  # the same samples in another file


@pytest.mark.parametrize(
    ("purposes", "fields", "kept_for"),
    [
        (["training"], {"licence": "CC0-1.0"}, ["training"]),
        (["training"], {"licence": "CC0-1.0", "release": "true"}, None),
        (["training", "release"], {"licence": "CC0-1.0"}, ["release", "training"]),
        (["training", "release"], {"licence": "CC0-1.0", "release": "false"}, ["training"]),
    ],
)
async def test_an_upload_by_consent_has_the_licence_it_names_and_is_for_no_more_than_was_agreed(
    collecting: Server, http, purposes: list[str], fields: dict[str, str], kept_for: list[str] | None
):
    headers = {"X-Contributor": await contributor(collecting, *map(Purpose, purposes))}
    async with http.post(f"{collecting.url}/v1/clips", data=form(wav(SPOKEN), **fields), headers=headers) as answer:
        assert answer.status == (403 if kept_for is None else 201)
    assert [(clip.licence, sorted(clip.purposes)) for clip in await kept(collecting)] == (
        [] if kept_for is None else [("CC0-1.0", kept_for)]
    )


async def test_an_upload_without_consent_needs_a_statement(collecting: Server, http):
    address = f"{collecting.url}/v1/clips"
    async with http.post(address, data=form(wav(SPOKEN))) as answer:
        assert answer.status == 403
    async with http.post(address, data=form(wav(SPOKEN), text="Turn on the light", **STATED)) as answer:
        assert answer.status == 201
    [clip] = await kept(collecting)
    assert (clip.statement, clip.licence, clip.consent_id) == (STATED["statement"], "CC0-1.0", None)
    assert (clip.reference, sorted(clip.purposes)) == ("Turn on the light", ["training"])


async def test_a_check_says_what_is_wrong_and_keeps_nothing(collecting: Server, http):
    async def problems(pcm: bytes, **fields: str) -> set[str]:
        async with http.post(f"{collecting.url}/v1/clips?check=only", data=form(wav(pcm), **fields)) as answer:
            assert answer.status == 200
            told = await answer.json()
        assert told["check"]["ok"] == (not told["check"]["problems"])
        return {problem["kind"] for problem in told["check"]["problems"]}

    samples = np.frombuffer(SPOKEN, "<i2")
    room = np.zeros(8000, "<i2")
    good = np.concatenate([room, samples, room])
    speech = np.flatnonzero(np.abs(samples) > 1000)
    assert await problems(good.tobytes()) == set()
    assert await problems(bytes(64_000)) == {"silent"}
    assert await problems((good // 200).astype("<i2").tobytes()) <= {"quiet", "silent", "short"}
    assert await problems(np.clip(good.astype(int) * 40, -32768, 32767).astype("<i2").tobytes()) >= {"clipped"}
    middle = samples[speech[0] + 3000 : speech[len(speech) // 2]]
    assert "cut" in await problems(middle.tobytes())
    assert await problems(good.tobytes(), script="close the window") == {"other_words"}
    assert await kept(collecting) == []
    assert list(collecting.services.objects.each("clips/")) == []


async def test_ovos_open_data_is_kept_for_the_contributor(collecting: Server, http):
    token = await contributor(collecting)
    fields = {"transcript": "turn on the light", "lang": "en-US", "plugin": "ovos-stt-plugin-server", "model": "x"}
    headers = {"User-Agent": "ovos-metrics", "X-Contributor": token}
    async with http.post(f"{collecting.url}/v1/open_data", data=form(wav(SPOKEN), **fields), headers=headers) as answer:
        assert answer.status == 201
    [clip] = await kept(collecting)
    assert (clip.origin, clip.hypothesis, clip.language) == ("ovos", "turn on the light", "en")
    assert (clip.model, clip.device) == ("ovos-stt-plugin-server x", "ovos-metrics")
    fields["lang"] = "=1+1"
    pcm = (say("turn on the light", rate=120) * 32767).astype("<i2").tobytes()
    async with http.post(f"{collecting.url}/v1/open_data", data=form(wav(pcm), **fields), headers=headers) as answer:
        assert answer.status == 201
    assert {clip.language for clip in await kept(collecting)} == {"en", ""}


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, slice(None)),
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-50", 206, slice(-50, None)),
        ("bytes=5-1000000000", 206, slice(5, None)),
        ("bytes=1000000000-", 416, slice(0, 0)),
        ("lines=1-2", 200, slice(None)),
    ],
)
async def test_a_clip_is_heard_by_its_link_whole_or_in_ranges(
    collecting: Server, http, asked: str | None, status: int, part: slice
):
    async with http.post(f"{collecting.url}/v1/clips", data=form(wav(SPOKEN), **STATED)) as answer:
        assert answer.status == 201
    async with http.get(f"{collecting.url}/v1/clips") as answer:
        [row] = (await answer.json())["clips"]
    [clip] = await kept(collecting)
    data = collecting.services.objects.get(clip.object_key)
    async with http.get(collecting.url + row["audio"], headers={"Range": asked} if asked else {}) as answer:
        assert answer.status == status
        assert await answer.read() == data[part]
        if status == 206:
            start, stop, _ = part.indices(len(data))
            assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    async with http.get(f"{collecting.url}/v1/clips/{clip.id}/audio") as answer:
        assert answer.status == 403


async def test_curators_page_through_clips_and_filter_them(collecting: Server, http):
    for rate in (120, 140, 160):
        pcm = (say("turn on the light", rate=rate) * 32767).astype("<i2").tobytes()
        async with http.post(f"{collecting.url}/v1/clips", data=form(wav(pcm), **STATED)) as answer:
            assert answer.status == 201
    seen, after = [], ""
    while after is not None:
        async with http.get(f"{collecting.url}/v1/clips?limit=2&after={after}") as answer:
            page = await answer.json()
        seen += [row["id"] for row in page["clips"]]
        after = page["next"]
    assert seen == [clip.id for clip in await kept(collecting)]
    async with http.get(f"{collecting.url}/v1/clips?status=decided") as answer:
        assert (await answer.json())["clips"] == []
    for impossible in ("0", "-1", "201", "00000000000201", "9" * 5000):
        async with http.get(f"{collecting.url}/v1/clips?limit={impossible}") as answer:
            assert answer.status == 400


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"nonsense": "x"}, "nonsense"),
        ({"release": "perhaps"}, "release"),
        ({"text": "x" * 3000}, "text"),
        ({"licence": '=HYPERLINK("http://elsewhere")'}, "licence"),  # what a spreadsheet would run
        ({"licence": "CC0-1.0\nAll of this may be published"}, "licence"),  # what would be a line of LICENCE.txt
    ],
)
async def test_a_field_that_cannot_be_is_named(collecting: Server, http, fields: dict[str, str], named: str):
    async with http.post(f"{collecting.url}/v1/clips", data=form(wav(SPOKEN), **STATED | fields)) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["field"] == named
