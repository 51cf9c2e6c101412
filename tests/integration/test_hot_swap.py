"""A server with real bundles follows the catalog: what it loads, what it refuses to, and what it lets go of."""

import asyncio
import hashlib
import json
import shutil
import weakref
from pathlib import Path

import pytest

from stt_server.catalog.importing import import_bundle, pack
from stt_server.catalog.promotion import promote
from stt_server.messages import Audio, Final, Finish, Open, Ready
from stt_server.services import Services, open_services
from stt_server.settings import load_settings
from stt_server.speech.bundle import MANIFEST, load_bundle
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.store import models
from tests.bundles import spoken
from tests.catalog.conftest import add, rewrite
from tests.engine.test_hotswap import PATIENCE_S, until
from tests.engine.test_lineup import without_the_collector


@pytest.fixture
def second(tmp_path: Path, tiny_bundle: Path) -> Path:
    """The tiny bundle as another version."""
    return rewrite(Path(shutil.copytree(tiny_bundle, tmp_path / "second")), version="2")


@pytest.fixture
async def services(tmp_path: Path, tiny_bundle: Path):
    settings = load_settings(data=tmp_path / "data", model=str(tiny_bundle), max_load=1000)
    async with open_services(settings) as opened:
        yield opened


async def imported(services: Services, bundle: Path) -> str:
    made = await asyncio.to_thread(import_bundle, services.store, services.objects, bundle, name=None, actor="test")
    return made.id


async def go_live(services: Services, model_id: str) -> None:
    """Promote it and wait until the server has worked that through."""
    change = await asyncio.to_thread(promote, services.store, model_id, actor="test", reason="because")
    await until(lambda: services.engines.lineup.revision >= change.id)


async def hear(services: Services, *words: str) -> tuple[str, str]:
    """The version that answers, and what it hears."""
    session = services.engines.open(Open("test"))
    await session.send(Audio(encode_pcm(AudioFormat(), spoken(*words))))
    await session.send(Finish())
    async with asyncio.timeout(PATIENCE_S):
        events = [event async for event in session.events()]
    assert isinstance(events[0], Ready)
    return events[0].version, " ".join(event.text for event in events if isinstance(event, Final) and event.text)


async def test_a_promoted_bundle_hears_the_next_session_and_the_first_is_freed(services, second):
    assert await hear(services, "stop", "light") == ("tiny 1", "stop light")
    old = weakref.ref(services.engines.recognizer)
    decoders = services.engines.recognizer.decoders
    await go_live(services, await imported(services, second))
    assert await hear(services, "stop", "light") == ("tiny 2", "stop light")
    assert services.engines.recognizer.decoders is decoders  # the same language model is not read twice
    with without_the_collector():
        await until(lambda: old() is None)


async def test_a_bundle_whose_bytes_were_damaged_leaves_the_old_one_live(services, second):
    made = await imported(services, second)
    services.objects.put(f"models/{made}.zip", b"no zip")
    await go_live(services, made)
    assert services.engines.lineup.alarm == "did not load: tiny@2"
    assert await hear(services, "yes") == ("tiny 1", "yes")


async def test_a_bundle_that_hears_its_golden_clip_wrongly_leaves_the_old_one_live(services, second, caplog):
    manifest = json.loads((second / MANIFEST).read_text(encoding="utf-8"))
    golden = manifest["golden"] | {"text": "no no no"}
    text = (json.dumps(manifest | {"golden": golden}) + "\n").encode()
    place = "models/wrong.zip"  # no import would have taken it
    services.objects.put(place, pack(load_bundle(second), text))
    row = add(services.store, "tiny", "2", place="", object_key=place, sha256=hashlib.sha256(text).digest())
    await go_live(services, row.id)
    assert services.engines.lineup.alarm == "did not load: tiny@2"
    assert any("golden clip" in str(getattr(record, "keys", "")) for record in caplog.records)
    assert await hear(services, "no") == ("tiny 1", "no")


async def test_what_was_promoted_is_live_after_a_restart_whatever_the_settings_name(tmp_path, tiny_bundle, second):
    settings = load_settings(data=tmp_path / "data", model=str(tiny_bundle), max_load=1000)
    async with open_services(settings) as services:
        made = await imported(services, second)
        await go_live(services, made)
    async with open_services(settings) as services:
        assert services.engines.recognizer.version == "tiny 2"
        with services.store.read() as connection:
            assert models.get(connection, made).status == "accepted"
