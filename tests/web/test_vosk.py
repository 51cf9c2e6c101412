"""vosk-server's protocol over real sockets: strict lock-step, as its sample clients drive it."""

import asyncio
import json

import pytest
from websockets.asyncio.client import ClientConnection

from tests.engine.toy import RATE, loud, quiet
from tests.web.conftest import SPEECH, Server, Start, closed, heard, said

CONFIG = '{ "config" : { "sample_rate" : 16000 } }'
FRAME = RATE // 5 * 2  # 0.2 s


async def in_lock_step(socket: ClientConnection, pcm: bytes) -> list[dict]:
    """Send a frame, wait for its answer, and so on; then eof and its answer."""
    answers = []
    for at in range(0, len(pcm), FRAME):
        await socket.send(pcm[at : at + FRAME])
        answers.append(await heard(socket))
    await socket.send('{"eof" : 1}')
    return [*answers, *await said(socket)]


async def test_every_frame_is_answered_once_and_the_words_are_among_the_answers(server: Server):
    async with server.socket("/") as socket:
        await socket.send(CONFIG)
        answers = await in_lock_step(socket, SPEECH + loud(1))
        assert await closed(socket) == (1000, "")
    assert len(answers) == 6 + 1
    assert all(set(answer) in ({"partial"}, {"text"}) for answer in answers)
    assert [answer["text"] for answer in answers if answer.get("text")] == ["la la la", "la"]
    await server.empty()


async def test_frames_sent_without_waiting_are_answered_in_order_and_the_final_last(server: Server):
    async with server.socket("/") as socket:
        await socket.send(CONFIG)
        for _ in range(20):
            await socket.send(quiet(0.5))
        await socket.send(loud(2))
        await socket.send('{"eof":1}')
        answers = await said(socket)
    assert len(answers) == 22
    assert all(answer == {"partial": ""} for answer in answers[:20])
    assert answers[-1] == {"text": "la la"}


async def test_what_was_heard_stays_the_answer_until_the_final(server: Server):
    async with server.socket("/") as socket:
        await socket.send(CONFIG)
        await socket.send(loud(2))
        assert await heard(socket) == {"partial": "la la"}
        await socket.send(b"")
        assert await heard(socket) == {"partial": "la la"}
        await socket.send(quiet(2))
        assert await heard(socket) == {"text": "la la"}
        await socket.send(quiet(1))
        assert await heard(socket) == {"partial": ""}


async def test_reset_ends_the_utterance_and_the_connection_stays(server: Server):
    async with server.socket("/") as socket:
        await socket.send(CONFIG)
        await socket.send(loud(2))
        await heard(socket)
        await socket.send('{"reset" : 1}')
        assert await heard(socket) == {"text": "la la"}
        answers = await in_lock_step(socket, SPEECH)
        assert [answer["text"] for answer in answers if "text" in answer] == ["la la la", ""]


async def test_eof_as_the_first_message_gives_an_empty_text(server: Server):
    async with server.socket("/") as socket:
        await socket.send('{"eof" : 1}')
        assert await socket.recv() == '{"text": ""}'
        assert (await closed(socket))[0] == 1000


async def test_the_default_rate_is_8000(server: Server):
    async with server.socket("/") as socket:
        await socket.send(loud(3))  # so many samples last twice as long at half the rate
        assert await heard(socket) == {"partial": "la la la la la"}


async def test_frames_of_odd_length_do_not_shift_the_samples(server: Server):
    async with server.socket("/") as socket:
        await socket.send(CONFIG)
        for _ in range(30):
            await socket.send(loud(0.1) + b"\x7f")
            await heard(socket)
        await socket.send('{"eof" : 1}')
        assert (await said(socket))[-1]["text"] == "la la la"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("RIFF this is not audio", "bad_input: "),
        ('{"config": {"sample_rate": 100}}', "bad_option: sample_rate must be a whole number from 8000"),
        ('{"config": []}', "bad_option: config must be an object"),
    ],
)
async def test_text_where_audio_is_due_and_odd_configs_end_in_a_close_frame_that_says_why(server: Server, text, reason):
    async with server.socket("/") as socket:
        await socket.send(text)
        await socket.send(loud(1))
        assert await said(socket) == []
        code, why = await closed(socket)
        assert code == 1008
        assert why.startswith(reason)
    await server.empty()


async def test_a_client_that_sends_eof_and_leaves_at_once_is_no_error(server: Server, caplog):
    for _ in range(5):
        async with server.socket("/") as socket:
            await socket.send(CONFIG)
            await socket.send(loud(2))
            await socket.send('{"eof" : 1}')
    await server.empty()
    assert [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []


async def test_a_full_server_answers_503_before_the_upgrade(start: Start, http):
    server = await start(max_streams=1)
    async with server.socket("/"):
        headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
        async with http.get(server.url, headers=headers) as answer:
            assert answer.status == 503
            assert json.loads(await answer.text())["error"]["code"] == "busy"


async def test_two_clients_in_lock_step_do_not_hear_each_other(server: Server):
    async def one(words: int) -> list[dict]:
        async with server.socket("/") as socket:
            await socket.send(CONFIG)
            return await in_lock_step(socket, loud(words) + quiet(2))

    answers = await asyncio.gather(*(one(words) for words in (1, 5, 9)))
    texts = [[answer["text"] for answer in each if answer.get("text")] for each in answers]
    assert texts == [[" ".join(["la"] * words)] for words in (1, 5, 9)]
