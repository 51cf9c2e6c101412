"""The plugins' own code against a real server: equal words, broken connections, failures in time."""

import asyncio
import socket
import threading
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ovos_stt_plugin_earloop.earloop.failures import Busy, Failure, Fault, Late, Refused, Unreachable
from ovos_stt_plugin_earloop.earloop.utterance import Utterance

from stt_server.store.rights import Scope
from tests.client.proxy import Break, proxied
from tests.engine.toy import loud, quiet
from tests.plugins.conftest import SENTENCES, Assistant, chunks, ears, heard_natively, off_loop, pcm
from tests.web.conftest import SPEECH, Server, Start, until
from tests.web.keys import make_key

SOON: dict[str, Any] = {"timeout_s": 1.0, "connect_s": 0.5, "retry_s": 0.5}
LONG = (loud(3) + quiet(4)) * 4  # 4 utterances
LA = "la la la"


@pytest.fixture
async def real(start: Start, recognizer) -> Server:
    return await start(recognizer)


class Recording:
    """The host's AudioData, of either kind, as far as they are alike."""

    sample_rate = 16_000

    def __init__(self, audio: bytes) -> None:
        self.audio = audio

    def get_raw_data(self, convert_rate: int | None = None, convert_width: int | None = None) -> bytes:
        return self.audio


@pytest.mark.parametrize("sentence", SENTENCES)
async def test_batch_and_stream_hear_what_the_native_client_hears(real: Server, sentence: str):
    audio, assistant = pcm(sentence), Assistant(real.url)
    expected = await heard_natively(real, audio)
    assert expected
    assert await off_loop(assistant.hear, Recording(audio), "en-US") == expected
    assistant.stream_start()
    assistant.speak(audio)
    assert await off_loop(assistant.heard) == expected
    assert assistant.ears.languages == {"en"}


async def test_a_broken_connection_is_resumed_wherever_it_breaks(server: Server):
    breaks = Break("up", 300), Break("up", 9000), Break("up", 60_000), Break("down", 200), Break("down", 1500)
    for each in breaks:
        async with proxied(server.port) as proxy:
            proxy.plan = [each]
            assert await off_loop(ears(proxy.url).hear, LONG, 16_000, "en") == " ".join([LA] * 4), each
            assert proxy.connections >= 1
    await server.empty()


async def test_several_breaks_in_one_utterance_are_survived(server: Server):
    async with proxied(server.port) as proxy:
        proxy.plan = [Break("up", 20_000), Break("up", 30_000), Break("down", 300), Break("up", 1)]
        assert await off_loop(ears(proxy.url).hear, LONG, 16_000, "en") == " ".join([LA] * 4)
        assert proxy.connections > 4


async def test_a_connection_that_goes_dead_without_a_word_is_replaced(server: Server):
    async with proxied(server.port) as proxy:
        assistant = Assistant(proxy.url)
        assistant.stream_start()
        assistant.speak(LONG[:48_000])
        await until(lambda: server.streams == 1)
        proxy.stall()
        assistant.speak(LONG[48_000:])
        assert await off_loop(assistant.heard) == " ".join([LA] * 4)


async def test_a_server_that_restarts_amid_an_utterance_hears_it_from_its_beginning(start: Start):
    first, second = await start(), await start()
    async with proxied(first.port) as proxy:
        assistant = Assistant(proxy.url)
        assistant.stream_start()
        assistant.speak(LONG[:48_000])
        await until(lambda: first.streams == 1)
        proxy.target = second.port  # which knows nothing of the stream
        proxy.cut()
        assistant.speak(LONG[48_000:])
        assert await off_loop(assistant.heard) == " ".join([LA] * 4)


async def test_a_server_that_was_away_when_somebody_began_to_speak_is_found_later(server: Server):
    async with proxied(server.port) as proxy:
        proxy.away = True
        assistant = Assistant(proxy.url)
        assistant.stream_start()
        assistant.speak(SPEECH[:10_000])
        await until(lambda: proxy.turned_away > 1)
        proxy.away = False
        assistant.speak(SPEECH[10_000:])
        assert await off_loop(assistant.heard) == LA


