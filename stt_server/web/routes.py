"""All routes on one screen, each with the scope a key must have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.store.rights import Scope
from stt_server.web import (
    assistants,
    bundles,
    catalog,
    clips,
    consents,
    curation,
    custom_models,
    dashboard,
    datasets,
    deepgram,
    deepspeech,
    deploying,
    description,
    health,
    jobs,
    kaldi,
    keys,
    language_models,
    login,
    named_models,
    notify,
    page,
    parking,
    realtime,
    resources,
    streams,
    tagging,
    training,
    transcriptions,
    uploads,
    usage,
    vocabularies,
)
from stt_server.web.access import ACCESS, Access, check_access, settle
from stt_server.web.collecting import collect, watch
from stt_server.web.context import SERVICES
from stt_server.web.errors import render_errors
from stt_server.web.origins import ORIGINS, Origins, check_origin
from stt_server.web.route import WEBSOCKET, Route, add_routes
from stt_server.web.signing import SIGNER, Signer

if TYPE_CHECKING:
    from stt_server.services import Services

ROUTES: Final = (
    Route("GET", "/", page.show, None, "the page"),
    Route("GET", "/record", page.show, None, "a page to say the sentences of a dataset"),
    Route("GET", "/tag", page.show, None, "a page to judge clips"),
    Route("GET", "/datasets", page.show, None, "a page to make datasets and look through clips"),
    Route("GET", "/consent", page.show, None, "a page to agree, hear what is kept, take it out, withdraw"),
    Route("GET", "/dashboard", page.show, None, "a page with the live model, its history, the queue and the jobs"),
    Route("GET", "/login", page.show, None, "a page to show a key once, for a cookie"),
    Route("GET", "/static/{name}", page.static, None, "a file of the pages"),
    Route("GET", "/openapi.json", description.openapi, None, "the plain routes, described"),
    Route("GET", "/healthz", health.healthz, None, "is the server alive?"),
    Route("GET", "/readyz", health.readyz, None, "does it take new streams?"),
    Route(WEBSOCKET, "/", streams.vosk, Scope.STREAM, "a stream, vosk-server's protocol"),
    Route(WEBSOCKET, "/v1/stream", streams.native, Scope.STREAM, "a stream, Earloop's own protocol"),
    Route(WEBSOCKET, "/v1/realtime", realtime.realtime, Scope.STREAM, "a stream, OpenAI's Realtime transcription"),
    Route(WEBSOCKET, "/v1/listen", deepgram.live, Scope.STREAM, "a stream, Deepgram's live protocol"),
    Route("POST", "/v1/listen", deepgram.recorded, Scope.STREAM, "a recording to text, as Deepgram"),
    Route("POST", "/stt", uploads.stt, Scope.STREAM, "a recording or raw audio to text"),
    Route("PUT", "/stt", uploads.stt, Scope.STREAM, "the same"),
    Route("POST", "/stt/json", assistants.ovos_json, Scope.STREAM, "the same with audio inside JSON, as OVOS"),
    Route("GET", "/status", assistants.status, None, "is the server there? as OVOS asks"),
    Route("GET", "/lang_detect", assistants.lang_detect, Scope.STREAM, "the language, where only one can be, as OVOS"),
    Route("POST", "/lang_detect", assistants.lang_detect, Scope.STREAM, "the same"),
    Route("POST", "/v1/stt", assistants.mycroft, Scope.STREAM, "a recording to text, as Mycroft's backend"),
    Route(
        "POST", "/v1/deepspeech", assistants.mycroft_deepspeech, Scope.STREAM, "the same for its module of that name"
    ),
    Route("POST", "/api/speech-to-text", uploads.stt, Scope.STREAM, "a recording to text, as Rhasspy 2.5"),
    Route(WEBSOCKET, "/api/v1/stt", deepspeech.whole, Scope.STREAM, "a recording to text, coqui's WebSocket server"),
    Route(WEBSOCKET, "/recognize", deepspeech.recognize, Scope.STREAM, "a stream, deepspeech-websocket-server's"),
    Route(WEBSOCKET, "/sherpa", deepspeech.sherpa, Scope.STREAM, "a stream, sherpa-onnx's protocol"),
    Route("POST", "/client/dynamic/recognize", kaldi.recognize, Scope.STREAM, "a recording to text, Kaldi gstreamer's"),
    Route("PUT", "/client/dynamic/recognize", kaldi.recognize, Scope.STREAM, "the same"),
    Route(WEBSOCKET, "/client/ws/speech", kaldi.speech, Scope.STREAM, "a stream, Kaldi gstreamer's protocol"),
    Route(WEBSOCKET, "/client/ws/status", kaldi.status, Scope.STREAM, "how many more streams there may be"),
    Route("POST", "/v1/audio/transcriptions", transcriptions.create, Scope.STREAM, "a recording to text, as OpenAI"),
    Route("POST", "/v1/audio/translations", transcriptions.translate, Scope.STREAM, "refused: nothing is translated"),
    Route("GET", "/v1/language-models", language_models.listed, Scope.STREAM, "those that `lm` may name; known words"),
    Route("POST", "/v1/language-models/{name}/words", language_models.add, Scope.ADMIN, "add words to one of them"),
    Route("GET", "/v1/models/{model}", custom_models.show, Scope.STREAM, "one of them, or of my own", bare=True),
    Route("GET", "/v1/models", custom_models.listed, Scope.STREAM, "the models a client may name", bare=True),
    Route("POST", "/v1/keys", keys.create, Scope.ADMIN, "make a key; `name` in the query", bare=True),
    Route("POST", "/v1/resources", resources.create, Scope.CONTRIBUTE, "a recording for a dataset of mine", bare=True),
    Route("GET", "/v1/resources/{resource}", resources.show, Scope.CONTRIBUTE, "how it stands", bare=True),
    Route(
        "PUT",
        "/v1/resources/{resource}/transcript",
        resources.put_transcript,
        Scope.CONTRIBUTE,
        "the words in it",
        bare=True,
    ),
    Route("POST", "/v1/models", custom_models.create, Scope.TRAIN, "a model of my own, to be trained", bare=True),
    Route("DELETE", "/v1/models/{model}", custom_models.delete, Scope.TRAIN, "give it up", bare=True),
    Route("PUT", "/v1/models/{model}/datasets", custom_models.put_datasets, Scope.TRAIN, "more for it", bare=True),
    Route("POST", "/v1/models/{model}/deploy", deploying.deploy, Scope.TRAIN, "let it answer", bare=True),
    Route("DELETE", "/v1/models/{model}/deploy", deploying.undeploy, Scope.TRAIN, "let it answer no more", bare=True),
    Route("POST", "/v1/train", training.train, Scope.TRAIN, "have a model of my own trained", bare=True),
    Route("GET", "/v1/train/{run}", training.show, Scope.TRAIN, "how that goes", bare=True),
    Route("DELETE", "/v1/train/{run}", training.cancel, Scope.TRAIN, "end it", bare=True),
    Route("PATCH", "/v1/keys/{key}", keys.change, Scope.STREAM, "its default vocabulary; `me` is one's own key"),
    Route("GET", "/v1/vocabularies", vocabularies.listed, Scope.STREAM, "my vocabularies and the shared ones"),
    Route("GET", "/v1/vocabularies/{vocabulary}", vocabularies.show, Scope.STREAM, "what is in one"),
    Route("PUT", "/v1/vocabularies/{vocabulary}", vocabularies.put, Scope.STREAM, "names and sentences to be heard"),
    Route("DELETE", "/v1/vocabularies/{vocabulary}", vocabularies.delete, Scope.STREAM, "give one up"),
    Route("GET", "/v1/usage", usage.show, Scope.STREAM, "what was heard for me, by day and model", bare=True),
    Route("GET", "/v1/me", login.me, None, "who asks, and what that one may"),
    Route("POST", "/v1/login", login.login, None, "let a page in by a key"),
    Route("POST", "/v1/logout", login.logout, None, "let it out again"),
    Route("POST", "/v1/people", consents.create_person, Scope.CONTRIBUTE, "a new contributor and their token"),
    Route("GET", "/v1/consent", consents.show, Scope.CONTRIBUTE, "what I agreed to, and what there is to agree to"),
    Route("PUT", "/v1/consent", consents.put, Scope.CONTRIBUTE, "agree from now on"),
    Route("DELETE", "/v1/consent", consents.delete, Scope.CONTRIBUTE, "withdraw: all that I gave is deleted"),
    Route("GET", "/v1/consent/clips", consents.list_clips, Scope.CONTRIBUTE, "the clips I gave"),
    Route("GET", "/v1/consent/takeout", consents.takeout, Scope.CONTRIBUTE, "all of them, as a zip"),
    Route(
        "POST", "/v1/clips", clips.upload, Scope.CONTRIBUTE, "give a recording, or with `check=only` have it checked"
    ),
    Route("POST", "/v1/open_data", clips.open_data, Scope.CONTRIBUTE, "give what an OVOS device has heard"),
    Route("GET", "/v1/clips", clips.listed, Scope.CURATE, "all clips, the newest first"),
    Route("GET", "/v1/clips/{clip}/audio", clips.audio, None, "a clip's sound, to who has a signed link"),
    Route("DELETE", "/v1/clips/{clip}", consents.delete_clip, Scope.CONTRIBUTE, "delete one clip that I gave"),
    Route("POST", "/v1/tagging/lease", tagging.lease, Scope.TAG, "a clip to judge"),
    Route("POST", "/v1/tagging/undo", tagging.undo, Scope.TAG, "take my last verdict back"),
    Route("GET", "/v1/tagging/stats", tagging.stats, Scope.TAG, "how far judging is"),
    Route("GET", "/v1/tagging/conflicts", curation.conflicts, Scope.CURATE, "clips that taggers cannot settle"),
    Route("POST", "/v1/tagging/suspects", curation.suspects, Scope.CURATE, "labels that training doubts"),
    Route("POST", "/v1/tagging/clips/{clip}/decide", curation.decide, Scope.CURATE, "an expert's verdict"),
    Route("POST", "/v1/tagging/clips/{clip}/reopen", curation.reopen, Scope.CURATE, "judge a clip from the beginning"),
    Route("POST", "/v1/tagging/clips/{clip}/gold", curation.gold, Scope.CURATE, "let a clip measure taggers, or not"),
    Route("POST", "/v1/tagging/{lease}/beat", tagging.beat, Scope.TAG, "keep the clip a while longer"),
    Route("POST", "/v1/tagging/{lease}/vote", tagging.vote, Scope.TAG, "a verdict on the clip"),
    Route("POST", "/v1/tagging/{lease}/skip", tagging.skip, Scope.TAG, "pass the clip over"),
    Route("GET", "/v1/datasets", datasets.listed, Scope.CONTRIBUTE, "all datasets"),
    Route("POST", "/v1/datasets", datasets.create, Scope.TRAIN, "make one", bare=True),
    Route(
        "GET",
        "/v1/datasets/{dataset}",
        datasets.show,
        Scope.CONTRIBUTE,
        "its script, and how much there is of it",
        bare=True,
    ),
    Route(
        "DELETE", "/v1/datasets/{dataset}", datasets.delete, Scope.TRAIN, "delete one of mine; clips stay", bare=True
    ),
    Route("PUT", "/v1/datasets/{dataset}/script", datasets.put_script, Scope.CURATE, "what its recorder asks for"),
    Route("POST", "/v1/datasets/{dataset}/clips", datasets.put_clips, Scope.CURATE, "put clips in, take clips out"),
    Route("GET", "/v1/datasets/{dataset}/snapshots", datasets.list_snapshots, Scope.CURATE, "its snapshots"),
    Route("POST", "/v1/datasets/{dataset}/snapshots", datasets.make, Scope.CURATE, "make one"),
    Route("GET", "/v1/datasets/{dataset}/snapshots/{number}/export", datasets.export, Scope.CURATE, "one, as files"),
    Route("GET", "/v1/datasets/{dataset}/diff", datasets.diff, Scope.CURATE, "in what two of them differ"),
    Route("GET", "/v1/catalog/models", catalog.listed, Scope.CURATE, "all models of the catalog"),
    Route("POST", "/v1/catalog/models", bundles.create, Scope.ADMIN, "import one: a zipped bundle"),
    Route("GET", "/v1/catalog/models/{ref}", catalog.show, Scope.CURATE, "one of them"),
    Route("DELETE", "/v1/catalog/models/{ref}", catalog.delete, Scope.ADMIN, "delete one that answers nobody"),
    Route("POST", "/v1/catalog/models/{ref}/promote", catalog.promote, Scope.ADMIN, "let it answer from now on"),
    Route("GET", "/v1/catalog/models/{ref}/lineage", catalog.lineage, Scope.CURATE, "what it learned from"),
    Route("GET", "/v1/catalog/clips/{clip}/lineage", catalog.clip_lineage, Scope.CURATE, "what learned from a clip"),
    Route("POST", "/v1/catalog/rollback", catalog.rollback, Scope.ADMIN, "back to the model before"),
    Route("GET", "/v1/catalog/routes", catalog.list_routes, Scope.CURATE, "which model answers whom"),
    Route("DELETE", "/v1/catalog/routes/{kind}", catalog.delete_route, Scope.ADMIN, "end a canary or shadow"),
    Route("DELETE", "/v1/catalog/routes/{kind}/{key}", catalog.delete_route, Scope.ADMIN, "end another route"),
    Route("GET", "/v1/catalog/history", catalog.history, Scope.CURATE, "what was done to routes, and by whom"),
    Route("GET", "/v1/catalog/language-models", named_models.listed, Scope.CURATE, "those that servers offer by name"),
    Route("POST", "/v1/catalog/language-models", named_models.create, Scope.ADMIN, "a new version of one"),
    Route("GET", "/v1/catalog/language-models/{ref}", named_models.show, Scope.CURATE, "one of them"),
    Route("DELETE", "/v1/catalog/language-models/{ref}", named_models.delete, Scope.ADMIN, "remove one, or a version"),
    Route("GET", "/v1/dashboard", dashboard.show, Scope.CURATE, "the loop at a glance"),
    Route("GET", "/v1/jobs", jobs.listed, Scope.CURATE, "training jobs, the newest first"),
    Route("POST", "/v1/jobs", jobs.create, Scope.ADMIN, "ask for a training run"),
    Route("GET", "/v1/jobs/{job}", jobs.show, Scope.CURATE, "how one stands, with its last lines"),
    Route("POST", "/v1/jobs/{job}/cancel", jobs.cancel, Scope.ADMIN, "end one"),
    Route("POST", "/v1/jobs/{job}/retry", jobs.retry, Scope.ADMIN, "begin one again that failed or was cancelled"),
    Route("GET", "/v1/jobs/{job}/report", jobs.report, Scope.CURATE, "the page of its gate"),
    Route("GET", "/metrics", health.metrics, Scope.MONITOR, "measurements for Prometheus"),
)


def application(services: Services) -> web.Application:
    """The routes over these services, behind what every request passes. Raises BadOption for an impossible origin."""
    app = web.Application(middlewares=[render_errors, check_origin, check_access, collect, vocabularies.remember])
    app[SERVICES] = services
    app[SIGNER] = Signer(services.secret)
    app[ORIGINS] = origins = Origins(services.settings)
    app[ACCESS] = Access(services)
    parking.install(app, services)
    watch(services)
    notify.install(app, services)
    language_models.install(app)
    app.on_response_prepare.extend([page.add_headers, origins.add_headers])
    app.on_cleanup.append(settle)
    app.cleanup_ctx.append(tagging.appraise)
    add_routes(app, ROUTES)
    return app


def readme_table() -> str:
    """The routes as README.md shows them."""
    head = ["| route | scope | what |", "| --- | --- | --- |"]
    rows = [
        f"| `{route.method} {route.path}` | {route.scope or 'none: open to everybody'} | {route.summary} |"
        for route in ROUTES
    ]
    return "\n".join([*head, *rows])
