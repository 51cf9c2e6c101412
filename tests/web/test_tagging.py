"""The routes for taggers and curators, over HTTP. What they do to clips is tested in tests/tagging."""

from contextlib import closing
from typing import Any

import aiohttp
import pytest

from stt_server.store.clips import KeptClip
from stt_server.store.database import open_database
from stt_server.store.rights import Scope, allows
from stt_server.web.route import WEBSOCKET
from stt_server.web.routes import ROUTES
from tests.store import giving
from tests.web.conftest import Server
from tests.web.keys import make_key

HEARD = "turn on the light"
WORDS = (("turn", 0.1, 0.3, 0.9), ("on", 0.3, 0.5, 0.8), ("the", 0.5, 0.6, 0.9), ("light", 0.6, 1.0, 0.4))


class Client:
    """Somebody with a key, or with a contributor's token."""

    def __init__(self, http: aiohttp.ClientSession, server: Server, headers: dict[str, str]) -> None:
        self._http, self._server, self._headers = http, server, headers

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        url = f"{self._server.url}/v1/tagging/{path}"
        async with self._http.request(method, url, json=body, headers=self._headers) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else None

    async def post(self, path: str, body: Any = None) -> Any:
        status, said = await self.ask("POST", path, body)
        assert status in (200, 204), said
        return said

    async def get(self, path: str) -> Any:
        status, said = await self.ask("GET", path)
        assert status == 200, said
        return said


@pytest.fixture
async def clients(server: Server, http):
    async def make(*scopes: Scope) -> Client:
        return Client(http, server, {"X-API-Key": await make_key(server, *scopes)})

    return make


@pytest.fixture
async def clip(server: Server) -> KeptClip:
    return await server.services.store.run(_clip)


def _clip(database) -> KeptClip:
    return giving.clip(database, giving.giver(database)[1], None, HEARD, words=WORDS, language="en")


async def test_a_tagger_gets_a_clip_and_judges_it(clients, clip: KeptClip):
    ann = await clients(Scope.TAG)
    given = await ann.post("lease")
    shown = given["clip"]
    assert (shown["id"], shown["hypothesis"], shown["duration_s"], shown["language"]) == (clip.id, HEARD, 1.5, "en")
    assert shown["words"] == [list(word) for word in WORDS]
    assert shown["audio"].startswith(f"/v1/clips/{clip.id}/audio?until=")
    assert (given["left"], 120 < given["expires"] <= 300) == (0, True)
    assert await ann.post(f"{given['lease']}/beat") == {"expires": 300}
    assert await ann.post(f"{given['lease']}/vote", {"verdict": "right"}) == {"clip": clip.id, "today": 1}
    assert await ann.ask("POST", "lease") == (204, None)
    assert await ann.get("stats") == {"today": 1, "mine": 1, "waiting": 1, "decided": 0, "validated_h": 0}


async def test_the_second_tagger_does_not_see_what_was_heard(clients, clip: KeptClip):
    ann, bob = await clients(Scope.TAG), await clients(Scope.TAG)
    await ann.post(f"{(await ann.post('lease'))['lease']}/vote", {"verdict": "right"})
    given = await bob.post("lease")
    assert (given["clip"]["hypothesis"], given["clip"]["words"]) == (None, None)
    status, said = await bob.ask("POST", f"{given['lease']}/vote", {"verdict": "right"})
    assert (status, said["error"]["field"]) == (400, "verdict")
    await bob.post(f"{given['lease']}/vote", {"verdict": "corrected", "text": "Turn on the light."})
    stats = await bob.get("stats")
    assert (stats["waiting"], stats["decided"], stats["validated_h"]) == (0, 1, pytest.approx(1.5 / 3600))


async def test_skip_and_undo(clients, clip: KeptClip):
    ann, bob = await clients(Scope.TAG), await clients(Scope.TAG)
    await ann.post(f"{(await ann.post('lease'))['lease']}/skip")
    assert await ann.ask("POST", "lease") == (204, None)
    await bob.post(f"{(await bob.post('lease'))['lease']}/vote", {"verdict": "noise"})
    assert await bob.post("undo") == {"clip": clip.id}
    assert (await bob.post("lease"))["clip"]["id"] == clip.id
    assert (await ann.ask("POST", "undo"))[0] == 404


