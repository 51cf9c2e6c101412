"""`earloop lm convert`: a language model in another form."""

from __future__ import annotations

from stt_server.commands.lm.place import Model, Output, find_lm, tell


def convert(model: Model, output: Output) -> None:
    """Write a model as ARPA, compressed or not, or as .lm, which loads at once. A .lm cannot be turned back."""
    from training.lm import read_ngrams, write_model

    read = read_ngrams(find_lm(model).path, "another form")
    write_model(read, output)
    tell(f"{output}: order {read.order}, {output.stat().st_size / 1e6:.2f} MB")
