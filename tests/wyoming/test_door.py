"""Where clients come in, what they are told before there is a model, and how they are let go."""

import asyncio
import socket
import sys
import time
from contextlib import asynccontextmanager

import pytest
from wyoming.audio import AudioStop
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info

from stt_server.errors import BadOption, Conflict
from stt_server.services import open_services
from stt_server.settings import Settings, load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.wyoming.desk import REMEMBERED
from stt_server.wyoming.door import host_of, listening
from tests.engine.toy import loud
from tests.web.listener import Listener
from tests.wyoming.conftest import PATIENCE_S, PATIENT, SAID, SPEECH, Client, until

SOON_S = 0.1  # Home Assistant waits a second


@asynccontextmanager
async def connected(uri: str):
    async with AsyncClient.from_uri(uri, connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S) as client:
        yield Client(client)


async def info_of(uri: str) -> Info:
    async with connected(uri) as client:
        await client.send(Describe())
        return Info.from_event((await client.until("info"))[-1])


async def comes_soon(uri: str) -> bool:
    """Whether one answer of many does: a busy machine makes others late."""
    for _ in range(100):
        began = time.perf_counter()
        await info_of(uri)
        if time.perf_counter() - began < SOON_S:
            return True
    return False


# ---------------------------------------------------------------------------------------------------------------- where


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "127.0.0.1"),
        ({"host": "::1"}, "::1"),
        ({"host": "0.0.0.0"}, None),
        ({"host": "0.0.0.0", "open": True}, "0.0.0.0"),
        ({"host": "0.0.0.0", "wyoming_host": "10.0.0.7"}, "10.0.0.7"),
        ({"wyoming_host": "0.0.0.0"}, "0.0.0.0"),
    ],
)
def test_beyond_loopback_the_port_opens_only_where_nobody_needs_a_key_or_it_is_told_to(settings, host):
    assert host_of(Settings(**settings)) == host


async def test_a_server_that_asks_for_keys_says_that_it_has_no_port_and_why(tmp_path, free_port, caplog):
    caplog.set_level("INFO", logger="earloop.wyoming")
    async with listening(load_settings(data=tmp_path, host="0.0.0.0", wyoming_port=free_port)):
        assert [record.message for record in caplog.records] == ["wyoming_not_open"]
        with pytest.raises(OSError, match="refused|Connect"):
            await asyncio.open_connection("127.0.0.1", free_port)


async def test_a_port_beyond_loopback_is_warned_of(tmp_path, free_port, caplog):
    settings = load_settings(data=tmp_path, host="127.0.0.1", wyoming_host="0.0.0.0", wyoming_port=free_port)
    async with listening(settings):
        assert [record.message for record in caplog.records] == ["wyoming_asks_for_no_key"]


