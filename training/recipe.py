"""A run is one YAML file. Every key is checked; an unknown one is refused with the nearest name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from stt_server.errors import BadOption, NotFound
from training.augmentation.keys import Augmentation
from training.inheritance import RECIPES, find_recipe, read_tree, settle
from training.policy import Policy
from training.section import Section, Share

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "RECIPES",
    "Augmentation",
    "Recipe",
    "Section",
    "as_yaml",
    "find_recipe",
    "load_policy",
    "load_recipe",
    "read_change",
    "sized",
]

OF_ONE_ARCHITECTURE = {
    **dict.fromkeys(("depth", "kernel", "channels", "expansion", "lookahead"), "conv"),
    "context": "deepspeech",
}


class SyntheticSpeech(Section):
    """Speech made from sentences by espeak-ng and flite."""

    sentences: str = Field("", description="text or TSV file, found in the corpora folders or beside the recipe")
    by_rule: float = Field(0.3, ge=0, le=1, description="share of digits, spellings, dates and single commands")
    count: int = Field(1000, ge=1, description="utterances")
    seed: int = Field(1, description="another seed, other utterances")
    voices: tuple[str, ...] = Field((), description="these voices alone; otherwise all that are not held out")


class Source(Section):
    """One part of the data: either a corpus by name or synthetic speech."""

    name: str | None = Field(None, description="in `dev` and `test`: what validations and reports call it")
    corpus: str | None = Field(None, description="name of a corpus under EARLOOP_CORPORA, or a manifest's path")
    split: str | None = Field(None, description="its clips of this split alone")
    synthetic: SyntheticSpeech | None = Field(None, description="speech made for this run, instead of a corpus")
    weight: float = Field(1.0, gt=0, description="how often an epoch takes each clip; 0.5 takes half of them")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.corpus is None) == (self.synthetic is None):
            raise ValueError("a source is either a `corpus` or `synthetic` speech; name one of them")
        return self


class Data(Section):
    train: tuple[Source, ...] = Field((), description="sources to learn from")
    dev: tuple[Source, ...] = Field((), description="sources that validations measure while the model learns")
    best: str | None = Field(
        None, description="name of the one in `dev` that chooses the weights that are exported; all of them otherwise"
    )
    test: tuple[Source, ...] = Field((), description="sources that the finished bundle is measured on")
    replay: tuple[Source, ...] = Field(
        (),
        description="what the base model learned from, mixed in; by default its language model's sentences, spoken",
    )
    replay_share: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] = Field(
        0.5, description="its share of the seconds of an epoch; `auto` tries three on the sources of `dev`"
    )
    split: bool = Field(
        False, description="`train` is all there is: 70/20/10 of it are for learning, validation and test"
    )
    noise: tuple[str, ...] = Field((), description="folders of noise and impulse responses, kind noise or rir")
    longest_s: float = Field(16.0, gt=0, description="longer clips are not learned from")
    most_faulty: Share = Field(
        0.5, description="share of the training clips that may be faulty; above it a run is refused"
    )


class Features(Section):
    n_mels: int = Field(80, ge=8, le=128, multiple_of=4, description="bands of the log-mel features")


class Model(Section):
    architecture: Literal["conv", "deepspeech"] = Field(
        "conv", description="`conv` hears best; `deepspeech` has dense layers and an LSTM"
    )
    width: int = Field(256, ge=16, le=2048, description="numbers that stand for a 40 ms frame inside the model")
    depth: int = Field(10, ge=1, description="blocks of `conv`")
    kernel: int = Field(11, ge=2, description="frames that a block convolves")
    channels: int = Field(32, ge=1, description="channels of the subsampling convolutions")
    expansion: float = Field(2.0, gt=0, description="width of a block's feed-forward, in widths")
    lookahead: tuple[int, ...] = Field((1, 1, 1, 1, 1, 1, 1, 0, 0, 0), description="40 ms frames ahead, per block")
    context: int = Field(4, ge=1, le=25, description="40 ms frames that `deepspeech` hears before and after each")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of a layer's channels left out while it learns")

    @model_validator(mode="after")
    def _looks_ahead_in_every_block(self) -> Self:
        if len(self.lookahead) != self.depth:
            raise ValueError(
                f"`lookahead` has {len(self.lookahead)} numbers for a `depth` of {self.depth}; give as many"
            )
        if not all(0 <= ahead < self.kernel for ahead in self.lookahead):
            raise ValueError(f"a block looks 0 to {self.kernel - 1} frames ahead, one less than its `kernel`")
        return self

    @model_validator(mode="after")
    def _has_no_sizes_of_another_architecture(self) -> Self:
        for name, architecture in OF_ONE_ARCHITECTURE.items():
            if architecture != self.architecture and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"`{name}` is a size of `{architecture}`, and this model is `{self.architecture}`")
        return self


class Start(Section):
    """The model to go on from. Architecture, sizes, features and normalisation are its; without the section, none."""

    model: str = Field(description="a model's name, a bundle's path or a checkpoint's, which ends in .pt")
    head: Literal["auto", "keep", "new"] = Field(
        "auto", description="its last layer: `auto` keeps the rows of the letters that both alphabets have"
    )
    hold: bool = Field(
        True, description="of replay the base's own answer is learned, not its transcript; needs the base's alphabet"
    )
    freeze: tuple[str, ...] = Field((), description="names of parameters that stay as they are, such as `blocks.*`")
    average: Share | Literal["auto"] = Field(
        1.0, description="share of the tuned weights in what is exported; `auto` tries 1, 0.75, 0.5, 0.25 on `dev`"
    )


class EarlyStop(Section):
    """Ends the learning when validations no longer get better; without the section nothing does."""

    patience: int = Field(5, ge=1, description="validations in a row that may be no better than the best")
    min_delta: float = Field(
        0.0, ge=0, description="what WER (or, at the same WER, the loss) must fall by to be better"
    )


class Schedule(Section):
    """The run ends when the epochs are done or the minutes are up; the learning rate follows whichever is nearer."""

    epochs: int = Field(10, ge=1, description="times the data are gone through")
    minutes: float | None = Field(None, gt=0, description="learning stops then, if its epochs are not done before")
    batch_s: float = Field(128.0, gt=0, description="seconds of padded audio in a batch; halved where memory is short")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one step, in each process")
    learning_rate: float = Field(2e-3, gt=0, description="its height; it falls to a hundredth of that")
    decay: Literal["cosine", "plateau", "constant"] = Field(
        "cosine", description="how the rate falls; `plateau` halves it after two validations that are no better"
    )
    warmup_share: float = Field(0.03, ge=0, lt=1, description="share of the run in which the rate rises")
    warmup_steps: int | None = Field(
        None, ge=1, description="steps in which it rises instead, and never over a tenth of the run"
    )
    early_stop: EarlyStop | None = None
    weight_decay: float = Field(0.01, ge=0, description="AdamW's")
    clip_norm: float = Field(5.0, gt=0, description="longest gradient")
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights that are exported")
    calm_share: float = Field(0.0, ge=0, lt=1, description="last share of the run that learns with `calm` augmentation")
    validate_minutes: float = Field(8.0, gt=0, description="time between validations")
    validate_share: float = Field(0.2, gt=0, le=1, description="share of the run between them, where that is sooner")
    validate_epochs: int | None = Field(None, ge=1, description="epochs between them, instead of both")
    seed: int = Field(1, ge=0, description="of weights, order, augmentation and dropout")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="what computes; `auto` takes a GPU that is there"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the model's arithmetic; `auto` is bf16 where the device is fast with it, else fp32"
    )
    threads: int = Field(2, ge=1, description="processor threads of the model")
    workers: int = Field(1, ge=0, description="processes that make batches; 0 makes them between the steps")

    @model_validator(mode="before")
    @classmethod
    def _reads_bf16(cls, keys: Any) -> Any:
        """`bf16: true` is the older way to say `precision: bf16`."""
        if not isinstance(keys, dict) or "bf16" not in keys:
            return keys
        if "precision" in keys:
            raise ValueError("`bf16` is the older name of `precision`; keep `precision` alone")
        rest = {name: value for name, value in keys.items() if name != "bf16"}
        return rest | {"precision": "bf16" if keys["bf16"] else "fp32"}


class LanguageModel(Section):
    """The word n-gram in the bundle and how the decoder weighs it; without the section there is none."""

    order: int = Field(3, ge=1, le=5, description="words of the longest n-gram")
    cutoffs: tuple[int, ...] = Field((0, 0, 1), description="n-grams seen that often or less are left out, per order")
    sentences: tuple[str, ...] = Field((), description="text or TSV files, found as for synthetic speech")
    transcripts: bool = Field(
        True, description="learn from the transcripts of the training clips that are not synthetic"
    )
    transcripts_weight: int = Field(3, ge=1, description="how often each transcript is counted")
    spoken_forms: int = Field(0, ge=0, description="sentences made by rule that are added to the text")
    share: float = Field(
        0.05, gt=0, lt=1, description="after `start` from a bundle: share of sentences like these, beside the bundle's"
    )
    alpha: float = Field(0.6, description="weight of the language model against the sound")
    beta: float = Field(1.5, description="bonus for each word")
    beam: int = Field(32, ge=1, le=1000, description="hypotheses kept while decoding")

    @model_validator(mode="after")
    def _cuts_off_more_of_the_longer(self) -> Self:
        if len(self.cutoffs) > self.order:
            raise ValueError(f"{len(self.cutoffs)} `cutoffs` for `order` {self.order}; give at most one for each order")
        if list(self.cutoffs) != sorted(self.cutoffs) or any(cutoff < 0 for cutoff in self.cutoffs):
            raise ValueError("`cutoffs` must not fall: a longer n-gram stands on its shorter parts")
        return self


class Kit(Section):
    """The evaluation kit a bundle carries; `utterances: 0` leaves it out."""

    utterances: int = Field(0, ge=0, description="spoken clips, half of them with noise; 20 without speech are added")
    seed: int = Field(99, description="of the kit and the golden clip")


class Size(Section):
    """What a recipe is to be with so much to learn from. What is set by hand or in an extending recipe stays."""

    hours: float | None = Field(None, gt=0, description="of speech to learn from, at most; the last row is for more")
    set: dict[str, Any] = Field({}, description="dotted keys and their values")

    def __str__(self) -> str:
        return f"size up to {self.hours:g} h" if self.hours else "largest size"


class Reporting(Section):
    """What the report of a run takes time and room for."""

    players: int = Field(5, ge=0, description="utterances with audio in the page: so many best, median and worst")
    audio_mb: float = Field(8.0, ge=0, description="most audio in the page")
    suspects: int = Field(2000, ge=0, description="clips of train and of dev that are searched for wrong labels")
    noise_minutes: float = Field(10.0, ge=0, description="of the noise that are heard to count false words in them")
    learning_curve: bool = Field(
        False, description="learn from 25 and 50 % of the new clips, too, to say what more of them would bring"
    )
    tensorboard: bool = Field(False, description="write RUN/tensorboard, too; needs the extra of that name")


class Recipe(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="of the model; the run's folder too")]
    data: Data = Data()
    start: Start | None = None
    alphabet: str = Field(
        " 'abcdefghijklmnopqrstuvwxyz",
        description="the labels after the blank, in order; `auto`: the base model's, else the letters of the texts",
    )
    language: str = Field(
        "en", pattern=r"^[a-z]{2,3}$", description="that the model hears, by its ISO 639 code, as servers tell it"
    )
    features: Features = Features()
    model: Model = Model()
    schedule: Schedule = Schedule()
    augmentation: Augmentation = Augmentation()
    calm: Augmentation = Field(Augmentation(), description="the same keys, for the last `schedule.calm_share`")
    lm: LanguageModel | None = None
    kit: Kit = Kit()
    report: Reporting = Reporting()
    gate: Policy = Policy()
    sizes: tuple[Size, ...] = Field((), description="rows that set keys by the hours there are to learn from")
    licence: str = Field(
        "the licences of the data; see the model card", description="of the model, as the card says it"
    )
    limits: str = Field("", description="what the model is not for, as the card says it")

    @model_validator(mode="after")
    def _splits_all_or_nothing(self) -> Self:
        if self.data.split and (self.data.dev or self.data.test):
            raise ValueError("`data.split` makes `dev` and `test` out of `train`; name them or let it, not both")
        return self

    @model_validator(mode="after")
    def _is_validated_where_validations_decide(self) -> Self:
        plan = self.schedule
        asks = "`early_stop`" if plan.early_stop else "`decay: plateau`" if plan.decay == "plateau" else ""
        if asks and self.data.train and not (self.data.dev or self.data.split):
            raise ValueError(f"{asks} goes by validations, and there is nothing to validate on; give `data.dev`")
        return self

    @model_validator(mode="after")
    def _masks_fit_the_features(self) -> Self:
        widest = max(self.augmentation.band_width, self.calm.band_width)
        if widest > self.features.n_mels:
            raise ValueError(f"a `band_width` of {widest} hides more than the {self.features.n_mels} bands there are")
        return self


def load_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """A recipe by path or by the name of one that is shipped; `changes` are dotted keys set on top of it.

    Raises NotFound, and BadOption naming the key that is unknown or wrong.
    """
    path = find_recipe(name)
    tree = read_tree(path)
    for key, value in (changes or {}).items():
        settle(tree, key)
        _set(tree, key, value)
    where = f"{path} with {', '.join(changes)} set" if changes else str(path)
    recipe = _checked(tree, where)
    for row in recipe.sizes:  # a size that cannot be is a fault now, not after an hour of gathering
        _checked(_with_size(recipe, row), f"{where}, {row}")
    return recipe


def load_policy(path: Path) -> Policy:
    """The gate's policy from a YAML file of its keys, or from the section `gate` of a recipe or a run's `recipe.yaml`.

    Raises NotFound, and BadOption naming the key that is unknown or wrong.
    """
    if not path.is_file():
        raise NotFound(f"there is no policy {path}; give a YAML file with keys of a recipe's section `gate`")
    tree = read_tree(path)
    if tree.keys() & Recipe.model_fields.keys():
        return _checked(tree, str(path)).gate
    return _checked({"name": "policy", "gate": tree}, str(path)).gate


def sized(recipe: Recipe, hours: float) -> Recipe:
    """The recipe with the `sizes` that fit so much speech to learn from: the first row that is not below it."""
    if not recipe.sizes:
        return recipe
    row = next((row for row in recipe.sizes if row.hours is None or hours <= row.hours), recipe.sizes[-1])
    return Recipe.model_validate(_with_size(recipe, row))


def as_yaml(recipe: Recipe) -> str:
    """The recipe with every key, as a file that is the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _with_size(recipe: Recipe, row: Size) -> dict[str, Any]:
    tree = recipe.model_dump(mode="json")
    for key, value in row.set.items():
        _set(tree, key, value)
    return tree | {"sizes": []}


