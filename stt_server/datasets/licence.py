"""The text that goes with every export: on which terms clips may be used, and that some may have to be deleted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from stt_server.store.rights import Purpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.store.snapshots import Line

CONSENT: Final = {
    Purpose.TRAINING: (
        "Every clip was given with consent to, or with its uploader's statement that it may be used for, the training "
        "of speech recognition. That is no permission to publish the recordings, to give them on, or to find out who "
        "speaks in them."
    ),
    Purpose.RELEASE: (
        "Every clip was given with consent to, or with its uploader's statement that it may be used for, a public "
        "release. Nothing here says who speaks, and nobody may try to find out."
    ),
}
WITHDRAWAL: Final = (
    "Whoever gave clips may withdraw them at any time. A later export of the same snapshot then lacks them: compare "
    "the rows, delete what is gone, and name what was trained on it."
)


def licence_text(dataset: str, number: int, licence: str, purpose: Purpose, lines: Sequence[Line]) -> str:
    """Plain text. A clip's own licence goes before that of the dataset."""
    own = Counter(line.licence or licence or "none stated" for line in lines)
    shares = [f"  {name}: {count} of {len(lines)} clips" for name, count in sorted(own.items())]
    head = f"{dataset}, snapshot {number}"
    return "\n".join([head, "", "Licences", *shares, "", CONSENT[purpose], "", WITHDRAWAL, ""])
