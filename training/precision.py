"""What computes, and in which numbers: device and precision as a schedule asks for them and the machine has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from stt_server.errors import BadOption

if TYPE_CHECKING:
    from training.recipe import Schedule

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Numerics:
    """The device of weights and batches, and what a model computes with; the weights stay in float32."""

    device: torch.device
    dtype: torch.dtype

    @property
    def needs_scaling(self) -> bool:
        """Gradients in float16 vanish unless the loss is scaled up."""
        return self.dtype == torch.float16

    def autocast(self) -> torch.autocast:
        mixed = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if mixed else torch.bfloat16, enabled=mixed)

    def __str__(self) -> str:
        names = {dtype: name for name, dtype in DTYPES.items()}
        return f"{self.device} in {names[self.dtype]}"


PLAIN = Numerics(torch.device("cpu"), torch.float32)


def choose_numerics(plan: Schedule, place: int = 0) -> Numerics:
    """As `device` and `precision` ask; on machines with many GPUs the one numbered `place`. Raises BadOption."""
    there = torch.cuda.is_available()
    if plan.device == "cuda" and not there:
        raise BadOption("there is no CUDA device; set schedule.device to auto or cpu", field="schedule.device")
    device = torch.device("cuda", place) if there and plan.device != "cpu" else torch.device("cpu")
    if plan.precision == "auto":
        return Numerics(device, torch.bfloat16 if _is_fast_in_bf16(device) else torch.float32)
    if plan.precision == "fp16" and device.type != "cuda":
        told = "fp16 needs a CUDA device; set schedule.precision to auto, bf16 or fp32"
        raise BadOption(told, field="schedule.precision")
    return Numerics(device, DTYPES[plan.precision])


def _is_fast_in_bf16(device: torch.device) -> bool:
    """Whether there are instructions for it: a processor without them computes bf16 slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
