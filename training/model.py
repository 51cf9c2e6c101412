"""The streaming acoustic model: a convolutional CTC network whose memory is passed in and handed out.

    log-mel (B, T, 80) ─ two strided 3×3 convolutions (÷4 in time) ─ projection to `width`
        ─ `depth` blocks: depthwise conv over time, layer norm, gated feed-forward, residual
        ─ one GRU ─ layer norm ─ log-probabilities (B, T/4, labels)

The blocks are ConvNeXt's (Liu et al. 2022) in one dimension with the gated feed-forward of Shazeer (2020). A block that
looks `right` frames ahead does so by answering late: it convolves up to the newest frame and adds the residual of
`right` frames ago. So every layer is causal in the graph, the whole model lags `lag_frames` outputs behind its input,
and chunked, batched and whole-file runs compute the same numbers. The first `lag_frames` outputs of a stream are about
time before it began and are dropped by the caller; a finished stream is fed `lag_frames` of silence.

Convolutions are Conv2d with a kernel of height 1, since onnxruntime's fast CPU path takes four dimensions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBSAMPLING = 4


@dataclass(frozen=True, slots=True)
class ConvShape:
    """The sizes of a `conv` model. `right` says how many output frames each block looks ahead."""

    n_mels: int = 80
    labels: int = 29
    width: int = 256
    depth: int = 10
    kernel: int = 11
    channels: int = 32
    expansion: float = 2.0
    right: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 1, 0, 0, 0)
    dropout: float = 0.1

    @property
    def lag_frames(self) -> int:
        return sum(self.right)


def channel_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Drop whole channels of (B, T, C) per utterance: as regularising as element-wise, at a hundredth of its cost."""
    if not training or p == 0.0:
        return x
    keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= p
    return x * (keep.to(x.dtype) / (1.0 - p))


class Subsampling(nn.Module):
    """(B, T, mels) → (B, T/4, width): two causal 3×3 convolutions of stride 2 in time and frequency.

    Each keeps the last input frame of the chunk before: (B, 1, 1, mels) and (B, channels, 1, mels/2).
    """

    def __init__(self, shape: ConvShape) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, shape.channels, 3, stride=2, padding=(0, 1))
        self.second = nn.Conv2d(shape.channels, shape.channels, 3, stride=2, padding=(0, 1))
        self.project = nn.Linear(shape.channels * (shape.n_mels // 4), shape.width)

    def forward(self, x: Tensor, last_x: Tensor, last_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = torch.cat([last_x, x.unsqueeze(1)], 2)
        y = torch.cat([last_y, F.silu(self.first(x))], 2)
        z = F.silu(self.second(y))
        return self.project(z.transpose(1, 2).flatten(2)), x[:, :, -1:], y[:, :, -1:]


class Block(nn.Module):
    """Residual block on (B, T, width); keeps `kernel - 1` past frames, which also hold the late residual."""

    def __init__(self, shape: ConvShape, right: int) -> None:
        super().__init__()
        hidden = int(shape.width * shape.expansion)
        self.kernel, self.right, self.dropout = shape.kernel, right, shape.dropout
        self.depthwise = nn.Conv2d(shape.width, shape.width, (1, shape.kernel), groups=shape.width)
        self.norm = nn.LayerNorm(shape.width)
        self.gate = nn.Linear(shape.width, 2 * hidden)
        self.back = nn.Linear(hidden, shape.width)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        frames = x.shape[1]
        x = torch.cat([past, x], 1)
        mixed = self.depthwise(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
        value, gate = self.gate(self.norm(mixed)).chunk(2, -1)
        hidden = channel_dropout(value * F.silu(gate), self.dropout, self.training)
        start = self.kernel - 1 - self.right
        return x[:, start : start + frames] + self.back(hidden), x[:, -(self.kernel - 1) :]


class ConvModel(nn.Module):
    """`forward(features, *states) → (log-probabilities, *states)`; `initial` makes the states of a new stream.

    States, batch first: `mel` (B, 1, 1, mels), `conv` (B, channels, 1, mels/2), `blocks` (B, depth, kernel-1, width),
    `gru` (B, width).
    """

    state_names = ("mel", "conv", "blocks", "gru")
    mean: Tensor
    scale: Tensor

    def __init__(self, shape: ConvShape) -> None:
        super().__init__()
        if len(shape.right) != shape.depth:
            raise ValueError(f"`right` needs one number for each of the {shape.depth} blocks, not {len(shape.right)}")
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.n_mels))
        self.register_buffer("scale", torch.ones(shape.n_mels))
        self.subsampling = Subsampling(shape)
        self.blocks = nn.ModuleList(Block(shape, right) for right in shape.right)
        self.gru_norm = nn.LayerNorm(shape.width)
        self.gru = nn.GRU(shape.width, shape.width, batch_first=True)
        self.norm = nn.LayerNorm(shape.width)
        self.out = nn.Linear(shape.width, shape.labels)

    def state_shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        s = self.shape
        return {
            "mel": (batch, 1, 1, s.n_mels),
            "conv": (batch, s.channels, 1, s.n_mels // 2),
            "blocks": (batch, s.depth, s.kernel - 1, s.width),
            "gru": (batch, s.width),
        }

    def initial(self, batch: int) -> tuple[Tensor, ...]:
        device = self.out.weight.device
        # Under autocast the residual stream then runs in bf16 too, a fifth faster on a CPU than mixing both types.
        mixed = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if mixed else torch.float32
        return tuple(torch.zeros(shape, device=device, dtype=dtype) for shape in self.state_shapes(batch).values())

    def forward(self, features: Tensor, mel: Tensor, conv: Tensor, blocks: Tensor, gru: Tensor) -> tuple[Tensor, ...]:
        x = (features - self.mean) * self.scale
        x, mel, conv = self.subsampling(x, mel.to(x.dtype), conv)
        pasts = []
        for index, block in enumerate(self.blocks):
            x, past = block(x, blocks[:, index])
            pasts.append(past)
        y, state = self.gru(self.gru_norm(x), gru.unsqueeze(0))
        logits = self.out(self.norm(x + y))
        return logits.float().log_softmax(-1), mel, conv, torch.stack(pasts, 1), state.squeeze(0)

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
