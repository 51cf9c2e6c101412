"""Two hundred commands for a home, as a grammar, and the sentences that a grammar without open parts has."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadInput
from stt_server.speech.decoder.notation import AnyWords, Choice, Named, Series, Words, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stt_server.speech.decoder.notation import Part

HOME: Final = tuple(
    """
turn (on | off) the {device} in the {room}
set the {room} light to {share} percent
make it (warmer | colder) in the {room}
set the heating to {degrees} degrees
(open | close) the {cover}
is the {cover} (open | closed)
(lock | unlock) the {door}
set a timer for {number} minutes
wake me up at {hour}
play some {music} in the {room}
turn the volume (up | down)
(pause | stop) the music
what is the (temperature | humidity) in the {room}
add {item} to the shopping list
what is the weather (today | tomorrow)
what time is it
start the (vacuum cleaner | dishwasher | washing machine)
good (morning | night)
is anybody at home
call {person}
{device} = light | lamp | fan | heater
{room} = kitchen | bedroom | bathroom | living room | garden
{share} = ten | twenty | thirty | fifty | eighty | ninety
{degrees} = sixteen | seventeen | eighteen | nineteen | twenty | twenty one | twenty two | twenty three
{cover} = garage door | curtains | blinds | shutters | gate
{door} = front door | back door | garage
{number} = two | three | four | five | seven | eight | ten | twelve | fifteen | twenty | thirty | forty five
{hour} = five | six | half past six | seven | seven thirty | eight | eight fifteen | quarter to nine | nine | ten
{music} = jazz | rock | blues | soul | classical music
{person} = my mother | my father | martin | the doctor | the office | a taxi
{item} = milk | bread | eggs | butter | coffee | apples | cheese | rice | pasta | soap
""".strip().splitlines()
)


def sentences(lines: Sequence[str]) -> list[str]:
    """Every sentence of a grammar, each once. Raises BadInput where it has an open part, which has no end of them."""
    parsed = parse(lines)
    found = (" ".join(words) for part in parsed.sentences for words in _said(part, parsed.lists))
    return list(dict.fromkeys(found))


def _said(part: Part, lists: Mapping[str, Part]) -> Iterator[tuple[str, ...]]:
    match part:
        case Words(words):
            yield tuple(words)
        case Series(parts):
            for said in product(*(list(_said(each, lists)) for each in parts)):
                yield tuple(word for words in said for word in words)
        case Choice(options, optional):
            for option in options:
                yield from _said(option, lists)
            if optional:
                yield ()
        case Named():
            yield from _said(lists[part.name], lists)
        case AnyWords():
            raise BadInput("a grammar with [unk] has no end of sentences")
