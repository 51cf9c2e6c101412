"""A made-up household: its names, what is said to its assistant, and what is said with its names otherwise."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from stt_server.speech.decoder.notation import AnyWords, Choice, Named, Part, Series, Words, parse
from stt_server.vocabularies.definition import Definition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOMS: Final = (
    "attic",
    "boot room",
    "cellar",
    "conservatory",
    "den",
    "dressing room",
    "foyer",
    "garage",
    "greenhouse",
    "guest bedroom",
    "kitchen",
    "larder",
    "laundry",
    "library",
    "mudroom",
    "nursery",
    "pantry",
    "playroom",
    "scullery",
    "sunroom",
    "utility room",
    "veranda",
)
DEVICES: Final = (
    "air purifier",
    "aquarium pump",
    "blinds",
    "bread maker",
    "ceiling fan",
    "chandelier",
    "crockpot",
    "dehumidifier",
    "dimmer",
    "dishwasher",
    "espresso machine",
    "floodlight",
    "freezer",
    "humidifier",
    "kettle",
    "lava lamp",
    "nightlight",
    "projector",
    "radiator",
    "roomba",
    "sconce",
    "soundbar",
    "sprinkler",
    "turntable",
)
PEOPLE: Final = (
    "agnieszka",
    "anneliese",
    "bartholomew",
    "beatrix",
    "caoimhe",
    "cordelia",
    "dmitri",
    "esperanza",
    "fitzgerald",
    "giuseppe",
    "henrietta",
    "ignatius",
    "jovanka",
    "keziah",
    "leopold",
    "marguerite",
    "nikolai",
    "ottoline",
    "perpetua",
    "quentin",
    "rosalind",
    "siobhan",
    "thaddeus",
    "zebediah",
)
NAMES: Final = {"room": ROOMS, "device": DEVICES, "person": PEOPLE}
COMMANDS: Final = (
    "(turn | switch) (on | off) the {device} [in the {room}]",
    "is the {device} (on | off)",
    "set the {device} in the {room} to (low | high)",
    "what is the temperature in the {room}",
    "(open | close) the window in the {room}",
    "turn off everything in the {room}",
    "clean the {room} [please]",
    "call {person}",
    "send a message to {person}",
    "tell {person} that (dinner | lunch) is ready",
    "where is {person}",
    "remind {person} to water the plants",
)
OTHERWISE: Final = (
    "we had the {device} repaired last summer",
    "i never liked the noise of that {device}",
    "the {room} is the coldest place in the house",
    "she left her keys somewhere in the {room}",
    "yesterday {person} came home very late",
    "i think {person} would love this song",
)
DRAWS: Final = 200  # of a sentence, until it has the name that it is to have


def household(*, mode: str, boost: float | None = None) -> Definition:
    """Its vocabulary."""
    given = {name: list(names) for name, names in NAMES.items()}
    return Definition.model_validate({"mode": mode, "entities": given, "sentences": list(COMMANDS), "boost": boost})


def sentences(templates: Sequence[str], each: int, seed: int) -> list[str]:
    """Every name in `each` sentences drawn from the templates."""
    dice = random.Random(seed)
    parsed = {template: parse([template]).sentences[0] for template in templates}
    found = list[str]()
    for kind, names in NAMES.items():
        fitting = [part for template, part in parsed.items() if f"{{{kind}}}" in template]
        for name in names:
            found += [_with(dice.choice(fitting), kind, name, dice) for _ in range(each)]
    return found


def _with(part: Part, kind: str, name: str, dice: random.Random) -> str:
    for _ in range(DRAWS):
        chosen = {other: dice.choice(names) for other, names in NAMES.items()} | {kind: name}
        said = list[str]()
        text = " ".join(_draw(part, chosen, said, dice))
        if name in said:
            return text
    raise AssertionError("a template that was chosen for its list has that list")


def _draw(part: Part, chosen: Mapping[str, str], said: list[str], dice: random.Random) -> list[str]:
    """The words of one of a part's sentences; the names in it are put into `said`."""
    match part:
        case Words(words):
            return list(words)
        case Series(parts):
            return [word for each in parts for word in _draw(each, chosen, said, dice)]
        case Choice(options, optional):
            skipped = optional and dice.random() < 0.5
            return [] if skipped else _draw(dice.choice(options), chosen, said, dice)
        case Named(name):
            said.append(chosen[name])
            return chosen[name].split()
        case AnyWords():
            return []
