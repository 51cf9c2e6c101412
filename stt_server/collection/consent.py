"""What contributors are asked to agree to, and agreeing to it.

The words have a version that is made of them, so that no word can change without another version: whoever agreed to
the old words is known to have read those.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from stt_server.collection.withdrawal import withdraw
from stt_server.errors import BadOption, Conflict
from stt_server.store import audit, consents
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from stt_server.store.withdrawal import narrow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stt_server.store.consents import Consent, Way
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

MOST_WORDS: Final = 20_000  # letters

WORDS: Final = """\
If you agree, this server keeps short recordings of what you say to it, to make its speech recognition better.

What is kept: the sound of each utterance with a moment before and after it, the words the server heard, how sure it \
was of them, which model heard them, the time, by which way it came, and the name of the device if it gives one. No \
name, no address and nothing else about you is kept: you are a random number to us. Still, a voice can be known again, \
and what you say may be about you.

Who hears it: people who check the words, on this server. They do not see whose clip it is. A clip that one of them \
calls private is put away at once.

What is not kept: anything you say before you agree, after you withdraw, or while an app asks for nothing to be kept. \
Clips that nobody has checked are deleted after a while.

You can hear all your clips, delete any of them, take all of them out, and withdraw with one button at any time. Then \
the recordings and every text about them are deleted within a minute, and no later data set has them. What was made of \
them before cannot forget you: a model that has learned from many people, a public release that others have \
downloaded, a backup until it is thrown away. The server notes which earlier data sets had clips of yours and refuses \
those clips in them.
"""
IN_WORDS: Final[Mapping[Purpose, str]] = {
    Purpose.RECOGNITION: "Hear me and forget it. Nothing is kept.",
    Purpose.TRAINING: "Keep clips of what I say, let people check their words, and let models learn from them.",
    Purpose.RELEASE: "Give my checked clips to the public, too, without a word about whose they are.",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What there is to agree to."""

    version: str
    text: str
    purposes: Mapping[Purpose, str]

    def check(self, version: str) -> None:
        """Raises Conflict where somebody read other words than these."""
        if version != self.version:
            raise Conflict("The words to agree to have changed since you read them; read them again.")


def load_terms(words: Path | None = None) -> Terms:
    """The shipped words, or those in a file. Raises BadOption for a file that cannot be read or says nothing."""
    text = WORDS if words is None else _read(words)
    whole = "\n".join([text, *IN_WORDS.values()])
    return Terms(hashlib.sha256(whole.encode()).hexdigest()[:12], text, IN_WORDS)


def agree(
    database: Database,
    objects: ObjectStore,
    person_id: str,
    terms: Terms,
    purposes: frozenset[Purpose],
    way: Way,
    actor: str,
    days: int = 0,
) -> Consent:
    """Note what somebody agrees to from now on, for so many days (0: until they change their mind). Blocking.

    What they agreed to before and do not agree to any more is taken back from what is kept: clips that nothing is left
    for are deleted, as by a withdrawal. Raises NotFound, Unavailable.
    """
    if Purpose.TRAINING not in purposes:
        withdraw(database, objects, person_id, actor)
    moment = now()
    expires = moment + timedelta(days=days) if days else None
    with database.write() as connection:
        given = consents.give(connection, person_id, terms.version, terms.text, purposes, way, moment, expires)
        buried = narrow(connection, person_id, purposes)
        told = {"consent": given.id, "version": terms.version, "purposes": "-".join(sorted(purposes))}
        audit.note(connection, moment, "consent_given", actor, person_id, **told, way=way.value, snapshots=buried)
    return given


def _read(words: Path) -> str:
    try:
        text = words.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise BadOption(f"consent_words cannot be {words}: {error}.", field="consent_words") from error
    if not text or len(text) > MOST_WORDS:
        raise BadOption(f"{words} must have between 1 and {MOST_WORDS} letters to agree to.", field="consent_words")
    return text
