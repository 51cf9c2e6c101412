"""`/v1/datasets`: making datasets, what their recorder asks for, snapshots and their exports.

Contributors may look at datasets, to choose what they record into; the rest is for curators.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.datasets.archives import ARCHIVES, Container
from stt_server.datasets.coverage import choose
from stt_server.datasets.export import described, files, note_export, open_export
from stt_server.datasets.making import compare, make_snapshot
from stt_server.errors import BadOption, Unavailable
from stt_server.store import audit, datasets, migrate, snapshots
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from stt_server.web.allowances import bound_on_datasets, check_room
from stt_server.web.asked import given
from stt_server.web.context import identity_of, services_of
from stt_server.web.downloads import send
from stt_server.web.payloads import read_json
from stt_server.web.resources import find_own, own_datasets

if TYPE_CHECKING:
    from stt_server.store.database import Connection, Database
    from stt_server.store.datasets import Dataset

MAKING_S: Final = 120.0  # how long an answer waits for a snapshot; the making does not stop with it
MOST_CLIPS: Final = 10_000  # put in or taken out by one request
HIGHEST: Final = 2**31 - 1  # number of a snapshot
KINDS: Final = {Container.ZIP: "application/zip", Container.TAR: "application/x-tar"}

STORABLE: Final = r"^[^\x00]*$"  # PostgreSQL keeps no NUL in a text

Id = Annotated[str, Field(min_length=1, max_length=32, pattern=STORABLE)]
Sentence = Annotated[str, Field(max_length=datasets.LONGEST_SENTENCE, pattern=STORABLE)]


class NewDataset(BaseModel):
    """A dataset to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100)
    description: str = Field("", max_length=2000, pattern=STORABLE)
    licence: str = Field("", max_length=100, pattern=STORABLE)


class NewScript(BaseModel):
    """The whole script, or sentences of which as many are taken as `count` says, for coverage."""

    model_config = ConfigDict(extra="forbid")

    script: list[tuple[Sentence, int]] | None = Field(None, max_length=datasets.MOST_SENTENCES)
    cover: list[Sentence] | None = Field(None, max_length=datasets.MOST_SENTENCES)
    count: int = Field(100, ge=1, le=datasets.MOST_SENTENCES)


class Membership(BaseModel):
    """Clips to put into a dataset and to take out of it."""

    model_config = ConfigDict(extra="forbid")

    add: list[Id] = Field([], max_length=MOST_CLIPS)
    remove: list[Id] = Field([], max_length=MOST_CLIPS)


class NewSnapshot(BaseModel):
    """A snapshot to be made. `strict` divides no speaker, even where a part stays empty."""

    model_config = ConfigDict(extra="forbid")

    purpose: Purpose = Purpose.TRAINING
    strict: bool | None = None


async def listed(request: web.Request) -> web.Response:
    """All datasets by name."""
    found = await services_of(request).store.run(_every)
    return web.json_response({"datasets": [_told(each) for each in found]})


async def create(request: web.Request) -> web.Response:
    """Make a dataset: by a JSON body, or with any title by `?name=` alone.

    Raises BadInput for a name that is none, Conflict for one that is taken, LimitReached for a key with as many as it
    may have.
    """
    store, by, bound = services_of(request).store, identity_of(request).id, bound_on_datasets(request)
    title = given(request, "name")
    if title is None:
        made = await store.run(_create, await read_json(request, NewDataset), by, bound)
    else:
        made = await store.run(_create_titled, title, by, bound)
    return web.json_response(_told(made), status=201)


async def show(request: web.Request) -> web.Response:
    """One dataset, with how often each sentence of its script was said. Raises NotFound."""
    return web.json_response(_told(await services_of(request).store.run(_get, _name(request))))


async def delete(request: web.Request) -> web.Response:
    """Delete a dataset of one's own; a curator any. Its clips and snapshots stay. Raises NotFound, Conflict."""
    gone = await services_of(request).store.run(_delete, _name(request), own_datasets(request), identity_of(request).id)
    return web.json_response({"dataset_id": gone.id, "name": gone.name, "deleted": True})


async def put_script(request: web.Request) -> web.Response:
    """Replace what the recorder asks for. Raises NotFound, BadInput."""
    asked = await read_json(request, NewScript)
    if (asked.script is None) == (asked.cover is None):
        raise BadOption("Send either `script` or `cover`.", field="script")
    if asked.cover is not None:
        chosen = await asyncio.to_thread(choose, asked.cover, asked.count)
        script = [(sentence, 1) for sentence in chosen]
    else:
        script = asked.script or []
    return web.json_response(_told(await services_of(request).store.run(_put_script, _name(request), script)))


