"""A vocabulary as its owner writes it: a JSON document, checked for form here and for sense in `compiling`.

{"mode": "grammar",
 "entities": {"room": ["kitchen", {"name": "Zoë's room", "spoken": ["zoes den"], "boost": 6}],
              "device": ["lamp", "fan"]},
 "sentences": ["turn (on | off) [the] {device} [in [the] {room}]"]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from stt_server.errors import BadInput
from stt_server.speech.decoder.hotwords import MOST_BOOST

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 1 << 18  # of a document
MOST_LISTS: Final = 100
MOST_ENTITIES: Final = 5000  # of one list
MOST_SPOKEN: Final = 20  # of one entity
MOST_SENTENCES: Final = 1000
LONGEST: Final = 200  # letters of a name or a spoken form
LONGEST_SENTENCE: Final = 2000

Text = Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"^[^\x00-\x1f]*$")]
ListName = Annotated[str, Field(pattern=r"^\w[\w .-]{0,59}$")]
Boost = Annotated[float, Field(gt=0, le=MOST_BOOST)]


class Entity(BaseModel):
    """Something with a name. `spoken` is how else it is said, or how it is where the name cannot be spelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    spoken: list[Text] = Field([], max_length=MOST_SPOKEN)
    boost: Boost | None = None


def _as_entity(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


class Definition(BaseModel):
    """`boost` is that of entities without one. `reject`: what is no sentence is heard as `[unk]`, in mode grammar."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["hotwords", "grammar"] = "hotwords"
    entities: dict[ListName, list[Annotated[Entity, BeforeValidator(_as_entity)]]] = Field({}, max_length=MOST_LISTS)
    sentences: list[Annotated[str, Field(max_length=LONGEST_SENTENCE)]] = Field([], max_length=MOST_SENTENCES)
    boost: Boost | None = None
    reject: bool = True

    def body(self) -> dict[str, Any]:
        """What is kept and shown: what was said, without what was left to us."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"mode": self.mode}


def kept_definition(name: str, body: dict[str, Any]) -> Definition:
    """A vocabulary of that name as the database has it. Raises BadInput where another Earloop knows more of them."""
    try:
        return Definition.model_validate(body)
    except ValidationError as error:
        raise BadInput(
            f"The vocabulary {name!r} cannot be shown: a newer Earloop wrote it.", field="vocabulary"
        ) from error


def read_definition(path: Path) -> Definition:
    """The document in a file. Raises BadInput naming the field that is wrong, or why there is no such file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    if len(text) > MOST_BYTES:
        raise BadInput(f"{path.name} is larger than the {MOST_BYTES >> 10} KiB that a vocabulary may have.")
    try:
        return Definition.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path.name} is no vocabulary: {field or 'JSON'}: {first['msg']}.", field=field) from None
