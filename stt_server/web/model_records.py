"""Custom models and the server's own as Deepgram's tutorial shows them, and the names a custom model may have. Pure."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadOption
from stt_server.store import custom_models, jobs

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.custom_models import Standing
    from stt_server.store.models import Model

STATUSES: Final = {
    jobs.WAITING: "PENDING",
    jobs.RUNNING: "TRAINING",
    jobs.DONE: "TRAINED",
    jobs.FAILED: "FAILED",
    jobs.CANCELLED: "CANCELLED",
}
NEW: Final = "CREATED"  # never trained
_NAME: Final = re.compile(r"[^\W_][^\x00-\x1f\x7f-\x9f\u2028\u2029/?#%\"]{0,99}")  # it stands in URLs, and in lists


def check_name(name: str) -> str:
    """A name that a model may have. Raises BadOption."""
    name = name.strip()
    if not _NAME.fullmatch(name) or is_uuid(name):
        raise BadOption(
            "A model's name begins with a letter or digit, has 100 letters at most, no slash, quote or other sign of "
            "URLs, and is no UUID.",
            field="name",
        )
    return name


def moment(value: datetime | None) -> str | None:
    """As the tutorial shows moments: `2020-05-01T18:56:40.316185Z`."""
    return None if value is None else value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def status_of(stands: Standing) -> str:
    """In the tutorial's words. A run that was done and made nothing failed."""
    if stands.run is None:
        return NEW
    made = stands.run.status != jobs.DONE or stands.made_by is stands.run
    return STATUSES[stands.run.status] if made else "FAILED"


def record_of(stands: Standing) -> dict[str, Any]:
    """A custom model as the tutorial shows it. Its version is what was trained last, before that the model itself."""
    model = stands.model
    made = custom_models.made_of(stands)
    return {
        "model_id": model.id,
        "version_id": made or model.id,
        "model_name": model.name,
        "created": moment(model.created),
        "model_type": "USER",
        "wer": stands.wer,
        "trained_at": moment(stands.made_by.finished) if stands.made_by else None,
        "status": status_of(stands),
        "deployed": moment(model.deployed),
        "datasets": list(model.datasets),
        "base_model_id": model.base_id,
        "train_id": model.job_id,
        "verdict": stands.made_by.result.get("verdict") if stands.made_by else None,
    }


def general_record(model: Model) -> dict[str, Any]:
    """One of the server's own models, to train on from."""
    return {
        "model_id": model.id,
        "version_id": model.id,
        "model_name": model.name,
        "created": moment(model.created),
        "model_type": "GENERAL",
        "wer": None,  # there is one for each test set; GET /v1/catalog/models has them
        "trained_at": None,
        "status": STATUSES[jobs.DONE],
    }


def is_uuid(text: str) -> bool:
    """Whether it is written as one."""
    try:
        return str(uuid.UUID(text)) == text.casefold()
    except ValueError:
        return False