def _checked(tree: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise BadOption(f"{where}: {explain(error)}", field=_dotted(error.errors()[0]["loc"])) from error


def read_change(text: str) -> tuple[str, Any]:
    """`key=value` with a YAML value, as `--set` takes it. Raises BadOption."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadOption(f"{text!r} is no change of a recipe; write key=value, such as schedule.epochs=3", field=key)
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadOption(
            f"the value of {text!r} is not YAML; write it as in the recipe, lists as [1, 2]", field=key
        ) from error


def explain(error: ValidationError) -> str:
    """The first fault of a recipe in one sentence."""
    fault = error.errors()[0]
    where, message = _dotted(fault["loc"]), fault["msg"].removeprefix("Value error, ")
    if fault["type"] != "extra_forbidden":
        return f"`{where}`: {message[0].lower()}{message[1:]}" if where else message
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
    """Set `a.b.c`, or `a.0.c` inside a list, making the sections that are not there."""
    *parents, last = dotted.split(".")
    place: Any = tree
    for parent in parents:
        inner = _inside(place, parent, dotted)
        if inner is None:
            inner = place[parent] = {}
        place = inner
    _inside(place, last, dotted)
    place[int(last) if isinstance(place, list) else last] = value


def _inside(place: Any, key: str, dotted: str) -> Any:
    """What stands at `key` of a section or list, None where a section has no such key."""
    if isinstance(place, dict):
        return place.get(key)
    if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
        return place[int(key)]
    raise BadOption(f"`{dotted}` cannot be set: the recipe has no place for `{key}` there", field=dotted)
