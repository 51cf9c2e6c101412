"""The routes of Deepgram's tutorial, in its order and one by one: against a real server over its real database."""

import asyncio
import base64
import json
from typing import Any
from zlib import crc32

import aiohttp
import pytest

from stt_server.catalog.promotion import promote
from stt_server.store import custom_models, jobs, routes
from stt_server.store.database import Database
from stt_server.store.models import Model, Status, insert_model
from stt_server.store.rights import Scope
from stt_server.store.ring import now
from stt_server.web.training import GENERAL
from tests.engine.toy import quiet
from tests.web.conftest import Server, Start, closed, heard, wav
from tests.web.givers import utterance
from tests.web.keys import make_key

PHRASE = "The proof is in the pudding."


class Caller:
    """Asks as curl does with `-u`: user and password are a key's secret and id."""

    def __init__(self, http: aiohttp.ClientSession, server: Server, user: str = "USERNAME", password: str = "PASSWORD"):
        self.http, self.server = http, server
        self.key = f"el_{password}_{user}"
        self.basic = base64.b64encode(f"{user}:{password}".encode()).decode()

    async def ask(
        self,
        method: str,
        path: str,
        data: bytes | str | None = None,
        status: int = 200,
        kind: str | None = None,
        *,
        plain: bool = False,
    ) -> Any:
        headers = {"Authorization": f"Basic {self.basic}"}
        if data is not None:
            headers["Content-Type"] = kind or "application/x-www-form-urlencoded"
        async with self.http.request(method, self.server.url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text if plain else json.loads(text)

    async def dataset(self, name: str = "Proof") -> str:
        return (await self.ask("POST", f'/v1/datasets?name="{name}"', status=201))["dataset_id"]

    async def resource(self, dataset: str, seed: int = 1) -> str:
        path = f"/v1/resources?name=my{seed}.wav&dataset-id={dataset}"
        return (await self.ask("POST", path, wav(utterance(seed)), status=201))["resource_id"]

    async def label(self, resource: str, text: str = PHRASE) -> Any:
        return await self.ask("PUT", f"/v1/resources/{resource}/transcript", text, kind="text/plain")

    async def model(self, dataset: str, name: str = "Proof-in-the-Pudding") -> Any:
        return await self.ask("POST", f"/v1/models?dataset-id={dataset}", json.dumps({"name": name}), status=201)

    async def trained(self, name: str = "Proof-in-the-Pudding") -> tuple[str, str]:
        """A model of a dataset of its own, trained by a worker that had little to do; its id and that of its bundle."""
        dataset = await self.dataset(name)
        await self.label(await self.resource(dataset, seed=crc32(name.encode()) % 1000))
        model = (await self.model(dataset, name))["model_id"]
        await self.ask("POST", f"/v1/train?model-id={model}", status=201)
        return model, await self.server.services.store.run(finish_run)


def finish_run(database: Database) -> str:
    """What a worker does in the end: a bundle's row, and the job is done. The bundle's id."""
    with database.write() as connection:
        job = jobs.claim(connection, "tester", now(), 60)
        assert job is not None
        made = Model(
            id=f"bundle{job.id[:8]}",
            name=job.params["name"],
            version="1",
            language="en",
            place="tiny",
            sha256=job.id.encode().ljust(32),
            status=Status.CANDIDATE,
            created=now(),
            created_by="worker",
            job_id=job.id,
        )
        insert_model(connection, made)
        result = {"model_id": made.id, "wer": 0.25, "verdict": "passed", "snapshot_id": "s", "promoted": False}
        jobs.finish(connection, job, result, now())
        return made.id


def fail_run(database: Database) -> None:
    with database.write() as connection:
        job = jobs.claim(connection, "tester", now(), 60)
        assert job is not None
        jobs.fail(connection, job, "no memory", now())


def routed(database: Database) -> dict[tuple[str, str], str]:
    with database.read() as connection:
        return {(each.kind, each.key): each.model_id for each in routes.every(connection) if each.kind != "live"}


async def key_of(http: aiohttp.ClientSession, server: Server, *scopes: Scope) -> Caller:
    made = await make_key(server, *(scopes or (Scope.STREAM, Scope.TRAIN)))
    _, ident, secret = made.split("_", 2)
    return Caller(http, server, secret, ident)


@pytest.fixture
async def ann(start: Start, http) -> Caller:
    return await key_of(http, await start(collect=True))


async def test_the_tutorial_runs_in_its_order_up_to_the_deployed_model(start: Start, http):
    server = await start(collect=True)
    made = await Caller(http, server).ask("POST", '/v1/keys?name="test"', status=201)
    assert (made["name"], made["scopes"]) == ("test", ["stream", "train"])
    ann = Caller(http, server, made["secret"], made["key"])
    dataset = await ann.dataset()
    resource = await ann.resource(dataset)
    assert (await ann.label(resource))["transcript"] == PHRASE
    told = await ann.ask("GET", f"/v1/datasets/{dataset}")
    assert (told["description"], told["clips"]) == ("Proof", 1)

    model = await ann.model(dataset)
    assert {name: model[name] for name in ("model_name", "model_type", "wer", "trained_at")} == {
        "model_name": "Proof-in-the-Pudding",
        "model_type": "USER",
        "wer": None,
        "trained_at": None,
    }
    ident = model["model_id"]
    run = await ann.ask("POST", f"/v1/train?model-id={ident}&base-model-id={GENERAL}", status=201)
    assert (run["model_id"], run["finished"], run["status"]) == (ident, None, "PENDING")
    assert (await ann.ask("GET", f"/v1/models/{ident}"))["status"] == "PENDING"

    bundle = await server.services.store.run(finish_run)
    told = await ann.ask("GET", f"/v1/models/{ident}")
    assert (told["status"], told["wer"], told["version_id"]) == ("TRAINED", 0.25, bundle)
    assert told["trained_at"].endswith("Z")
    assert (await ann.ask("GET", f"/v1/train/{run['id']}"))["status"] == "TRAINED"

    told = await ann.ask("POST", f"/v1/models/{ident}/deploy")
    assert told["deployed"] is not None
    leading = await server.services.store.run(routed)
    assert set(leading.values()) == {bundle}
    assert {("name", ident), ("name", "Proof-in-the-Pudding")} < set(leading)
    assert [kind for kind, _ in leading].count("person") == 1


async def test_what_is_said_is_kept_with_its_capital_and_stop_and_is_in_the_next_snapshot(ann: Caller):
    dataset = await ann.dataset()
    told = await ann.label(await ann.resource(dataset), f"  {PHRASE}\n")
    assert (told["transcript"], told["status"]) == (PHRASE, "LABELED")
    curator = await key_of(ann.http, ann.server, Scope.CURATE)
    made = await curator.ask("POST", "/v1/datasets/proof/snapshots", "{}", status=201)
    assert made["statistics"]["clips"] == 1
    clip = (await curator.ask("GET", "/v1/clips"))["clips"][0]
    assert (clip["text"], clip["verdict"], clip["status"]) == (PHRASE, "corrected", "decided")


async def test_words_that_were_heard_so_are_right_and_the_last_words_count(ann: Caller):
    resource = await ann.resource(await ann.dataset())
    heard = (await ann.ask("GET", f"/v1/resources/{resource}"))["hypothesis"]
    assert heard
    await ann.label(resource, "something else")
    await ann.label(resource, f"{heard.upper()}!")
    curator = await key_of(ann.http, ann.server, Scope.CURATE)
    clip = (await curator.ask("GET", "/v1/clips"))["clips"][0]
    assert (clip["text"], clip["verdict"]) == (f"{heard.upper()}!", "right")
    assert [(vote["verdict"], vote["expert"]) for vote in clip["votes"]] == [("right", True)]


@pytest.mark.parametrize("text", ["", " ", "...", "漢字", "a" * 9000, b"\xff\xfe", "nul \0"])
async def test_what_are_no_words_is_refused(ann: Caller, text):
    resource = await ann.resource(await ann.dataset())
    status = 413 if len(text) > 8000 else 400
    await ann.ask("PUT", f"/v1/resources/{resource}/transcript", text, status=status)
    assert (await ann.ask("GET", f"/v1/resources/{resource}"))["status"] == "UNLABELED"


@pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"no sound", 415), (wav(b""), 400)])
async def test_a_body_without_sound_is_refused_and_nothing_is_kept(ann: Caller, body: bytes, status: int):
    dataset = await ann.dataset()
    await ann.ask("POST", f"/v1/resources?name=a&dataset-id={dataset}", body, status=status)
    assert (await ann.ask("GET", f"/v1/datasets/{dataset}"))["clips"] == 0


