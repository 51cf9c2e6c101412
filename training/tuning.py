"""What a run does otherwise when it goes on from a model: recipe, data, language model, and the weights it exports."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_server.speech.wer import count_errors
from training import checkpoints
from training.architectures import build
from training.averaging import choose_share, write_between
from training.fit import fit
from training.holding import Hold
from training.listening import listen
from training.lm import mix, read_arpa, write_arpa
from training.replay import USUAL, mixed, probe_shares, probing, with_replay
from training.start import adopt, find_base, started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.batches import Surroundings
    from training.clips import ClipArray
    from training.data import Gathered, Gathering
    from training.places import Places
    from training.recipe import Recipe
    from training.start import Base
    from training.streaming import StreamingModel

    Say = Callable[[str], None]
    Decode = Callable[[Gathered], ClipArray]


def settled(recipe: Recipe, places: Places) -> tuple[Recipe, Base | None]:
    """The recipe with all that the model it starts from decides, and that model; both as they are without a start."""
    if recipe.start is None:
        return recipe, None
    base = find_base(recipe.start)
    return with_replay(adopt(recipe, base), base, places), base


def add_base_lm(path: Path, base: Base, share: float) -> None:
    """Mix the language model at `path`, with its share, into the one of the base's bundle, where it has one."""
    if base.bundle is not None and base.bundle.manifest.lm is not None:
        write_arpa(mix(read_arpa(base.bundle.path(base.bundle.manifest.lm)), read_arpa(path), share), path)


def error_rates(model: StreamingModel, clips: ClipArray, alphabet: Alphabet, mel: LogMel) -> dict[str, float]:
    """Greedy word error rate of each source; {} where there are no clips."""
    if not len(clips):
        return {}
    texts = listen(model, clips, alphabet, mel).texts
    pairs = [(said.source, said.text, text) for said, text in zip(clips.said, texts, strict=True)]
    sources = dict.fromkeys(source for source, _, _ in pairs)
    return {name: count_errors((true, text) for source, true, text in pairs if source == name).rate for name in sources}


def hold_of(recipe: Recipe, base: Base, gathering: Gathering) -> Hold | None:
    """What replay is held to: the base's answers, where tuned model and base write with the same letters."""
    start = recipe.start
    if start is None or not start.hold or start.head == "new" or recipe.alphabet != base.letters:
        return None
    return Hold(base.model, len(gathering.train.clips))


def settled_share(
    recipe: Recipe,
    base: Base,
    gathering: Gathering,
    decode: Decode,
    alphabet: Alphabet,
    mel: LogMel,
    around: Surroundings,
    say: Say,
) -> float:
    """The share of replay: the recipe's own, or what probes find; the usual one where there is nothing to probe on."""
    share = recipe.data.replay_share
    if share != "auto":
        return share
    if not gathering.replay.clips or not gathering.dev.clips:
        return USUAL
    dev = decode(gathering.dev)

    def tuned_with(share: float) -> Mapping[str, float]:
        train = decode(mixed(gathering.train, gathering.replay, share))
        with tempfile.TemporaryDirectory(prefix="earloop-probe-") as folder:
            model = started(recipe, base)
            hearing = (train, dev, alphabet, mel, around)
            hold = hold_of(recipe, base, gathering)
            learned = fit(probing(recipe), model, *hearing, Path(folder), _Quiet(), hold=hold)
        return error_rates(learned.cpu(), dev, alphabet, mel)

    return probe_shares(tuned_with, say)


def weights_between(
    recipe: Recipe, base: Base, checkpoint: Path, dev: ClipArray, alphabet: Alphabet, mel: LogMel, say: Say
) -> tuple[Path, float]:
    """The checkpoint to export, `averaged.pt` beside the one that was learned unless that is it; and its share."""
    share = recipe.start.average if recipe.start else 1.0
    first = started(recipe, base)
    if share == "auto":
        kept = checkpoints.load(checkpoint)
        tuned = build(kept.shape)
        tuned.load_state_dict(kept.averaged)
        share = choose_share(
            first, tuned, lambda model: error_rates(model, dev, alphabet, mel) if len(dev) else {}, say
        )
    return write_between(first, checkpoint, share, checkpoint.with_name("averaged.pt")), share


def told_of_start(recipe: Recipe, base: Base, average: float) -> dict[str, Any]:
    """The lineage of a tuned bundle: what it went on from, and how far.

    Bundles travel, so it has a name and a hash and never the place on this machine where the base lay.
    """
    if recipe.start is None:
        return {}
    told: dict[str, Any] = {"name": base.known_as, "sha256": base.sha256}
    if base.bundle is not None:
        told["version"] = base.bundle.manifest.version
    told |= {"average": average, "replay_share": recipe.data.replay_share}
    if recipe.start.freeze:
        told["frozen"] = list(recipe.start.freeze)
    return told


def kit_of(base: Base) -> Path | None:
    """The folder of the base's evaluation kit, by which the tuned model is measured too."""
    if base.bundle is None or base.bundle.manifest.kit is None:
        return None
    return base.bundle.path(base.bundle.manifest.kit).parent


class _Quiet:
    """Watches probes: what they come to is said when all are done."""

    def step(self, *_: object) -> None: ...
    def validated(self, *_: object) -> None: ...
    def say(self, sentence: str) -> None: ...
