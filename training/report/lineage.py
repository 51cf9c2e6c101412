"""Where a result comes from: data, code, machine, size and speed."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.recognizer import Recognizer
from training.report.schema import Clips, Machine, Size, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.corpus.clip import Clip
    from stt_server.speech.bundle import Bundle

PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "torch", "pyctcdecode", "kenlm")
WARM_STEPS, TIMED_STEPS = 5, 60
UNKNOWN = "unknown"


def data_hash(*parts: Sequence[Clip]) -> str:
    """The same for the same clips in any order and folder."""
    lines = sorted(
        "\t".join([clip.source, clip.split or "", clip.path.name, clip.text, f"{clip.duration_s or 0:.2f}"])
        for part in parts
        for clip in part
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def clips_of(clips: Sequence[Clip]) -> Clips:
    """How many, and how long together."""
    return Clips(clips=len(clips), hours=round(sum(clip.duration_s or 0.0 for clip in clips) / 3600, 4))


def package_version() -> str:
    """Of earloop as it is installed."""
    return _version("earloop") or UNKNOWN


def machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        system=platform.platform(terse=True),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        gpu=_gpu(),
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := _version(name))},
    )


def size(bundle: Bundle) -> Size:
    """How large the bundle is, and how long a step takes here."""
    manifest = bundle.manifest
    named = {f"model {name}": bundle.model_path(name) for name in manifest.models}
    if manifest.lm:
        named["language model"] = bundle.path(manifest.lm)
    return Size(
        parameters=manifest.parameters or 0,
        files={name: path.stat().st_size for name, path in named.items()},
        bundle_bytes=sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file()),
        steps=[step_latency(bundle, precision) for precision in manifest.models],
    )


def step_latency(bundle: Bundle, precision: str) -> Step:
    """The time of the acoustic model's step for one stream, without features and decoding."""
    manifest = bundle.manifest
    model = Recognizer.load(bundle.folder, precision=precision, decoder="greedy").model
    features = np.zeros((1, manifest.step_frames, model.n_mels), np.float32)
    states, took = [model.initial()], []
    for _ in range(WARM_STEPS + TIMED_STEPS):
        begun = perf_counter()
        _, states = model.step(features, states)
        took.append(1000 * (perf_counter() - begun))
    median, p95 = np.quantile(took[WARM_STEPS:], [0.5, 0.95])
    audio_ms = manifest.step_frames * manifest.features.hop_ms
    return Step(precision=precision, audio_ms=audio_ms, median_ms=round(float(median), 3), p95_ms=round(float(p95), 3))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Linux tells its name in /proc alone."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or UNKNOWN


def _gpu() -> str:
    """Asked of torch only where it is loaded: a report of a bundle needs none."""
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name(0)) if torch is not None and torch.cuda.is_available() else ""