async def test_a_server_that_keeps_nothing_keeps_no_resource(start: Start, http):
    ann = await key_of(http, await start())
    dataset = await ann.dataset()
    told = await ann.ask("POST", f"/v1/resources?dataset-id={dataset}", wav(utterance(1)), status=403)
    assert "collect" in told["error"]["message"]


async def test_silence_can_be_uploaded_too(ann: Caller):
    dataset = await ann.dataset()
    told = await ann.ask("POST", f"/v1/resources?name=s&dataset-id={dataset}", wav(quiet(8)), status=201)
    assert told["hypothesis"] == ""


async def test_two_keys_may_call_their_datasets_alike_and_see_none_of_each_others(ann: Caller):
    bob = await key_of(ann.http, ann.server)
    hers, his = await ann.dataset(), await bob.dataset()
    assert hers != his
    assert (await ann.ask("POST", "/v1/datasets?name=Proof", status=409))["error"]["field"] == "name"
    resource = await ann.resource(hers)
    await bob.ask("PUT", f"/v1/resources/{resource}/transcript", PHRASE, status=404)
    await bob.ask("GET", f"/v1/resources/{resource}", status=404)
    await bob.ask("POST", f"/v1/resources?dataset-id={hers}", wav(utterance(2)), status=404)
    await bob.ask("POST", f"/v1/models?dataset-id={hers}", '{"name": "a"}', status=404)
    model = (await ann.model(hers))["model_id"]
    for method, path in (
        ("GET", f"/v1/models/{model}"),
        ("DELETE", f"/v1/models/{model}"),
        ("PUT", f"/v1/models/{model}/datasets?dataset-id={his}"),
        ("POST", f"/v1/train?model-id={model}"),
        ("POST", f"/v1/models/{model}/deploy"),
    ):
        await bob.ask(method, path, status=404)
    await bob.ask("PUT", f"/v1/models/{(await bob.model(his))['model_id']}/datasets?dataset-id={hers}", status=404)


