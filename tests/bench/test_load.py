"""The short twin of `earloop bench load --streams 40`: a few streams, so that every change can run it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stt_server.commands.bench.bare import run_bare
from stt_server.commands.bench.load import Conversation
from stt_server.commands.bench.report import Percentiles, measure, word_error_rate_alone
from stt_server.commands.bench.script import RATE, Speech, voice_end, write_scripts
from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import write_manifest
from stt_server.errors import Unavailable
from stt_server.messages import Behind, Endpointing, Final, Flush, Open, Partial
from stt_server.speech.files import write_flac
from tests.bundles import WORDS, spoken
from tests.voices import silence

SILENCE_MS = 500
OPTIONS = Open("native", endpointing=Endpointing(silence_ms=SILENCE_MS))


@pytest.fixture(scope="module")
def clips() -> list[Speech]:
    return [Speech(word, spoken(word)) for word in WORDS]


@pytest.fixture(scope="module")
def corpus(clips: list[Speech], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest of the words."""
    folder = tmp_path_factory.mktemp("corpus")
    for clip in clips:
        write_flac(folder / f"{clip.text}.flac", clip.samples)
    write_manifest(folder / "manifest.csv", [Clip(folder / f"{clip.text}.flac", clip.text) for clip in clips])
    return folder


def load(*words: str, patience_s: float = 150) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stt_server.cli", "bench", "load", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience_s, check=False)


def bench(corpus: Path, bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return load("--streams", "3", "--seconds", "5", "--corpus", str(corpus), "--model", str(bundle), *words)


@pytest.mark.slow
def test_a_short_load_loses_no_stream_and_no_word_and_reports_every_figure(corpus, tiny_bundle, tmp_path):
    done = bench(corpus, tiny_bundle, "--json", str(tmp_path / "load.json"))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "load.json").read_text())
    figures, server, alone = result["figures"], result["server"], result["alone"]
    assert (figures["streams"], figures["failed"], figures["faults"]) == (3, 0, [])
    assert figures["audio_s"] >= 15
    assert figures["word_error_rate"] == alone["word_error_rate"] < 0.35  # what a server may never change
    for name in ("chunk_latency_ms", "flush_to_final_ms", "speech_end_to_final_ms"):
        assert 0 < figures[name]["p50"] <= figures[name]["p95"] <= figures[name]["p99"], name
    assert figures["speech_end_to_final_ms"]["p50"] > result["load"]["silence_ms"] * 0.8
    assert server["cpu_s"] > 0
    assert server["memory_mb"] > 30
    assert alone["cpu_ratio"] > 0
    assert result["machine"]["cpu"] in done.stdout
    assert "flush → final" in done.stdout


@pytest.mark.slow
def test_streams_a_server_refuses_are_failures_and_named(corpus, tiny_bundle, tmp_path):
    from stt_server.commands.bench.server import own_server

    arguments = ["--data", str(tmp_path / "data"), "--model", str(tiny_bundle), "--max-streams", "2"]
    with own_server(arguments, None) as url:
        done = bench(corpus, tiny_bundle, "--url", url)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "taken" in done.stdout


def test_without_a_server_or_clips_it_says_so(corpus, unused_tcp_port, tmp_path):
    away = load("--url", f"http://127.0.0.1:{unused_tcp_port}", "--corpus", str(corpus))
    assert (away.returncode, "is a server running there?" in away.stderr) == (7, True)
    nothing = load("--corpus", str(tmp_path))
    assert (nothing.returncode, str(tmp_path) in nothing.stderr) == (3, True)
    nowhere = load("--json", str(tmp_path / "no" / "load.json"))
    assert (nowhere.returncode, "make it first" in nowhere.stderr) == (3, True)


def test_scripts_differ_by_stream_and_never_by_run(clips):
    scripts = write_scripts(clips, 3, 8, SILENCE_MS)
    assert scripts == write_scripts(clips, 3, 8, SILENCE_MS)
    assert len({script.data for script in scripts}) == 3
    for script in scripts:
        assert script.seconds >= 8
        assert [turn.push_to_talk for turn in script.turns[:2]] in ([True, False], [False, True])


@pytest.mark.parametrize("piece_ms", [20, 40, 160])
def test_pieces_are_all_of_the_audio_and_a_flush_stands_at_the_end_of_every_turn(clips, piece_ms):
    script = write_scripts(clips, 1, 8, SILENCE_MS)[0]
    pieces = list(script.pieces(piece_ms))
    assert b"".join(piece for _, piece in pieces if not isinstance(piece, Flush)) == script.data
    assert [length for length, piece in pieces if isinstance(piece, Flush)] == [turn.end for turn in script.turns]
    assert max(len(piece) for _, piece in pieces if not isinstance(piece, Flush)) == 2 * RATE * piece_ms // 1000


