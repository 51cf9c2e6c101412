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

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.streaming import SUBSAMPLING, StreamingModel, channel_dropout

__all__ = ["SUBSAMPLING", "Block", "ConvModel", "ConvShape", "Subsampling"]


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


class ConvModel(StreamingModel):
    """States, batch first: `mel` (B, 1, 1, mels), `conv` (B, channels, 1, mels/2), `blocks` (B, depth, kernel - 1,
    width), `gru` (B, width).
    """

    state_names = ("mel", "conv", "blocks", "gru")
    shape: ConvShape

    def __init__(self, shape: ConvShape) -> None:
        super().__init__(shape)
        if len(shape.right) != shape.depth:
            raise ValueError(f"`right` needs one number for each of the {shape.depth} blocks, not {len(shape.right)}")
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
