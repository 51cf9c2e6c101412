"""`earloop bench vocabulary`: what a vocabulary is worth to a household, by voices that no model was trained on.

| column | what |
| --- | --- |
| recall | of the household's names that were spoken, those that stand in what was heard |
| exact | sentences heard word for word |
| WER | word error rate |
| false | names heard in sentences that do not have them |
| taken | sentences of others that were taken for one of the household's, where only such are heard |

Commands are sentences that the templates have, the others have the names in sentences that they do not have; the
evaluation kit of the model is speech of neither kind.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.commands.bench.household import COMMANDS, NAMES, OTHERWISE, household, sentences
from stt_server.commands.bench.machine import Machine, this_machine
from stt_server.corpus import posteriors
from stt_server.corpus.clip import Clip
from stt_server.messages import Open
from stt_server.speech.decoder.grammar import compile_grammar
from stt_server.speech.decoder.hotwords import spell_hotwords
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.files import write_flac
from stt_server.speech.wer import Errors, word_errors
from stt_server.vocabularies.compiling import REJECTION, compiled
from stt_server.vocabularies.completing import with_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.posteriors import Posteriors
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import Decoder
    from stt_server.speech.recognizer import Recognizer

    Tell = Callable[[str], None]

SEED: Final = 8
RATES: Final = (140, 190)  # words a minute
EVERY_NAME: Final = tuple(name for names in NAMES.values() for name in names)
BOOSTS: Final = (4.0, 6.0, 8.0)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the model says of a sentence, and the names that are in it."""

    names: tuple[str, ...]
    heard: Posteriors


@dataclass(frozen=True, slots=True)
class Row:
    """What was heard of one kind of sentences. `taken`: they were heard as a sentence, wholly or in part."""

    how: str
    kind: str
    sentences: int
    names: int
    recalled: int
    exact: int
    word_error_rate: float
    false: int
    taken: int | None


@dataclass(frozen=True, slots=True)
class Findings:
    machine: Machine
    model: str
    names: int
    unknown: list[str]  # words of the names that the language model does not know
    rows: list[Row]


def measure(recognizer: Recognizer, kit: Sequence[Clip], each: int, folder: Path, tell: Tell) -> Findings:
    """Speak every name in `each` sentences of both kinds, hear each once, and decode that in every way.

    Raises Unsupported where a speech program is missing, BadInput.
    """
    kinds = {
        "commands": _hear(
            recognizer, speak_all(sentences(COMMANDS, each, SEED), folder / "commands"), "commands", tell
        ),
        "otherwise": _hear(recognizer, speak_all(sentences(OTHERWISE, each, SEED), folder / "other"), "others", tell),
        "evaluation kit": _hear(recognizer, [clip for clip in kit if clip.text], "the kit", tell),
    }
    rows = []
    for how, options in ways().items():
        rows += [_row(recognizer, how, kind, spoken, options) for kind, spoken in kinds.items()]
        tell(f"{how}: decoded")
    words = list(dict.fromkeys(word for name in EVERY_NAME for word in name.split()))
    return Findings(this_machine(), recognizer.version, len(EVERY_NAME), recognizer.unknown(words), rows)


def ways() -> dict[str, Open]:
    """The options of a stream without a vocabulary, and with it in every way."""
    plain = Open("bench")
    found = {"none": plain}
    for boost in BOOSTS:
        made = compiled(household(mode="hotwords", boost=boost))
        found[f"hotwords, boost {boost:g}"] = with_named(plain, made, "home")
    found["templates"] = with_named(plain, compiled(household(mode="grammar")), "home")
    found["templates, boost 4"] = with_named(plain, compiled(household(mode="grammar", boost=4)), "home")
    return found


