"""Settings to a server's working parts, opened in order, closed in the opposite one. The web floor stands on them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from stt_server.catalog.importing import register_shipped
from stt_server.catalog.places import bundle_folder
from stt_server.catalog.shelf import Shelf
from stt_server.collection.consent import load_terms
from stt_server.collection.keeping import Rules
from stt_server.collection.recorder import Recorder
from stt_server.collection.ring import open_consents
from stt_server.collection.sweep import Sweeping
from stt_server.engine.engines import Engines
from stt_server.engine.hotswap import Follower, first_lineup
from stt_server.engine.limits import Limits
from stt_server.engine.lineup import Lineup
from stt_server.engine.loading import Loader
from stt_server.errors import EarloopError
from stt_server.metrics import Metrics
from stt_server.speech.bundle import find_bundle, load_bundle
from stt_server.speech.decoder.named import NamedModels
from stt_server.speech.golden import check_golden
from stt_server.speech.recognizer import Recognizer as BundleRecognizer
from stt_server.speech.recognizer import RecognizerSettings
from stt_server.store import audit, signing
from stt_server.store.clips import Allowance
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.ring import open_ring
from stt_server.tasks import ended, every
from stt_server.vocabularies.following import open_vocabularies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from stt_server.collection.consent import Terms
    from stt_server.collection.ring import ConsentRing
    from stt_server.engine.interface import Recognizer
    from stt_server.settings import Settings
    from stt_server.store.database import Database
    from stt_server.store.models import Model
    from stt_server.store.objects import ObjectStore
    from stt_server.store.ring import KeyRing
    from stt_server.vocabularies.following import Vocabularies

LANGUAGE_MODELS = "lms"  # the folder of those that streams ask for by name
LOOK_EVERY_S = 1.0  # into that folder and into the catalog, whose changes are followed within 2 s
CLOSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    metrics: Metrics
    engines: Engines
    store: Database
    keys: KeyRing
    consents: ConsentRing
    terms: Terms  # what people are asked to agree to
    objects: ObjectStore
    recorder: Recorder
    named: NamedModels  # language models
    vocabularies: Vocabularies
    secret: bytes = field(repr=False)  # that cookies and links are signed with


@asynccontextmanager
async def open_services(settings: Settings, recognizer: Recognizer | None = None) -> AsyncIterator[Services]:
    """Open the database, load the catalog's models, start the engines; at the end close what is still open.

    A recognizer that is given hears everybody, whatever the catalog says. Raises NotFound or BadBundle for a model that
    is not there or damaged, and what `open_database` raises.
    """
    metrics = Metrics(metadata.version("earloop"))
    terms = load_terms(settings.consent_words)
    async with (
        _store(settings, metrics) as (store, keys),
        _consents(settings, metrics, store) as consents,
        _collection(settings, metrics, store) as (objects, recorder),
    ):
        secret = await store.run(signing.secret)
        async with (
            _language_models(settings, store, objects) as named,
            _engines(settings, metrics, store, objects, named, recognizer) as engines,
            _vocabularies(store, engines) as vocabularies,
        ):
            parts = engines, store, keys, consents, terms, objects, recorder, named, vocabularies
            yield Services(settings, metrics, *parts, secret)


@asynccontextmanager
async def _language_models(settings: Settings, store: Database, objects: ObjectStore) -> AsyncIterator[NamedModels]:
    """Those of the catalog and of the data folder, which are looked into as long as the server runs."""
    named, shelf = NamedModels(settings.data / LANGUAGE_MODELS), Shelf(store, objects, settings.data)
    look, closing = partial(asyncio.to_thread, _look, named, shelf), asyncio.Event()
    try:
        await look()  # streams find them from the first on
    except EarloopError as error:
        shelf.failed(error)
    task = asyncio.create_task(every(LOOK_EVERY_S, closing, look, shelf.failed))
    try:
        yield named
    finally:
        closing.set()
        await ended(task, CLOSE_S)


def _look(named: NamedModels, shelf: Shelf) -> None:
    """The folder, too, where the catalog cannot be asked. Raises what `Shelf.look` does."""
    try:
        named.offer(shelf.look())
    except EarloopError:
        named.refresh()
        raise


@asynccontextmanager
async def _engines(
    settings: Settings,
    metrics: Metrics,
    store: Database,
    objects: ObjectStore,
    named: NamedModels,
    recognizer: Recognizer | None,
) -> AsyncIterator[Engines]:
    """Engines that run, over the one recognizer or over the catalog's models, which they follow."""
    loader = Loader(partial(load_model, settings, objects, named=named))
    try:
        engines = Engines(  # which alone holds its line-up, so that a model is gone when it is replaced
            Lineup.of(recognizer) if recognizer else await _first_lineup(settings, store, loader),
            limits(settings),
            metrics,
            count=settings.engines,
        )
        follower = None if recognizer else Follower(store, engines, loader, metrics, settings.max_models)
        engines.start()
        try:
            if follower:
                follower.start()
            yield engines
        finally:
            engines.close()
            if follower:
                await follower.close()
    finally:
        loader.close()


