"""What the network is told, by real mDNS between two of its own participants on this machine."""

import asyncio
import socket
import sys
import uuid
from unittest.mock import patch

import pytest
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from stt_server.settings import load_settings
from stt_server.wyoming import announcing
from stt_server.wyoming.announcing import MULTICAST, SERVICE, addresses_of, announced
from tests.wyoming.conftest import PATIENCE_S, until


def _multicasts() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(MULTICAST)
            probe.send(b"")
    except OSError:
        return False
    return True


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


@pytest.mark.skipif(not _multicasts(), reason="no interface of this machine multicasts")
async def test_a_port_is_found_by_its_name_and_gone_with_the_server(caplog, monkeypatch):
    caplog.set_level("INFO", logger="earloop.wyoming")
    monkeypatch.setattr(announcing, "DEADLINE_S", PATIENCE_S)  # a busy machine is late
    network = AsyncZeroconf(ip_version=IPVersion.V4Only)
    try:
        name = f"earloop-{uuid.uuid4().hex}"
        settings = load_settings(host="0.0.0.0", wyoming_port=10311, wyoming_zeroconf=name)
        async with announced(settings, "0.0.0.0"):
            await until(lambda: bool(events(caplog)))
            assert events(caplog) == ["wyoming_announced"]
            found = AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}")
            assert await found.async_request(network.zeroconf, PATIENCE_S * 1000)
            assert found.port == 10311
            assert found.parsed_addresses() == addresses_of("0.0.0.0")
    finally:
        await network.async_close()


async def test_a_port_on_loopback_is_never_announced(caplog):
    async with announced(load_settings(wyoming_zeroconf="earloop-test"), "127.0.0.1"):
        assert events(caplog) == ["wyoming_not_announced"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_without_the_extra_the_log_says_so_and_the_rest_goes_on(caplog):
    with patch.dict(sys.modules, {"zeroconf": None}):
        async with announced(load_settings(wyoming_zeroconf="earloop-test"), "10.0.0.7"):
            await until(lambda: events(caplog) == ["wyoming_not_announced"])


def test_an_address_is_announced_as_it_is():
    assert addresses_of("10.0.0.7") == ["10.0.0.7"]
