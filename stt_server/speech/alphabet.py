"""The labels a CTC model writes with: the blank first, then letters."""

from __future__ import annotations

from dataclasses import dataclass

from stt_server.errors import BadInput

BLANK = 0


@dataclass(frozen=True)
class Alphabet:
    """`letters[i]` is label `i + 1`; label 0 is CTC's blank. The space parts words."""

    letters: str

    def __post_init__(self) -> None:
        if len(set(self.letters)) != len(self.letters):
            raise BadInput("the alphabet names a letter twice; each label must be another letter", field="labels")

    def __len__(self) -> int:
        """Number of labels, the blank included."""
        return len(self.letters) + 1

    @property
    def space(self) -> int:
        """The label of the space, or -1 where the alphabet has none."""
        return self.letters.find(" ") + 1 or -1

    def encode(self, text: str) -> list[int]:
        """Labels of a normalised text. Raises BadInput naming a letter that the alphabet lacks."""
        labels = [self.letters.find(letter) + 1 for letter in text]
        if 0 in labels:
            raise BadInput(f"the letter {text[labels.index(0)]!r} of {text!r} is not in the model's alphabet")
        return labels

    def decode(self, labels: list[int]) -> str:
        """The text that labels spell; blanks are skipped, repeats are kept."""
        return "".join(self.letters[label - 1] for label in labels if label != BLANK)