async def _first_lineup(settings: Settings, store: Database, loader: Loader) -> Lineup:
    """The model that the settings name has a row in the catalog; what it says after that is loaded."""
    own = await asyncio.to_thread(_register_own, settings, store)
    return await first_lineup(store, loader, own, settings.max_models)


def _register_own(settings: Settings, store: Database) -> Model:
    found = find_bundle(settings.model, settings.data)
    place = str(found.resolve()) if settings.model else found.name
    bundle = load_bundle(found) if found.is_file() else None  # a zip: unpacked as long as this is held
    return register_shipped(store, bundle.folder if bundle else found, place, audit.SERVER)


@asynccontextmanager
async def _vocabularies(store: Database, engines: Engines) -> AsyncIterator[Vocabularies]:
    vocabularies = await open_vocabularies(store, engines)
    try:
        yield vocabularies
    finally:
        await vocabularies.close()


@asynccontextmanager
async def _store(settings: Settings, metrics: Metrics) -> AsyncIterator[tuple[Database, KeyRing]]:
    store = await asyncio.to_thread(open_database, settings.data, settings.database)
    try:
        await asyncio.to_thread(store.open_all)
        keys = await open_ring(store, metrics)
        try:
            yield store, keys
        finally:
            await keys.close()
    finally:
        await asyncio.to_thread(store.close)


@asynccontextmanager
async def _consents(settings: Settings, metrics: Metrics, store: Database) -> AsyncIterator[ConsentRing]:
    consents = await open_consents(store, metrics, collecting=settings.collect)
    try:
        yield consents
    finally:
        await consents.close()


@asynccontextmanager
async def _collection(
    settings: Settings, metrics: Metrics, store: Database
) -> AsyncIterator[tuple[ObjectStore, Recorder]]:
    """Where clips go, who writes them, and who tidies up, also while nothing is collected: people still withdraw."""
    objects = await asyncio.to_thread(open_objects, settings.data, settings.objects)
    recorder = Recorder(store, objects, rules(settings), metrics)
    recorder.start()
    sweeping = Sweeping(store, objects, metrics, settings.data)
    try:
        yield objects, recorder
    finally:
        await asyncio.to_thread(recorder.close)
        await sweeping.close()


def load_model(
    settings: Settings,
    objects: ObjectStore,
    model: Model,
    like: Sequence[Recognizer] = (),
    *,
    named: NamedModels | None = None,
) -> Recognizer:
    """A model of the catalog, ready to recognise. Blocking. Raises NotFound, BadBundle, Unavailable."""
    return load_recognizer(settings, bundle_folder(objects, model, settings.data), like, named=named)


def load_recognizer(
    settings: Settings,
    folder: Path | None = None,
    like: Sequence[Recognizer] = (),
    *,
    named: NamedModels | None = None,
) -> BundleRecognizer:
    """A bundle, without `folder` the one that the settings name, ready to recognise. Raises NotFound, BadBundle."""
    folder = folder or find_bundle(settings.model, settings.data)
    alike = [each for each in like if isinstance(each, BundleRecognizer)]
    recognizer = BundleRecognizer.load(
        folder, threads=settings.threads, settings=recognizer_settings(settings), like=alike, named=named
    )
    if settings.check_model:
        check_golden(recognizer)  # 0.1 s
    recognizer.warm(limits(settings).max_batch)
    return recognizer


def recognizer_settings(settings: Settings) -> RecognizerSettings:
    """What the settings say of endpoints and decoding, as the speech floor takes it."""
    return RecognizerSettings(
        silence_ms=settings.endpoint_silence_ms,
        min_utterance_ms=settings.min_utterance_ms,
        max_utterance_ms=int(settings.max_utterance_s * 1000),
        vad_mode=settings.vad_mode,
        decoder=None if settings.decoder == "auto" else settings.decoder,
        beam=settings.beam or None,
    )


def limits(settings: Settings) -> Limits:
    """What the settings say of bounds and deadlines, as the engine takes it."""
    return Limits(
        max_streams=settings.max_streams,
        max_uploads=settings.max_uploads,
        max_lag_ms=settings.max_lag_ms,
        max_load=settings.max_load,
        hang_timeout_s=settings.hang_timeout_s,
        max_stream_s=settings.max_stream_s,
        max_queue_s=settings.max_queue_s,
        lag_notice_ms=settings.lag_notice_ms,
        write_timeout_s=settings.write_timeout_s,
    )


def rules(settings: Settings) -> Rules:
    """What the settings say of clips, as the recorder takes it."""
    return Rules(
        share=settings.collect_share,
        least_s=settings.clip_min_s,
        least_confidence=settings.clip_min_confidence,
        least_snr_db=settings.clip_min_snr_db,
        allowance=Allowance(settings.clips_per_day, settings.clip_hours),
        expiry=timedelta(days=settings.clip_expiry_days) if settings.clip_expiry_days else None,
    )