async def test_everything_answers_without_the_version_too(ann: Caller):
    dataset = (await ann.ask("POST", "/datasets?name=Proof", status=201))["dataset_id"]
    path = f"/resources?name=a&dataset-id={dataset}"
    resource = (await ann.ask("POST", path, wav(utterance(1)), status=201))["resource_id"]
    await ann.ask("PUT", f"/resources/{resource}/transcript", PHRASE)
    model = (await ann.ask("POST", f"/models?dataset-id={dataset}", '{"name": "Proof"}', status=201))["model_id"]
    other = await ann.dataset("Other")
    assert len((await ann.ask("PUT", f"/models/{model}/datasets?dataset-id={other}"))["datasets"]) == 2
    run = (await ann.ask("POST", f"/train?model-id={model}", status=201))["id"]
    assert (await ann.ask("DELETE", f"/train/{run}"))["status"] == "CANCELLED"
    assert (await ann.ask("GET", f"/models/{model}"))["status"] == "CANCELLED"
    assert (await ann.ask("GET", "/models"))["models"][0]["model_id"] == model
    stranger = Caller(ann.http, ann.server)
    for method, path in (("POST", "/keys?name=a"), ("POST", "/datasets?name=a"), ("GET", "/models")):
        await stranger.ask(method, path, status=401)


async def test_a_model_of_several_datasets_learns_from_all_their_clips(ann: Caller):
    first, second = await ann.dataset("First"), await ann.dataset("Second")
    for seed, dataset in enumerate((first, first, second)):
        await ann.label(await ann.resource(dataset, seed))
    model = (await ann.model(first))["model_id"]
    body = json.dumps({"datasets": [second]})
    assert set((await ann.ask("PUT", f"/v1/models/{model}/datasets", body))["datasets"]) == {first, second}
    await ann.ask("POST", f"/v1/train?model-id={model}", status=201)
    assert (await ann.ask("GET", f"/v1/datasets/model-{model}"))["clips"] == 3


