"""`earloop bench load`: how a server does under many streams at once; what each figure means, `report` defines.
`earloop bench soak`: whether it grows; what counts as growth, `growth` defines.
`earloop bench memory`: what its memory is made of.
`earloop bench swap`: what it costs those who speak when one model takes over from another.
`earloop bench decoder`: our decoders and others' on the same posteriors, without a server.
`earloop bench vocabulary`: how well a household's names are heard, with its vocabulary and without.
`earloop bench grammar | hotwords`: what a stream's own sentences and words do to what is heard.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.bench.quality import grammar, hotwords
from stt_server.commands.credential import Key, key_of
from stt_server.commands.folders import check_folders
from stt_server.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.commands.bench.report import Percentiles
    from stt_server.commands.bench.run import Result
    from stt_server.commands.bench.soak import SoakResult
    from stt_server.commands.bench.swap import SwapResult

app = typer.Typer()


@app.callback()
def bench() -> None:
    """Measure a running server."""


@app.command()
def load(
    streams: Annotated[int, typer.Option(help="Streams at the same time.", min=1, max=10_000)] = 40,
    seconds: Annotated[float, typer.Option(help="Audio of each stream, at least; sent in real time.", min=1)] = 30,
    url: Annotated[str, typer.Option(help="A running server; without it, one is started on a core of its own.")] = "",
    corpus: Annotated[
        str, typer.Option(help="Speech to send: a folder, a manifest, a corpus' name; else the model's evaluation kit.")
    ] = "",
    model: Annotated[str, typer.Option(help="Model to start the server with, or that the server at --url has.")] = "",
    frame_ms: Annotated[int, typer.Option(help="Audio in one message.", min=10, max=1000)] = 40,
    silence_ms: Annotated[int, typer.Option(help="Silence that ends an utterance.", min=100, max=5000)] = 600,
    key: Key = "",
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Send real speech over real sockets in real time; report latency, errors and the server's cost.

    Ends with code 1 when a stream failed.
    """
    from stt_server.commands.bench.run import Load, run
    from stt_server.settings import load_settings

    check_folders(file)
    plan = Load(streams, seconds, frame_ms, silence_ms, url, corpus)
    result = run(plan, load_settings(model=model or None), lambda text: typer.echo(text, err=True), key_of(key))
    if file:
        file.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    for name, value in _rows(result):
        typer.echo(f"{name:<38}{value}")
    if result.figures.failed:
        raise typer.Exit(1)


@app.command()
def soak(
    streams: Annotated[int, typer.Option(help="Clients at the same time.", min=1, max=1000)] = 20,
    minutes: Annotated[
        float, typer.Option(help="How long, behind a warm-up of a fifth of that, at most fifteen minutes.", min=0.1)
    ] = 10,
    most_growth: Annotated[float, typer.Option(help="Percent by which memory must not grow.", min=0.1)] = 2,
    url: Annotated[str, typer.Option(help="A running server; without it, one is started.")] = "",
    corpus: Annotated[
        str, typer.Option(help="Speech to send: a folder, a manifest, a corpus' name; else the model's evaluation kit.")
    ] = "",
    model: Annotated[str, typer.Option(help="Model to start the server with, or that the server at --url has.")] = "",
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write figures and samples.")] = None,
) -> None:
    """Let clients of all kinds come and go in real time; watch memory, threads, descriptors and tasks.

    Ends with code 1 when the server grew or a client failed.
    """
    from stt_server.commands.bench.soak import Soak, run_soak
    from stt_server.settings import load_settings

    check_folders(file)
    plan = Soak(streams, 60 * minutes, most_growth, url, corpus)
    result = run_soak(plan, load_settings(model=model or None), lambda text: typer.echo(text, err=True))
    if file:
        file.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    for name, value in _soak_rows(result):
        typer.echo(f"{name:<20}{value}")
    if not result.sound:
        raise typer.Exit(1)


