"""Memory that has ended, a GPU's or a processor's: how it is told from other errors, and given back."""

from __future__ import annotations

import gc

import torch

SIGNS = ("DefaultCPUAllocator", "bad_alloc", "out of memory", "could not create a primitive")  # the last is oneDNN's


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ended; of a processor's torch says so in a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(sign in str(error) for sign in SIGNS)


def give_back(device: torch.device) -> None:
    """Collect what nothing holds any more; what a GPU keeps for later tensors goes back, too."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