async def test_training_asks_for_words_one_run_at_a_time_and_a_base_that_is_there(ann: Caller):
    dataset = await ann.dataset()
    resource = await ann.resource(dataset)
    model = (await ann.model(dataset))["model_id"]
    train = f"/v1/train?model-id={model}"
    assert "transcript" in (await ann.ask("POST", train, status=409))["error"]["message"]
    await ann.label(resource)
    await ann.ask("POST", f"{train}&base-model-id=whisper", status=404)
    untrained = (await ann.model(dataset, "Other"))["model_id"]
    await ann.ask("POST", f"{train}&base-model-id={untrained}", status=409)
    await ann.ask("POST", train, status=201)
    await ann.ask("POST", train, status=409)
    await ann.ask("DELETE", f"/v1/models/{model}", status=409)
    await ann.ask("POST", "/v1/train", status=400)
    await ann.ask("POST", f"/v1/models/{model}/deploy", status=409)


async def test_a_run_that_fails_leaves_the_model_that_was_and_says_why(ann: Caller):
    model, bundle = await ann.trained()
    run = (await ann.ask("POST", f"/v1/train?model-id={model}&base-model-id={model}", status=201))["id"]
    await ann.server.services.store.run(fail_run)
    told = await ann.ask("GET", f"/v1/models/{model}")
    assert (told["status"], told["wer"], told["version_id"]) == ("FAILED", 0.25, bundle)
    assert (await ann.ask("GET", f"/v1/train/{run}"))["error"] == "no memory"


async def test_trained_anew_and_deployed_again_the_newer_answers_by_the_new_name_alone(ann: Caller):
    model, first = await ann.trained()
    await ann.ask("POST", f"/v1/models/{model}/deploy")
    await ann.ask("POST", f"/v1/train?model-id={model}", status=201)
    second = await ann.server.services.store.run(finish_run)
    assert set((await ann.server.services.store.run(routed)).values()) == {first}
    told = await ann.ask("POST", f"/v1/models/{model}/deploy?name=Pudding")
    assert told["model_name"] == "Pudding"
    leading = await ann.server.services.store.run(routed)
    assert set(leading.values()) == {second}
    assert {key for kind, key in leading if kind == "name"} == {model, "Pudding"}


async def test_a_deployment_that_ends_gives_way_to_the_other_and_then_to_the_live_model(ann: Caller):
    one, first = await ann.trained("One")
    two, second = await ann.trained("Two")
    await ann.ask("POST", f"/v1/models/{one}/deploy")
    await ann.ask("POST", f"/v1/models/{two}/deploy")
    by_itself = {kind: made for (kind, _), made in (await ann.server.services.store.run(routed)).items()}
    assert by_itself["person"] == second
    await ann.ask("DELETE", f"/v1/models/{two}/deploy")
    leading = await ann.server.services.store.run(routed)
    assert set(leading.values()) == {first}
    assert len(leading) == 3
    await ann.ask("DELETE", f"/v1/models/{two}/deploy", status=409)
    assert (await ann.ask("DELETE", f"/v1/models/{one}"))["deleted"] is True
    assert await ann.server.services.store.run(routed) == {}


async def test_a_deployed_model_that_is_trained_anew_answers_on_when_its_deletion_is_refused(ann: Caller):
    model, _ = await ann.trained()
    await ann.ask("POST", f"/v1/models/{model}/deploy")
    run = (await ann.ask("POST", f"/v1/train?model-id={model}", status=201))["id"]
    before = await ann.server.services.store.run(routed)
    assert run in (await ann.ask("DELETE", f"/v1/models/{model}", status=409))["error"]["message"]
    assert await ann.server.services.store.run(routed) == before
    assert (await ann.ask("GET", f"/v1/models/{model}"))["deployed"]


async def test_nobody_takes_the_name_of_anothers_model_or_of_the_servers(ann: Caller):
    bob = await key_of(ann.http, ann.server)
    hers, _ = await ann.trained()
    his, _ = await bob.trained()
    await ann.ask("POST", f"/v1/models/{hers}/deploy")
    told = await bob.ask("POST", f"/v1/models/{his}/deploy", status=409)
    assert "?name=" in told["error"]["message"]
    await bob.ask("POST", f"/v1/models/{his}/deploy?name={hers}", status=400)
    await bob.ask("POST", f"/v1/models/{his}/deploy?name=Pudding")


