"""Train, dev and test by hash: the same clip falls into the same split on every machine and in every order.

A speaker's clips stay together, so that no one is tested on a voice trained on. Clips of unknown speakers go one by
one, by source and file name. Shares are those of the groups, and come true with many speakers.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stt_server.corpus.clip import Clip

SHARES = (("train", 0.7), ("dev", 0.2), ("test", 0.1))


def assign_splits(clips: Iterable[Clip]) -> Iterator[Clip]:
    """The clips with their split set, whatever it was before."""
    for clip in clips:
        yield replace(clip, split=split_of(clip))


def split_of(clip: Clip) -> str:
    """train, dev or test, by the clip's speaker where it is known."""
    group = f"speaker {clip.speaker}" if clip.speaker else f"file {clip.path.name}"
    digest = hashlib.sha256(f"{clip.source} {group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    return SHARES[-1][0]