@app.command()
def memory(
    model: Annotated[str, typer.Option(help="Model to start the servers with.")] = "",
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Measure what a connection, a stream and an upload add to a server's memory; five minutes."""
    from stt_server.commands.bench.footprint import kinds, measure_footprint
    from stt_server.settings import load_settings

    check_folders(file)
    result = measure_footprint(load_settings(model=model or None), kinds(), lambda text: typer.echo(text, err=True))
    if file:
        file.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    typer.echo(f"{result.model} on {result.machine.cpu}, {result.machine.cores} cores, load {result.machine.load}")
    typer.echo(f"{'':>4} {'at once':<32}{'MB before':>12}{'at most':>12}{'kB each':>12}")
    for each in result.held:
        figures = f"{each.before_mb:>12.1f}{each.most_mb:>12.1f}{each.each_kb:>12.1f}"
        typer.echo(f"{each.count:>4} {each.kind:<32}{figures}")


@app.command()
def decoder(
    model: Annotated[str, typer.Option(help="Model whose letters, kit and language model are taken.")] = "",
    lm: Annotated[Path | None, typer.Option(help="Another language model, ARPA, plain or gzipped.")] = None,
    text: Annotated[
        Path | None, typer.Option(help="Sentences to make posteriors of, a line each; else the kit's.")
    ] = None,
    corpus: Annotated[
        str, typer.Option(help="Speech to hear beside the kit: a folder, a manifest, a corpus' name.")
    ] = "",
    utterances: Annotated[int, typer.Option(help="Of 10 s, for each level of noise.", min=1)] = 24,
    beam: Annotated[int, typer.Option(help="Of every engine that has one.", min=1, max=500)] = 100,
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Measure decoders on posteriors made up in three levels of noise and on the model's own; about five minutes of one
    core.

    Others' decoders are measured where they are installed: the extras reference, kenlm and bench bring them.
    """
    from stt_server.commands.bench.clips import from_corpus, from_kit
    from stt_server.commands.bench.decoder import Plan, run_contest, table
    from stt_server.settings import load_settings
    from stt_server.speech.bundle import find_bundle
    from stt_server.speech.recognizer import Recognizer

    check_folders(file)
    settings = load_settings(model=model or None)
    recognizer = Recognizer.load(find_bundle(settings.model, settings.data), decoder="greedy")
    bundle = recognizer.bundle
    arpa = lm or (bundle.path(bundle.manifest.lm) if bundle.manifest.lm else None)
    if arpa is None:
        raise NotFound(f"The model {bundle.name} has no language model; give --lm.")
    plan = Plan(utterances=utterances, beam=beam, text=text)
    spoken = {"kit": from_kit(bundle)}
    if corpus:
        spoken[corpus] = from_corpus(corpus, settings.corpora)
    contest = run_contest(plan, recognizer, spoken, arpa, lambda text: typer.echo(text, err=True))
    if file:
        file.write_text(json.dumps(asdict(contest), indent=2) + "\n", encoding="utf-8")
    for line in table(contest):
        typer.echo(line)


@app.command()
def vocabulary(
    model: Annotated[str, typer.Option(help="Model that hears.")] = "",
    each: Annotated[int, typer.Option(help="Sentences of both kinds for every name.", min=1, max=100)] = 3,
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Measure how well a household's names are heard with and without its vocabulary, by synthetic voices.

    Needs espeak-ng, flite and the trainer; no server; about ten minutes.
    """
    from tempfile import TemporaryDirectory

    from stt_server.commands.bench.vocabulary import measure, table
    from stt_server.corpus.manifest import read_manifest
    from stt_server.services import load_recognizer
    from stt_server.settings import load_settings

    check_folders(file)
    recognizer = load_recognizer(load_settings(model=model or None))
    kit = recognizer.bundle.manifest.kit
    clips = list(read_manifest(recognizer.bundle.path(kit))) if kit else []
    with TemporaryDirectory(prefix="earloop-bench-") as folder:
        findings = measure(recognizer, clips, each, Path(folder), lambda text: typer.echo(text, err=True))
    if file:
        file.write_text(json.dumps(asdict(findings), indent=2) + "\n", encoding="utf-8")
    for line in table(findings):
        typer.echo(line)


@app.command()
def swap(
    streams: Annotated[int, typer.Option(help="Streams at the same time.", min=1, max=1000)] = 40,
    swaps: Annotated[int, typer.Option(help="How often another model takes over.", min=1, max=10_000)] = 50,
    calm: Annotated[float, typer.Option(help="Seconds before the first swap, to compare with.", min=1)] = 30,
    pause: Annotated[float, typer.Option(help="Seconds between two swaps.", min=0)] = 1,
    corpus: Annotated[
        str, typer.Option(help="Speech to send: a folder, a manifest, a corpus' name; else the model's evaluation kit.")
    ] = "",
    model: Annotated[str, typer.Option(help="Model that takes turns with a copy of itself.")] = "",
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")] = None,
) -> None:
    """Let models take over from each other under streams in real time; count what is lost.

    Ends with code 1 when a stream failed, a final was lost or is another one, or a model was not freed.
    """
    from stt_server.commands.bench.swap import Swaps, run_swaps
    from stt_server.settings import load_settings

    check_folders(file)
    plan = Swaps(streams, swaps, calm, pause, corpus)
    result = run_swaps(plan, load_settings(model=model or None), lambda text: typer.echo(text, err=True))
    if file:
        file.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    for name, value in _swap_rows(result):
        typer.echo(f"{name:<20}{value}")
    if not result.sound:
        raise typer.Exit(1)


app.command()(grammar)
app.command()(hotwords)


def _swap_rows(result: SwapResult) -> Iterator[tuple[str, str]]:
    machine = result.machine
    yield "machine", f"{machine.cpu}, {machine.cores} cores, load {machine.load}, onnxruntime {machine.onnxruntime}"
    yield "model", result.model
    faults = "".join(f"; {fault}" for fault in result.faults)
    yield "streams", f"{result.sessions}, {result.swaps.streams} at once; {result.failed} failed{faults}"
    yield "finals", f"{result.finals}; {result.lost_finals} lost, {result.other_words} streams with other words"
    yield "swaps", f"{result.swaps.count}, followed within {_row(result.follow_ms)}"
    yield "on the old model", f"{result.late} streams that were opened behind a swap"
    yield "chunk, before", _row(result.chunk_before_ms)
    yield "chunk, in swaps", _row(result.chunk_during_ms)
    yield "chunk, between", _row(result.chunk_between_ms)
    yield (
        "memory at rest",
        f"{result.memory_before_mb:g} to {result.memory_after_mb:g} MB; {result.retired} models kept",
    )


def _soak_rows(result: SoakResult) -> Iterator[tuple[str, str]]:
    machine, growth = result.machine, result.growth
    yield "machine", f"{machine.cpu}, {machine.cores} cores, load {machine.load}, onnxruntime {machine.onnxruntime}"
    yield "model", result.model
    yield "clients", f"{result.soak.streams} at once for {result.soak.seconds:g} s, {result.refused} refused"
    yield "visits", ", ".join(f"{count} {kind}" for kind, count in sorted(result.visits.items()))
    yield "server", f"{result.cpu_share:.0%} of a core"
    first, last, rest = growth.first_mb, growth.last_mb, growth.rest_mb
    yield "memory", f"{first:g} to {last:g} MB ({growth.percent:+g} %), at most {growth.peak_mb:g}"
    yield "memory at rest", f"{rest[0]:g} to {rest[1]:g} MB"
    for name in ("threads", "descriptors", "tasks"):
        before, after = getattr(growth, name)
        yield f"{name} at rest", f"{before} to {after}"
    for fault, count in result.faults.items():
        yield "failed", f"{count} × {fault}"
    for excess in result.excess:
        yield "grew", excess


def _rows(result: Result) -> Iterator[tuple[str, str]]:
    machine, figures, server, alone = result.machine, result.figures, result.server, result.alone
    cores = result.inputs.cores
    yield "machine", f"{machine.cpu}, {machine.cores} cores, load {machine.load}, onnxruntime {machine.onnxruntime}"
    pinned = f"; server on core {cores.server}, clients on core {cores.client}" if cores.server is not None else ""
    yield "input", f"{result.inputs.clips} clips of {result.load.corpus or 'the evaluation kit'}{pinned}"
    yield "model", result.inputs.model
    sent = f"{figures.streams} of {result.inputs.seconds} s in frames of {result.load.frame_ms} ms"
    yield "streams", f"{sent}; {figures.failed} failed{''.join(f'; {fault}' for fault in figures.faults)}"
    yield "chunk latency", _row(figures.chunk_latency_ms)
    yield "flush → final", _row(figures.flush_to_final_ms)
    yield "speech end → final", _row(figures.speech_end_to_final_ms)
    yield f"  without the {result.load.silence_ms} ms of silence", _row(figures.speech_end_to_final_without_silence_ms)
    yield "turns", f"{figures.turns}; {figures.ended_early} ended early, {figures.not_ended} only by their flush"
    errors = f"{100 * figures.word_error_rate:.1f} % of {figures.words}"
    yield "word errors", f"{errors}, {100 * alone.word_error_rate:.1f} % without a server" if alone else errors
    yield "server", f"{server.cpu_s} s CPU ({server.cpu_share:.0%} of a core), {server.memory_mb} MB resident"
    if alone:
        cost = f"{alone.cpu_s} s CPU, {alone.cpu_ms_per_audio_s} ms a second of audio"
        yield "features, model, decoder alone", f"{cost}; the server took {alone.cpu_ratio} ×"
    yield "behind notices", str(figures.behind_notices)
    yield "clients sent late by", _row(figures.client_lateness_ms)


def _row(times: Percentiles) -> str:
    if times.p50 is None:
        return "not measured"
    return f"p50 {times.p50:.0f}   p95 {times.p95:.0f}   p99 {times.p99:.0f} ms   of {times.count}"
