"""The acoustic model: log-mel frames and named states in, log-probabilities and new states out.

The only owner of onnxruntime. The model object holds no stream: any set of streams may share a call, and a stream's
state is a value that can be kept, copied and taken up again. One intra-op thread and no spinning measured best where
several streams share a core.

In fp32 a stream hears the same in any company. In int8 it nearly does: onnxruntime scales activations by the largest in
the whole batch, so neighbours move log-probabilities by hundredths, and a doubtful letter may fall otherwise.

onnxruntime keeps memory for the shapes it has seen and gives none of it back. So that a server's memory does not creep
up with every new number of streams, batches are padded to a few sizes (`batch_size`), no memory pattern is kept for a
shape (measured: 25 MB less for the shipped model, as fast), and `warm` takes the most that will be needed at once, at
the start. The figures are in engine/MEMORY.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from stt_server.errors import BadBundle, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

State = tuple["Floats", ...]
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class AcousticModel:
    """One ONNX graph: inputs `features` (B, T, mels) and states, outputs `logprobs` (B, T / 4, labels) and states."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._inputs = [node.name for node in session.get_inputs()]
        self._outputs = [node.name for node in session.get_outputs()]
        self._shapes = [tuple(node.shape[1:]) for node in session.get_inputs()[1:]]
        self._check()
        self.n_mels: int = session.get_inputs()[0].shape[-1]
        self.labels: int = session.get_outputs()[0].shape[-1]

    @classmethod
    def load(cls, path: Path, *, threads: int = 1, device: str = "cpu") -> AcousticModel:
        """Open an ONNX file. Raises BadBundle for a damaged one, Unsupported where the device is not to be had."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        options.enable_mem_pattern = False
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
        except Exception as error:  # onnxruntime's own kinds share no base but this one
            raise BadBundle(f"{path.name} is not a model onnxruntime can open: {error}", field="models") from error
        # A session asked for CUDA falls back to the CPU without a word; only its own list tells.
        if PROVIDERS[device] not in session.get_providers():
            raise Unsupported(f"onnxruntime has no {device}; install the gpu extra and its drivers, or choose cpu")
        return cls(session)

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The states of one stream by name."""
        return dict(zip(self._inputs[1:], self._shapes, strict=True))

    def initial(self) -> State:
        """The states of a stream before its first frame, without the batch axis."""
        return tuple(np.zeros(shape, np.float32) for shape in self._shapes)

    def step(self, features: Floats, states: Sequence[State]) -> tuple[Floats, list[State]]:
        """Features (B, T, mels), T a multiple of 4, and B states → log-probabilities (B, T / 4, labels), B states."""
        rows = len(states)
        # Rows that are only there to fill are copies of the first: zeros could move the scale of int8.
        filling = batch_size(rows) - rows
        if filling:
            features = np.concatenate([features, np.repeat(features[:1], filling, axis=0)])
        stacked = [np.stack(parts) for parts in zip(*states, *[states[0]] * filling, strict=True)]
        logprobs, *after = self._session.run(self._outputs, dict(zip(self._inputs, [features, *stacked], strict=True)))
        # Copies, lest a stream that pauses keep the whole batch's arrays alive.
        return logprobs[:rows], [tuple(array[row].copy() for array in after) for row in range(rows)]

    def warm(self, rows: int, frames: int) -> None:
        """Step `rows` streams of `frames` frames once, so that no later call of as many needs more memory."""
        self.step(np.zeros((rows, frames, self.n_mels), np.float32), [self.initial()] * rows)

    def _check(self) -> None:
        states = [name.removesuffix("_next") for name in self._outputs[1:]]
        if self._inputs[:1] != ["features"] or self._outputs[:1] != ["logprobs"] or states != self._inputs[1:]:
            raise BadBundle(
                f"the graph takes {self._inputs} and gives {self._outputs}; a streaming model takes `features` and "
                "states and gives `logprobs` and each state with `_next` behind its name",
                field="models",
            )
        if any(not isinstance(size, int) for shape in self._shapes for size in shape):
            raise BadBundle("a state of the graph has no fixed shape behind its batch axis", field="states")


def batch_size(rows: int) -> int:
    """The rows that are really computed for so many: exact up to 8, above that four sizes in each octave.

    Few streams cost what they cost; of more, 7 % are filling on average and a fifth at the worst.
    """
    step = 1 << max(0, (rows - 1).bit_length() - 3)
    return -(-rows // step) * step


def providers() -> list[str]:
    """What this onnxruntime was built for; whether it works here only a session tells."""
    return list(onnxruntime.get_available_providers())
