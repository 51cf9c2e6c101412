"""Is what would be served what was trained? The golden clip, the exporter's own proof, and int8 beside fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.errors import BadBundle
from stt_server.speech.acoustic import AcousticModel
from stt_server.speech.files import read_audio
from stt_server.speech.golden import check_golden
from stt_server.speech.recognizer import Recognizer
from training.gate.acoustics import logprobs
from training.gate.schema import Parity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.speech.bundle import Bundle
    from training.policy import Costs

RECORDINGS = 8  # on which the two precisions are compared


def measure_parity(bundle: Bundle, recordings: Sequence[Path], costs: Costs) -> Parity:
    """Of the candidate alone. `recordings` are some of the target's; the golden clip is always heard."""
    faults = _golden_faults(bundle)
    declared = _declared(bundle)
    if declared is None:
        faults.append("its bundle does not say how far the graph is from the trained model (lineage.parity)")
    elif not declared <= costs.parity:
        faults.append(f"its graph differs from the trained model by {declared:.2g} nats, over {costs.parity:g}")
    moved = _moved(bundle, [bundle.path(bundle.manifest.golden), *recordings[:RECORDINGS]])
    if moved is not None and not moved <= costs.int8:
        faults.append(f"int8 gives {moved:.1%} of the probability to other labels than fp32, over {costs.int8:.0%}")
    return Parity(
        declared=declared,
        declared_limit=costs.parity,
        int8_moved=moved,
        int8_limit=costs.int8,
        faults=faults,
        verdict="refused" if faults else "passed",
    )


def _golden_faults(bundle: Bundle) -> list[str]:
    faults = []
    for precision in bundle.manifest.models:
        try:
            check_golden(Recognizer.load(bundle.folder, precision=precision, decoder="greedy"))
        except BadBundle as error:
            faults.append(f"in {precision}, {error.message}")
    return faults


def _declared(bundle: Bundle) -> float | None:
    """What the exporter measured between torch and the graph, in nats of log-probability."""
    told: Any = bundle.manifest.lineage.get("parity")
    value = told.get("fp32_logprob") if isinstance(told, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _moved(bundle: Bundle, recordings: Sequence[Path]) -> float | None:
    """Share of a frame's probability that int8 gives to other labels, on average; None where there is one precision."""
    if not {"fp32", "int8"} <= bundle.manifest.models.keys():
        return None
    models = [AcousticModel.load(bundle.model_path(precision)) for precision in ("fp32", "int8")]
    apart = []
    for path in recordings:
        samples = read_audio(path)
        whole, small = (np.exp(logprobs(bundle.manifest, model, samples)) for model in models)
        apart.append(np.abs(whole - small).sum(1) / 2)
    every = np.concatenate(apart)
    return float(every.mean()) if len(every) else 0.0
