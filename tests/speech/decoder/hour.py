"""An hour of noise and noisy speech as one utterance, faster than real time: writes the process' memory by minute.

python -m tests.speech.decoder.hour LM BEAM
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np

from tests.speech.decoder.posteriors import flat, native, sentence, written

FRAMES_PER_MINUTE = 1500
STEP = 4


def minutes() -> list[np.ndarray]:
    """One of noise, one of speech in noise."""
    rng = np.random.default_rng(1)
    speech = np.concatenate([written(sentence(rng, 60), rng, 3.0) for _ in range(6)])
    return [flat(FRAMES_PER_MINUTE), speech[:FRAMES_PER_MINUTE]]


def resident() -> int:
    """Bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def main(lm: Path, beam: int) -> None:
    decoding, noise, sizes = native(lm, beam=beam).begin(), minutes(), []
    for minute in range(60):
        rows = noise[minute % 2]
        for start in range(0, len(rows), STEP):
            decoding.step(rows[start : start + STEP])
            decoding.partial()
        sizes.append(resident())
    sys.stdout.write(json.dumps({"bytes": sizes, "words": len(decoding.final().words)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
