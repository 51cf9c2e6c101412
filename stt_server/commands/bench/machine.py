"""What a measurement ran on: without it, a figure says nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """`load` is the system's average over the last minute before the run: what else was going on."""

    cpu: str
    cores: int
    load: float | None
    system: str
    python: str
    earloop: str
    onnxruntime: str


def this_machine() -> Machine:
    """What can be told without asking for rights."""
    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        system=platform.platform(),
        python=platform.python_version(),
        earloop=metadata.version("earloop"),
        onnxruntime=_onnxruntime(),
    )


def _cpu_name() -> str:
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _onnxruntime() -> str:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "none"
