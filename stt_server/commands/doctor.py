"""`earloop doctor`: what is installed, what is missing, and the command that brings it."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Final

import typer

from stt_server.settings import load_settings


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of the distribution: what it is good for and the distributions behind it."""

    name: str
    purpose: str
    distributions: tuple[str, ...]


EXTRAS: Final = (
    Extra("cpu", "runs models on the processor", ("onnxruntime",)),
    Extra("gpu", "runs models on an NVIDIA GPU", ("onnxruntime-gpu",)),
    Extra("kenlm", "scores with a language model", ("kenlm",)),
    Extra("reference", "beam search to compare ours with", ("pyctcdecode",)),
    Extra("av", "reads mp4, m4a, webm, mpeg and aac", ("av",)),
    Extra("train", "trains and exports models", ("torch", "onnx", "onnxscript")),
    Extra("tune", "finds the weights of language models", ("optuna",)),
)
PROGRAMS: Final = {"espeak-ng": "synthetic speech for training", "flite": "synthetic speech for training"}


def doctor() -> None:
    """Print the report on standard output; end with code 1 where the server could not run."""
    settings = load_settings()
    typer.echo(f"earloop {metadata.version('earloop')}, Python {platform.python_version()}, {platform.platform()}")
    typer.echo(f"data folder   {settings.data}{'' if settings.data.is_dir() else ' (made when first needed)'}")
    for extra in EXTRAS:
        typer.echo(f"{extra.name:<14}{_state(extra)}")
    for program, purpose in PROGRAMS.items():
        typer.echo(f"{program:<14}{shutil.which(program) or f'not installed ({purpose})'}")
    fault = runtime_fault(present("onnxruntime"), present("onnxruntime-gpu"))
    if fault:
        typer.echo(f"earloop doctor: {fault}", err=True)
        raise typer.Exit(1)


def runtime_fault(cpu: str | None, gpu: str | None) -> str | None:
    """Why no model could run with these versions of the two builds of onnxruntime (None: not installed), if so."""
    if cpu and gpu:
        return (
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; "
            "uninstall both, then install the extra cpu or gpu."
        )
    if not cpu and not gpu:
        return f"No onnxruntime: {sys.executable} -m pip install 'earloop[cpu]' (or [gpu])."
    return None


def present(distribution: str) -> str | None:
    """The installed version of a distribution, None without one."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _state(extra: Extra) -> str:
    versions = {name: present(name) for name in extra.distributions}
    if not all(versions.values()):
        return f"not installed ({extra.purpose})"
    return ", ".join(f"{name} {version}" for name, version in versions.items())
