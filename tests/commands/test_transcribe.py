import json
import os
import pty
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from stt_server.errors import BadAudio, NotFound
from stt_server.speech.files import write_flac, write_wav
from tests.bundles import spoken
from tests.commands import typed
from tests.recordings import OPENAIS, recording
from tests.voices import white_noise

run = partial(typed.run, family="transcribe")


@pytest.fixture
def clips(tmp_path):
    """A folder with two good clips, one of them deeper and at another rate, and a text file."""
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    write_wav(folder / "one.wav", spoken("stop", "light"))
    write_flac(folder / "deep" / "two.flac", np.repeat(spoken("yes"), 3), 48_000)
    (folder / "notes.txt").write_text("not audio")
    return folder


def test_the_text_of_one_file_is_the_line_on_standard_output(capsys, tiny_bundle, clips):
    assert run(capsys, clips / "one.wav", "--model", tiny_bundle) == (0, "stop light\n", "")


def test_lines_of_several_files_begin_with_their_paths(capsys, tiny_bundle, clips):
    code, out, err = run(capsys, clips, "--model", tiny_bundle)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{clips}/deep/two.flac: yes", f"{clips}/one.wav: stop light"]


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(capsys, tiny_bundle, clips):
    (clips / "broken.wav").write_bytes(b"RIFF\x00\x00")
    code, out, err = run(capsys, clips / "broken.wav", clips / "none.wav", clips / "one.wav", "--model", tiny_bundle)
    assert code == BadAudio.exit_code
    assert out == f"{clips}/one.wav: stop light\n"
    assert err.count("earloop: ") == err.count("\n") == 2
    assert err.count(f"{clips}/broken.wav") == err.count(f"{clips}/none.wav") == 1


@pytest.mark.parametrize("kind", OPENAIS)
def test_what_the_server_takes_the_command_takes(capsys, tiny_bundle, tmp_path, kind):
    (tmp_path / f"clip.{kind}").write_bytes(recording(kind, spoken("stop", "light")))
    assert run(capsys, tmp_path, "--model", tiny_bundle) == (0, "stop light\n", "")


def test_json_tells_words_with_times(capsys, tiny_bundle, clips):
    code, out, _ = run(capsys, clips / "one.wav", "--model", tiny_bundle, "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["text"], said["model"], said["language"]) == ("stop light", "tiny", "en")
    words = said["utterances"][0]["words"]
    assert [word["word"] for word in words] == ["stop", "light"]
    assert 0 < words[0]["start"] < words[0]["end"] < words[1]["end"] < said["audio_s"]


@pytest.mark.parametrize(
    "more", [["--decoder", "greedy"], ["--decoder", "reference"], ["--precision", "int8"], ["--no-vad"]]
)
def test_decoder_precision_and_endpointing_can_be_chosen(capsys, tiny_bundle, clips, more):
    assert run(capsys, clips / "one.wav", "--model", tiny_bundle, *more) == (0, "stop light\n", "")


def test_without_vad_a_file_is_one_utterance(capsys, tiny_bundle, tmp_path):
    write_wav(tmp_path / "long.wav", np.concatenate([spoken("no"), white_noise(6.0, -60), spoken("yes")]))
    utterances = [
        len(json.loads(run(capsys, tmp_path / "long.wav", "--model", tiny_bundle, "--json", *more)[1])["utterances"])
        for more in ([], ["--no-vad"])
    ]
    assert utterances == [2, 1]


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--model", "attic"], 3, "there is no model 'attic'"),
        (["--decoder", "best"], 2, "there is no decoder 'best'"),
        (["--precision", "int4"], 4, "no int4 model"),
        (["--lm", "none.arpa"], 3, "none.arpa"),
        (["--lm", "none.arpa", "--decoder", "greedy"], 2, "--lm"),
    ],
)
def test_a_choice_that_cannot_be_ends_with_a_sentence(capsys, tiny_bundle, clips, more, code, says):
    words = [clips / "one.wav", *(["--model", tiny_bundle] if "--model" not in more else []), *more]
    ended, out, err = run(capsys, *words)
    assert (ended, out) == (code, "")
    assert err.startswith("earloop: ")
    assert says in err


def test_a_folder_without_audio_says_what_was_looked_for(capsys, tiny_bundle, tmp_path):
    code, _, err = run(capsys, tmp_path, "--model", tiny_bundle)
    assert code == NotFound.exit_code
    assert ".wav" in err


def test_a_dash_is_standard_input_even_a_pipe(tiny_bundle, clips):
    command = [sys.executable, "-m", "stt_server.cli", "transcribe", "-", "--model", str(tiny_bundle)]
    wav = (clips / "one.wav").read_bytes()
    done = subprocess.run(command, input=wav, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"stop light\n", b"")
    done = subprocess.run(command, input=b"no audio", capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"earloop: -: ")


def test_with_a_terminal_for_progress_the_text_still_goes_to_standard_output(tiny_bundle, clips):
    """rich redirects standard output to its own console, here standard error, unless told not to."""
    command = [
        sys.executable,
        "-m",
        "stt_server.cli",
        "transcribe",
        str(clips / "one.wav"),
        "--model",
        str(tiny_bundle),
    ]
    ours, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, timeout=120, check=False, env=environment
        )
        os.set_blocking(ours, False)
        shown = os.read(ours, 1 << 20)
    finally:
        os.close(ours)
        os.close(terminal)
    assert done.stdout == b"stop light\n"
    assert b"transcribing" in shown
    assert b"stop light" not in shown
