"""Language models by name on a running server: listed, asked for words, changed without a restart."""

import asyncio
import json

import aiohttp
import pytest
from websockets.asyncio.client import connect

from stt_server.services import open_services
from stt_server.settings import load_settings
from stt_server.speech.decoder.library import library_path
from stt_server.web.server import serving
from training.lm import estimate, write_model

pytestmark = pytest.mark.skipif(not library_path(), reason="the native decoder was not built here")
PATIENCE_S = 60


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lms").mkdir()
    return tmp_path / "lms"


@pytest.fixture
async def url(tmp_path, tiny_bundle):
    """A server of the tiny bundle. Its address."""
    patient = {"max_load": 1000, "max_lag_ms": 600_000, "drain_s": 2.0}
    settings = load_settings(port=0, data=tmp_path, model=str(tiny_bundle), **patient)
    async with open_services(settings) as services, serving(services) as url:
        yield url


async def listed(http, url, query=""):
    async with http.get(f"{url}/v1/language-models{query}") as answer:
        assert answer.status == 200
        return {each["name"]: each for each in (await answer.json())["language_models"]}


async def until_listed(http, url, query, wanted):
    """Wait for a listing that is as wanted; folder and catalog are looked into every second."""
    async with asyncio.timeout(PATIENCE_S):
        while not wanted(found := await listed(http, url, query)):  # noqa: ASYNC110  nothing else tells
            await asyncio.sleep(0.1)
    return found


async def test_models_are_listed_with_the_words_they_know_and_follow_their_files(url, http, folder):
    assert await listed(http, url) == {}
    write_model(estimate(["stop light"], 2), folder / "shop.lm")
    found = await until_listed(http, url, "?word=Light&word=dimmer", lambda each: "shop" in each)
    assert found["shop"] == {
        "name": "shop",
        "version": "shop",
        "usable": True,
        "fault": None,
        "order": 2,
        "known": {"light": True, "dimmer": False},
    }
    write_model(estimate(["dimmer light"], 2), folder / "shop.lm")
    await until_listed(http, url, "?word=dimmer", lambda each: each["shop"]["known"]["dimmer"])
    (folder / "bad.arpa").write_text("no model")
    found = await until_listed(http, url, "", lambda each: "bad" in each)
    assert (found["bad"]["usable"], "bad.arpa" in found["bad"]["fault"]) == (False, True)


async def test_a_stream_names_its_language_model(url, http, folder):
    write_model(estimate(["stop light"], 2), folder / "shop.lm")
    await until_listed(http, url, "", lambda each: "shop" in each)
    for name, answer in (("shop", "ready"), ("home", "error")):
        async with connect(f"ws{url[4:]}/v1/stream", open_timeout=PATIENCE_S) as socket:
            await socket.send(json.dumps({"type": "open", "lm": name}))
            async with asyncio.timeout(PATIENCE_S):
                told = json.loads(await socket.recv())
            assert told["type"] == answer
            if answer == "error":
                assert "no language model 'home' here; choose one of: shop" in json.dumps(told)


async def test_what_is_no_word_is_refused(url, http):
    for query in ("?word=two+words", "?word=%21", "?word="):
        async with http.get(f"{url}/v1/language-models{query}") as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["field"] == "word"


async def test_the_catalogs_models_are_there_without_a_restart_with_their_versions_and_gone_again(url, http, tmp_path):
    catalog = f"{url}/v1/catalog/language-models"
    for number, sentence in enumerate(("stop light", "dimmer light"), 1):
        write_model(estimate([sentence], 2), tmp_path / "given.lm")
        query = {"name": "shop", "alpha": "0.8", "reason": "why not"}
        async with http.post(catalog, params=query, data=(tmp_path / "given.lm").read_bytes()) as answer:
            assert answer.status == 201, await answer.text()
            made = await answer.json()
        assert (made["version"], made["alpha"], made["beta"], made["answers"]) == (number, 0.8, None, True)
        found = await until_listed(
            http, url, "?word=dimmer", lambda each, n=number: "shop" in each and each["shop"]["version"] == f"shop@{n}"
        )
        assert found["shop"]["known"] == {"dimmer": number == 2}
    async with http.delete(f"{catalog}/shop@2", params={"reason": "deaf"}) as answer:
        assert [each["removed_reason"] for each in (await answer.json())["removed"]] == ["deaf"]
    await until_listed(http, url, "", lambda each: each["shop"]["version"] == "shop@1")
    async with http.get(f"{catalog}?removed=1") as answer:
        told = (await answer.json())["language_models"]
    assert [(each["version"], each["answers"], bool(each["removed"])) for each in told] == [
        (2, False, True),
        (1, True, False),
    ]
    async with http.delete(f"{catalog}/shop") as answer:
        assert answer.status == 200
    await until_listed(http, url, "", lambda each: each == {})
    async with http.get(f"{catalog}/shop") as answer:
        assert answer.status == 404


async def test_what_is_no_language_model_is_refused_without_a_word_of_our_folders(url, http):
    catalog = f"{url}/v1/catalog/language-models"
    for query, status in (
        ({"name": "shop"}, 422),
        ({"name": "a b"}, 400),
        ({}, 400),
        ({"name": "a", "beta": "x"}, 400),
    ):
        async with http.post(catalog, params=query, data=b"no model") as answer:
            assert answer.status == status
            assert "/tmp" not in await answer.text()


async def added(http, url, name, **asked):
    patient = aiohttp.ClientTimeout(2 * PATIENCE_S)  # a process is started
    async with http.post(f"{url}/v1/language-models/{name}/words", json=asked, timeout=patient) as answer:
        return answer.status, await answer.json()


async def test_words_are_added_to_a_model_that_is_served_without_a_restart(url, http, folder):
    write_model(estimate(["stop light", "dim lamp"], 2), folder / "shop.arpa.gz")
    await until_listed(http, url, "", lambda each: "shop" in each)
    status, told = await added(http, url, "shop", words=["Dimmer", "light"], like="lamp")
    assert (status, told["added"], told["known"]) == (200, ["dimmer"], {"dimmer": True, "light": True})
    assert told["version"] == "shop@1"
    assert (await listed(http, url, "?word=dimmer"))["shop"]["known"] == {"dimmer": True}
    status, again = await added(http, url, "shop", words=["dimmer"])
    assert (status, again["added"], again["version"]) == (200, [], "shop@1"), "nothing is made of what is known"
    status, told = await added(http, url, "shop", words=["sconce"], sentences=["the sconce is bright"], times=2)
    assert (status, told["version"], told["known"]) == (200, "shop@2", {"sconce": True})
    known = (await listed(http, url, "?word=dimmer&word=bright"))["shop"]["known"]
    assert known == {"dimmer": True, "bright": True}


async def test_words_that_cannot_be_added_are_refused_with_the_reason(url, http, folder):
    write_model(estimate(["stop light"], 2), folder / "shop.lm")
    await until_listed(http, url, "", lambda each: "shop" in each)
    status, told = await added(http, url, "shop", words=["dimmer"])
    assert (status, "needs the ARPA" in told["error"]["message"]) == (400, True)
    for asked, field in (({"words": ["two words"]}, "words"), ({"words": ["a"], "like": "!"}, "like"), ({}, "words")):
        status, told = await added(http, url, "shop", **asked)
        assert (status, told["error"]["field"]) == (400, field)
    status, told = await added(http, url, "shp", words=["dimmer"])
    assert (status, "there is shop" in told["error"]["message"]) == (404, True)
