"""Word n-gram language models: estimated from sentences by modified Kneser-Ney, written as ARPA files.

model = estimate(sentences, order=3, cutoffs=(0, 0, 1))
write_arpa(model, Path("lm.arpa"))
perplexity(model, held_out).value
write_arpa(mix(read_arpa(Path("base.arpa.gz")), model, share=0.2), Path("mixed.arpa.gz"))
"""

from training.lm.arpa import ArpaModel, Ngrams, write_arpa
from training.lm.kneser_ney import HIGHEST_ORDER, estimate
from training.lm.mixing import mix
from training.lm.reading import read_arpa
from training.lm.sampling import Sampler
from training.lm.scoring import Perplexity, Scorer, perplexity

__all__ = [
    "HIGHEST_ORDER",
    "ArpaModel",
    "Ngrams",
    "Perplexity",
    "Sampler",
    "Scorer",
    "estimate",
    "mix",
    "perplexity",
    "read_arpa",
    "write_arpa",
]
