"""What every connection asks for: what is here, at once, and the services, as soon as they run.

The port is open before the model is loaded. Home Assistant asks what is here when it starts, often while we start too,
waits a second and remembers the answer; so until the catalog can be read it is what was true when the server last ran,
or what the settings' model says of itself.
"""

from __future__ import annotations

import asyncio
import json
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import EarloopError, Unavailable
from stt_server.logs import EventLog
from stt_server.protocols.wyoming import Offered, info
from stt_server.speech.bundle import find_bundle, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.engine.lineup import Lineup
    from stt_server.services import Services
    from stt_server.settings import Settings

REMEMBERED: Final = "wyoming.json"  # in the data folder
LOADING_S: Final = 60.0  # Home Assistant waits for a transcript without end

log = EventLog("wyoming")


class Desk:
    """Of one server. `open` it when the services run."""

    def __init__(self, settings: Settings, before: tuple[Offered, ...] = ()) -> None:
        self.settings = settings
        self._running = asyncio.Event()
        self._services: Services | None = None
        self._of: Lineup | None = None  # whose models `_info` names
        self._info = self._encoded(before) if before else b""

    def open(self, services: Services) -> None:
        """From now on streams can be heard."""
        self._services = services
        self._running.set()

    async def services(self) -> Services:
        """Raises Unavailable when they do not run within `LOADING_S`."""
        try:
            async with asyncio.timeout(LOADING_S):
                await self._running.wait()
        except TimeoutError:
            raise Unavailable("The server has not loaded its model yet; try again later.") from None
        assert self._services is not None
        return self._services

    async def info(self) -> bytes:
        """The answer to `describe`, made anew when other models answer. Raises Unavailable where none is known yet."""
        if self._services is None and self._info:
            return self._info
        lineup = (await self.services()).engines.lineup
        if lineup is not self._of:
            self._info, self._of = self._encoded(offered(lineup)), lineup
        return self._info

    def failed(self, error: EarloopError) -> None:
        """Count it, where anything is counted yet."""
        if self._services is not None:
            self._services.metrics.failed(error.code)

    def refused(self, reason: str) -> None:
        """The same for one who was not let in."""
        if self._services is not None:
            self._services.metrics.refused(reason)

    def _encoded(self, models: tuple[Offered, ...]) -> bytes:
        return info(models, metadata.version("earloop"), endpointing=self.settings.wyoming_endpointing).encode()


def offered(lineup: Lineup) -> tuple[Offered, ...]:
    """What whoever asks may be heard by, the live model first."""
    names = lineup.names
    models = {model.name: model for model in (*lineup.models.values(), lineup.live) if model.name in names}
    live_first = sorted(models.values(), key=lambda model: model.name != lineup.live.name)
    return tuple(Offered(each.name, each.language, _number(each.name, each.version)) for each in live_first)


def remembered(settings: Settings) -> tuple[Offered, ...]:
    """What there is to say before the catalog can be read; nothing where nothing is known. Blocking."""
    try:
        said = json.loads((settings.data / REMEMBERED).read_text(encoding="utf-8"))
        return tuple(Offered(*map(str, each)) for each in said["models"])
    except (OSError, ValueError, TypeError, KeyError):  # not there, or of another version
        return _of_bundle(settings)


def remember(data: Path, models: tuple[Offered, ...]) -> None:
    """Blocking. Where it cannot be written the next start tells of the settings' model, as the first did."""
    said: dict[str, Any] = {"models": [[each.name, each.language, each.version] for each in models]}
    new = data / f"{REMEMBERED}.new"
    try:
        new.write_text(json.dumps(said), encoding="utf-8")
        new.replace(data / REMEMBERED)
    except OSError as error:
        log.warning("info_not_remembered", why=error.strerror or str(error))


def _of_bundle(settings: Settings) -> tuple[Offered, ...]:
    try:
        manifest = read_manifest(find_bundle(settings.model, settings.data))
    except EarloopError:  # a zip, or what will end the start in a moment, with the reason
        return ()
    return (Offered(manifest.name, manifest.language, manifest.version),)


def _number(name: str, version: str) -> str:
    """A model says its version with its name in front."""
    return version.removeprefix(name).strip()
