"""The assistant's opt-in, carried to the server as consent, and taken back when it is switched off.

    opt_in (the section's, else the assistant's own)
      off ─► every stream says `collect: false`; what this plugin agreed to is withdrawn (DELETE /v1/consent)
      on ──► nothing is said for anybody who has not read the words: only with `consent_version`, the version of the
             words shown by `python -m …`, and only if the server's words still have it, PUT /v1/consent

A note on disk says that this plugin agreed. Without the note nothing is withdrawn, so that an agreement made on the
server's own page is not undone by a default, and without being able to write it nothing is agreed to: what could not
be taken back is not given.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

LOG = logging.getLogger(__name__)

AGAIN_S = 60.0  # between attempts that failed
WITHDRAWAL_S = 60.0  # the server deletes before it answers
ANSWER_S = 10.0


class Consent:
    """`core` is the assistant's whole configuration; its `opt_in` may change while it runs."""

    def __init__(self, settings: Settings, core: Mapping[str, Any]) -> None:
        self._settings = settings
        self._core = core
        self._working = Lock()
        self._settled: bool | None = None
        self._try_at = 0.0

    @property
    def may_keep(self) -> bool:
        """Whether the speaker's device lets anything be kept; the server asks its own records as well."""
        own = self._settings.opt_in
        return bool(self._core.get("opt_in")) if own is None else own

    def settle(self) -> Thread | None:
        """Bring the server's records in line, in the background, where they may not be. Returns at once."""
        wanted = self.may_keep
        if wanted == self._settled or time.monotonic() < self._try_at or not self._working.acquire(blocking=False):
            return None
        thread = Thread(target=self._work, args=[wanted], name="earloop-consent", daemon=True)
        thread.start()
        return thread

    def _work(self, wanted: bool) -> None:
        try:
            if wanted:
                self._agree()
            elif self._note.exists():
                self._withdraw()
            self._settled = wanted
        except (requests.RequestException, OSError, ValueError, KeyError) as error:
            self._try_at = time.monotonic() + AGAIN_S
            LOG.warning("The server could not be told that opt_in is %s: %s", "on" if wanted else "off", error)
        finally:
            self._working.release()

    def _agree(self) -> None:
        settings = self._settings
        if not settings.consent_version:
            LOG.info("opt_in is on, but nobody has read what that means here: see consent_version.")
            return
        state = self._ask("GET").json()
        version, given = state["offer"]["version"], state["consent"]
        if version != settings.consent_version:
            LOG.warning("The words to agree to are no longer those of consent_version; read them and set it anew.")
        elif not given or given["version"] != version or not set(settings.consent_purposes) <= set(given["purposes"]):
            self._remember(version)
            self._ask("PUT", json={"version": version, "purposes": list(settings.consent_purposes), "way": "api"})
            LOG.info("Agreed on %s to the words of version %s.", settings.base, version)

    def _withdraw(self) -> None:
        self._ask("DELETE", wait_s=WITHDRAWAL_S)
        self._note.unlink()
        LOG.info("Withdrawn: %s has deleted what it kept of this contributor.", self._settings.base)

    def _ask(self, method: str, wait_s: float = ANSWER_S, **more: Any) -> requests.Response:
        settings = self._settings
        answer = requests.request(
            method,
            f"{settings.base}/v1/consent",
            headers=settings.headers,
            timeout=(settings.connect_s, wait_s),
            verify=settings.ca_file or True,
            **more,
        )
        answer.raise_for_status()
        return answer

    @property
    def _note(self) -> Path:
        """Names neither key nor token, which are secrets."""
        settings = self._settings
        who = f"{settings.base} {settings.contributor or settings.key}"
        return state_folder() / f"consent-{hashlib.sha256(who.encode()).hexdigest()[:16]}.json"

    def _remember(self, version: str) -> None:
        self._note.parent.mkdir(parents=True, exist_ok=True)
        self._note.write_text(json.dumps({"server": self._settings.base, "version": version}), encoding="utf-8")


def state_folder() -> Path:
    """Where programs of this user note what they did, by the XDG rules."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "earloop-plugin"
