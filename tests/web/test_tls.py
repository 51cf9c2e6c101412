"""TLS with a real certificate, made by openssl for this test."""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stt_server.client import connect
from stt_server.errors import BadOption, Unauthorized, Unavailable
from stt_server.messages import Final
from stt_server.metrics import Metrics
from stt_server.settings import load_settings
from stt_server.web import connections
from stt_server.web.tls import certificate_of
from tests.web.conftest import PATIENCE_S, SPEECH, Start, finals, said, until
from tests.web.keys import make_key

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl (apt-get install openssl)")


def make(folder: Path, name: str = "server", *more: str) -> dict[str, Path]:
    """A certificate for localhost that signs itself, and its key, as settings."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN={name}".split()
    command += ["-addext", "subjectAltName=DNS:localhost,DNS:speech.example,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(chain), *(more or ["-nodes"])]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return {"tls_certificate": chain, "tls_key": key}


def trusting(files: dict[str, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files["tls_certificate"])


async def test_pages_and_streams_come_encrypted_and_the_url_says_so(start: Start, http, tmp_path):
    files = make(tmp_path)
    server = await start(**files)
    assert server.url.startswith("https://127.0.0.1:")
    async with http.get(f"{server.url}/healthz", ssl=trusting(files)) as answer:
        assert answer.status == 200
        assert "Strict-Transport-Security" not in answer.headers  # other ports of this machine may speak plain HTTP
    async with server.socket("/v1/stream", ssl=trusting(files)) as socket:  # wss
        await socket.send(SPEECH)
        await socket.send('{"type":"finish"}')
        assert finals(await said(socket)) == ["la la la"]


async def test_our_own_client_streams_over_it_with_its_key(start: Start, tmp_path):
    files = make(tmp_path)
    server = await start(**files)
    key = await make_key(server)
    async with await connect(server.url, key=key, tls=files["tls_certificate"]) as stream:
        heard = [event.text async for event in stream.converse(pieces()) if isinstance(event, Final)]
    assert heard[0] == "la la la"
    with pytest.raises(Unauthorized, match="not valid"):
        await connect(server.url, key=key[:-1], tls=files["tls_certificate"])
    with pytest.raises(Unavailable, match="no certificate to trust"):
        await connect(server.url, key=key)


async def test_who_asks_nothing_is_cut_over_tls_too_whatever_became_of_other_connections(tmp_path):
    """A transport of asyncio's TLS that was closed twice cannot be asked what is unread; aiohttp closes some twice."""
    files, closed = make(tmp_path), asyncio.Event()

    async def close_twice(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        request.transport.close()
        closed.set()
        return web.Response()

    settings = load_settings(idle_timeout_s=1.0, **files)
    all_of_them = connections.Connections(settings, Metrics())
    app = web.Application(middlewares=[all_of_them.note])
    app.router.add_get("/", close_twice)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    server, certificate = runner.server, certificate_of(settings)
    assert server is not None
    assert certificate is not None
    site = connections.Site(runner, "127.0.0.1", 0, all_of_them.of(server), certificate.context)
    await site.start()
    async with asyncio.timeout(PATIENCE_S), all_of_them.watched(server):
        address = runner.addresses[0]
        _, leaving = await asyncio.open_connection(*address, ssl=trusting(files))
        assert isinstance(leaving.transport, asyncio.Transport)
        leaving.transport.pause_reading()  # so that it does not answer the goodbye, and the server's end stays
        leaving.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await closed.wait()
        silent, writer = await asyncio.open_connection(*address, ssl=trusting(files))
        with suppress(ConnectionError):
            assert await silent.read() == b""
        for each in (leaving, writer):
            each.transport.abort()
    await runner.cleanup()


async def pieces():
    yield SPEECH


async def test_under_its_own_name_browsers_are_told_to_stay_with_tls(start: Start, http, tmp_path):
    files = make(tmp_path)
    server = await start(**files, allowed_hosts="speech.example")
    async with http.get(f"{server.url}/", ssl=trusting(files), headers={"Host": "speech.example"}) as answer:
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_a_client_that_trusts_others_only_is_not_fooled(start: Start, http, tmp_path):
    server = await start(**make(tmp_path))
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await http.get(f"{server.url}/healthz", ssl=trusting(make(tmp_path, "other")))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_what_is_older_than_tls_1_2_is_refused(start: Start, http, tmp_path):
    files = make(tmp_path)
    server = await start(**files)
    old = trusting(files)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(f"{server.url}/healthz", ssl=old)
    new = trusting(files)
    new.maximum_version = ssl.TLSVersion.TLSv1_2
    async with http.get(f"{server.url}/healthz", ssl=new) as answer:
        assert answer.status == 200


async def test_sighup_reads_a_renewed_certificate_and_a_bad_one_changes_nothing(start: Start, http, tmp_path, caplog):
    files = make(tmp_path)
    server = await start(**files)
    caplog.set_level("INFO")
    make(tmp_path)
    os.kill(os.getpid(), signal.SIGHUP)

    async def reached() -> bool:
        connector = aiohttp.TCPConnector(ssl=trusting(files))
        async with aiohttp.ClientSession(connector=connector) as fresh, fresh.get(f"{server.url}/healthz") as answer:
            return answer.status == 200

    await until(lambda: "certificate_reloaded" in caplog.text)
    assert await reached()
    good = files["tls_certificate"].read_bytes()
    files["tls_certificate"].write_text("nonsense")
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: "certificate_not_reloaded" in caplog.text)
    files["tls_certificate"].write_bytes(good)
    assert await reached()


@pytest.mark.parametrize("missing", ["tls_certificate", "tls_key"])
async def test_one_without_the_other_refuses_to_start(start: Start, tmp_path, missing):
    files = {**make(tmp_path), missing: None}
    with pytest.raises(BadOption, match=f"needs both.*{missing} is not set") as caught:
        await start(**files)
    assert caught.value.field == missing


async def test_a_file_that_is_not_there_is_named(start: Start, tmp_path):
    with pytest.raises(BadOption, match=r"none\.key of setting tls_key cannot be read: No such file"):
        await start(**{**make(tmp_path), "tls_key": tmp_path / "none.key"})


async def test_a_key_of_another_certificate_is_refused(start: Start, tmp_path):
    files = {**make(tmp_path), "tls_key": make(tmp_path, "other")["tls_key"]}
    with pytest.raises(BadOption, match="not a certificate and its key in PEM: .*mismatch"):
        await start(**files)


async def test_a_file_that_is_no_pem_is_refused(start: Start, tmp_path):
    (tmp_path / "nonsense.pem").write_text("nonsense")
    with pytest.raises(BadOption, match="not a certificate and its key in PEM"):
        await start(**{**make(tmp_path), "tls_certificate": tmp_path / "nonsense.pem"})


async def test_an_encrypted_key_is_refused_and_nobody_is_asked_on_the_terminal(start: Start, tmp_path):
    with pytest.raises(BadOption, match="is encrypted"):
        await start(**make(tmp_path, "locked", "-passout", "pass:secret"))
