import asyncio
import random
import shutil
import ssl
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Response

from stt_server.client import connect
from stt_server.client.dialling import LONGEST_PAUSE_S, pauses
from stt_server.errors import BadOption, Busy, Unauthorized, Unavailable
from tests.client.scripted import Scripted, serving
from tests.web.test_tls import make


def full_at_first(times: int, *, status: int = 503, retry_after: str = "0.05"):
    """What refuses so many connections, and the requests it saw."""
    seen: list[object] = []

    def answer(connection: ServerConnection, request) -> Response | None:
        seen.append(request)
        if len(seen) > times:
            return None
        response = connection.respond(HTTPStatus(status), "")
        response.headers["Retry-After"] = retry_after
        return response

    return answer, seen


@pytest.mark.parametrize("status", [503, 429])
async def test_a_full_server_is_asked_again_when_the_client_has_patience(status):
    answer, seen = full_at_first(2, status=status)
    async with serving(Scripted(), process_request=answer) as url, await connect(url, patience_s=10) as stream:
        assert stream.ready.model == "first"
    assert len(seen) == 3


@pytest.mark.parametrize(("patience_s", "retry_after"), [(0.0, "0.05"), (1.0, "60")])
async def test_patience_ends_and_does_not_begin_a_wait_it_cannot_end(patience_s, retry_after):
    answer, seen = full_at_first(99, retry_after=retry_after)
    async with serving(Scripted(), process_request=answer) as url:
        with pytest.raises(Busy) as raised:
            await connect(url, patience_s=patience_s)
    assert raised.value.retry_after_s == float(retry_after)
    assert len(seen) == 1


async def test_a_proxy_that_names_a_date_to_return_is_a_full_server_like_any_other():
    answer, seen = full_at_first(99, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    async with serving(Scripted(), process_request=answer) as url:
        with pytest.raises(Busy) as busy:
            await connect(url)
    assert (busy.value.retry_after_s, len(seen)) == (1.0, 1)


async def test_patience_waits_for_a_server_that_starts_but_not_for_one_that_refuses(unused_tcp_port):
    connecting = asyncio.create_task(connect(f"127.0.0.1:{unused_tcp_port}", patience_s=10))
    await asyncio.sleep(0)
    async with serve(Scripted(), "127.0.0.1", unused_tcp_port), await connecting as stream:
        assert stream.ready.model == "first"
    answer, seen = full_at_first(9, status=401)
    async with serving(Scripted(), process_request=answer) as url:
        with pytest.raises(Unauthorized):
            await connect(url, patience_s=10)
    assert len(seen) == 1


def test_pauses_grow_to_a_bound_and_differ_between_clients():
    random.seed(1)
    first, second = ([pause for pause, _ in zip(pauses(), range(20), strict=False)] for _ in range(2))
    assert first != second
    assert first[0] < 0.11
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in first[6:])


async def test_the_key_is_shown_as_a_bearer():
    answer, seen = full_at_first(0)
    async with serving(Scripted(), process_request=answer) as url:
        await (await connect(url, key="el_secret")).close()
    assert seen[0].headers["Authorization"] == "Bearer el_secret"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl (apt-get install openssl)")
async def test_a_server_with_a_certificate_is_trusted_by_its_authority_only(tmp_path):
    files = make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["tls_certificate"], files["tls_key"])
    async with serving(Scripted(), ssl=context) as url:
        address = url.replace("http:", "https:")
        for trusted in (files["tls_certificate"], ssl.create_default_context(cafile=files["tls_certificate"])):
            async with await connect(address, tls=trusted) as stream:
                assert stream.ready.model == "first"
        with pytest.raises(Unavailable, match="no certificate to trust"):
            await connect(address)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_that_is_no_authority_is_refused(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(BadOption, match="no file of certificates"):
        await connect("https://127.0.0.1:1", tls=file)