async def test_a_lease_that_ended_is_a_conflict(clients, clip: KeptClip):
    ann = await clients(Scope.TAG)
    for what, body in (("beat", None), ("vote", {"verdict": "noise"}), ("skip", None)):
        status, said = await ann.ask("POST", f"nothing/{what}", body)
        assert (status, said["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "body", [{}, {"verdict": "fine"}, {"verdict": "corrected", "text": 7}, {"verdict": "right", "more": 1}, []]
)
async def test_a_verdict_that_is_none_is_refused(clients, clip: KeptClip, body):
    ann = await clients(Scope.TAG)
    lease = (await ann.post("lease"))["lease"]
    assert (await ann.ask("POST", f"{lease}/vote", body))[0] == 400


async def test_a_curator_settles_what_taggers_cannot(clients, clip: KeptClip):
    for text in ("one", "two", "three"):
        tagger = await clients(Scope.TAG)
        await tagger.post(f"{(await tagger.post('lease'))['lease']}/vote", {"verdict": "corrected", "text": text})
    curator = await clients(Scope.CURATE, Scope.TAG)
    found = await curator.get("conflicts")
    assert [(each["id"], each["status"], each["hypothesis"]) for each in found["clips"]] == [(clip.id, "parked", HEARD)]
    texts = [(vote["verdict"], vote["text"], vote["expert"]) for vote in found["clips"][0]["votes"]]
    assert texts == [("corrected", text, False) for text in ("one", "two", "three")]
    listed = (await curator.get("../clips?status=disputed"))["clips"]
    assert [(each["id"], each["status"], each["votes"]) for each in listed] == [
        (clip.id, "parked", found["clips"][0]["votes"])
    ]
    decided = await curator.post(f"clips/{clip.id}/decide", {"verdict": "corrected", "text": "Two!"})
    assert decided == {"clip": clip.id, "status": "decided", "verdict": "corrected", "text": "two", "round": 1}
    assert await curator.post(f"clips/{clip.id}/gold", {"gold": True}) == {"clip": clip.id, "gold": True}
    assert await curator.post("suspects", [{"clip": clip.id, "suspect": 0.9}]) == {"reopened": 0}
    assert await curator.post(f"clips/{clip.id}/gold", {"gold": False}) == {"clip": clip.id, "gold": False}
    assert await curator.post("suspects", [{"clip": clip.id, "suspect": 0.9}]) == {"reopened": 1}
    assert (await curator.ask("POST", f"clips/{clip.id}/reopen"))[0] == 409
    await curator.post(f"clips/{clip.id}/decide", {"verdict": "unclear"})
    assert (await curator.post(f"clips/{clip.id}/reopen"))["round"] == 3
    assert (await curator.ask("POST", "clips/nothing/decide", {"verdict": "noise"}))[0] == 404


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "²"])
async def test_a_page_of_conflicts_has_a_bound(clients, limit):
    curator = await clients(Scope.CURATE)
    status, said = await curator.ask("GET", f"conflicts?limit={limit}")
    assert (status, said["error"]["field"]) == (400, "limit")


async def test_without_a_key_a_tagger_is_known_by_a_token(server: Server, http, clip: KeptClip):
    nobody = Client(http, server, {})
    status, said = await nobody.ask("POST", "lease")
    assert (status, said["error"]["code"]) == (401, "unauthorized")
    async with http.post(f"{server.url}/v1/people") as answer:
        token = (await answer.json())["token"]
    somebody = Client(http, server, {"X-Contributor": token})
    assert (await somebody.post("lease"))["clip"]["id"] == clip.id


async def test_one_key_is_one_judge_however_many_tokens_it_makes(server: Server, http, clip: KeptClip):
    key = {"X-API-Key": await make_key(server, Scope.CONTRIBUTE, Scope.TAG)}
    tokens = []
    for _ in range(2):
        async with http.post(f"{server.url}/v1/people", headers=key) as answer:
            tokens.append((await answer.json())["token"])
    one, other = (Client(http, server, {**key, "X-Contributor": token}) for token in tokens)
    given = await one.post("lease")
    await one.post(f"{given['lease']}/vote", {"verdict": "right"})
    assert (await other.ask("POST", "lease"))[0] == 204


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.path.startswith("/v1/tagging/")], ids=lambda route: route.path
)
async def test_each_route_opens_to_its_scope_alone(server: Server, http, clients, route):
    assert route.method != WEBSOCKET
    assert route.scope in (Scope.TAG, Scope.CURATE)
    path = route.path.removeprefix("/v1/tagging/").format(lease="nothing", clip="nothing")
    others = await clients(*[scope for scope in Scope if not allows([scope], route.scope)])
    assert (await others.ask(route.method, path, {}))[0] == 403
    assert (await (await clients(route.scope)).ask(route.method, path, {}))[0] not in (401, 403, 500)
    assert (await Client(http, server, {}).ask(route.method, path, {}))[0] == 401


async def test_what_the_settings_say_of_judging_holds(start, tmp_path, http):
    with closing(open_database(tmp_path)) as database:
        _clip(database)
    server = await start(tag_people=1, tag_lease_s=120)
    ann = Client(http, server, {"X-API-Key": await make_key(server, Scope.TAG)})
    given = await ann.post("lease")
    assert 0 < given["expires"] <= 120  # and not 300
    await ann.post(f"{given['lease']}/vote", {"verdict": "right"})
    assert (await ann.get("stats"))["decided"] == 1
