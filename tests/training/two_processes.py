"""What `test_distributed.py` has torchrun start, several times at once: a run of `fit` as one process of a team.

    two_processes.py FOLDER '{"schedule": …}' [die | hang | interrupt]

The first writes `FOLDER/result.json`. To die, hang or interrupt is for the second, after its third step.
"""

import json
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

import torch

from stt_server.errors import EarloopError
from tests.training.material import ALPHABET, MEL, Listener, recipe, six_clips
from tests.voices import white_noise
from training import distributed
from training.architectures import new_model
from training.batches import Surroundings
from training.fit import fit

STEPS_BEFORE = 3
DEADLINE_S = 20  # they come together within it on a busy machine, too


class Calls:
    """The question whether to stop, in which the second process does what the test asks for."""

    def __init__(self, rank: int, deed: str) -> None:
        self.rank, self.deed, self.calls = rank, deed, 0
        self.wished = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.hear)

    def hear(self, number: int, _frame: object) -> None:
        sys.stderr.write(f"rank {self.rank} heard {signal.Signals(number).name}\n")
        self.wished.set()

    def __call__(self) -> bool:
        self.calls += 1
        if self.rank == 1 and self.calls > STEPS_BEFORE:
            if self.deed == "die":
                os._exit(17)
            if self.deed == "hang":
                signal.pause()
            if self.deed == "interrupt":
                return True
        return self.wished.is_set()


def threads_of_the_exchange() -> list[str]:
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if "gloo" in name]


def main(folder: Path, sections: str, deed: str = "") -> int:
    made = recipe(**json.loads(sections))
    told = Listener()
    if deed == "hang":
        distributed.STEP_DEADLINE = timedelta(seconds=DEADLINE_S)
    with distributed.team() as team:
        mine = folder if team.is_first else folder / "nowhere"
        around, stop = Surroundings([white_noise(2, -20)]), Calls(team.rank, deed)
        try:
            fit(
                made, new_model(made), six_clips(), six_clips(), ALPHABET, MEL, around, mine, told, stop=stop, team=team
            )
        except EarloopError as error:
            sys.stderr.write(f"rank {team.rank}: {error}\n")
            return error.exit_code
    if left := threads_of_the_exchange():
        raise AssertionError(f"a group's threads outlive it, and may abort the process as it ends: {left}")
    if team.is_first:
        result = {"losses": told.losses, "rates": told.rates, "size": team.size, "threads": torch.get_num_threads()}
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    elif told.losses or told.said or told.rates or mine.exists():
        raise AssertionError("only the first speaks and writes")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