@pytest.mark.parametrize("name", ["", " ", "a/b", 'a"b', "x" * 101, "6d0cf0e2-75a4-4b5e-a9b1-0c1e2f3a4b5c"])
async def test_a_model_has_a_name_that_can_stand_in_a_url(ann: Caller, name: str):
    dataset = await ann.dataset()
    await ann.ask("POST", f"/v1/models?dataset-id={dataset}", json.dumps({"name": name}), status=400)


async def test_who_has_as_much_as_a_key_may_have_is_told_what_to_do(start: Start, http):
    server = await start(collect=True, key_datasets=3, key_models=2, key_deployed=1)
    ann = await key_of(http, server)
    (one, _), (two, _) = await ann.trained("One"), await ann.trained("Two")
    dataset = await ann.dataset("Three")
    await ann.ask("POST", f"/v1/models/{one}/deploy")
    for path, body, what in (
        ("/v1/datasets?name=Four", None, "key_datasets"),
        (f"/v1/models?dataset-id={dataset}", '{"name": "Three"}', "DELETE /v1/models/{model-id}"),
        (f"/v1/models/{two}/deploy", None, "DELETE /v1/models/{model-id}/deploy"),
    ):
        told = (await ann.ask("POST", path, body, status=429))["error"]
        assert (told["code"], what in told["message"]) == ("limit_reached", True)
    await ann.ask("POST", f"/v1/models/{one}/deploy")  # again is no other one
    await ann.ask("DELETE", f"/v1/models/{one}")
    await ann.ask("POST", f"/v1/models/{two}/deploy")
    await ann.model(dataset, "Three")
    await (await key_of(http, server)).ask("DELETE", f"/v1/datasets/{dataset}", status=404)  # another's
    await ann.ask("DELETE", f"/datasets/{dataset}")
    await ann.dataset("Three")
    operator = await key_of(http, server, Scope.ADMIN)
    for number in range(4):
        await operator.dataset(f"Mine {number}")


async def test_what_servers_could_not_load_is_not_deployed_until_another_is_taken_back(start: Start, http):
    ann = await key_of(http, await start(collect=True, max_models=2))
    (_, live), (one, _), (two, _) = [await ann.trained(name) for name in ("Live", "One", "Two")]
    await ann.server.services.store.run(promote, live, actor="command")
    await ann.ask("POST", f"/v1/models/{one}/deploy")
    before = await ann.server.services.store.run(routed)
    told = (await ann.ask("POST", f"/v1/models/{two}/deploy", status=429))["error"]
    assert (told["code"], "max_models" in told["message"]) == ("limit_reached", True)
    assert await ann.server.services.store.run(routed) == before, "nothing of it is left"
    assert (await ann.ask("GET", f"/v1/models/{two}"))["deployed"] is None
    await ann.ask("DELETE", f"/v1/models/{one}/deploy")
    await ann.ask("POST", f"/v1/models/{two}/deploy")


async def test_hours_of_audio_are_a_limit_of_the_keys_that_are_made(start: Start, http):
    server = await start(collect=True, key_audio_hours_per_day=0.0001)
    made = await Caller(http, server).ask("POST", "/v1/keys?name=test", status=201)
    ann = Caller(http, server, made["key"], made["secret"])
    dataset = await ann.dataset()
    await ann.resource(dataset)
    server.services.keys.use(made["key"], 1.0)
    told = await ann.ask("POST", f"/v1/resources?dataset-id={dataset}", wav(utterance(2)), status=429)
    assert "hours" in told["error"]["message"]


async def test_the_list_has_ones_own_models_and_nobody_elses_names(ann: Caller):
    bob = await key_of(ann.http, ann.server)
    model, _ = await ann.trained()
    hers, his = await ann.ask("GET", "/v1/models"), await bob.ask("GET", "/v1/models")
    assert [each["model_id"] for each in hers["models"] if each["model_type"] == "USER"] == [model]
    assert [each for each in his["models"] if each["model_type"] == "USER"] == []
    assert [each["id"] for each in his["data"]] == ["toy"]

    def shown(database: Database) -> list[bool]:
        with database.read() as connection:
            return [custom_models.is_named(connection, name) for name in (model, "Proof-in-the-Pudding", "toy")]

    assert await ann.server.services.store.run(shown) == [True, True, False]


