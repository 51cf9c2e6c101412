import io
import json
import logging
from collections.abc import Iterator

import pytest

from stt_server import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the root logger as pytest set it up."""
    root = logging.getLogger()
    handlers, level, ours = root.handlers[:], root.level, logging.getLogger(logs.ROOT).level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger(logs.ROOT).setLevel(ours)


def test_a_text_line_holds_time_level_part_event_and_keys():
    out = io.StringIO()
    logs.configure(stream=out)
    logs.EventLog("engine").info("stream_opened", stream=7, protocol="native", client="a b", lag_s=0.25)
    at, *rest = out.getvalue().rstrip("\n").split(" ", 5)
    assert at.endswith("Z")
    assert rest == ["INFO", "engine", "stream_opened", "stream=7", 'protocol=native client="a b" lag_s=0.25']


def test_a_json_line_is_one_object_per_event():
    out = io.StringIO()
    logs.configure(as_json=True, stream=out)
    logs.EventLog("web").warning("refused", reason="full\nstop", open=64)
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("at")
    assert event == {"level": "warning", "part": "web", "event": "refused", "reason": "full\nstop", "open": 64}


@pytest.mark.parametrize("as_json", [False, True])
def test_what_somebody_said_never_reaches_the_log(as_json):
    out = io.StringIO()
    logs.configure(as_json=as_json, stream=out)
    logs.EventLog("engine").info("final", stream=1, text="my secret", words="my secret", hotwords="secret")
    assert "secret" not in out.getvalue()
    assert "withheld, 9" in out.getvalue()


def test_an_exception_is_logged_with_its_traceback():
    out = io.StringIO()
    logs.configure(as_json=True, stream=out)
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logs.EventLog("engine").exception("batch_failed", id="e1")
    event = json.loads(out.getvalue())
    assert event["id"] == "e1"
    assert "ZeroDivisionError: by zero" in event["traceback"]


def test_events_below_the_level_and_the_chatter_of_libraries_stay_out():
    out = io.StringIO()
    logs.configure("warning", stream=out)
    logs.EventLog("engine").info("too_small")
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("asyncio").error("slow callback")
    assert out.getvalue().endswith("ERROR asyncio slow callback\n")
    assert len(out.getvalue().splitlines()) == 1
