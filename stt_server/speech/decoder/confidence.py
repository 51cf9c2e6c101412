"""What a word's confidence is made of, in the native search: how often a word with that confidence is right.

The search measures a word's posterior, the share of its prefixes' mass that has the word. That alone is far too sure: a
word on which all prefixes agree has 1, however badly it was heard. So the posterior's log-odds are weighed together
with those of how sure the model was of its labels, and with the word's length, by logistic regression on words that
were right and wrong (`earloop lm calibrate`); a bundle's manifest has the weights. `Stream::trusted` of native.cpp does
this sum.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

LEAST, MOST = 0.001, 0.999  # what log-odds are taken of


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of a word: its posterior, the mean natural logarithm of the best label's probability over the word's frames, and
    how many letters it has.
    """

    posterior: float
    sound: float
    letters: int

    def weighed(self) -> tuple[float, float, float, float]:
        """What the weights of a calibration are multiplied with, in their order."""
        return 1.0, _odds(self.posterior), _odds(math.exp(self.sound)), math.log(self.letters)


def _odds(share: float) -> float:
    """Their logarithm."""
    known = min(max(share, LEAST), MOST)
    return math.log(known / (1 - known))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of the log-odds that a word is right. As they are by default, confidence is the posterior itself."""

    bias: float = 0.0
    posterior: float = 1.0
    sound: float = 0.0
    letters: float = 0.0

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """In the order of `Evidence.weighed`."""
        bias, posterior, sound, letters = astuple(self)
        return bias, posterior, sound, letters

    def confidence(self, evidence: Evidence) -> float:
        """Of a word, 0 to 1."""
        if self == UNCALIBRATED:
            return evidence.posterior
        odds = sum(weight * fact for weight, fact in zip(self.weights, evidence.weighed(), strict=True))
        return 1 / (1 + math.exp(-odds))


UNCALIBRATED = Calibration()
