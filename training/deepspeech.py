"""The architecture of Deep Speech (Hannun et al. 2014), with its recurrent layer as Mozilla's DeepSpeech had it.

    log-mel (B, T, 80) ─ four frames stacked, 40 ms ─ a window of `context` of them on each side
        ─ three dense layers ─ one LSTM, forward in time ─ one dense layer ─ log-probabilities (B, T/4, labels)

All layers are `width` wide and clipped at 20, as in the paper: min(max(x, 0), 20). DeepSpeech heard 9 frames of 20 ms
on each side and answered every 20 ms; here it is 4 of 40 ms, about as much time, and an answer every 40 ms. The window
makes the model `context` outputs late.

The first dense layer with its window is a Conv2d with a kernel of height 1, which onnxruntime runs fastest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.streaming import SUBSAMPLING, StreamingModel, channel_dropout

CLIPPED_AT = 20.0


@dataclass(frozen=True, slots=True)
class DeepSpeechShape:
    """The sizes of a `deepspeech` model. `context` says how many output frames it hears on each side of one."""

    n_mels: int = 80
    labels: int = 29
    width: int = 256
    context: int = 4
    dropout: float = 0.1

    @property
    def lag_frames(self) -> int:
        return self.context


class DeepSpeech(StreamingModel):
    """States, batch first: `window` (B, 4 mels, 1, 2 context), `hidden` and `cell` of the LSTM (B, width)."""

    state_names = ("window", "hidden", "cell")
    shape: DeepSpeechShape

    def __init__(self, shape: DeepSpeechShape) -> None:
        super().__init__(shape)
        width = shape.width
        self.first = nn.Conv2d(SUBSAMPLING * shape.n_mels, width, (1, 2 * shape.context + 1))
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.fourth = nn.Linear(width, width)
        self.out = nn.Linear(width, shape.labels)

    def state_shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        s = self.shape
        return {
            "window": (batch, SUBSAMPLING * s.n_mels, 1, 2 * s.context),
            "hidden": (batch, s.width),
            "cell": (batch, s.width),
        }

    def forward(self, features: Tensor, window: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        x = (features - self.mean) * self.scale
        stacked = x.reshape(x.shape[0], -1, SUBSAMPLING * self.shape.n_mels).transpose(1, 2).unsqueeze(2)
        heard = torch.cat([window.to(stacked.dtype), stacked], 3)
        y = self._dense(self.first(heard).squeeze(2).transpose(1, 2))
        y = self._dense(self.third(self._dense(self.second(y))))
        y, (hidden, cell) = self.lstm(y, (hidden.unsqueeze(0), cell.unsqueeze(0)))
        logits = self.out(self._dense(self.fourth(y)))
        window = heard[..., heard.shape[3] - 2 * self.shape.context :]
        return logits.float().log_softmax(-1), window, hidden.squeeze(0), cell.squeeze(0)

    def _dense(self, x: Tensor) -> Tensor:
        return channel_dropout(x.clamp(0.0, CLIPPED_AT), self.shape.dropout, self.training)
