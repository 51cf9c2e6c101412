"""Words added to a language model that is served: the model in use, with them, becomes the newest version of its name.

    file in use ── `earloop lm words --add`, a process of its own ──► new file ── import ──► every server, within 2 s

The trainer knows how words are put into a model (training/lm/lexicon.py), and the server never imports it. The process
has a deadline, and what it says is what whoever asked is told.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stt_server.catalog.language_models import Weights, import_language_model
from stt_server.errors import BadInput, Conflict, Unavailable, Unsupported
from stt_server.logs import EventLog
from stt_server.speech.decoder.named import own_weights
from stt_server.store import language_models

if TYPE_CHECKING:
    from stt_server.speech.decoder.named import Named
    from stt_server.store.database import Database
    from stt_server.store.language_models import LanguageModel
    from stt_server.store.objects import ObjectStore

ADDING_S: Final = 100.0  # for the process; 270,000 n-grams take a few seconds
WRONG: Final = range(2, 6)  # exit codes of what the caller can mend
SAID: Final = "earloop: "  # before the sentence of an error

log = EventLog("catalog")


@dataclass(frozen=True, slots=True)
class Additions:
    """Words in the model's letters. They stand wherever `like` does, or anywhere, so many times as likely as it."""

    words: tuple[str, ...]
    like: str | None = None
    times: float = 1.0
    sentences: tuple[str, ...] = ()


def add_words(
    database: Database, objects: ObjectStore, named: Named, additions: Additions, *, actor: str
) -> LanguageModel:
    """The new version. Blocking.

    Raises BadInput for what cannot be added and for a model in binary form, Conflict where another version came
    meanwhile, Unavailable where it takes too long, Unsupported without the trainer.
    """
    if find_spec("training") is None:
        raise Unsupported("Words are added by the trainer, which is not installed beside this server.")
    with tempfile.TemporaryDirectory(prefix="earloop-words-") as folder:
        new = Path(folder) / "new.arpa.gz"
        _run(_command(named, additions, new), Path(folder))
        _check_still(database, named)
        weights = Weights(**own_weights(named.offer.path))
        reason = f"{len(additions.words)} words and {len(additions.sentences)} sentences added to {named.title}"
        return import_language_model(
            database, objects, new, name=named.name, actor=actor, weights=weights, reason=reason
        )


def _command(named: Named, additions: Additions, new: Path) -> list[str]:
    command = [sys.executable, "-m", "stt_server.cli", "lm", "words", str(named.offer.path), "--add"]
    command += ["--output", str(new), "--times", f"{additions.times:g}"]
    if additions.like is not None:
        command += ["--like", additions.like]
    if additions.sentences:
        text = new.with_name("sentences.txt")
        text.write_text("".join(f"{sentence}\n" for sentence in additions.sentences), encoding="utf-8")
        command += ["--text", str(text)]
    return [*command, "--", *additions.words]


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ADDING_S, cwd=folder, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Adding words took more than {ADDING_S:g} s; add fewer, or use `earloop lm`.") from None
    if done.returncode == 0:
        return
    sentence = next((line for line in done.stderr.splitlines()[::-1] if line.startswith(SAID)), "")
    if sentence and done.returncode in WRONG:
        raise BadInput(sentence.removeprefix(SAID), field="words")
    log.error("words_not_added", code=done.returncode, why=sentence)
    raise Unavailable("Words could not be added; the server's log tells more.")


def _check_still(database: Database, named: Named) -> None:
    """Raise Conflict where the catalog has a version of the name that is not the one in use."""
    with database.read() as connection:
        found = [each for each in language_models.answering(connection) if each.name == named.name]
    if found and found[0].ref != named.title:
        raise Conflict(f"The language model {named.name!r} has been changed meanwhile; ask again.")
