"""`earloop serve`: open everything in order, say where, and leave in good order when asked to.

SIGTERM or SIGINT   no new streams; open ones say their finals and get `drain_s`; exit code 0
a second one        the process ends at once
no engine runs      exit code 7, so that whoever supervises the server starts it anew
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_origin

import typer

from stt_server import logs, threads
from stt_server.engine.heap import set_aside, share_one_heap, trimming
from stt_server.errors import Unavailable
from stt_server.services import open_services
from stt_server.settings import Settings, load_settings
from stt_server.web.access import first_key
from stt_server.web.server import serving
from stt_server.wyoming.door import listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

    from stt_server.engine.engines import Engines

LOOK_S: Final = 1.0  # between two looks whether an engine is left; its streams have been told by then
SWITCH_S: Final = 0.001  # how long a thread that loads a model or keeps a clip may hold Python's lock from the streams
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = logs.EventLog("serve")


def _with_every_setting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting, with the setting's own help; not said is None."""
    options = [_option(name, field) for name, field in Settings.model_fields.items()]
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {option.name: option.annotation for option in options}
    return command


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind: Any = str if get_origin(field.annotation) is Literal else field.annotation
    takes = Annotated[kind | None, typer.Option(help=field.description)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=takes)


@_with_every_setting
def serve(**given: object) -> None:
    """Run until told to stop. Options override the environment and the settings file."""
    settings = load_settings(**given)
    logs.configure(settings.log_level, as_json=settings.log_json)
    share_one_heap()
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    asyncio.get_running_loop().set_default_executor(threads.pool(threads.SHARED, "earloop"))
    async with (
        listening(settings) as door,  # before the model is loaded: Home Assistant asks at its own start, and remembers
        open_services(settings) as services,
        serving(services) as url,
        door.opened(services),
    ):
        stop = _stop_event()
        typer.echo(f"Earloop listens on {url} with the model {services.engines.name}.")
        if key := await first_key(services):
            typer.echo(f"Its first key, an admin's, is shown this once: {key}")
        sys.stdout.flush()
        set_aside()
        with trimming():
            await _until_over(stop, services.engines)
        log.info("draining", streams=services.engines.open_streams, seconds=settings.drain_s)
        await services.engines.drain(settings.drain_s)
        if not stop.is_set():
            raise Unavailable("No inference thread runs any more; the log says why. Start the server again.")


async def _until_over(stop: asyncio.Event, engines: Engines) -> None:
    """Until the process is asked to stop, or has nothing left that could recognise."""
    while not stop.is_set() and engines.runs:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)


def _stop_event() -> asyncio.Event:
    """Set by the first signal; from then on signals have their default effect again, which is to end the process."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def first() -> None:
        for each in SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    for each in SIGNALS:
        loop.add_signal_handler(each, first)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where that is installed: it halves what a message costs."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
