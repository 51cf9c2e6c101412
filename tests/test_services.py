import asyncio

import pytest

from stt_server.errors import BadBundle, NotFound, Unavailable
from stt_server.messages import Open
from stt_server.services import limits, open_services, recognizer_settings
from stt_server.settings import load_settings
from tests.engine.toy import Toy


async def test_services_start_the_engines_and_close_them_at_the_end():
    async with open_services(load_settings(engines=2), Toy()) as services:
        assert services.engines.ready
        session = services.engines.open(Open("test"))
        assert services.engines.open_streams == 1
    assert not services.engines.ready
    async with asyncio.timeout(5):
        said = [event async for event in session.events()]
    assert isinstance(said[-1].error, Unavailable)


async def test_a_model_that_is_not_there_is_not_found():
    with pytest.raises(NotFound, match="there is no model 'nothing'"):
        async with open_services(load_settings(model="nothing")):
            pass


async def test_a_damaged_bundle_is_refused(tmp_path):
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(BadBundle):
        async with open_services(load_settings(model=str(tmp_path))):
            pass


def test_settings_reach_the_engine_and_the_recognizer_in_their_units():
    settings = load_settings(max_streams=7, max_queue_s=3, max_utterance_s=12.5, decoder="greedy", beam=9)
    assert (limits(settings).max_streams, limits(settings).max_queue_s) == (7, 3)
    given = recognizer_settings(settings)
    assert (given.max_utterance_ms, given.decoder, given.beam) == (12_500, "greedy", 9)


def test_what_the_settings_leave_open_the_bundle_decides():
    given = recognizer_settings(load_settings())
    assert (given.decoder, given.beam) == (None, None)
