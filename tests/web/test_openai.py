"""OpenAI's route over real sockets, with forms as its clients send them."""

import asyncio
import io
import json

import aiohttp
import pytest

from tests.web.conftest import Server, Start, flac, until, wav

PATH = "/v1/audio/transcriptions"
KEY = {"Authorization": "Bearer x"}


def form(file: bytes | None = None, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        data.add_field(name, value)
    if file is not None:
        data.add_field("file", io.BytesIO(file), filename="speech.wav", content_type="audio/wav")
    return data


async def test_a_file_becomes_text_and_the_answer_names_what_ran(server: Server, http):
    asked = form(wav(), model="whisper-1", language="en-US", temperature="0")
    async with http.post(server.url + PATH, data=asked, headers=KEY) as answer:
        assert answer.status == 200
        said = await answer.json()
        assert (said["text"], said["model"], answer.headers["X-Earloop-Model"]) == ("la la la", "toy", "toy")
        assert said["usage"]["seconds"] == pytest.approx(0.96, abs=0.01)
    await server.empty()


async def test_the_text_format_is_plain_text(server: Server, http):
    async with http.post(server.url + PATH, data=form(flac(), response_format="text", model="toy")) as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert await answer.text() == "la la la"


async def test_the_fields_may_come_after_the_file(server: Server, http):
    data = form(wav())
    data.add_field("response_format", "text")
    async with http.post(server.url + PATH, data=data) as answer:
        assert await answer.text() == "la la la"


BAD = {
    "speakers": (lambda: form(wav(), response_format="diarized_json"), 400, "bad_option", "response_format"),
    "a stream of subtitles": (
        lambda: form(wav(), stream="true", response_format="srt"),
        400,
        "bad_option",
        "response_format",
    ),
    "a language": (lambda: form(wav(), language="de"), 400, "bad_option", "language"),
    "a stream of no audio": (lambda: form(b"this is no audio", stream="true"), 415, "unsupported", "file"),
    "no file": (lambda: form(model="whisper-1"), 400, "bad_input", "file"),
    "an empty file": (lambda: form(b"", model="x"), 400, "bad_audio", "file"),
    "a text file": (lambda: form(b"hello there, this is no audio"), 415, "unsupported", "file"),
    "a cut wav": (lambda: form(wav()[:30]), 400, "bad_audio", "file"),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_error_has_the_official_shape(server: Server, http, name):
    make, status, code, param = BAD[name]
    async with http.post(server.url + PATH, data=make(), headers=KEY) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"], error["param"]) == (status, code, param)
        assert error["type"] == "invalid_request_error"
    await server.empty()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary in here"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nhello\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF'),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 500),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--"),
    ],
)
async def test_a_body_that_is_no_form_is_bad_input(server: Server, http, content_type, body):
    async with http.post(server.url + PATH, data=body, headers={"Content-Type": content_type}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_input")
    await server.empty()


async def test_a_second_file_is_refused(server: Server, http):
    data = form(wav())
    data.add_field("file", wav(), filename="more.wav")
    async with http.post(server.url + PATH, data=data) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (400, "file")


async def test_a_form_that_says_it_is_100_mb_is_refused_before_it_is_sent(server: Server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        "Content-Length: 104857600\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_file_beyond_the_bound_is_refused_while_it_comes(start: Start, http):
    server = await start(max_body_mb=1)
    async with http.post(server.url + PATH, data=form(wav() + bytes(1 << 20))) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (413, "too_large")
    await server.empty()


async def test_a_field_of_a_megabyte_is_refused(server: Server, http):
    async with http.post(server.url + PATH, data=form(wav(), prompt="x" * (1 << 20))) as answer:
        assert answer.status == 413
        assert "64 KiB" in (await answer.json())["error"]["message"]


async def test_many_fields_are_refused_where_together_they_are_large(server: Server, http):
    fields = {f"field_{number}": "x" * 60_000 for number in range(12)}
    async with http.post(server.url + PATH, data=form(wav(), **fields)) as answer:
        assert answer.status == 413
        assert "512 KiB" in (await answer.json())["error"]["message"]


async def test_a_full_server_answers_503_which_the_official_client_retries(start: Start, http):
    server = await start(max_uploads=1)
    server.toy.gate.clear()
    first = asyncio.create_task(_text(http, server))
    await until(lambda: server.streams == 1)
    async with http.post(server.url + PATH, data=form(wav())) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (503, "busy")
        assert int(answer.headers["Retry-After"]) >= 1
    server.toy.gate.set()
    assert json.loads(await first)["text"] == "la la la"


async def test_the_models_are_listed_as_openai_lists_them(server: Server, http):
    async with http.get(f"{server.url}/v1/models", headers=KEY) as answer:
        assert [model["id"] for model in (await answer.json())["data"]] == ["toy"]


async def _text(http, server: Server) -> str:
    async with http.post(server.url + PATH, data=form(wav())) as answer:
        return await answer.text()
