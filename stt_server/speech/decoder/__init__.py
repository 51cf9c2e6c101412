"""From log-probabilities to words. One interface (`interface`), engines `greedy` and `reference`, one `choice`.

Greedy is numpy alone and always there. Reference is pyctcdecode with a KenLM model: greedy while an utterance lasts,
a beam search with the language model once it ends. Owner of kenlm and pyctcdecode (`ngram`).
"""
