"""The plugin's section of mycroft.conf."""

import pytest

from ovos_stt_plugin_earloop.earloop.settings import read_settings


@pytest.mark.parametrize(
    ("url", "stream"),
    [
        ("http://ear.local:2700", "ws://ear.local:2700/v1/stream"),
        ("https://ear.local/", "wss://ear.local/v1/stream"),
        ("ws://ear.local:2700", "ws://ear.local:2700/v1/stream"),
        ("ear.local:2700", "ws://ear.local:2700/v1/stream"),
        ("https://home.local/ear/", "wss://home.local/ear/v1/stream"),
    ],
)
def test_an_address_is_taken_in_any_usual_way(url: str, stream: str):
    assert read_settings({"url": url}, "test").stream_url == stream


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "http://"),
        ("url", "http://host:none"),
        ("url", "ftp://host"),
        ("timeout_s", 0),
        ("timeout_s", "5"),
        ("hotwords", {"kitchen": 1}),
        ("opt_in", "yes"),
        ("options", []),
        ("ca_file", "/nowhere.pem"),
        ("key", 5),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: object):
    with pytest.raises(ValueError, match=name):
        read_settings({name: value}, "test")


def test_an_unknown_setting_is_warned_of_and_the_hosts_own_are_not(caplog: pytest.LogCaptureFixture):
    read_settings({"module": "x", "lang": "en-US", "credential": {}, "timeout": 3}, "test")
    assert [record.args for record in caplog.records] == [("timeout",)]


def test_null_is_the_default_and_the_assistants_rate_holds_unless_the_section_has_one():
    assert read_settings({"url": None}, "test", 48000).sample_rate == 48000
    assert read_settings({"sample_rate": 8000}, "test", 48000).sample_rate == 8000


def test_key_and_contributor_are_shown_as_the_server_reads_them():
    headers = read_settings({"key": "elk_a_b", "contributor": "elc_c_d"}, "test/1").headers
    assert headers == {"User-Agent": "test/1", "Authorization": "Bearer elk_a_b", "X-Contributor": "elc_c_d"}
