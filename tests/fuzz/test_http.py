"""The plain routes of a real server, asked for all that their description allows and for much that it does not.

schemathesis draws the requests from `openapi.json` and judges the answers by it. Its check that whatever is not as
described is refused is left out: `/stt` passes over parameters that do not matter for a body, all values of a form are
text, and fields that OpenAI's interface may get tomorrow are passed over. What must be refused in a form is tried by
name. That what is as described is accepted is checked where audio is: random bytes are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stt_server.speech.bundle import shipped
from stt_server.web.description import described
from tests.fuzz.budget import both_runs, counted, drawn, played
from tests.fuzz.live import Live, live_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

ALWAYS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
REPLY_S: Final = 60.0
SPEECH: Final = (shipped() / "golden.flac").read_bytes()
WRONG: Final = [
    ("response_format", "diarized_json"),
    ("stream", "perhaps"),
    ("temperature", "1.5"),
    ("temperature", "nan"),
    ("language", "de"),
    ("timestamp_granularities[]", "letter"),
    ("include[]", "everything"),
    ("chunking_strategy", "{}"),
]
SCHEMA: Final = openapi.from_dict(described())
OPERATIONS: Final = {
    f"{method.upper()} {path}": SCHEMA[path][method.upper()]
    for path, found in described()["paths"].items()
    for method in found
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live"), "--open") as server:  # also once a key was asked for and made
        yield server
        assert not server.faults(), "".join(server.log)[-6000:]


@both_runs
@pytest.mark.parametrize("label", OPERATIONS)
def test_any_request_is_answered_as_described(live: Live, label: str, nightly: bool):
    operation = OPERATIONS[label]
    cases = operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    name = "requests drawn from the description"

    @drawn(name, nightly=nightly)
    @given(case=cases, audible=st.booleans())
    def check(case: Case, audible: bool) -> None:
        played[name] += 1
        if audible:
            speak(case)
        case.call_and_validate(live.url, checks=ALWAYS, timeout=REPLY_S)

    has_choice = operation.body or operation.query or operation.path_parameters
    with counted(name, nightly=nightly, at_least=None if has_choice else 1):
        check()


@both_runs
def test_a_form_is_accepted_as_described_and_refused_for_one_wrong_field(live: Live, nightly: bool):
    name = "forms with speech, right and wrong"

    @drawn(name, nightly=nightly)
    @given(case=OPERATIONS["POST /v1/audio/transcriptions"].as_strategy(), wrong=st.none() | st.sampled_from(WRONG))
    def check(case: Case, wrong: tuple[str, str] | None) -> None:
        played[name] += 1
        speak(case)
        checks = ALWAYS if wrong else [*ALWAYS, positive_data_acceptance]
        if wrong:
            assert isinstance(case.body, dict)
            case.body.update([wrong])
        answer = case.call_and_validate(live.url, checks=checks, timeout=REPLY_S)
        if wrong:
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] is not None

    with counted(name, nightly=nightly):
        check()


def speak(case: Case) -> None:
    """Real speech where audio is due."""
    body: Any = case.body
    if case.path == "/stt":
        case.body = SPEECH
    elif isinstance(body, dict) and "file" in body:
        body["file"] = SPEECH