async def test_a_server_that_is_gone_is_unreachable_and_the_stream_says_none(unused_tcp_port: int):
    assistant = Assistant(f"http://127.0.0.1:{unused_tcp_port}", retry_s=0.5)
    with pytest.raises(Unreachable):
        await off_loop(assistant.hear, Recording(SPEECH), "en")
    assistant.stream_start()
    assistant.speak(SPEECH)
    with pytest.raises(Unreachable):
        await off_loop(assistant.heard)
    assistant.stream_start()
    assert await off_loop(assistant.stream_stop) is None


async def test_a_server_that_dies_amid_an_utterance_and_stays_away_is_a_failure(server: Server):
    async with proxied(server.port) as proxy:
        assistant = Assistant(proxy.url, timeout_s=2, retry_s=1)
        assistant.stream_start()
        assistant.speak(LONG[:48_000])
        await until(lambda: server.streams == 1)
        proxy.away = True
        proxy.cut()
        assistant.speak(LONG[48_000:])
        with pytest.raises(Failure):
            await off_loop(assistant.heard)


@asynccontextmanager
async def mute():
    """A server that lets in and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_a_server_that_hangs_is_late_and_not_for_ever():
    async with mute() as url:
        with pytest.raises((Late, Unreachable)):
            await off_loop(ears(url, **SOON).hear, SPEECH, 16_000, "en")


async def test_a_server_that_hangs_after_it_took_the_stream_is_late(start: Start):
    server = await start()
    server.toy.gate.clear()  # its inference stands still
    try:
        with pytest.raises((Late, Unreachable)):
            await off_loop(ears(server.url, timeout_s=1, connect_s=20).hear, SPEECH, 16_000, "en")
    finally:
        server.toy.gate.set()


async def test_a_full_server_is_busy(start: Start):
    server = await start(max_streams=1)
    async with server.socket() as other:
        await other.send(b"\0" * 3200)
        await until(lambda: server.streams == 1)
        with pytest.raises(Busy, match="503"):
            await off_loop(ears(server.url, retry_s=0.5).hear, SPEECH, 16_000, "en")


async def test_a_wrong_key_is_refused_at_the_first_attempt_and_the_right_one_is_let_in(server: Server):
    key = await make_key(server, Scope.STREAM)
    assert await off_loop(ears(server.url, key=key).hear, SPEECH, 16_000, "en") == LA
    async with proxied(server.port) as proxy:
        with pytest.raises(Refused, match="key"):
            await off_loop(ears(proxy.url, key=f"{key[:-4]}nope").hear, SPEECH, 16_000, "en")
        assert proxy.connections == 1


async def test_another_language_than_the_models_is_refused_by_name(real: Server):
    with pytest.raises(Refused) as caught:
        await off_loop(ears(real.url).hear, SPEECH, 16_000, "de-DE")
    assert caught.value.field == "language"


async def test_a_language_that_is_found_out_only_at_the_end_is_heard_from_the_beginning(real: Server):
    """OVOS sets it just before it asks for the text; here the server cannot hear the first one."""
    audio = pcm(SENTENCES[0])
    assistant = Assistant(real.url)
    assistant.stream_start("en-US")
    assistant.speak(audio)
    assert await off_loop(assistant.heard, "en-GB") == SENTENCES[0]
    assistant.stream_start("en-US")
    assistant.speak(audio)
    with pytest.raises(Refused, match="de-DE"):
        await off_loop(assistant.heard, "de-DE")


async def test_auto_leaves_the_language_to_the_server(real: Server):
    assert await off_loop(ears(real.url).hear, pcm(SENTENCES[0]), 16_000, "auto") == SENTENCES[0]


async def test_a_hotword_that_cannot_be_spelled_makes_nobody_deaf(real: Server):
    hearing = ears(real.url, hotwords=["日本", "kitchen"])
    assert await off_loop(hearing.hear, pcm(SENTENCES[0]), 16_000, "en") == SENTENCES[0]


async def test_hotwords_of_the_assistants_files_reach_the_server(start: Start, tmp_path):
    folder = tmp_path / "locale" / "en-us"
    folder.mkdir(parents=True)
    (folder / "room.entity").write_text("poison pantry\n", encoding="utf-8")  # by which name the toy's stream fails
    server = await start()
    hearing = ears(server.url, hotword_files=[str(tmp_path)])
    with pytest.raises(Fault, match="internal"):
        await off_loop(hearing.hear, SPEECH, 16_000, "en-US")
    assert await off_loop(hearing.hear, SPEECH, 16_000, "de-DE") == LA  # whose folder it is not


async def test_options_reach_the_server_and_a_wrong_one_is_named(real: Server):
    with pytest.raises(Refused, match="beam"):
        await off_loop(ears(real.url, options={"beam": 0}).hear, SPEECH, 16_000, "en")


async def test_a_recording_is_heard_without_and_beside_an_open_stream(server: Server):
    assistant = Assistant(server.url)
    assert await off_loop(assistant.hear, Recording(SPEECH), "en") == LA
    assistant.stream_start()
    assert not assistant.has_heard
    assert await off_loop(assistant.hear, Recording(SPEECH), "en") == LA
    assert await off_loop(assistant.stream_stop) == ""


async def test_stopping_twice_is_harmless_and_data_without_a_stream_is_nothing(server: Server):
    assistant = Assistant(server.url)
    assistant.stream_data(b"\0\0")
    assert await off_loop(assistant.stream_stop) is None
    assistant.stream_start()
    assistant.speak(SPEECH)
    assert await off_loop(assistant.stream_stop) == LA
    assert await off_loop(assistant.stream_stop) is None


async def test_finalize_waits_for_what_is_still_in_the_queue_and_says_the_same_afterwards(server: Server):
    assistant = Assistant(server.url)
    assistant.stream_start()
    stream, queue = assistant.stream, assistant.queue
    assert stream
    assert queue
    assistant.speak(SPEECH)
    queue.put(None)
    assert await off_loop(stream.finalize) == LA  # before the thread has ended, as stable OVOS
    await off_loop(stream.join, 30)
    assert stream.finalize() == LA  # and after, as alpha OVOS


async def test_a_new_stream_gives_the_old_one_up_and_no_thread_holds_the_process(server: Server):
    assistant = Assistant(server.url)
    for _ in range(3):
        assistant.stream_start()
        assistant.speak(SPEECH[:9600])
    threads = [each for each in threading.enumerate() if each.name.startswith("earloop-stream")]
    assert threads
    assert all(each.daemon for each in threads)
    await off_loop(assistant.stream_stop)
    await server.empty()


async def test_more_than_any_queue_holds_is_a_failure_that_does_not_stop_the_microphone(server: Server, monkeypatch):
    monkeypatch.setattr("ovos_stt_plugin_earloop.earloop.ears.MOST_CHUNKS", 4)
    monkeypatch.setattr(Utterance, "advance", lambda self, wait_s: time.sleep(0.05))
    assistant = Assistant(server.url)
    assistant.stream_start()
    for chunk in chunks(SPEECH, 64):
        assistant.stream_data(chunk)
    assert assistant.stream is not None  # the host may still set its language
    with pytest.raises(Late, match="behind"):
        await off_loop(assistant.heard, "en-GB")


@pytest.mark.parametrize("many", [6])
async def test_several_assistants_at_once_hear_each_their_own(server: Server, many: int):
    speech = [loud(each) + quiet(4) for each in range(2, 2 + many)]
    heard = await asyncio.gather(*(off_loop(ears(server.url).hear, each, 16_000, "en") for each in speech))
    assert heard == [" ".join(["la"] * each) for each in range(2, 2 + many)]
