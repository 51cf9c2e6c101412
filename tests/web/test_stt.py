"""`/stt` as Mycroft's built-in modules, OVOS and Rhasspy use it, and as nobody should."""

import asyncio
import socket as sockets
import struct

import pytest

from tests.engine.toy import STEP_BYTES, loud, quiet
from tests.web.conftest import SPEECH, Server, Start, flac, until, wav
from tests.web.listener import Broken

TEXT = "text/plain; charset=utf-8"


async def chunks(*parts: bytes):
    for part in parts:
        yield part


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "audio/x-flac"}, {"Content-Type": "audio/wav"}])
async def test_a_wav_is_a_wav_whatever_it_is_called(server: Server, http, method, headers):
    async with http.request(method, f"{server.url}/stt?lang=en-US&key=x", data=wav(), headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == TEXT
        assert await answer.read() == b"la la la"
        assert (answer.headers["X-Earloop-Model"], answer.headers["X-Earloop-Language"]) == ("toy", "en")
        assert answer.headers["X-Earloop-Version"] == "toy 1"
    await server.empty()


@pytest.mark.parametrize(
    "body", [flac(), wav(rate=48_000), wav(rate=8_000), wav(rate=96_000)], ids="flac 48k 8k 96k".split()
)
async def test_other_files_and_rates_are_read_too(server: Server, http, body):
    async with http.post(f"{server.url}/stt", data=body) as answer:
        assert (answer.status, (await answer.text())[:2]) == (200, "la")


async def test_raw_audio_is_recognised_while_it_arrives(server: Server, http):
    heard = asyncio.Event()

    async def body():
        yield SPEECH[:2048]
        yield SPEECH[2048:]
        await until(lambda: len(server.toy.stacks) >= 5)  # the model works although the body is not at its end
        heard.set()
        yield loud(1)

    async with http.post(f"{server.url}/stt?format=16K_PCM16", data=body()) as answer:
        assert await answer.text() == "la la la la"
    assert heard.is_set()


async def test_raw_audio_in_chunks_that_cut_samples_gives_the_same_words(server: Server, http):
    body = chunks(*(SPEECH[at : at + 1001] for at in range(0, len(SPEECH), 1001)))
    async with http.put(f"{server.url}/stt?format=16K_PCM16", data=body) as answer:
        assert await answer.text() == "la la la"


@pytest.mark.parametrize("body", [quiet(5), b"", wav(quiet(5))], ids=["silence", "nothing", "silent wav"])
async def test_silence_is_an_empty_text_with_status_200(server: Server, http, body):
    async with http.post(f"{server.url}/stt", data=body) as answer:
        assert (answer.status, await answer.read(), answer.headers["Content-Type"]) == (200, b"", TEXT)


BAD = {
    "a wav cut in its header": (wav()[:30], "", 400, "bad_audio"),
    "a wav without samples": (wav(b""), "", 400, "bad_audio"),
    "a damaged flac": (flac()[:200] + b"\0" * 400, "", 400, "bad_audio"),
    "a film": (b"0&\xb2u\x8ef\xcf\x11" + bytes(200), "", 415, "unsupported"),
    "a format that is none": (SPEECH, "?format=12BIT", 415, "unsupported"),
    "a rate that is none": (SPEECH, "?sample_rate=fast", 400, "bad_option"),
    "a rate out of range": (SPEECH, "?format=4K_PCM16", 400, "bad_option"),
    "garbage called wav": (b"garbage" * 50, "?format=wav", 415, "unsupported"),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_error_has_its_status_an_empty_body_and_its_reason_in_a_header(server: Server, http, name):
    body, query, status, code = BAD[name]
    async with http.post(f"{server.url}/stt{query}", data=body) as answer:
        assert (answer.status, await answer.read()) == (status, b"")
        assert answer.headers["X-Earloop-Error"].startswith(f"{code}: ")
        assert answer.headers["Content-Type"] == TEXT
    assert server.counted(f"earloop_failures_total{{code={code}}}") == 1
    await server.empty()


async def test_a_wav_cut_in_its_data_gives_the_words_that_are_there(server: Server, http):
    async with http.post(f"{server.url}/stt", data=wav(loud(5) + quiet(5))[: STEP_BYTES * 3]) as answer:
        assert (answer.status, await answer.text()) == (200, "la la")


async def test_who_asks_for_json_gets_json_with_errors_too(server: Server, http):
    asking = {"Accept": "application/json", "Content-Type": "audio/wav"}
    async with http.post(f"{server.url}/stt?siteId=default", data=wav(), headers=asking) as answer:
        said = await answer.json()
        assert (said["text"], said["model"]) == ("la la la", "toy")
        assert said["wav_seconds"] == pytest.approx(0.96, abs=0.01)
        assert said["transcribe_seconds"] >= 0
    async with http.post(f"{server.url}/stt", data=wav()[:30], headers=asking) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_audio")


async def test_a_full_server_says_so_at_once_with_an_empty_body(start: Start, http):
    server = await start(max_uploads=1)
    server.toy.gate.clear()
    first = asyncio.create_task(_text(http, server, wav()))
    await until(lambda: server.streams == 1)
    async with http.post(f"{server.url}/stt", data=wav()) as answer:
        assert (answer.status, await answer.read()) == (503, b"")
        assert int(answer.headers["Retry-After"]) >= 1
    server.toy.gate.set()
    assert await first == "la la la"


async def test_a_body_that_says_it_is_100_mb_is_refused_before_it_is_sent(server: Server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\nRIFF")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"X-Earloop-Error: too_large: " in head
    assert b"Content-Length: 0\r\n" in head
    writer.close()


@pytest.mark.parametrize("start_of_body", [b"RIFF\0\0\0\0WAVEfmt ", bytes(64)], ids=["file", "raw"])
async def test_a_body_that_never_ends_is_refused_when_it_passes_the_bound(start: Start, start_of_body):
    server = await start(max_body_mb=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    sending = asyncio.create_task(_send_for_ever(writer, start_of_body))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.startswith(b"HTTP/1.1 413 ")
    await server.empty()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()


async def test_more_audio_than_a_stream_may_hold_is_too_large_however_small_the_file(start: Start, http):
    server = await start(max_stream_s=2.0)
    async with http.post(f"{server.url}/stt", data=flac(quiet(50))) as answer:
        assert (answer.status, await answer.read()) == (413, b"")
    await server.empty()


async def test_a_body_that_stops_coming_is_given_up(start: Start):
    server = await start(idle_timeout_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n" + bytes(5000))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.startswith(b"HTTP/1.1 408 ")
    await server.empty()
    writer.close()


async def test_a_body_whose_chunks_are_malformed_is_bad_input(server: Server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /stt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n"
        + bytes(64)
        + b"\r\nnonsense\r\n"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.split()[1] == b"400"
    await server.empty()
    writer.close()


@pytest.mark.parametrize("reset", [True, False])
async def test_a_client_that_goes_away_in_the_middle_frees_its_place(start: Start, reset, caplog):
    server = await start(max_streams=1)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /stt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1400\r\n" + loud(1) + b"\r\n"
    )
    await until(lambda: server.streams == 1)
    if reset:
        writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await server.empty()
    assert [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []


async def test_a_client_that_goes_away_while_its_file_is_recognised_frees_its_place(start: Start, http):
    server = await start(max_uploads=1)
    server.toy.gate.clear()
    upload = asyncio.create_task(_text(http, server, wav()))
    await until(lambda: server.streams == 1)
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)
    server.toy.gate.set()
    await server.empty()
    assert await _text(http, server, wav()) == "la la la"


async def test_a_fault_of_ours_is_500_with_an_id_and_the_traceback_in_the_log(start: Start, http, caplog):
    server = await start(recognizer=Broken())
    async with http.post(f"{server.url}/stt", data=wav()) as answer:
        assert (answer.status, await answer.read()) == (500, b"")
        reason = answer.headers["X-Earloop-Error"]
    assert reason.startswith("internal: ")
    (ident,) = [record.__dict__["keys"]["id"] for record in caplog.records if "keys" in record.__dict__]
    assert ident in reason
    assert "ZeroDivisionError" in caplog.text


async def _text(http, server: Server, body: bytes) -> str:
    async with http.post(f"{server.url}/stt", data=body) as answer:
        return await answer.text()


async def _send_for_ever(writer: asyncio.StreamWriter, first: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(first), first))
    while True:
        writer.write(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        await writer.drain()
