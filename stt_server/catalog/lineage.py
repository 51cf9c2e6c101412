"""Where a model comes from and what came of a clip: clip → snapshot → run → model → each response, and back.

A response names its model with its version (`Ready.model`, a kept clip's `model`), and a name with a version is one
row's; so whatever somebody was told can be traced to the clips behind it. A model has learned from the clips of its own
snapshot and from all that the models it was tuned from had learned from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import NotFound
from stt_server.store import lineage as rows
from stt_server.store import models, routes

if TYPE_CHECKING:
    from collections.abc import Collection

    from stt_server.store.database import Connection
    from stt_server.store.lineage import Judged, Run, Use
    from stt_server.store.models import Model

SHOWN_CLIPS: Final = 1000  # ids of clips in a model's lineage; there may be more of them


@dataclass(frozen=True, slots=True)
class Span:
    """When a model answered the sessions of a route."""

    kind: str
    key: str
    since: datetime
    until: datetime | None  # None: it does


@dataclass(frozen=True, slots=True)
class Relative:
    """A model as another one's lineage names it."""

    id: str
    ref: str
    status: str
    snapshot_id: str | None
    job_id: str | None
    answered: tuple[Span, ...]
    heard: int  # clips that are kept and that it heard when they came


@dataclass(frozen=True, slots=True)
class ModelLineage:
    """Whence a model comes, and what came of it."""

    model: Relative
    tuned_from: tuple[Relative, ...]  # its base, that one's base, …
    snapshots: tuple[Use, ...]  # its own, then those of its bases
    clips: tuple[str, ...]  # ids of those in its own snapshot, `SHOWN_CLIPS` at most
    runs: tuple[Run, ...]
    reports: tuple[Judged, ...]
    heirs: tuple[Relative, ...]  # models that were tuned from it, from those, …


@dataclass(frozen=True, slots=True)
class ClipLineage:
    """What came of a clip."""

    clip_id: str
    heard_by: str | None  # the model that answered when it came
    snapshots: tuple[Use, ...]
    runs: tuple[Run, ...]
    models: tuple[Relative, ...]  # that learned from it, directly or through a base


def of_model(connection: Connection, ref: str) -> ModelLineage:
    """The lineage of a model by id, name, `name@version`, or as a response has it, `name version`. Raises NotFound."""
    model = models.titled(connection, ref) or models.get(connection, ref)
    family = _Family(connection)
    line = family.line(model)
    own = [each.snapshot_id for each in line if each.snapshot_id]
    found = [use for ident in own if (use := rows.snapshot(connection, ident))]
    clips = rows.clips_of(connection, model.snapshot_id, limit=SHOWN_CLIPS) if model.snapshot_id else []
    return ModelLineage(
        family.told(model),
        tuple(family.told(each) for each in line[1:]),
        tuple(found),
        tuple(clips),
        tuple(rows.runs_over(connection, own)),
        tuple(rows.reports_of(connection, model.id)),
        tuple(family.told(each) for each in family.heirs([model.id])[1:]),
    )


def of_clip(connection: Connection, clip_id: str) -> ClipLineage:
    """What came of a clip, also of one that is withdrawn by now. Raises NotFound for one that nothing knows."""
    uses, heard_by = rows.uses_of(connection, clip_id), rows.hearer_of(connection, clip_id)
    if heard_by is None and not uses:
        raise NotFound(f"There is no clip {clip_id[:64]!r}, and no snapshot ever had it.", field="clip")
    withdrawn = {use.snapshot_id: use.withdrawn for use in uses}
    runs = [run for run in rows.runs_over(connection, withdrawn) if _had(run, withdrawn[run.snapshot_id])]
    too_late = {run.job_id for run in rows.runs_over(connection, withdrawn)} - {run.job_id for run in runs}
    family = _Family(connection)
    direct = [each for each in rows.learned_from(connection, withdrawn) if family.models[each].job_id not in too_late]
    heirs = tuple(family.told(each) for each in family.heirs(direct))
    return ClipLineage(clip_id, heard_by, tuple(uses), tuple(runs), heirs)


def heirs_of(connection: Connection, snapshot_ids: Collection[str]) -> list[Model]:
    """The models that learned from one of these snapshots, directly or through a base, oldest first."""
    direct = rows.learned_from(connection, snapshot_ids)
    return _Family(connection).heirs(list(direct)) if direct else []


def told(lineage: ModelLineage | ClipLineage) -> dict[str, Any]:
    """As JSON has it."""
    return {name: _plain(value) for name, value in asdict(lineage).items()}


class _Family:
    """All models, by what they were tuned from. There are some hundred of them at most."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.models = {each.id: each for each in reversed(models.listed(connection, removed=True))}
        self._spans = _spans(connection)

    def line(self, model: Model) -> list[Model]:
        """It, its base, that one's base, …"""
        found = [model]
        while (base := found[-1].base_id) is not None and base not in {each.id for each in found}:
            found.append(self.models[base])
        return found

    def heirs(self, ids: Collection[str]) -> list[Model]:
        """These and all that were tuned from one of them, from those, …: oldest first, as a base always is older."""
        found = set(ids)
        for model in self.models.values():
            if model.base_id in found:
                found.add(model.id)
        return [model for model in self.models.values() if model.id in found]

    def told(self, model: Model) -> Relative:
        spans, heard = self._spans.get(model.id, ()), rows.heard_by(self._connection, model.title)
        return Relative(model.id, model.ref, model.status, model.snapshot_id, model.job_id, tuple(spans), heard)


def _spans(connection: Connection) -> dict[str, list[Span]]:
    """When each model answered, by the history of the routes."""
    found: dict[str, list[Span]] = {}
    since: dict[tuple[str, str], tuple[str, datetime]] = {}
    for change in reversed(routes.changes(connection)):
        place = change.kind, change.key
        before = since.get(place)
        if before is not None and before[0] != change.model_id:
            found.setdefault(before[0], []).append(Span(*place, before[1], change.moment))
            del since[place]
        if change.model_id is not None and place not in since:
            since[place] = change.model_id, change.moment
    for (kind, key), (model_id, moment) in since.items():
        found.setdefault(model_id, []).append(Span(kind, key, moment, None))
    return found


def _had(run: Run, withdrawn: datetime | None) -> bool:
    """Whether a run was over the clip: one that was asked for after a withdrawal was not."""
    return withdrawn is None or run.created <= withdrawn


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
