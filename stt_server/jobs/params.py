"""What a training job is asked to do, checked where it is asked and again where it is done.

Jobs are asked for over HTTP, so nothing in here names a file: a recipe is one of those that are shipped, and `set`
changes what it learns with, never where it reads from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stt_server.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Mapping

FINE_TUNE: Final = "fine-tune"
LONGEST: Final = 400  # letters of a value in `set`

# Sections that say how something is learned. What names data, files or other models is not among them.
_CHANGE: Final = re.compile(
    r"(schedule|augmentation|calm|report|kit|model|gate)\.[a-z_.]{1,60}"
    r"|lm\.(order|cutoffs|transcripts|transcripts_weight|spoken_forms|share|alpha|beta|beam)"
    r"|start\.(hold|freeze|average|head)|data\.(replay_share|longest_s|most_faulty)"
)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,36}$")]


class TrainParams(BaseModel):
    """`params` of a job of kind `train`; None is what stands behind it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    snapshot: int | None = Field(None, ge=1, le=2**31 - 1)  # its number; one is made when the job begins
    base: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,199}$")  # to go on from; the live model
    recipe: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")  # a shipped one; `fine-tune`
    set: dict[str, Any] = Field({}, max_length=50)  # keys of the recipe
    name: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")  # of the model; that of its base
    promote: Literal["never", "gated"] = "never"  # gated: let it go live when it has passed the gate
    person: Id | None = None  # whose personal model it becomes; nobody's
    custom_model: Id | None = None  # the row that asked for it; nobody's

    @field_validator("set")
    @classmethod
    def _changes_how_it_learns(cls, changes: dict[str, Any]) -> dict[str, Any]:
        for key, value in changes.items():
            if not _CHANGE.fullmatch(key):
                raise ValueError(f"{key[:60]!r} cannot be set for a job")
            if len(repr(value)) > LONGEST:
                raise ValueError(f"the value of {key} has more than {LONGEST} letters")
        return changes


def read_params(said: Mapping[str, Any]) -> TrainParams:
    """Check what was asked for. Raises BadOption naming what is unknown or wrong."""
    try:
        return TrainParams.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "params"
        told = first["msg"].removeprefix("Value error, ")
        raise BadOption(f"A training job cannot take this {name}: {told}.", field=name) from None
