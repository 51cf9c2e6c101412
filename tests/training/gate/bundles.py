"""Bundles for the gate's tests: the tiny one with a kit of its own words, and copies whose weights are damaged."""

from __future__ import annotations

import shutil
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import onnx

from stt_server.speech.bundle import entry, load_bundle, write_bundle
from stt_server.speech.files import read_audio, write_flac
from stt_server.speech.recognizer import Recognizer
from tests.bundles import VOICES, WORDS, spoken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.voices import Samples

HEAD = "source,split,speaker,path,duration_s,transcript"
QUIET = 16


def with_kit(bundle: Path, folder: Path, utterances: int = 24) -> Path:
    """A copy of the tiny bundle that was exported in order and has a kit: clean, noisy and without speech."""
    shutil.copytree(bundle, folder)
    recordings = [
        (source, text, voice, spoken(*text.split(), voice=voice, noise=noise))
        for source, noise in (("kit-clean", 1e-3), ("kit-noisy", 3e-3))
        for text, voice in _said(utterances)
    ]
    recordings += [("kit-quiet", "", "", np.zeros(8000, np.float32)) for _ in range(QUIET)]
    write_list(folder / "kit", recordings)
    described = load_bundle(folder).manifest.model_dump(mode="json")
    parity = {"parity": {"fp32_logprob": 1e-5}}
    write_bundle(folder, {**described, "kit": entry(folder, "kit/manifest.csv"), "lineage": parity})
    return folder


def write_list(folder: Path, recordings: Sequence[tuple[str, str, str, Samples]]) -> Path:
    """Of (source, text, speaker, samples): the recordings and a manifest of split test."""
    folder.mkdir(parents=True)
    rows = [HEAD]
    for number, (source, text, voice, samples) in enumerate(recordings):
        write_flac(folder / f"{number:03d}.flac", samples)
        rows.append(f"{source},test,{voice},{number:03d}.flac,{len(samples) / 16000:.3f},{text}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return manifest


def target_list(folder: Path, utterances: int = 24) -> Path:
    """Other takes of the tiny model's words."""
    said = [(text, voice) for text, voice in _said(2 * utterances)][utterances:]
    return write_list(
        folder, [("target", text, voice, spoken(*text.split(), voice=voice, gap_s=0.3)) for text, voice in said]
    )


def damaged(bundle: Path, folder: Path, share: float, seed: int = 1) -> Path:
    """A copy whose weights are moved by `share` of their spread: whole, and a worse model. It has fp32 alone."""
    shutil.copytree(bundle, folder)
    described = load_bundle(folder).manifest.model_dump(mode="json")
    path = folder / described["models"]["fp32"]["path"]
    _move(path, share, np.random.default_rng(seed))
    described |= {"models": {"fp32": entry(folder, path.name)}, "version": "damaged"}
    described["golden"]["text"] = _heard_in(folder, described)
    write_bundle(folder, described)
    return folder


def _said(count: int) -> Iterator[tuple[str, str]]:
    """Three words each, and one of the voices that the tiny model knows."""
    every = list(product(WORDS, repeat=3))
    for number in range(count):
        yield " ".join(every[number * 7 % len(every)]), VOICES[number % len(VOICES)]


def _move(path: Path, share: float, dice: np.random.Generator) -> None:
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype in (np.float16, np.float32) and values.size > 256:
            moved = values + share * values.std() * dice.standard_normal(values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(moved.astype(values.dtype), tensor.name))
    onnx.save(graph, path)


def _heard_in(folder: Path, described: dict[str, object]) -> str:
    bundle = write_bundle(folder, described)
    ears = Recognizer.load(folder, decoder="greedy")
    return ears.transcribe(read_audio(bundle.path(bundle.manifest.golden))).text
