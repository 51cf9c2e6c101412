"""The description of the plain routes: that it is one, that it names what there is, that the server gives it."""

from importlib import metadata

import schemathesis

from stt_server.errors import EarloopError
from stt_server.web.description import described
from stt_server.web.route import WEBSOCKET
from stt_server.web.routes import ROUTES
from tests.web.conftest import Server


def _kinds(kind: type[EarloopError] = EarloopError) -> set[str]:
    return {code for each in kind.__subclasses__() for code in {each.code, *_kinds(each)}}


def test_the_description_is_valid_openapi():
    schemathesis.openapi.from_dict(described()).validate()


def test_the_description_and_the_routes_name_the_same_paths_and_methods():
    plain = {(route.path, route.method) for route in ROUTES if route.method != WEBSOCKET}
    assert {(path, method.upper()) for path, found in described()["paths"].items() for method in found} == plain


def test_what_needs_no_scope_needs_no_key_in_the_description():
    for route in ROUTES:
        if route.method != WEBSOCKET:
            operation = described()["paths"][route.path][route.method.lower()]
            assert ("security" in operation) == (route.scope is None)
            if route.scope is not None:
                assert f"Scope: `{route.scope}`." in operation["description"]
                assert {"401", "403"} <= set(operation["responses"])


def test_every_error_a_request_can_meet_has_its_code_in_the_description():
    schema = described()["components"]["schemas"]["Error"]
    codes = schema["properties"]["error"]["properties"]["code"]["enum"]
    assert set(codes) == _kinds()


async def test_the_server_gives_it_to_everybody_with_its_version(server: Server, http):
    async with http.get(f"{server.url}/openapi.json") as answer:
        assert answer.status == 200
        said = await answer.json()
    assert said["info"]["version"] == metadata.version("earloop")
    assert said == described()
