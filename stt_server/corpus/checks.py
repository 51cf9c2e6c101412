"""Pre-flight: every clip that would spoil a training, named before the training begins.

Errors are clips that cannot be trained on, or would make the test a lie; warnings are worth a look; notices say what is
done to a clip on its way in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from stt_server.corpus.duplicates import find_duplicates
from stt_server.corpus.findings import Finding, Kind, write_findings_csv
from stt_server.corpus.listening import Heard, listen_to_all
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.listening import Outcome, Progress
    from stt_server.speech.alphabet import Alphabet

__all__ = ["Finding", "Kind", "check_clips", "frames_needed", "write_findings_csv"]

NEAR_SILENCE_PEAK = 0.003  # of full scale, -50 dB: quieter than the noise of a quiet room at usual gain
CLIPPED_SHARE = 0.01  # of the samples at full scale; a shout touches it, an overdriven recording stays there
DURATION_TOLERANCE_S = 0.1
LEAST_SPEECH_S = 0.06  # three frames; the shortest "a" and "e" of spelled names have more
SHORTEST_S = 0.1
SAMPLE_RATE = 16_000  # what the models hear


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a clip must keep to be learned from."""

    frame_ms: float
    longest_s: float
    shortest_s: float
    letters: frozenset[str] | None


def check_clips(
    clips: Iterable[Clip],
    *,
    frame_ms: float,
    longest_s: float,
    shortest_s: float = SHORTEST_S,
    alphabet: Alphabet | None = None,
    decode: bool = False,
    workers: int = 0,
    progress: Progress = lambda done, of: None,
    heard: Mapping[Path, Outcome] | None = None,
) -> list[Finding]:
    """Every fault of `clips`; [] when there is none.

    `frame_ms` is the step of the model's outputs, after subsampling; `longest_s` the longest clip a batch takes. With
    an `alphabet`, texts must be spelled in it. `decode` also listens to the audio, in `workers` processes; how many
    clips are done of how many, `progress` is told. `heard` is what was listened to before, instead of `decode`.
    """
    listed = list(clips)
    bounds = Bounds(frame_ms, longest_s, shortest_s, frozenset(alphabet.letters) if alphabet else None)
    there = {clip.path for clip in listed if clip.path.is_file()}
    paths = [clip.path for clip in listed if clip.path in there]
    if heard is None:
        heard = listen_to_all(paths, workers, progress) if decode else {}
    findings: list[Finding] = []
    for clip in listed:
        findings += _check_text(clip, bounds)
        if clip.path in there:
            findings += _check_audio(clip, bounds, heard)
        else:
            findings.append(Finding(Kind.MISSING, clip, "there is no such file; mend the path or take the row out"))
    return [*findings, *find_duplicates(listed, heard)]


def frames_needed(text: str) -> int:
    """Output frames that CTC needs to write `text`: one a character, and a blank between two of the same."""
    return len(text) + sum(left == right for left, right in pairwise(text))


def _check_text(clip: Clip, bounds: Bounds) -> Iterator[Finding]:
    unspellable, text = find_unspellable(clip.text), normalize(clip.text, drop_unspellable=True)
    if unspellable:
        yield Finding(Kind.UNSPELLABLE, clip, f"{unspellable[:20]!r} cannot be spelled a-z; write it as it is said")
    elif not text:
        yield Finding(Kind.EMPTY_TEXT, clip, "there are no words; write what is said or take the clip out")
    strange = "".join(sorted(set(text) - bounds.letters)) if bounds.letters is not None else ""
    if strange:
        sentence = f"{strange!r} in {text[:60]!r} is not in the alphabet; add the letters or mend the text"
        yield Finding(Kind.NOT_IN_ALPHABET, clip, sentence)


def _check_audio(clip: Clip, bounds: Bounds, heard: Mapping[Path, Outcome]) -> Iterator[Finding]:
    outcome = heard.get(clip.path)
    if outcome is None:
        yield from _check_duration(clip, clip.duration_s, bounds)
    elif isinstance(outcome, Heard):
        yield from _check_heard(clip, outcome)
        yield from _check_duration(clip, outcome.duration_s, bounds)
    elif outcome.field == "samples":
        yield Finding(Kind.EMPTY_AUDIO, clip, f"{outcome}; record it anew or take it out")
    else:
        yield Finding(Kind.UNREADABLE, clip, f"{outcome}; convert it or take it out")


def _check_heard(clip: Clip, heard: Heard) -> Iterator[Finding]:
    if heard.peak < NEAR_SILENCE_PEAK:
        yield Finding(Kind.NEAR_SILENCE, clip, f"its loudest sample is {heard.peak:.4f} of full scale; record it anew")
    elif heard.speech_s < LEAST_SPEECH_S and clip.text.strip():
        yield Finding(
            Kind.NO_SPEECH, clip, "sound, but no speech was heard in it; listen to it, then keep or remove it"
        )
    if heard.clipped_share > CLIPPED_SHARE:
        sentence = f"{100 * heard.clipped_share:.0f} % of its samples are at full scale; record it with less gain"
        yield Finding(Kind.CLIPPING, clip, sentence)
    if clip.duration_s is not None and abs(clip.duration_s - heard.duration_s) > DURATION_TOLERANCE_S:
        sentence = f"the manifest says {clip.duration_s:.2f} s, the file has {heard.duration_s:.2f} s; is it cut?"
        yield Finding(Kind.WRONG_DURATION, clip, sentence)
    yield from _check_shape(clip, heard)


def _check_shape(clip: Clip, heard: Heard) -> Iterator[Finding]:
    """Wrong rates and channels are put right on the way in; what that costs is said."""
    rate = heard.sample_rate
    if rate < SAMPLE_RATE:
        sentence = f"sampled at {rate} Hz: nothing above {rate // 2} Hz is in it; record at {SAMPLE_RATE} Hz or more"
        yield Finding(Kind.LOW_SAMPLE_RATE, clip, sentence)
    elif rate > SAMPLE_RATE:
        yield Finding(Kind.RESAMPLED, clip, f"sampled at {rate} Hz, heard at {SAMPLE_RATE} Hz; nothing to do")
    if heard.channels > 1:
        sentence = (
            f"{heard.channels} channels, mixed to one by their mean; where one is silent or a reference, remove it"
        )
        yield Finding(Kind.MIXED_TO_MONO, clip, sentence)


def _check_duration(clip: Clip, duration_s: float | None, bounds: Bounds) -> Iterator[Finding]:
    if duration_s is None:
        yield Finding(Kind.NO_DURATION, clip, "the manifest has no duration, so its length was not checked; decode it")
        return
    if duration_s < bounds.shortest_s:
        sentence = f"{duration_s:.2f} s, shorter than {bounds.shortest_s:g} s; is it cut? record it anew"
        yield Finding(Kind.TOO_SHORT, clip, sentence)
    if duration_s > bounds.longest_s:
        yield Finding(Kind.TOO_LONG, clip, f"{duration_s:.1f} s, longer than {bounds.longest_s:g} s; cut it at a pause")
    text = normalize(clip.text, drop_unspellable=True)
    frames, needed = int(duration_s * 1000 / bounds.frame_ms), frames_needed(text)
    if needed > frames:
        sentence = f"its text needs {needed} frames and {duration_s:.2f} s have {frames}; is this the text of the clip?"
        yield Finding(Kind.TOO_MANY_CHARACTERS, clip, sentence)
