"""The sections `augmentation` and `calm` of a recipe."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from training.section import MovingRange, Section, Share, ends_of

LIMITS = {
    "speed_range": (0.5, 2.0),
    "tempo_range": (0.5, 2.0),
    "pitch_semitones": (-12.0, 12.0),
    "speaker_range": (0.7, 1.4),
    "room_s": (0.05, 3.0),
    "far_hz": (300.0, 8000.0),
    "snr_db": (-40.0, 100.0),
    "clipping_db": (0.0, 40.0),
    "opus_kbps": (6.0, 128.0),
    "gain_db": (-60.0, 40.0),
    "lead_s": (0.0, 10.0),
}


class Augmentation(Section):
    """Each change happens with its probability, its strength drawn evenly from its range.

    A range is `[low, high]`, or `{from: [low, high], to: [low, high]}` where it moves over the run.
    """

    speaker: Share = Field(0.0, description="probability of a throat of another length: formants move, pitch stays")
    speaker_range: MovingRange = Field((0.85, 1.2), description="factors of the formants; above 1 towards a child")
    pitch: Share = Field(0.0, description="probability of another pitch at the same tempo")
    pitch_semitones: MovingRange = Field((-3.0, 3.0), description="semitones it moves by")
    tempo: Share = Field(0.0, description="probability of another tempo at the same pitch")
    tempo_range: MovingRange = Field((0.85, 1.2), description="factors of tempo")
    speed: Share = Field(0.6, description="probability of another tempo and pitch")
    speed_range: MovingRange = Field((0.85, 1.18), description="factors of tempo and pitch")
    reverb: Share = Field(0.2, description="probability of a room, where there are impulse responses")
    simulated_rooms: Share = Field(0.0, description="share of the rooms that are computed; they need no recordings")
    room_s: MovingRange = Field((0.15, 0.7), description="reverberation time of computed rooms, seconds for 60 dB")
    far: Share = Field(0.0, description="probability of a distance that swallows the high frequencies")
    far_hz: MovingRange = Field((1000.0, 4000.0), description="where they begin to fall, by 6 dB an octave")
    noise: Share = Field(0.5, description="probability of noise, where there is some")
    made_noise: Share = Field(0.0, description="share of the noises that are computed, white to brown; no recordings")
    noise_layers: int = Field(1, ge=1, le=8, description="at most so many noises over one another")
    snr_db: MovingRange = Field((0.0, 25.0), description="signal-to-noise ratio, of all noises together")
    clipping: Share = Field(0.0, description="probability of a microphone that is driven too hard")
    clipping_db: MovingRange = Field((3.0, 15.0), description="how far the peaks are cut down")
    telephone: Share = Field(0.1, description="probability of a telephone line")
    narrow: Share = Field(0.0, description="probability of a sample rate of 8 kHz on the way")
    mulaw: Share = Field(0.0, description="probability of mu-law, eight bits a sample")
    opus: Share = Field(0.0, description="probability of Opus, encoded and decoded")
    opus_kbps: MovingRange = Field((8.0, 32.0), description="its bit rate, thousands a second")
    gain_db: MovingRange = Field((-18.0, 8.0), description="change of level, always drawn")
    lead: Share = Field(0.4, description="probability that a batch's clips get silence before and after them")
    lead_s: MovingRange = Field((0.0, 0.6), description="seconds of that silence, on each side")
    join: Share = Field(0.2, description="probability that a clip under two seconds is followed by another")
    empty: Share = Field(0.01, description="share of clips that are noise or silence alone, with no words")
    band_masks: int = Field(2, ge=0, description="stripes of frequency that are blanked")
    band_width: int = Field(12, ge=0, description="widest of them, in bands")
    time_masks: int = Field(2, ge=0, description="stretches of time that are blanked")
    time_width: int = Field(20, ge=0, description="longest of them in 10 ms, and never over an eighth of the clip")

    @model_validator(mode="after")
    def _ranges_are_possible(self) -> Self:
        for name, (least, most) in LIMITS.items():
            low, high = ends_of(getattr(self, name))
            if not least <= low <= high <= most:
                raise ValueError(f"`{name}` reaches from {low:g} to {high:g}; it must lie within {least:g} to {most:g}")
        return self

    @property
    def longest_factor(self) -> float:
        """How many times as long a clip may become by changes of speed and tempo."""
        slowest = ends_of(self.speed_range)[0] if self.speed else 1.0
        slowest *= min(1.0, ends_of(self.tempo_range)[0]) if self.tempo else 1.0
        return max(1.0, 1 / slowest)

    @property
    def longest_lead_s(self) -> float:
        """Seconds of silence that may come around a clip, before and after it together."""
        return 2 * ends_of(self.lead_s)[1] if self.lead else 0.0
