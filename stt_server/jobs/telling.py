"""What is told of a job that ended, and how often that is tried. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from stt_server.jobs.showing import described
from stt_server.store.jobs import DONE, FAILED

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.jobs import Job

EVENT: Final = "job.ended"
FIRST_S: Final = 10.0
GROWTH: Final = 4.0
LONGEST_S: Final = 3600.0
MOST_TRIES: Final = 9  # in about four hours


def next_try(attempt: int, now: datetime, first_s: float = FIRST_S) -> datetime | None:
    """When is tried again what failed the first, second, … time; None: given up."""
    if attempt >= MOST_TRIES:
        return None
    return now + timedelta(seconds=min(LONGEST_S, first_s * GROWTH ** (attempt - 1)))


def body_of(job: Job) -> bytes:
    """What a webhook is sent: the job as `GET /v1/jobs/ID` has it, without its log."""
    told: dict[str, Any] = {"event": EVENT, "job": described(job)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`t=TIMESTAMP,v1=HEX`: HMAC-SHA256 by the secret over the timestamp, a dot and the body.

    Whoever receives it computes the same, compares in constant time, and refuses timestamps that are minutes old.
    """
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


def subject_of(job: Job) -> str:
    """One line for a mail."""
    return f"Earloop: training on {job.params.get('dataset', 'a dataset')} {_how(job)}"


def letter_of(job: Job) -> str:
    """A few lines for a mail."""
    figures = {key: value for key, value in job.result.items() if value is not None}
    lines = [subject_of(job).removeprefix("Earloop: ") + ".", "", f"job: {job.id}"]
    lines += [f"{key}: {value}" for key, value in figures.items()]
    if job.error:
        lines += ["", job.error]
    return "\n".join([*lines, "", f"More: earloop jobs show {job.id}", ""])


def _how(job: Job) -> str:
    if job.status == DONE:
        verdict = job.result.get("verdict", "judged by no gate")
        return f"is done: {verdict}" + (", and the model is live" if job.result.get("promoted") else "")
    return "failed" if job.status == FAILED else "was cancelled"
