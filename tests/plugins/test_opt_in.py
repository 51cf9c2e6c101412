"""The assistant's opt-in as consent on a real server: given by those who read the words, and taken back."""

import json
from pathlib import Path
from typing import Any

import pytest
from ovos_stt_plugin_earloop.earloop import consent as module
from ovos_stt_plugin_earloop.earloop.consent import state_folder
from ovos_stt_plugin_earloop.earloop.words import show

from tests.plugins.conftest import ears, off_loop
from tests.web.conftest import Server, Start
from tests.web.givers import agreed, clips_of, got, has_clips, newcomer, utterance


@pytest.fixture
async def collecting(start: Start) -> Server:
    return await start(collect=True)


@pytest.fixture
def words(collecting: Server) -> str:
    return collecting.services.terms.version


async def settled(hearing) -> None:
    """What opt_in stands for has been told to the server, or has failed."""
    thread = hearing.consent.settle()
    if thread is not None:
        await off_loop(thread.join, 60)


async def speak(hearing, seed: int) -> None:
    assert await off_loop(hearing.hear, utterance(seed), 16_000, "en")


def notes() -> list[Path]:
    return list(state_folder().glob("*.json")) if state_folder().exists() else []


async def consent_of(server: Server, http, who) -> Any:
    return (await got(server, http, "/v1/consent", who))["consent"]


async def test_opt_in_agrees_to_the_words_that_were_read_and_clips_are_kept(collecting: Server, http, words: str):
    who = await newcomer(collecting, http)
    hearing = ears(collecting.url, opt_in=True, contributor=who["X-Contributor"], consent_version=words)
    await settled(hearing)
    given = await consent_of(collecting, http, who)
    assert given is not None
    assert (given["version"], given["purposes"], given["way"]) == (words, ["training"], "api")
    await speak(hearing, 1)
    await has_clips(collecting, http, who, 1)


async def test_switched_off_it_withdraws_and_what_was_kept_is_deleted(collecting: Server, http, words: str):
    """The assistant's own flag, switched while it runs."""
    who, core = await newcomer(collecting, http), {"opt_in": True}
    hearing = ears(collecting.url, core, contributor=who["X-Contributor"], consent_version=words)
    await settled(hearing)
    await speak(hearing, 2)
    await has_clips(collecting, http, who, 1)
    core["opt_in"] = False
    await settled(hearing)
    assert await clips_of(collecting, http, who) == []
    assert await consent_of(collecting, http, who) is None
    assert notes() == []
    await speak(hearing, 3)
    assert await clips_of(collecting, http, who) == []


async def test_it_withdraws_also_when_it_was_switched_off_while_the_assistant_did_not_run(
    collecting: Server, http, words: str
):
    who = await newcomer(collecting, http)
    section: dict[str, Any] = {"contributor": who["X-Contributor"], "consent_version": words}
    await settled(ears(collecting.url, opt_in=True, **section))
    assert await consent_of(collecting, http, who)
    await settled(ears(collecting.url, opt_in=False, **section))
    assert await consent_of(collecting, http, who) is None


async def test_a_withdrawal_that_meets_no_server_is_made_up_for(collecting: Server, http, words: str, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    who, core = await newcomer(collecting, http), {"opt_in": True}
    hearing = ears(collecting.url, core, contributor=who["X-Contributor"], consent_version=words)
    await settled(hearing)
    core["opt_in"] = False
    with monkeypatch.context() as away:
        away.setattr(module, "WITHDRAWAL_S", 1e-9)  # nobody answers so soon
        await settled(hearing)
        assert notes()
    await settled(hearing)
    assert await consent_of(collecting, http, who) is None


async def test_nothing_is_agreed_to_by_a_flag_alone(collecting: Server, http):
    """Mycroft's `opt_in` was asked for by words of Mycroft's."""
    who = await newcomer(collecting, http)
    hearing = ears(collecting.url, {"opt_in": True}, contributor=who["X-Contributor"])
    await settled(hearing)
    await speak(hearing, 4)
    assert await consent_of(collecting, http, who) is None
    assert await clips_of(collecting, http, who) == []


async def test_nothing_is_agreed_to_by_words_that_were_changed_since(collecting: Server, http, caplog):
    who = await newcomer(collecting, http)
    section: dict[str, Any] = {"contributor": who["X-Contributor"], "consent_version": "0123456789ab"}
    await settled(ears(collecting.url, opt_in=True, **section))
    assert await consent_of(collecting, http, who) is None
    assert "read them" in caplog.text


async def test_while_it_is_off_nothing_is_kept_of_who_agreed_on_the_page_and_their_agreement_stands(
    collecting: Server, http
):
    who = await newcomer(collecting, http, "training")
    hearing = ears(collecting.url, contributor=who["X-Contributor"])
    await settled(hearing)
    await speak(hearing, 5)
    assert await consent_of(collecting, http, who)
    assert await clips_of(collecting, http, who) == []
    await settled(on := ears(collecting.url, opt_in=True, contributor=who["X-Contributor"]))
    await speak(on, 6)
    await has_clips(collecting, http, who, 1)


async def test_a_wider_agreement_is_left_as_it_is(collecting: Server, http, words: str):
    who = await newcomer(collecting, http)
    await agreed(collecting, http, who, "training", "release")
    hearing = ears(collecting.url, opt_in=True, contributor=who["X-Contributor"], consent_version=words)
    await settled(hearing)
    assert (await consent_of(collecting, http, who))["purposes"] == ["release", "training"]
    assert notes() == []


async def test_what_could_not_be_noted_for_taking_back_is_not_given(collecting: Server, http, words, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be", encoding="utf-8")
    who = await newcomer(collecting, http)
    await settled(ears(collecting.url, opt_in=True, contributor=who["X-Contributor"], consent_version=words))
    assert await consent_of(collecting, http, who) is None


async def test_the_note_holds_no_secret(collecting: Server, http, words: str):
    who = await newcomer(collecting, http)
    await settled(ears(collecting.url, opt_in=True, contributor=who["X-Contributor"], consent_version=words))
    (note,) = notes()
    assert json.loads(note.read_text(encoding="utf-8")) == {"server": collecting.url, "version": words}
    assert who["X-Contributor"].split("_")[1] not in note.name


async def test_the_command_shows_all_the_words_and_agrees_to_nothing(collecting: Server, http, words: str):
    shown = await off_loop(show, collecting.url)
    terms = collecting.services.terms
    assert terms.text in shown
    assert all(each in shown for each in terms.purposes.values())
    section = json.loads(shown[shown.index("{") : shown.index("}") + 1])
    assert (section["opt_in"], section["consent_version"]) == (True, words)
    assert await consent_of(collecting, http, {"X-Contributor": section["contributor"]}) is None


async def test_an_opt_in_that_is_off_asks_the_network_nothing(unused_tcp_port: int, caplog):
    await settled(ears(f"http://127.0.0.1:{unused_tcp_port}", {"opt_in": False}, contributor="elc_a_b"))
    assert caplog.text == ""
