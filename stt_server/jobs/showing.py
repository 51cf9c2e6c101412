"""A job as JSON says it, the same over HTTP, by command and in notices. Its log is asked for by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.jobs import Job


def described(job: Job) -> dict[str, Any]:
    """Ids, figures and moments: nothing that anybody said."""
    return {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "stage": job.stage,
        "progress": round(job.progress, 4),
        "params": job.params,
        "result": job.result,
        "error": job.error,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "cancelling": job.cancel and job.finished is None,
        "worker": job.worker,
        "created_by": job.created_by,
        "created": _moment(job.created),
        "not_before": _moment(job.not_before),
        "started": _moment(job.started),
        "finished": _moment(job.finished),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
