"""Word n-gram language models: estimated from sentences, mixed, changed, measured, written as ARPA or mapped files.

model = estimate(sentences, order=3, cutoffs=(0, 0, 1))
write_model(model, Path("lm.arpa.gz"))
perplexity(model, held_out).value
base = read_ngrams(Path("base.arpa.gz"), "mixing")
mix(base, model, tune_share(base, model, held_out))
add_like(base, ["dimmer"], like="lamp")
"""

from training.lm.arpa import ArpaModel, Ngrams, write_arpa
from training.lm.binary import write_binary
from training.lm.kneser_ney import HIGHEST_ORDER, estimate
from training.lm.lexicon import add_like, add_words
from training.lm.mapped import BinaryModel, read_binary
from training.lm.mixing import mix
from training.lm.model_file import read_model, read_ngrams, write_model
from training.lm.reading import read_arpa
from training.lm.sampling import Sampler
from training.lm.scoring import Perplexity, Scorer, perplexity
from training.lm.share import tune_share
from training.lm.showing import Neighbours, neighbours

__all__ = [
    "HIGHEST_ORDER",
    "ArpaModel",
    "BinaryModel",
    "Neighbours",
    "Ngrams",
    "Perplexity",
    "Sampler",
    "Scorer",
    "add_like",
    "add_words",
    "estimate",
    "mix",
    "neighbours",
    "perplexity",
    "read_arpa",
    "read_binary",
    "read_model",
    "read_ngrams",
    "tune_share",
    "write_arpa",
    "write_binary",
    "write_model",
]
