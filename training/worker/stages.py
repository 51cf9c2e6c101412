"""The stages of a training job, in order. Each leaves a mark when it is done, so that who resumes skips it.

    snapshot → fit (learns, exports and measures the bundle as it is served) → gate → publish

A clip that is withdrawn meanwhile ends what is going on: the job begins anew with a fresh snapshot, so that no model is
published that learned from a clip which was withdrawn before that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stt_server.catalog.importing import register_shipped
from stt_server.catalog.places import bundle_folder
from stt_server.datasets.making import make_snapshot
from stt_server.jobs.params import FINE_TUNE
from stt_server.speech.bundle import find_bundle
from stt_server.store import models, routes, snapshots
from stt_server.store.rights import Purpose
from stt_server.store.routes import Kind
from training.worker.child import run_child, why_it_failed
from training.worker.guards import corpus_guards
from training.worker.material import read_material, write_material
from training.worker.publishing import ACTOR, publish
from training.worker.voices import lend, take_back
from training.worker.watching import LogReader
from training.worker.work import CACHE, FIT, GATE, SAMPLES, VOICES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stt_server.store.models import Model
    from stt_server.store.snapshots import Snapshot
    from training.worker.material import Material
    from training.worker.work import Work

DONE: Final = "done"  # the mark of a stage, in its folder


def train(work: Work) -> dict[str, Any]:
    """Do all that is left of the job; what its row is to keep of it. Raises Left, and any error of ours."""
    work.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = _base(work)
    bundle = bundle_folder(work.objects, base, work.settings.data)
    snapshot, material = _snapshot(work)
    work.diary.withhold(material.texts)
    work.heart.is_spoilt = work.is_spoilt
    _fit(work, base, bundle, material)
    _gate(work, bundle, material)
    work.begin("publish")
    return publish(work, base, snapshot)


def _base(work: Work) -> Model:
    """The model that is gone on from: as an earlier attempt has noted it, as asked for, or the live one."""
    asked = work.noted.get("base_id") or work.params.base
    with work.database.read() as connection:
        live = routes.find(connection, Kind.LIVE)
        found = asked or (live and live.model_id)
        model = models.get(connection, found) if found else None
    if model is None:  # no server has ever started over this database
        shipped = find_bundle(work.settings.model, work.settings.data)
        model = register_shipped(work.database, shipped, work.settings.model or shipped.name, ACTOR)
    work.note(base_id=model.id)
    return model


def _snapshot(work: Work) -> tuple[Snapshot, Material]:
    """The snapshot, and its clips as files. What an earlier attempt has made is taken over."""
    work.begin("snapshot")
    params, noted = work.params, work.noted
    number = noted.get("snapshot") or params.snapshot
    if number is None:
        made = make_snapshot(work.database, params.dataset, Purpose.TRAINING, work.job.created_by)
        number = made.number
    with work.database.read() as connection:
        snapshot = snapshots.get(connection, params.dataset, number)
    work.note(snapshot=snapshot.number, snapshot_id=snapshot.id)
    work.diary.say(f"snapshot {snapshot.number} of {snapshot.dataset}")
    material = read_material(work.folder) or write_material(work.database, work.objects, snapshot, work.folder)
    return snapshot, material


def _fit(work: Work, base: Model, bundle: Path, material: Material) -> None:
    """Learn, export, measure: `earloop train` as a child, resumed where there is a checkpoint."""
    work.begin("fit")
    folder = work.folder / FIT
    if (folder / DONE).is_file():
        return
    recipe = work.params.recipe or FINE_TUNE
    lend(work.runs / VOICES, work.folder / CACHE)
    words = ["train", recipe, "--output", str(folder), "--cache", str(work.folder / CACHE)]
    words += [f"--set={key}={json.dumps(value)}" for key, value in _changes(work, base, bundle, material).items()]
    if (folder / "last.pt").is_file():
        words.append("--resume")
        work.diary.say("going on from the checkpoint")
    _run(work, words, LogReader(folder / "log.jsonl", work.diary).read)
    take_back(work.runs / VOICES, work.folder / CACHE)
    (folder / DONE).touch()


def _changes(work: Work, base: Model, bundle: Path, material: Material) -> dict[str, Any]:
    """What is set on top of the recipe. A recipe that goes on from no model begins from nothing, as it says."""
    from training.recipe import load_recipe

    lists = {f"data.{part}": [{"corpus": str(path)}] for part, path in material.parts.items()}
    named = {"name": (work.params.name or base.name).replace(".", "-").replace("_", "-")}
    starts = load_recipe(work.params.recipe or FINE_TUNE).start is not None
    begun = {"start.model": str(bundle.absolute())} if starts else {}
    return {"data.dev": [], "data.split": False, **named, **work.params.set, **begun, **lists}


def _gate(work: Work, bundle: Path, material: Material) -> None:
    """Hold the new bundle against its base: `earloop gate` as a child. Its verdict is in gate.json, whatever it is."""
    work.begin("gate")
    folder, fitted = work.folder / GATE, work.folder / FIT
    if (folder / DONE).is_file():
        return
    guards = material.guards | corpus_guards(work.settings.corpora, work.folder / SAMPLES)
    words = ["gate", str(bundle.absolute()), str(fitted / "bundle"), "--output", str(folder)]
    words += ["--target", str(material.parts["test"]), "--train", str(material.parts["train"])]
    words += ["--policy", str(fitted / "recipe.yaml")]
    words += [f"--guard={name}={path}" for name, path in sorted(guards.items())]
    (folder / "gate.json").unlink(missing_ok=True)
    _run(work, words, lambda: None, judged=folder / "gate.json")
    (folder / DONE).touch()


def _run(work: Work, words: list[str], look: Callable[[], None], judged: Path | None = None) -> None:
    """Raises what a child's end says; one that judges ends well where its judgement is written."""
    code = run_child(words, work.folder, work.heart, look)
    if not (judged.is_file() if judged else code == 0):
        error = why_it_failed(code, work.folder)
        raise type(error)(work.diary.clean(error.message))