async def test_a_taken_port_that_was_asked_for_ends_the_start(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load_settings(data=tmp_path, wyoming_port=taken.getsockname()[1])
        with pytest.raises(Conflict, match="--wyoming-port"):
            async with listening(settings):
                pass


async def test_a_taken_port_that_was_not_asked_for_is_passed_over(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("EARLOOP_WYOMING_PORT")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(Settings.model_fields["wyoming_port"], "default", taken.getsockname()[1])
        settings = load_settings(data=tmp_path).model_copy(update={"wyoming_port": taken.getsockname()[1]})
        settings.model_fields_set.discard("wyoming_port")
        async with listening(settings):
            assert [record.message for record in caplog.records] == ["wyoming_port_taken"]


async def test_an_address_that_is_not_ours_ends_the_start(tmp_path, free_port):
    with pytest.raises(BadOption, match="no address of this machine"):
        async with listening(load_settings(data=tmp_path, wyoming_port=free_port, wyoming_host="192.0.2.1")):
            pass


async def test_a_unix_socket_is_for_its_group_and_gone_at_the_end(start, file):
    await start()
    assert file.stat().st_mode & 0o777 == 0o660
    async with connected(f"unix://{file}") as client:
        assert await client.request(loud(2)) == "la la"


async def test_a_unix_socket_of_a_server_that_is_gone_is_replaced(tmp_path, file):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(file))
    async with listening(load_settings(data=tmp_path, wyoming_socket=file)):
        assert (await info_of(f"unix://{file}")).asr
    assert not file.exists()


async def test_a_unix_socket_that_answers_and_a_file_are_left_alone(tmp_path, file):
    settings = load_settings(data=tmp_path, wyoming_socket=file)
    async with listening(settings):
        with pytest.raises(Conflict, match="Another server"):
            async with listening(settings):
                pass
        assert (await info_of(f"unix://{file}")).asr
    file.write_text("mine")
    with pytest.raises(Conflict, match="no socket"):
        async with listening(settings):
            pass
    assert file.read_text() == "mine"


# ------------------------------------------------------------------------------------------------------- before a model


async def test_before_a_model_is_loaded_info_comes_at_once_from_the_settings_bundle(tmp_path, file):
    settings = load_settings(data=tmp_path, wyoming_socket=file, model=str(find_bundle("")))
    async with listening(settings):
        (program,) = (await info_of(f"unix://{file}")).asr
        assert [(model.name, model.languages) for model in program.models] == [("en-small", ["en"])]
        assert await comes_soon(f"unix://{file}")


async def test_before_a_model_is_loaded_info_is_that_of_the_last_run(tmp_path, file):
    settings = load_settings(data=tmp_path, wyoming_socket=file, **PATIENT)
    toy = Listener()
    toy.name, toy.version, toy.language = "hoert", "hoert 7", "de"
    async with listening(settings) as door, open_services(settings, toy) as services, door.opened(services):
        before = await info_of(f"unix://{file}")
    async with listening(settings):
        assert await info_of(f"unix://{file}") == before
        assert [(model.name, model.version, model.languages) for model in before.asr[0].models] == [
            ("hoert", "7", ["de"])
        ]


@pytest.mark.parametrize("written", ["", "[]", '{"models": 7}', '{"models": [["a"]]}', "\xff"])
async def test_what_was_remembered_by_another_version_does_not_stop_the_start(tmp_path, file, written):
    (tmp_path / REMEMBERED).write_text(written, encoding="latin-1")
    async with listening(load_settings(data=tmp_path, wyoming_socket=file, model=str(find_bundle("")))):
        assert (await info_of(f"unix://{file}")).asr[0].models[0].name == "en-small"


async def test_a_command_that_comes_before_the_model_waits_for_it(tmp_path, file):
    settings = load_settings(data=tmp_path, wyoming_socket=file, **PATIENT)
    async with listening(settings) as door, connected(f"unix://{file}") as client:
        await client.speak(SPEECH)
        await client.send(AudioStop())
        async with open_services(settings, Listener()) as services, door.opened(services):
            assert await client.transcript() == SAID


async def test_a_model_that_does_not_come_is_an_error(tmp_path, file, monkeypatch):
    monkeypatch.setattr("stt_server.wyoming.desk.LOADING_S", 0.05)
    async with listening(load_settings(data=tmp_path, wyoming_socket=file)), connected(f"unix://{file}") as client:
        await client.speak(SPEECH)
        assert await client.fault() == "unavailable"


async def test_info_names_the_model_that_answers_now(start):
    served = await start()
    assert (await info_of(served.uri)).asr[0].models[0].name == "toy"
    other = Listener("other", "2")
    served.services.engines.lineup = type(served.services.engines.lineup).of(other)
    (model,) = (await info_of(served.uri)).asr[0].models
    assert (model.name, model.version) == ("other", "2")


async def test_info_comes_at_once_while_the_engine_is_busy(start):
    served = await start()
    served.toy.gate.clear()
    async with served.client() as client:
        await client.speak(SPEECH)
        assert await asyncio.to_thread(served.toy.inside.wait, PATIENCE_S)
        assert await comes_soon(served.uri)
        served.toy.gate.set()
        assert await client.transcript() == SAID


# -------------------------------------------------------------------------------------------------------------- leaving


async def test_a_server_that_leaves_answers_who_speaks_and_closes_who_does_not(start):
    served = await start()
    async with served.client() as speaking, served.client() as idle:
        await idle.send(Describe())
        await idle.until("info")
        await speaking.speak(loud(3))
        await until(lambda: served.services.engines.open_streams == 1)
        await served.services.engines.drain(10)
        await served.door.close()
        assert await speaking.transcript() == "la la la"
        assert await speaking.hear() is None
        assert await idle.hear() is None


async def test_a_server_that_leaves_does_not_wait_for_a_client_that_does_not_read(start, monkeypatch):
    monkeypatch.setattr("stt_server.wyoming.door.CLOSE_S", 0.2)
    served = await start()
    _, writer = await served.socket()
    writer.transport.set_write_buffer_limits(high=1 << 30)
    writer.write(b'{"type":"describe"}\n' * 20_000)
    await until(lambda: bool(served.door._connections))
    async with asyncio.timeout(PATIENCE_S):
        await served.door.close()
    assert not served.door._connections
    writer.transport.abort()


# ---------------------------------------------------------------------------------------------------- the whole program


async def test_the_served_port_is_there_before_the_model_and_answers_with_its_text(tmp_path, free_port):
    words = ["--port", "0", "--wyoming-port", str(free_port), "--data", str(tmp_path), "--log-json"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stt_server.cli", "serve", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    try:
        async with asyncio.timeout(PATIENCE_S):
            while b'"wyoming_listens"' not in (line := await process.stderr.readline()):
                assert line, "it ended"
        uri = f"tcp://127.0.0.1:{free_port}"
        assert (await info_of(uri)).asr[0].models[0].name == "en-small"
        async with connected(uri) as client:
            await client.speak(loud(3))
            assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)  # it is loaded
            process.terminate()
            assert isinstance(await client.transcript(), str)
            assert await client.hear() is None
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
