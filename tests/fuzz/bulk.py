"""Recorded conversations after accidents, thousands a second: what hypothesis finds by thought this finds by number.

A case is its seed: `converse("20:7")` plays it again.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from stt_server.errors import Internal
from tests.fuzz.talk import SOUNDS, NativeTalk, Talk, VoskTalk
from tests.protocols.conversation import conversations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocols.conversation import Conversation

Messages = list[str | bytes]

JUNK: Final = [
    "",
    "null",
    "[]",
    '"',
    "}",
    "\\u",
    "\ud800",
    "\x00",
    "1e999",
    "-",
    "NaN",
    "{}",
    '{"type":',
    "\u00b2",
    "9" * 50,
]


def converse(seed: str) -> None:
    """One connection, all its accidents drawn from the seed."""
    dice = random.Random(seed)
    recorded = dice.choice(_recorded())
    messages = _said(recorded)
    for _ in range(dice.randrange(5)):
        dice.choice(ACCIDENTS)(messages, dice)
    sounds = dice.sample(SOUNDS, dice.randint(1, len(SOUNDS)))
    query = parse_qsl(_query(recorded.query, dice), keep_blank_values=True)
    talk: Talk = VoskTalk(sounds) if recorded.codec == "vosk" else NativeTalk(query, sounds)
    for message in messages:
        talk.says(message)
        talk.tells(dice.randrange(4))
        if isinstance(talk, NativeTalk) and dice.random() < 0.2:
            talk.resumes(dice.randint(-1, len(talk.numbered) + 1))
    if dice.random() < 0.1:
        talk.fails(Internal("why"))
    talk.ends()


@cache
def _recorded() -> list[Conversation]:
    """Those of the protocols that `talk.py` knows."""
    return [each for each in conversations() if each.codec in ("native", "vosk")]


def _said(recorded: Conversation) -> Messages:
    """What the client of a recorded conversation says."""
    said: Messages = []
    for step in recorded.steps:
        if "audio" in step:
            said.append(bytes.fromhex(step["audio"]))
        elif "client" in step:
            said.append(step["client"])
    return said


def _query(query: str, dice: random.Random) -> str:
    if not query or dice.random() < 0.7:
        return query
    at = dice.randrange(len(query) + 1)
    return (
        query[:at]
        + dice.choice(["&", "=", "%ff", "1", "\u00b2", "hotwords=", "x" * 500])
        + query[at + dice.randrange(3) :]
    )


def _swap(messages: Messages, dice: random.Random) -> None:
    dice.shuffle(messages)


def _drop(messages: Messages, dice: random.Random) -> None:
    at = _place(messages, dice)
    del messages[at : at + dice.randint(1, 2)]


def _cut_end(messages: Messages, dice: random.Random) -> None:
    del messages[_place(messages, dice) :]


def _double(messages: Messages, dice: random.Random) -> None:
    if messages:
        messages.insert(_place(messages, dice), dice.choice(messages))


def _borrow(messages: Messages, dice: random.Random) -> None:
    """A message of another conversation, perhaps of the other protocol."""
    other = _said(dice.choice(_recorded()))
    if other:
        messages.insert(_place(messages, dice), dice.choice(other))


def _damage(messages: Messages, dice: random.Random) -> None:
    if messages:
        which = dice.randrange(len(messages))
        message = messages[which]
        messages[which] = _bytes_damaged(message, dice) if isinstance(message, bytes) else _text_damaged(message, dice)


def _invent(messages: Messages, dice: random.Random) -> None:
    invented: list[str | bytes] = [dice.randbytes(dice.randrange(40)), bytes(dice.randrange(9999)), dice.choice(JUNK)]
    messages.insert(_place(messages, dice), dice.choice(invented))


def _bytes_damaged(message: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(message) + 1)
    return message[:at] + dice.randbytes(dice.randrange(4)) + message[at + dice.randrange(3) :]


def _text_damaged(message: str, dice: random.Random) -> str:
    at = dice.randrange(len(message) + 1)
    inserted = dice.choice(JUNK) if dice.random() < 0.5 else chr(dice.randrange(0x250))
    return message[:at] + inserted + message[at + dice.randrange(5) :]


def _place(messages: Messages, dice: random.Random) -> int:
    return dice.randrange(len(messages) + 1)


ACCIDENTS: Final[tuple[Callable[[Messages, random.Random], None], ...]] = (
    _swap,
    _drop,
    _cut_end,
    _double,
    _borrow,
    _damage,
    _damage,
    _damage,
    _invent,
)
