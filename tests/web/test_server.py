import socket

import pytest

from stt_server.addresses import is_loopback, url_of
from stt_server.errors import BadOption, Conflict
from tests.web.conftest import Start


async def test_a_port_in_use_is_a_conflict_that_names_the_remedy(start: Start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=rf"Port {port} is in use.*--port"):
            await start(port=port)


@pytest.mark.parametrize("host", ["198.51.100.7", "no.such.host.invalid"])
async def test_a_host_that_is_not_ours_is_refused_with_the_remedy(start: Start, host):
    with pytest.raises(BadOption, match=rf"{host} is no address of this machine.*--host"):
        await start(host=host)


async def test_listening_to_the_network_without_keys_is_warned_of(start: Start, caplog):
    server = await start(host="0.0.0.0", open=True)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["open_to_the_network"]
    assert server.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("settings", [{"host": "localhost", "open": True}, {"host": "0.0.0.0"}])
async def test_listening_on_loopback_or_with_keys_is_not(start: Start, caplog, settings):
    await start(**settings)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize(
    ("host", "only_us"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)],
)
def test_loopback_is_told_from_the_network(host, only_us):
    assert is_loopback(host) is only_us


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("::1", "http://[::1]:1"), ("::", "http://[::1]:1"), ("box", "http://box:1")],
)
def test_the_url_is_one_to_open_here(host, url):
    assert url_of(host, 1) == url