def speak_all(texts: Sequence[str], folder: Path) -> list[Clip]:
    """Each by another of the voices that are held out of training, at another rate; the clips are in `folder`."""
    from training.synthetic import HELD_OUT, SAMPLE_RATE, Utterance, check_programs, speak

    check_programs()
    folder.mkdir(parents=True, exist_ok=True)
    dice, clips = random.Random(SEED), list[Clip]()
    for number, text in enumerate(texts):
        voice = HELD_OUT[number % len(HELD_OUT)]
        pitch = dice.randint(85, 220) if voice.startswith("flite:") else dice.randint(25, 75)
        samples = speak(Utterance(text, voice, dice.randint(*RATES), pitch))
        path = folder / f"{number:04}.flac"
        with path.open("wb") as file:
            write_flac(file, samples)
        clips.append(Clip(path, text, speaker=voice, duration_s=len(samples) / SAMPLE_RATE))
    return clips


def _hear(recognizer: Recognizer, clips: Sequence[Clip], what: str, tell: Tell) -> list[Spoken]:
    heard = posteriors.hear(recognizer, clips)
    tell(f"{len(clips)} sentences heard: {what}")
    return [Spoken(tuple(_said(each.said)), each) for each in heard]


def _row(recognizer: Recognizer, how: str, kind: str, spoken: Sequence[Spoken], options: Open) -> Row:
    asked = _asked(options, recognizer.bundle.manifest.alphabet)
    pairs = [(each, _decoded(recognizer.decoders["native"], asked, each.heard)) for each in spoken]
    recalled = [sum(name in _said(text) for name in each.names) for each, text in pairs]
    false = [sum(name not in each.names for name in _said(text)) for each, text in pairs]
    only_sentences = options.grammar is not None and kind != "commands"
    return Row(
        how,
        kind,
        len(spoken),
        sum(len(each.names) for each in spoken),
        sum(recalled),
        sum(each.heard.said == text for each, text in pairs),
        round(sum((word_errors(each.heard.said, text) for each, text in pairs), Errors()).rate, 4),
        sum(false),
        sum(text.replace(REJECTION, "").strip() != "" for _, text in pairs) if only_sentences else None,
    )


def _asked(options: Open, alphabet: Alphabet) -> Asked:
    """As the recogniser makes it of a stream's options."""
    boosts = tuple(spell_hotwords(options, alphabet).items())
    return Asked(boosts, compile_grammar(options.grammar, alphabet) if options.grammar else None)


def _decoded(decoder: Decoder, asked: Asked, heard: Posteriors) -> str:
    begin, texts = decoder.prepare(asked), list[str]()
    for logprobs_TV in heard.utterances:
        decoding = begin()
        decoding.step(logprobs_TV)
        texts.append(decoding.final().text)
    return " ".join(text for text in texts if text)


def _said(text: str) -> list[str]:
    """The household's names in a text, each as often as it is there; of `guest bedroom` and `bedroom` the longer."""
    left, found = f" {text} ", list[str]()
    for name in sorted(EVERY_NAME, key=len, reverse=True):
        while f" {name} " in left:
            left = left.replace(f" {name} ", " | ", 1)
            found.append(name)
    return found


def table(findings: Findings) -> list[str]:
    """The report, line by line."""
    machine = findings.machine
    head = f"{'':<24}{'':<18}{'recall %':>9}{'exact %':>9}{'WER %':>7}{'false':>7}{'taken %':>9}"
    lines = [
        f"machine   {machine.cpu}, {machine.cores} cores, load {machine.load}",
        f"model     {findings.model}; {findings.names} names, {len(findings.unknown)} words it does not know",
        "",
        head,
    ]
    return [*lines, *map(_line, findings.rows)]


def _line(row: Row) -> str:
    recall = f"{100 * row.recalled / row.names:.1f}" if row.names else ""
    taken = f"{100 * row.taken / row.sentences:.1f}" if row.taken is not None else ""
    exact, errors = 100 * row.exact / row.sentences, 100 * row.word_error_rate
    return f"{row.how:<24}{row.kind:<18}{recall:>9}{exact:>9.1f}{errors:>7.1f}{row.false:>7}{taken:>9}"