def test_the_voice_ends_where_speech_falls_below_its_peak_by_35_db():
    tone = 0.5 * np.sin(np.arange(RATE) / 5).astype(np.float32)
    assert voice_end(np.concatenate([silence(0.5), tone, 0.001 * tone, silence(0.3)])) == 1.5 * RATE
    assert voice_end(silence(0.005)) == 80


def test_the_recogniser_alone_hears_the_same_whatever_the_pieces(tiny, clips):
    scripts = write_scripts(clips, 2, 6, SILENCE_MS)
    fine, coarse = (run_bare(tiny, scripts, OPTIONS, piece_ms) for piece_ms in (20, 160))
    assert fine.cpu_s > 0
    for script, one, other in zip(scripts, fine.heard, coarse.heard, strict=True):
        assert [each.event for each in one] == [each.event for each in other]
        assert all(early.length <= late.length for early, late in zip(one, other, strict=True))
        flushed = [each.event for each in one if isinstance(each.event, Final) and each.event.reason == "flush"]
        assert len(flushed) == len(script.turns)


def test_percentiles_are_in_milliseconds_and_none_without_values():
    assert Percentiles.of([0.1, 0.2, 0.3]) == Percentiles(3, 200.0, 290.0, 298.0)
    assert Percentiles.of([]) == Percentiles(0)


def test_latencies_are_counted_from_the_frames_that_made_them_possible(tiny, clips):
    """A server that answers everything exactly 50 ms after the recogniser could know it."""
    scripts = write_scripts(clips, 2, 6, SILENCE_MS)
    alone = run_bare(tiny, scripts, OPTIONS, 40)
    conversations = [answered_after(0.05, script, heard) for script, heard in zip(scripts, alone.heard, strict=True)]
    figures = measure(conversations, alone, SILENCE_MS)
    assert figures.chunk_latency_ms.p50 == figures.chunk_latency_ms.p99 == 50
    assert figures.flush_to_final_ms.p50 == figures.flush_to_final_ms.p99 == 50
    assert figures.speech_end_to_final_ms.p50 is not None
    assert figures.speech_end_to_final_without_silence_ms.p50 == figures.speech_end_to_final_ms.p50 - SILENCE_MS
    assert figures.speech_end_to_final_ms.p50 > SILENCE_MS
    assert figures.word_error_rate == word_error_rate_alone(conversations, alone) < 0.35
    assert figures.turns == sum(len(script.turns) for script in scripts)
    assert figures.client_lateness_ms.p99 == 0


def test_a_stream_that_failed_is_counted_with_what_it_got(tiny, clips):
    scripts = write_scripts(clips, 2, 6, SILENCE_MS)
    alone = run_bare(tiny, scripts, OPTIONS, 40)
    well, ill = (answered_after(0.05, script, heard) for script, heard in zip(scripts, alone.heard, strict=True))
    ill.events = [*ill.events[:5], (9.0, Behind(700))]
    ill.fault = Unavailable("The server left.")
    figures = measure([well, ill], alone, SILENCE_MS)
    assert (figures.failed, figures.faults, figures.behind_notices) == (1, ["The server left."], 1)
    assert len(well.script.turns) <= figures.turns < len(well.script.turns) + len(ill.script.turns)


def test_an_event_nobody_could_know_has_no_latency(clips):
    script = write_scripts(clips, 1, 3, SILENCE_MS)[0]
    conversation = answered_after(0.05, script, ())
    conversation.events = [(1.0, Partial(0, "invented"))]
    assert measure([conversation], None, SILENCE_MS).chunk_latency_ms == Percentiles(0)


def answered_after(delay_s: float, script, heard) -> Conversation:
    """What a client would have noted down that sent each frame in the moment its last sample was spoken."""
    conversation = Conversation(script)
    for length, piece in script.pieces(40):
        if isinstance(piece, Flush):
            conversation.flushed.append(length / RATE)
        else:
            conversation.lengths.append(length)
            conversation.sent.append(length / RATE)
            conversation.late.append(0.0)
    conversation.events = [(each.length / RATE + delay_s, each.event) for each in heard]
    return conversation


@pytest.mark.nightly
@pytest.mark.timeout(1000)
def test_forty_streams_of_the_kit_on_one_core_lose_none_and_end_in_time(tmp_path):
    """The figure of the README. It wants two cores with nothing else on them."""
    done = load("--streams", "40", "--seconds", "40", "--json", str(tmp_path / "load.json"), patience_s=900)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "load.json").read_text())
    figures = result["figures"]
    assert (figures["streams"], figures["failed"]) == (40, 0)
    assert figures["word_error_rate"] == result["alone"]["word_error_rate"]
    assert figures["flush_to_final_ms"]["p95"] <= 300
    assert figures["speech_end_to_final_ms"]["p95"] - result["load"]["silence_ms"] <= 300
