"""Word n-gram language models: estimated from sentences by modified Kneser-Ney, written as ARPA files.

model = estimate(sentences, order=3, cutoffs=(0, 0, 1))
write_arpa(model, Path("lm.arpa"))
perplexity(model, held_out).value
"""

from training.lm.arpa import ArpaModel, Ngrams, write_arpa
from training.lm.kneser_ney import HIGHEST_ORDER, estimate
from training.lm.scoring import Perplexity, Scorer, perplexity

__all__ = ["HIGHEST_ORDER", "ArpaModel", "Ngrams", "Perplexity", "Scorer", "estimate", "perplexity", "write_arpa"]
