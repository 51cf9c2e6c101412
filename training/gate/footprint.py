"""How much memory a server needs for a model: in a process of its own, from before it is loaded to the peak.

That process runs `main`, which prints the bytes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stt_server.errors import Internal
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer
from training.gate.schema import Memory

if TYPE_CHECKING:
    from training.policy import Costs

STREAMS = 16  # warmed at once, as a server does
TIMEOUT_S = 300.0
STATUS = Path("/proc/self/status")


def measure_memory(base: Path, candidate: Path, costs: Costs) -> Memory:
    """Of both bundles, each in a process that does nothing else. Raises Internal where such a process fails."""
    before, after = _asked(base), _asked(candidate)
    ratio = after / before
    return Memory(
        base_mb=round(before / 1e6, 1),
        candidate_mb=round(after / 1e6, 1),
        ratio=round(ratio, 3),
        limit=costs.memory,
        verdict="passed" if ratio <= costs.memory else "refused",
    )


def main() -> None:
    """What the process does: the footprint of the bundle that its argument names."""
    sys.stdout.write(f"{footprint(Path(sys.argv[1]))}\n")


def footprint(bundle: Path) -> int:
    """Bytes that this process grows by, at its peak, to load the bundle, warm it and hear its golden clip."""
    begun = peak_bytes()
    recognizer = Recognizer.load(bundle)
    recognizer.warm(STREAMS)
    recognizer.transcribe(read_audio(recognizer.bundle.path(recognizer.bundle.manifest.golden)))
    return max(1, peak_bytes() - begun)


def peak_bytes() -> int:
    """The most that this process has held. Linux's getrusage counts what its parent held as well, /proc does not."""
    if STATUS.is_file():
        line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _asked(bundle: Path) -> int:
    command = [sys.executable, "-c", "from training.gate.footprint import main; main()", str(bundle)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return int(done.stdout.split()[-1])
    except subprocess.TimeoutExpired as error:
        raise Internal(f"the memory of {bundle} was not measured within {TIMEOUT_S:.0f} s") from error
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        told = getattr(error, "stderr", "") or str(error)
        raise Internal(f"the memory of {bundle} could not be measured: {told.strip()[-300:]}") from error
