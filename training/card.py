"""The model card, written from measured facts alone."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePath
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from training.recipe import Recipe

NOISES = {
    "noise": "Speech Commands background noise (CC BY 4.0, Pete Warden), MS-SNSD (Reddy et al. 2019; CC0, some DEMAND, "
    "CC BY-SA 3.0), room tone of Precise-Community-Data (public domain), impulse responses of SpeechBrain (Apache-2.0) "
    "and audiomentations (MIT)",
}
TEXTS = {
    "assistant_commands.tsv": "SLURP (CC BY 4.0), Snips NLU benchmark (CC0 1.0), CLINC150 (CC BY 3.0), Home Assistant "
    "intents (CC BY 4.0)",
}
RATES = ("wer", "cer", "exact")
BUILT_OF = {"conv": "convolutions and one GRU", "deepspeech": "dense layers and one LSTM"}
LICENCES = {
    "speechocean762": "CC BY 4.0 (Junbo Zhang et al. 2021)",
    "an4": "CMU AN4 licence, BSD-style (Carnegie Mellon University 1991-2005)",
    "ljspeech": "public domain (Keith Ito, LibriVox)",
    "speech_commands": "CC BY 4.0 (Pete Warden 2018)",
    "speech_commands_yesno": "CC BY 4.0 (Pete Warden 2018)",
    "fsdd": "CC BY-SA 4.0 (Zohar Jackson et al.)",
    "fsdd_strings": "CC BY-SA 4.0 (Zohar Jackson et al.)",
    "custom_keywords": "CC BY 4.0 (Shawn Hymel)",
    "precise_community": "public domain dedication of each contributor (Mycroft AI community)",
    "librispeech": "CC BY 4.0 (Vassil Panayotov et al. 2015)",
    "alphanumeric_accents": "MIT (Sakshee Patil 2024)",
    "asterisk_allison": "CC BY-SA 3.0 (Allison Smith, Digium)",
    "freeswitch_callie": "CC BY 3.0 (FreeSWITCH Solutions 2018)",
    "wiktionary_words": "per clip: CC0, public domain, CC BY, CC BY-SA (contributors of Wikimedia Commons)",
    "dspspeech20": "MIT (Zhongyu Chen 2019)",
    "synthetic": "made by the recipe with espeak-ng and flite",
}


def write_card(
    path: Path, manifest: dict[str, Any], clips: Sequence[Clip], recipe: Recipe, quiet: Sequence[dict[str, Any]]
) -> None:
    """`card.md`: what the model is, what it learned from, how well it hears and what it is not for.

    `quiet` says for each decoder in how many of the kit's clips without speech it heard a word.
    """
    sections = [_head(manifest), _data(clips, recipe), _rates(manifest["error_rates"]), _quiet(quiet), _limits(recipe)]
    path.write_text("\n\n".join(section for section in sections if section) + "\n", encoding="utf-8")


def _head(manifest: dict[str, Any]) -> str:
    lineage, parity = manifest["lineage"], manifest["lineage"]["parity"]
    step_ms = manifest["step_frames"] * manifest["features"]["hop_ms"]
    return f"""# {manifest["name"]} {manifest["version"]}

A streaming CTC model for the language `{manifest["language"]}`: {manifest["parameters"] / 1e6:.2f} million parameters,
{BUILT_OF[lineage["model"]["architecture"]]}, {manifest["right_context_ms"]} ms of right context, steps of {step_ms} ms.
Trained for {lineage["training_minutes"]} minutes, {lineage["steps"]} steps, by recipe `{lineage["recipe"]}` at commit
`{lineage["code"]}`.{_before(lineage)}
Two precisions: fp32 differs from the trained model by at most {parity["fp32_logprob"]:.0e} in log-probability, int8
gives {parity["int8_probability"]:.2%} of the probability to other labels.

Licence: {manifest["licence"]}."""


def _before(lineage: dict[str, Any]) -> str:
    """A sentence about the model that learning went on from."""
    start = lineage.get("start")
    if not start:
        return ""
    named = " ".join(start[key] for key in ("name", "version") if key in start)
    return f"\nIt went on from `{named}`, whose weights have the SHA-256 `{start['sha256'][:12]}…`."


def _data(clips: Sequence[Clip], recipe: Recipe) -> str:
    hours: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    licences: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        hours[clip.source] += (clip.duration_s or 0.0) / 3600
        count[clip.source] += 1
        licences[clip.source] |= {clip.licence} if clip.licence else set()
    rows = [[name, str(count[name]), f"{hours[name]:.2f}", _licence(name, licences[name])] for name in hours]
    total = f"{sum(hours.values()):.2f} hours in all."
    parts = ["## Data", table(["source", "clips", "hours", "licence"], rows), total, *_other_data(recipe)]
    return "\n\n".join(parts)


def _licence(source: str, named: set[str]) -> str:
    """All that its clips name; where they name none, what is known of the corpus."""
    return ", ".join(sorted(named)) or LICENCES.get(source, "see the corpus")


def _other_data(recipe: Recipe) -> list[str]:
    """What was heard or read beside the clips, by the last part of its path: where it lay is nobody else's business."""
    texts = [source.synthetic.sentences for source in recipe.data.train if source.synthetic]
    texts += recipe.lm.sentences if recipe.lm else []
    noises = [f"- {name}: {NOISES.get(name, 'see the folder')}" for name in _last_parts(recipe.data.noise)]
    read = [f"- {name}: {TEXTS.get(name, 'see the file')}" for name in _last_parts(texts)]
    lists = (
        ("Noise and room responses, for augmentation:", noises),
        ("Sentences, for voices and language model:", read),
    )
    return ["\n".join([title, "", *lines]) for title, lines in lists if lines]


def _last_parts(places: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(PurePath(place).name for place in places if place))


def _rates(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "## Error rates\n\nNot measured: the recipe names no test data and the bundle has no kit."
    columns = ["source", "clips", "decoder", "WER", "CER", "exact utterances"]
    cells = [
        [row["source"], str(row["utterances"]), row["decoder"], *(percent(row[name]) for name in RATES)] for row in rows
    ]
    text = """## Error rates

In per cent, as served in fp32, with 95 % bootstrap intervals over utterances. `greedy` is without language model,
the others with it. The sources `kit-…` are the evaluation kit in the bundle: synthetic voices that never spoke in
training, though they read sentences of the same text."""
    return f"{text}\n\n{table(columns, cells)}"


def _quiet(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    told = [f"{row['with_words']} of {row['clips']} ({row['decoder']})" for row in rows]
    return "## False words\n\nClips of silence and steady noise in which a word was heard: " + ", ".join(told) + "."


def _limits(recipe: Recipe) -> str:
    return f"## Limits\n\n{fill(recipe.limits, 120)}" if recipe.limits else ""


def percent(estimate: dict[str, float]) -> str:
    """An estimate's value and interval in per cent."""
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