@pytest.mark.parametrize(
    ("query", "named"),
    [("?name=test", "test"), ('?name="test"', "test"), ("?name='test'", "test"), ("?name=%22a%20b%22", "a b")],
)
async def test_quotes_that_the_shell_left_are_no_part_of_a_name(server: Server, http, query: str, named: str):
    assert (await Caller(http, server).ask("POST", f"/v1/keys{query}", status=201))["name"] == named


@pytest.mark.parametrize("query", ["", "?name=", '?name=""', "?name=a&name=b", "?name=a&scope=fun"])
async def test_a_key_needs_one_name_and_scopes_that_there_are(server: Server, http, query: str):
    await Caller(http, server).ask("POST", f"/v1/keys{query}", status=400)


async def test_only_an_admin_makes_keys_and_says_what_they_may(ann: Caller):
    await ann.ask("POST", "/v1/keys?name=more", status=403)
    operator = await key_of(ann.http, ann.server, Scope.ADMIN)
    made = await operator.ask("POST", "/v1/keys?name=tagger&scope=tag&scope=stream", status=201)
    assert made["scopes"] == ["stream", "tag"]


async def test_withdrawing_takes_resources_back(ann: Caller):
    dataset = await ann.dataset()
    resource = await ann.resource(dataset)
    await ann.label(resource)
    assert (await ann.ask("DELETE", "/v1/consent"))["clips"] == 1
    await ann.ask("GET", f"/v1/resources/{resource}", status=404)
    assert (await ann.ask("GET", f"/v1/datasets/{dataset}"))["clips"] == 0


async def test_use_is_told_by_day_and_model_to_its_key_and_all_of_it_to_an_admin(ann: Caller):
    bob, operator = await key_of(ann.http, ann.server), await key_of(ann.http, ann.server, Scope.ADMIN)
    for each in (ann, ann, bob):
        await each.ask("POST", "/stt", wav(utterance(1)), kind="audio/wav", status=200, plain=True)
    await until_used(operator, 3)
    told = await ann.ask("GET", "/v1/usage")
    assert [(each["model"], each["uploads"], each["streams"], each["model_id"]) for each in told["days"]] == [
        ("toy", 2, 0, None)
    ]
    assert told["audio_s"] == pytest.approx(2 * len(utterance(1)) / 32_000, abs=0.01)
    assert [each["uploads"] for each in (await bob.ask("GET", "/v1/usage"))["days"]] == [1]
    assert (await ann.ask("GET", "/v1/usage?from=2020-01-01&to=2020-02-01"))["days"] == []
    for query in ("?from=yesterday", "?from=2026-02-01&to=2026-01-01", "?from=0001-01-01&to=9999-12-31"):
        await ann.ask("GET", f"/v1/usage{query}", status=400)
    assert (await ann.ask("GET", "/v1/usage?to=0001-01-02"))["days"] == []


async def until_used(operator: Caller, uploads: int) -> None:
    async with asyncio.timeout(60):
        while True:
            days = (await operator.ask("GET", "/usage"))["days"]
            if sum(each["uploads"] for each in days) == uploads:
                return
            await operator.server.services.keys.renewed()


async def test_a_model_that_is_not_there_is_refused_by_name_wherever_it_is_asked_for(ann: Caller):
    told = await ann.ask("POST", "/stt?model=pudding", wav(utterance(1)), status=400, plain=True)
    assert told == ""
    assert await ann.ask("POST", "/stt?model=toy", wav(utterance(1)), plain=True)
    async with ann.server.socket(f"/?model=pudding&key={ann.key}") as socket:
        await socket.send(wav(utterance(1)))
        assert (await closed(socket))[0] == 1008
    async with ann.server.socket(f"/?model=toy&key={ann.key}") as socket:
        await socket.send('{"eof": 1}')
        assert await heard(socket) == {"text": ""}


async def test_only_resources_have_their_owners_word_for_it_other_clips_have_taggers(ann: Caller):
    form = aiohttp.FormData({"statement": "my own voice"})
    form.add_field("audio", wav(utterance(5)), filename="a.wav")
    headers = {"Authorization": f"Basic {ann.basic}"}
    async with ann.http.post(f"{ann.server.url}/v1/clips", data=form, headers=headers) as answer:
        clip = (await answer.json())["id"]
    await ann.ask("PUT", f"/v1/resources/{clip}/transcript", PHRASE, status=404)
