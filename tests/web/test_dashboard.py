"""What the dashboard is told, over HTTP against a real server; what it draws of that is in tests/browser."""

from typing import Any

import aiohttp
import pytest

from stt_server.catalog.promotion import promote
from stt_server.web.dashboard import SHOWN_MODELS
from tests.catalog.conftest import add
from tests.web.conftest import Server


async def look(http: aiohttp.ClientSession, server: Server, query: str = "", status: int = 200) -> Any:
    async with http.get(f"{server.url}/v1/dashboard{query}") as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def test_the_rates_of_models_that_were_live_are_told_however_many_came_since(server: Server, http):
    store = server.services.store
    rates = [{"source": "kitchen", "decoder": "native", "wer": {"value": 0.1, "low": 0.0, "high": 0.2}}]
    old = [add(store, "kitchen", str(version), error_rates=rates) for version in (1, 2)]
    for model in old:
        promote(store, model.id, actor="command")
    for number in range(SHOWN_MODELS):
        add(store, "proof", str(number))
    board = await look(http, server)
    assert [each["model"] for each in board["live"]] == ["kitchen@1", "kitchen@2"]
    told = {each["ref"]: each["wer"] for each in board["models"]}
    assert len(told) == SHOWN_MODELS + len(old)
    assert [told[model.ref]["kitchen"]["value"] for model in old] == [0.1, 0.1]
    assert (board["live"][-1]["ungated"], board["live"][-1]["previous"]) == (True, "kitchen@1")


async def test_a_server_of_which_nothing_is_known_yet_has_a_dashboard(server: Server, http):
    board = await look(http, server, "?days=3")
    assert (board["live"], board["jobs"], board["report"], board["shadow"]) == ([], [], None, [])
    assert [day["clips"] for day in board["days"]] == [0, 0, 0]


@pytest.mark.parametrize("days", ["0", "-1", "93", "x", "1e1"])
async def test_days_are_a_number_within_its_bounds(server: Server, http, days: str):
    told = await look(http, server, f"?days={days}", 400)
    assert told["error"]["field"] == "days"
