"""Several processes that learn one model: `torchrun --nproc-per-node 8 -m stt_server.cli train RECIPE`.

Each process makes and learns its share of a step's batches, by number; gradients are added up over all, and every one
takes the same step with the same numbers. The first process alone writes and speaks. Gradients travel in one piece
after the last batch of a step, not in buckets while it is computed, as torch's DistributedDataParallel has it: our
models are a few million numbers, and a process that has nothing left in an epoch's last step just adds zeros.

No wait is without a deadline. A process that dies takes its connections with it, so the others notice at their next
exchange, end with a sentence, and `--resume` goes on from the last checkpoint.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist

from stt_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

Result = TypeVar("Result")
STEP_DEADLINE = timedelta(minutes=10)
PREPARING_DEADLINE = timedelta(hours=12)  # speaking a synthetic corpus and decoding everything take hours


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of a run: this one is number `rank` of `size`, number `place` on its machine.

    Every method but `mine` is called by all of them at the same point. Raises Unavailable where one does not come.
    """

    rank: int = 0
    size: int = 1
    place: int = 0
    between_gpus: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def mine(self, numbers: range) -> range:
        """Every `size`-th number, which are this process's."""
        return numbers[self.rank :: self.size]

    def sum(self, *values: float) -> list[float]:
        """Each of `values` added up over all processes."""
        if self.size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64)
        with _together():
            dist.all_reduce(totals)
        added: list[float] = totals.tolist()
        return added

    def gather(self, item: Any) -> list[Any]:
        """What every process has, in the order of their ranks."""
        if self.size == 1:
            return [item]
        items = [None] * self.size
        with _together():
            dist.all_gather_object(items, item)
        return items

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the sum of all processes' gradients in place of each one's; where there is none it counts as zero."""
        if self.size == 1:
            return
        learning = [weight for weight in parameters if weight.requires_grad]
        parts = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in learning]
        flat = torch.cat([part.flatten() for part in parts])
        with _together():
            dist.all_reduce(flat, group=self.between_gpus)
        for weight, summed in zip(learning, flat.split([part.numel() for part in parts]), strict=True):
            weight.grad = summed.view_as(weight)

    def after_the_first(self, work: Callable[[], Result]) -> Result:
        """`work()` by the first process and then by the others, who find on disk what it has made."""
        if self.size == 1:
            return work()
        if self.is_first:
            done = work()
            _wait_for_all()
            return done
        _wait_for_all()
        return work()


ALONE = Team()


@contextmanager
def team() -> Iterator[Team]:
    """The processes that torchrun started, or this one alone."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    # Every optimizer loads it. Loaded while a group stands it holds on to that one, whose threads then outlive it, and
    # now and then abort the process as it ends.
    importlib.import_module("torch._dynamo")
    with _together():
        dist.init_process_group("gloo", timeout=STEP_DEADLINE)
    try:
        place = dist.get_node_local_rank()
        yield Team(dist.get_rank(), dist.get_world_size(), place, _between_gpus(place))
    finally:
        dist.destroy_process_group()


def _between_gpus(place: int) -> dist.ProcessGroup | None:
    """Where every process has a GPU of its own, the group by which they exchange gradients without the processor."""
    if place >= torch.cuda.device_count() or not dist.is_nccl_available():
        return None
    torch.cuda.set_device(place)
    group: dist.ProcessGroup = dist.new_group(backend="nccl", timeout=STEP_DEADLINE)
    return group


def _wait_for_all() -> None:
    with _together():
        dist.monitored_barrier(timeout=PREPARING_DEADLINE)


@contextmanager
def _together() -> Iterator[None]:
    """An exchange, of which torch says in many ways that another process did not take part."""
    try:
        yield
    except RuntimeError as error:
        told = f"another process of the run has ended or does not answer ({str(error).splitlines()[0][:200]})"
        raise Unavailable(f"{told}; its own last words say why, --resume goes on from the last checkpoint") from error
