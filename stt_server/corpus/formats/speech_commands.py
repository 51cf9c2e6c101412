"""Google Speech Commands: a folder per word, `yes/SPEAKER_nohash_0.wav`, and lists of what is for testing.

P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", arXiv 1804.03209. The file name
begins with the speaker's hash. `testing_list.txt` and `validation_list.txt` name the test and dev parts; without them
there are no splits. Folders that begin with `_` hold noise and silence, which are no clips with words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.corpus.clip import Clip
from stt_server.corpus.formats.format import Format, is_audio
from stt_server.corpus.rows import Fault, is_text, open_text
from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

TAKE = "_nohash_"
LISTS = {"testing_list.txt": "test", "validation_list.txt": "dev"}


def _recognise(path: Path) -> bool:
    return path.is_dir() and next(path.glob(f"[!_.]*/*{TAKE}*"), None) is not None


def _read(path: Path) -> Iterator[Clip | Fault]:
    splits = yield from _splits(path)
    for word in sorted(each for each in path.iterdir() if each.is_dir() and each.name[0] not in "._"):
        for audio in sorted(each for each in word.iterdir() if is_audio(each)):
            speaker, take, _ = audio.stem.partition(TAKE)
            if take:
                split = splits.get(f"{word.name}/{audio.name}", "train") if splits else None
                yield Clip(audio, word.name, path.absolute().name, speaker, split=split)
            else:
                error = BadInput(f"{audio}: its name does not say the speaker; call it SPEAKER{TAKE}0{audio.suffix}")
                yield Fault(error, audio)


def _splits(path: Path) -> Generator[Fault, None, dict[str, str]]:
    """Yields faults; returns {"word/file": split} of what is not for training."""
    found: dict[str, str] = {}
    for name, split in LISTS.items():
        if not (path / name).is_file():
            continue
        with open_text(path / name) as lines:
            for number, line in enumerate(lines, 1):
                listed = line.strip()
                if listed and is_text(listed) and (path / listed).is_file():
                    found[listed] = split
                elif listed:
                    told = f"{path / name}, line {number}: there is no file {listed!a}; take the line out"
                    yield Fault(BadInput(told), path / name)
    return found


SPEECH_COMMANDS_FORMAT = Format(
    "speech-commands", "Google Speech Commands: a folder per word, SPEAKER_nohash_N.wav in it", _recognise, _read
)
