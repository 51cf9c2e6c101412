"""Language models in KenLM's binary forms, asked through its Python package, the extra `kenlm`.

Its words are read from the end of the file, where `build_binary` puts them unless it is told not to; nothing else of
the form is known here. Every score is a call of the package, made from within the search, so that it waits for Python's
lock; native.cpp keeps the last million of them. README.md says what that costs; the ARPA file costs less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stt_server.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MAGIC = b"mmap lm http://kheafield.com/code"
SPECIAL = ("<unk>", "<s>", "</s>")  # native.cpp's first words


@dataclass(frozen=True, slots=True)
class KenlmModel:
    """`words` are the three special ones and the others in ascending order of their bytes; `unigrams` their log10
    probabilities. `score` tells that of a word behind others, the earliest first, all as indices into `words`.
    """

    order: int
    words: tuple[str, ...]
    unigrams: tuple[float, ...]
    score: Callable[[Sequence[int], int], float]


def is_kenlm(path: Path) -> bool:
    """By its first bytes."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_words(path: Path) -> tuple[str, ...]:
    """The words of a binary file, the special ones first. Raises ValueError where it was built without them."""
    data = path.read_bytes()
    begin = data.rfind(b"<unk>\0")
    if begin < 0 or not data.endswith(b"\0"):
        raise ValueError("it was built without its words; build it again without -v, or give the ARPA file")
    words = data[begin:-1].decode().split("\0")
    return SPECIAL + tuple(sorted({*words} - {*SPECIAL, ""}, key=str.encode))


def read_kenlm(path: Path) -> KenlmModel:
    """Open a binary file. Raises Unsupported without the package, OSError, RuntimeError and ValueError for what it does
    not read.
    """
    try:
        import kenlm
    except ImportError as error:
        why = f"{path.name} is KenLM's binary form: install the extra kenlm, or give the ARPA file"
        raise Unsupported(why) from error
    words = read_words(path)
    quiet = kenlm.Config()
    quiet.show_progress = False
    model: Any = kenlm.Model(str(path), quiet)

    def score(history: Sequence[int], word: int) -> float:
        before, behind = kenlm.State(), kenlm.State()
        model.NullContextWrite(before)
        for each in history:
            if words[each] == "<s>":
                model.BeginSentenceWrite(behind)
            else:
                model.BaseScore(before, words[each], behind)
            before, behind = behind, before
        logprob: float = model.BaseScore(before, words[word], behind)
        return logprob

    return KenlmModel(model.order, words, tuple(score((), word) for word in range(len(words))), score)
