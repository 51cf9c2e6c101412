"""Servers over one database: what is put at one of them is what streams of all of them hear."""

import asyncio
import json
from contextlib import AsyncExitStack

import aiohttp
import pytest
from websockets.asyncio.client import connect

from stt_server.errors import BadInput, NotFound
from stt_server.messages import Open
from stt_server.services import open_services
from stt_server.settings import load_settings
from stt_server.store import vocabularies as rows
from stt_server.store.ring import now
from stt_server.vocabularies.calling import CALLER, Caller
from stt_server.web.server import serving
from tests.web.listener import Listener

PATIENCE_S = 60
HOME = {"entities": {"room": ["den"]}}
ANN = "0123456789abcdef"


class Noting(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Open] = []

    def open(self, options):
        self.asked.append(options)
        return super().open(options)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put is in use, however late a busy machine is."""
    monkeypatch.setattr("stt_server.vocabularies.following.PATIENCE_S", 60.0)


@pytest.fixture
async def started(tmp_path, database_url):
    """Starts servers over the one database; each with its recognizer and address."""
    async with AsyncExitStack() as stack:

        async def start():
            toy = Noting()
            patient = {"max_load": 1000, "max_lag_ms": 600_000, "drain_s": 2.0}
            settings = load_settings(port=0, data=tmp_path, database=database_url, **patient)
            services = await stack.enter_async_context(open_services(settings, toy))
            return toy, await stack.enter_async_context(serving(services)), services

        yield start


async def put(services, key, name, body):
    def write(database):
        with database.write() as connection:
            rows.put(connection, key, name, body, now())

    await services.store.run(write)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.01)


def usable(services, name, owner=""):
    try:
        return services.vocabularies.of(name, owner)
    except (NotFound, BadInput):
        return None


async def test_a_stream_of_another_server_hears_what_was_put_at_one(started):
    (_, url, here), (toy, other, there) = await started(), await started()
    async with aiohttp.ClientSession() as http:
        async with http.put(f"{url}/v1/vocabularies/home", json=HOME) as answer:
            assert answer.status == 201
        assert usable(here, "home"), "where it was put it is in use when the answer comes"
        await until(lambda: usable(there, "home"))
        async with connect(f"ws{other[4:]}/v1/stream?vocabulary=home", open_timeout=PATIENCE_S) as socket:
            async with asyncio.timeout(PATIENCE_S):
                assert json.loads(await socket.recv())["type"] == "ready"
        assert toy.asked[-1].hotwords == ("den",)
        async with http.delete(f"{other}/v1/vocabularies/home") as answer:
            assert answer.status == 204
        await until(lambda: not usable(here, "home"))


async def test_only_what_has_changed_is_compiled_again(started):
    _, _, services = await started()
    for name in ("a", "b"):
        await put(services, "", name, HOME)
    await services.vocabularies.renewed()
    before = {name: services.vocabularies.of(name) for name in ("a", "b")}
    await put(services, "", "b", HOME)
    await services.vocabularies.renewed()
    assert services.vocabularies.of("a") is before["a"]
    assert services.vocabularies.of("b") is not before["b"]
    assert services.vocabularies.of("b") == before["b"]


async def test_what_a_newer_server_wrote_is_an_error_for_who_names_it_and_nobody_else(started):
    _, _, services = await started()
    await put(services, "", "songs", {"mode": "songs"})
    await put(services, "", "home", HOME)
    await services.vocabularies.renewed()
    with pytest.raises(BadInput, match="'songs' cannot be used: a newer Earloop wrote it"):
        services.vocabularies.of("songs")
    assert usable(services, "home")


async def test_vocabularies_are_there_from_the_start_and_by_who_calls(started):
    _, _, first = await started()
    await put(first, ANN, "home", HOME)
    await put(first, "", "home", {"entities": {"room": ["attic"]}})
    _, _, services = await started()

    def hears(caller: Caller, **options) -> tuple[str, ...]:
        before = CALLER.set(caller)
        try:
            asked = services.vocabularies.completed(Open("test", **options))
        finally:
            CALLER.reset(before)
        return (*asked.hotwords, *asked.hints)

    assert hears(Caller(ANN), vocabulary="home") == ("den",)
    assert hears(Caller(), vocabulary="home") == hears(Caller("b"), vocabulary="home") == ("attic",)
    assert hears(Caller(ANN, "home")) == hears(Caller(ANN, "home", asked="home")) == ("den",)
    assert hears(Caller(ANN, "home"), vocabulary="none") == hears(Caller(ANN, "home", "none")) == ()
    assert hears(Caller(ANN, "gone")) == hears(Caller(ANN)) == ()
