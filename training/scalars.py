"""A run as TensorBoard shows it: `tensorboard --logdir RUN/tensorboard`. Needs the extra `tensorboard`."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from stt_server.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.checkpoints import Progress

SHOWN = 8  # pairs of true and heard, spread over the validation's


def check_tensorboard() -> None:
    """Raises Unsupported where the package is not installed."""
    if find_spec("tensorboard") is None:
        raise Unsupported(
            "`report.tensorboard` needs a package: pip install 'earloop[tensorboard]'", field="report.tensorboard"
        )


class TensorBoard:
    """Writes loss, rate, speed, word error rates and "true / heard" into `folder`. Close it when the run is over."""

    def __init__(self, folder: Path) -> None:
        check_tensorboard()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it imports is deprecated somewhere at all times
            from torch.utils.tensorboard import SummaryWriter
        self._writer = SummaryWriter(str(folder))

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        scalars = {"loss": loss, "rate": rate, "share": share, "speed": speed, "waiting": waiting}
        self._write({f"train/{name}": value for name, value in scalars.items()}, progress.step)

    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None:
        self._write({f"wer/{name}": value for name, value in wer.items()}, progress.step)
        shown = pairs[:: max(1, len(pairs) // SHOWN)][:SHOWN]
        text = "\n\n".join(f"    true   {true}\n    heard  {heard}" for _, true, heard in shown)
        self._writer.add_text("true / heard", text, progress.step)
        self._writer.flush()

    def say(self, sentence: str) -> None:
        """Sentences are for the terminal and the log."""

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, scalars: dict[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
