"""A language model, ARPA or KenLM's binary form, into pyctcdecode's beam search. The only module that imports it."""

from __future__ import annotations

import gzip
import logging
import shutil
import tempfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from stt_server.errors import BadBundle, NotFound, Unsupported
from stt_server.speech.decoder.kenlm_binary import SPECIAL, is_kenlm, read_words

if TYPE_CHECKING:
    from pyctcdecode.decoder import BeamSearchDecoderCTC

    from stt_server.speech.alphabet import Alphabet

MISSING = "the reference decoder needs pyctcdecode and kenlm: install the extras reference and kenlm"
NOT_WORDS = ("<s>", "</s>", "<unk>")


def check_installed() -> None:
    """Raises Unsupported where pyctcdecode or kenlm is not installed. Neither is imported."""
    if not all(map(find_spec, ("kenlm", "pyctcdecode"))):
        raise Unsupported(MISSING)


def build_search(alphabet: Alphabet, lm: Path | None, alpha: float, beta: float) -> BeamSearchDecoderCTC:
    """The search over an alphabet with `lm`, ARPA, plain or gzipped, or in KenLM's binary form, weighing `alpha`, and
    `beta` for each word.

    Raises NotFound and BadBundle for a file that is not there or none of these, Unsupported where a package is missing.
    """
    try:
        import kenlm
        from pyctcdecode.alphabet import Alphabet as Labels
        from pyctcdecode.decoder import BeamSearchDecoderCTC
        from pyctcdecode.language_model import LanguageModel
    except ImportError as error:
        raise Unsupported(MISSING) from error
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    labels = Labels.build_alphabet(["", *alphabet.letters])
    if lm is None:
        return BeamSearchDecoderCTC(labels)
    quiet = kenlm.Config()  # it writes to standard error by itself
    quiet.show_progress, quiet.arpa_complain = False, kenlm.ARPALoadComplain.NONE
    try:
        with tempfile.TemporaryDirectory(prefix="earloop-lm-") as folder:
            arpa = _plain(lm, Path(folder))
            words = [*read_words(arpa)[len(SPECIAL) :]] if is_kenlm(arpa) else read_unigrams(arpa)
            return BeamSearchDecoderCTC(labels, LanguageModel(kenlm.Model(str(arpa), quiet), words, alpha, beta))
    except FileNotFoundError as error:
        raise NotFound(f"there is no language model {lm}") from error
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        # kenlm's sentence stands behind the C++ signature of whoever threw it.
        reason = str(error).partition(" threw ")[2] or str(error)
        raise BadBundle(f"{lm.name} is not an ARPA language model, plain or gzipped: {reason}", field="lm") from error


def _plain(lm: Path, folder: Path) -> Path:
    """The ARPA file itself, unpacked where it is gzipped: kenlm reads gzip only where it was built with zlib."""
    if lm.suffix != ".gz":
        return lm
    plain = folder / "lm.arpa"
    with gzip.open(lm) as packed, plain.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return plain


def read_unigrams(arpa: Path) -> list[str]:
    """The words of an ARPA file's unigram section. Raises ValueError where it has none."""
    words: list[str] = []
    with arpa.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(("\\2-grams:", "\\end\\")):
                break
            columns = line.split("\t")
            if len(columns) > 1 and columns[1].strip() not in NOT_WORDS:
                words.append(columns[1].strip())
    if not words:
        raise ValueError("it lists no words")
    return words
