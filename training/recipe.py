"""A run is one YAML file. Every key is checked; an unknown one is refused with the nearest name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stt_server.errors import BadOption, NotFound

RECIPES = Path(__file__).parent / "recipes"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SyntheticSpeech(Section):
    """Speech made from sentences by espeak-ng and flite."""

    sentences: str = Field("", description="text or TSV file, found in the corpora folders or beside the recipe")
    by_rule: float = Field(0.3, ge=0, le=1, description="share of digits, spellings, dates and single commands")
    count: int = Field(1000, ge=1)
    seed: int = 1
    voices: tuple[str, ...] = Field((), description="these voices alone; otherwise all that are not held out")


class Source(Section):
    """One part of the data: a corpus by name, or synthetic speech."""

    corpus: str | None = Field(None, description="name of a corpus under EARLOOP_CORPORA, or a manifest's path")
    split: str | None = None
    synthetic: SyntheticSpeech | None = None
    weight: float = Field(1.0, gt=0, description="how often an epoch takes each clip; 0.5 takes half of them")


class Data(Section):
    train: tuple[Source, ...]
    dev: tuple[Source, ...] = ()
    test: tuple[Source, ...] = ()
    noise: tuple[str, ...] = Field((), description="folders of noise and impulse responses (kind=noise|rir)")
    longest_s: float = Field(16.0, gt=0)


class Features(Section):
    n_mels: int = Field(80, ge=8, le=128)


class Model(Section):
    architecture: Literal["conv"] = "conv"
    width: int = Field(256, ge=16, le=2048)
    depth: int = Field(10, ge=1)
    kernel: int = Field(11, ge=2)
    channels: int = Field(32, ge=1)
    expansion: float = Field(2.0, gt=0)
    lookahead: tuple[int, ...] = Field((1, 1, 1, 1, 1, 1, 1, 0, 0, 0), description="40 ms frames ahead, per block")
    dropout: float = Field(0.1, ge=0, lt=1)


class Schedule(Section):
    """The run ends when the epochs are done or the minutes are up; the learning rate follows whichever is nearer."""

    epochs: int = Field(10, ge=1)
    minutes: float | None = Field(None, gt=0)
    batch_s: float = Field(128.0, gt=0, description="seconds of padded audio in a batch")
    learning_rate: float = Field(2e-3, gt=0)
    warmup_share: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = 0.01
    clip_norm: float = 5.0
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights that are exported")
    calm_share: float = Field(0.0, ge=0, lt=1, description="last share of the run that learns with `calm` augmentation")
    validate_minutes: float = Field(8.0, gt=0)
    seed: int = 1
    bf16: bool = True
    threads: int = Field(2, ge=1)
    workers: int = Field(1, ge=0)


Range = tuple[float, float]


class Augmentation(Section):
    """Each change happens with its probability, its strength drawn evenly from its range."""

    speed: float = 0.6
    speed_range: Range = (0.85, 1.18)
    reverb: float = 0.2
    noise: float = 0.5
    snr_db: Range = (0.0, 25.0)
    gain_db: Range = (-18.0, 8.0)
    telephone: float = 0.1
    lead: float = 0.4
    lead_s: Range = (0.0, 0.6)
    join: float = Field(0.2, description="probability that a clip under two seconds is followed by another")
    empty: float = Field(0.01, description="share of clips that are noise or silence alone, with no words")
    band_masks: int = 2
    band_width: int = 12
    time_masks: int = 2
    time_width: int = 20


class LanguageModel(Section):
    order: int = Field(3, ge=1, le=5)
    cutoffs: tuple[int, ...] = (0, 0, 1)
    sentences: tuple[str, ...] = ()
    transcripts: bool = True
    spoken_forms: int = Field(0, ge=0, description="sentences made by rule that are added to the text")
    alpha: float = 0.6
    beta: float = 1.5
    beam: int = 32


class Kit(Section):
    """The evaluation kit a bundle carries."""

    utterances: int = 0
    seed: int = 99


class Recipe(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    data: Data
    alphabet: str = Field(" 'abcdefghijklmnopqrstuvwxyz", description="the labels after the blank, in order")
    features: Features = Features()
    model: Model = Model()
    schedule: Schedule = Schedule()
    augmentation: Augmentation = Augmentation()
    calm: Augmentation = Augmentation()
    lm: LanguageModel | None = None
    kit: Kit = Kit()
    licence: str = "the licences of the data; see the model card"


def load_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """A recipe by path or by the name of one that is shipped; `changes` are dotted keys set on top of it."""
    path = find_recipe(name)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadOption(f"{path} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise BadOption(f"{path} holds no recipe: it must be a mapping of sections such as `data` and `model`")
    for key, value in (changes or {}).items():
        _set(tree, key, value)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise BadOption(f"{path}: {explain(error)}", field=_dotted(error.errors()[0]["loc"])) from error


def find_recipe(name: str) -> Path:
    """A recipe's file: the path given, or the shipped one of that name. Raises NotFound naming those shipped."""
    for path in (Path(name), RECIPES / f"{name}.yaml"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    raise NotFound(f"there is no recipe {name!r}: give a YAML file's path or one of: {shipped}")


def explain(error: ValidationError) -> str:
    """The first fault of a recipe in one sentence."""
    fault = error.errors()[0]
    where = _dotted(fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"`{where}`: {fault['msg'][0].lower()}{fault['msg'][1:]}"
    near = difflib.get_close_matches(str(fault["loc"][-1]), _keys(Recipe), 1)
    return f"there is no key `{where}`" + (f"; did you mean `{near[0]}`?" if near else "")


def _keys(section: type[BaseModel]) -> list[str]:
    keys = list(section.model_fields)
    for nested in Section.__subclasses__():
        keys += [key for key in nested.model_fields if key not in keys]
    return keys


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value
