"""From log-probabilities to words: one interface (`interface`), engines greedy, native and reference, one `choice`.

Greedy is numpy alone and always there. Native is our own beam search: `native.cpp`, compiled when the package is
installed, called through `library` and fed with what `model` reads; partials and finals come from it. Reference is
pyctcdecode with a KenLM model: greedy while an utterance lasts, a beam search with the language model once it ends.
Owner of kenlm and pyctcdecode (`ngram`).
"""