async def put_clips(request: web.Request) -> web.Response:
    """Put clips in and take others out; those that are not there are passed over. Raises NotFound."""
    asked = await read_json(request, Membership)
    return web.json_response(await services_of(request).store.run(_put_clips, _name(request), asked))


async def make(request: web.Request) -> web.Response:
    """Make a snapshot. Raises NotFound, Conflict where no clip may be in it."""
    asked, store = await read_json(request, NewSnapshot), services_of(request).store
    by = identity_of(request).id
    making = asyncio.to_thread(make_snapshot, store, _name(request), asked.purpose, by, strict=asked.strict)
    try:
        made = await asyncio.wait_for(asyncio.shield(making), MAKING_S)
    except TimeoutError:
        raise Unavailable("The snapshot is still being made; look for it in a while.") from None
    return web.json_response(described(made), status=201)


async def list_snapshots(request: web.Request) -> web.Response:
    """Those of a dataset, the newest first. Raises NotFound."""
    found = await services_of(request).store.run(_snapshots, _name(request))
    return web.json_response({"snapshots": found})


async def diff(request: web.Request) -> web.Response:
    """In what two snapshots differ. Raises NotFound, BadOption."""
    before, after = (_number(request.query.get(name, ""), name) for name in ("from", "to"))
    return web.json_response(await services_of(request).store.run(compare, _name(request), before, after))


async def export(request: web.Request) -> web.StreamResponse:
    """A snapshot as a zip or tar that is made while it is sent. Raises NotFound, BadOption."""
    services, number = services_of(request), _number(request.match_info["number"], "number")
    format_ = request.query.get("format", "earloop")
    try:
        container = Container(request.query.get("as", Container.ZIP))
    except ValueError:
        raise BadOption(f"An export comes as {' or '.join(Container)}.", field="as") from None
    chosen = await services.store.run(open_export, _name(request), number, format_)
    await services.store.run(note_export, chosen, identity_of(request).id)
    pieces = ARCHIVES[container](files(chosen, services.objects))
    filename = f"{chosen.snapshot.dataset}-{number}-{format_}.{container}"
    return await send(request, pieces, filename, KINDS[container])


def _name(request: web.Request) -> str:
    return request.match_info["dataset"]


def _number(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) <= HIGHEST and len(text) <= 10):
        raise BadOption(f"{field} is the number of a snapshot, from 1 on.", field=field)
    return int(text)


def _told(dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset_id": dataset.id,
        "name": dataset.name,
        "description": dataset.description,
        "licence": dataset.licence,
        "script": [list(line) for line in dataset.script],
        "clips": dataset.clips,
        "hours": round(dataset.audio_s / 3600, 4),
        "snapshots": dataset.snapshots,
        "said": dataset.said,
    }


def _every(database: Database) -> list[Dataset]:
    datasets.settle(database, now())
    with database.read() as connection:
        return datasets.every(connection)


def _get(database: Database, name: str) -> Dataset:
    datasets.settle(database, now())
    with database.read() as connection:
        return datasets.find(connection, name)


def _delete(database: Database, ref: str, maker: str | None, by: str) -> Dataset:
    with database.write() as connection:
        migrate.lock(connection)
        gone = find_own(connection, ref, maker)
        datasets.remove_dataset(connection, gone, now())
        audit.note(connection, now(), "dataset_deleted", by, gone.id, clips=gone.clips, snapshots=gone.snapshots)
        return gone


def _create_titled(database: Database, title: str, by: str, bound: int) -> Dataset:
    with database.write() as connection:
        made = datasets.create_titled(connection, title, by, now())
        _check_room(connection, by, bound)
        return made


def _check_room(connection: Connection, by: str, bound: int) -> None:
    """Asked when the new one is there: making it has kept others out."""
    do = "use one of them for more recordings"
    check_room(datasets.made_by(connection, by) - 1, bound, what="datasets", do=do, setting="key_datasets")


def _create(database: Database, asked: NewDataset, by: str, bound: int) -> Dataset:
    with database.write() as connection:
        more = {"description": asked.description, "licence": asked.licence}
        datasets.create(connection, asked.name, by, now(), **more)
        _check_room(connection, by, bound)
        return datasets.get(connection, asked.name)


def _put_script(database: Database, name: str, script: list[tuple[str, int]]) -> Dataset:
    with database.write() as connection:
        datasets.set_script(connection, name, script)
        return datasets.get(connection, name)


def _put_clips(database: Database, name: str, asked: Membership) -> dict[str, int]:
    with database.write() as connection:
        added = datasets.add(connection, name, asked.add, now())
        return {"added": added, "removed": datasets.remove(connection, name, asked.remove)}


def _snapshots(database: Database, name: str) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [described(each) for each in reversed(snapshots.listed(connection, name))]
