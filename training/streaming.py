"""What every architecture shares: a model without memory, whose states are passed in and handed out.

`forward(features, *states) → (log-probabilities, *states)` takes log-mel (B, T, mels), T a multiple of 4, and gives
(B, T / 4, labels). A model that looks ahead answers `lag_frames` outputs late, so that every layer is causal in the
graph and chunked, batched and whole-file runs compute the same numbers. The first `lag_frames` outputs of a stream are
about time before it began and are dropped by the caller; a finished stream is fed `lag_frames` of silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBSAMPLING = 4


class Shape(Protocol):
    """The sizes of a model: a frozen dataclass, kept in checkpoints as a dictionary."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def n_mels(self) -> int: ...
    @property
    def labels(self) -> int: ...
    @property
    def lag_frames(self) -> int: ...


class StreamingModel(nn.Module):
    """States are batch first, named in `state_names`; `initial` makes those of a new stream.

    The features' normalisation is inside: `mean` and `scale` (mels,). The last layer is `out`, one row for each label.
    """

    state_names: ClassVar[tuple[str, ...]]
    shape: Shape
    out: nn.Linear
    mean: Tensor
    scale: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.n_mels))
        self.register_buffer("scale", torch.ones(shape.n_mels))

    def state_shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        raise NotImplementedError

    def initial(self, batch: int) -> tuple[Tensor, ...]:
        device = self.mean.device
        # Under autocast the residual stream then runs in bf16 too, a fifth faster on a CPU than mixing both types.
        mixed = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if mixed else torch.float32
        return tuple(torch.zeros(shape, device=device, dtype=dtype) for shape in self.state_shapes(batch).values())

    def train(self, mode: bool = True) -> Self:
        """As torch's, but what is frozen drops out nothing: noise in a part that does not learn only hides its words.

        Recurrent layers have no dropout, and cuDNN refuses to pass gradients through one that is not in training mode.
        """
        super().train(mode)
        for module in self.modules() if mode else ():
            weights = list(module.parameters())
            frozen = bool(weights) and not any(weight.requires_grad for weight in weights)
            if frozen and not isinstance(module, nn.RNNBase):
                module.training = False
        return self

    def whole(self, features: Tensor, silence: float) -> Tensor:
        """Whole utterances (B, T, mels), T a multiple of 4 → (B, T/4, labels), with the lag already taken out."""
        lag = self.shape.lag_frames
        padded = F.pad(features, (0, 0, 0, SUBSAMPLING * lag), value=silence)
        logprobs: Tensor = self(padded, *self.initial(len(features)))[0]
        return logprobs[:, lag:]

    def set_normalisation(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        """Fix the features' mean and standard deviation, each (mels,), inside the graph."""
        self.mean.copy_(torch.as_tensor(mean))
        self.scale.copy_(1.0 / torch.as_tensor(deviation))


def channel_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Drop whole channels of (B, T, C) per utterance: as regularising as element-wise, at a hundredth of its cost."""
    if not training or p == 0.0:
        return x
    keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= p
    return x * (keep.to(x.dtype) / (1.0 - p))
