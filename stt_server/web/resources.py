"""`/v1/resources`: recordings for one's own datasets, and what is said in them, each by one plain request.

    curl -X POST -u SECRET:KEY --data-binary @a.wav "http://127.0.0.1:2700/v1/resources?name=a.wav&dataset-id=…"
    curl -X PUT -u SECRET:KEY -H "Content-Type: text/plain" -d 'The proof is in the pudding.' ".../RESOURCE/transcript"

A resource is a clip like every other: it is recognised when it comes, kept where the server collects, and gone when its
giver withdraws. Its basis is the statement of whoever uploads it. Bodies are read as they are: curl calls a recording
`application/x-www-form-urlencoded`, and so may everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.collection.intake import MAX_STATEMENT, parse_said
from stt_server.collection.keeping import Draft
from stt_server.errors import BadInput, NotFound
from stt_server.store import clips, datasets
from stt_server.store.rights import Scope, allows
from stt_server.store.ring import now
from stt_server.tagging.ballot import MAX_TEXT
from stt_server.tagging.labelling import label
from stt_server.web.asked import given, required
from stt_server.web.bodies import Body, Pace, check_length
from stt_server.web.clips import basis_for, decoded, keep_clip, recognised, require_collecting
from stt_server.web.collecting import device_of
from stt_server.web.context import identity_of, services_of
from stt_server.web.payloads import read_text
from stt_server.web.people import person_of
from stt_server.web.uploads import reserved_place

if TYPE_CHECKING:
    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Database
    from stt_server.store.datasets import Dataset
    from stt_server.store.people import Person

PROTOCOL: Final = "resources"  # by which clips came that are resources
TEXT_BYTES: Final = 4 * MAX_TEXT  # as UTF-8


async def create(request: web.Request) -> web.Response:
    """Keep a recording in a dataset. Raises NotFound for a dataset that is not one's own, and as uploads do."""
    services = services_of(request)
    require_collecting(request)
    name, ref = given(request, "name", longest=255) or "", required(request, "dataset-id")
    said = parse_said({"statement": _statement(request), "licence": given(request, "licence") or ""})
    dataset = await services.store.run(_dataset, ref, own_datasets(request))
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, Pace(request.content, services.settings.idle_timeout_s))
    with reserved_place(services, live=False) as place:
        basis = await basis_for(request, said)
        with await body.spooled() as file:
            samples = await decoded(file)
        if not len(samples):
            raise BadInput("The body has no sound in it; send a recording, as in `--data-binary @yourFile.wav`.")
        heard = await recognised(services, samples, place)
    draft = Draft(
        samples=samples,
        basis=basis,
        heard=heard,
        origin="upload",
        protocol=PROTOCOL,
        device=device_of(request),
        session=name[:64],
        dataset=dataset.name,
    )
    clip = await keep_clip(services, draft)
    if clip.duplicate_of is not None:  # snapshots have the original of two takes that sound the same
        await services.store.run(_join, dataset.name, clip.duplicate_of)
    return web.json_response(_told(clip) | {"dataset_id": dataset.id}, status=201)


async def show(request: web.Request) -> web.Response:
    """One of one's own. Raises NotFound."""
    clip, _ = await _own(request)
    return web.json_response(_told(clip))


async def put_transcript(request: web.Request) -> web.Response:
    """Say what a recording of one's own says: it is decided by that. Raises as `label`."""
    clip, person = await _own(request)
    text = await read_text(request, TEXT_BYTES)
    store, actor = services_of(request).store, person.id if person else identity_of(request).id
    labelled = await store.run(label, clip.id, text, now(), actor, person.id if person else None)
    return web.json_response(_told(labelled))


def own_datasets(request: web.Request) -> str | None:
    """Whose datasets the one who asks may fill and learn from; None for all of them."""
    identity = identity_of(request)
    return None if allows(identity.scopes, Scope.CURATE) else identity.id


def find_own(connection: Any, ref: str, maker: str | None) -> Dataset:
    """A dataset by id or name; `maker` as `own_datasets` says. Raises NotFound, also for another's."""
    dataset = datasets.find(connection, ref)
    if maker is not None and dataset.created_by != maker:
        raise NotFound(f"You have no dataset {ref!r}; POST /v1/datasets?name=… makes one.", field="dataset-id")
    return dataset


def _statement(request: web.Request) -> str:
    """In the uploader's own words, else in ours."""
    said = given(request, "statement", longest=MAX_STATEMENT)
    return said or "Uploaded as a resource to train models with, by the holder of an API key, who may give it for that."


async def _own(request: web.Request) -> tuple[KeptClip, Person | None]:
    """A resource of the one who asks, and that one. Without keys those of nobody are everybody's.

    Raises NotFound, also for another's, and for a clip that came otherwise: those are in datasets that many learn from,
    so nobody decides about their own.
    """
    person, ref = await person_of(request, make=True), request.match_info["resource"].replace("-", "")[:64]
    clip = await services_of(request).store.run(_get, ref)
    if clip.protocol != PROTOCOL or clip.person_id != (person.id if person else None):
        raise NotFound(f"There is no clip {ref}.")  # as of one that is not there
    return clip, person


def _told(clip: KeptClip) -> dict[str, Any]:
    return {
        "resource_id": clip.id,
        "name": clip.session,
        "created": clip.created.isoformat(),
        "duration_s": round(clip.duration_s, 3),
        "hypothesis": clip.hypothesis,
        "transcript": clip.reference,
        "status": _status(clip),
    }


def _status(clip: KeptClip) -> str:
    """Doubted: training found its words unlikely, and taggers are asked; its owner may say them again."""
    if clip.status == "decided":
        return "LABELED"
    return "UNLABELED" if clip.reference is None else "DOUBTED"


def _dataset(database: Database, ref: str, maker: str | None) -> Dataset:
    with database.read() as connection:
        return find_own(connection, ref, maker)


def _join(database: Database, dataset: str, clip_id: str) -> None:
    with database.write() as connection:
        datasets.add(connection, dataset, [clip_id], now())


def _get(database: Database, clip_id: str) -> KeptClip:
    with database.read() as connection:
        return clips.get(connection, clip_id)
