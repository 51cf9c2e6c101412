from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from training.worker.child import why_it_failed
from training.worker.diary import LINES, LONGEST, Diary
from training.worker.voices import MOST, lend, take_back
from training.worker.watching import LogReader

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


def until(holds) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -------------------------------------------------------------------------------------------------------------- diary


def test_a_diary_keeps_the_last_lines_and_none_is_long():
    diary = Diary()
    for number in range(2 * LINES):
        diary.say(f"line {number} {'x' * LONGEST}")
    lines = diary.page().log.splitlines()
    assert len(lines) == LINES
    assert max(map(len, lines)) == LONGEST
    assert f"line {2 * LINES - 1}" in lines[-1]


def test_the_words_of_a_clip_are_in_no_line():
    diary = Diary()
    diary.withhold(["turn on the light"])
    diary.say("nothing is learned from clip7.flac ('turn on the light'): its loss was 'nan'")
    assert "turn on" not in diary.page().log
    assert "'nan'" in diary.page().log


def test_progress_goes_on_from_stage_to_stage():
    diary, seen = Diary(), []
    for stage in ("snapshot", "fit", "export", "evaluate", "gate", "publish"):
        diary.begin(stage)
        seen.append(diary.page().progress)
        diary.go(1.0)
        seen.append(diary.page().progress)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


# --------------------------------------------------------------------------------------------------------- log reader


def test_what_a_training_says_becomes_progress_and_lines_and_half_a_line_waits_for_its_end(tmp_path):
    diary, log = Diary(), tmp_path / "log.jsonl"
    reader = LogReader(log, diary)
    reader.read()
    diary.begin("fit")
    events = [
        {"event": "step", "step": 50, "loss": 1.5, "share": 0.5},
        {"event": "validated", "step": 50, "wer": {"words": 0.25}},
        {"event": "said", "sentence": "against torch: fp32 differs by 1e-06"},
    ]
    text = "".join(json.dumps(each) + "\n" for each in events)
    log.write_text(text[:-10])
    reader.read()
    assert (diary.page().stage, diary.page().progress) == ("fit", 0.03 + 0.5 * 0.72)
    assert "step 50, WER words 25.0%" in diary.page().log
    log.write_text(text)
    reader.read()
    assert diary.page().stage == "export"


# -------------------------------------------------------------------------------------------------------------- child


def test_why_a_child_failed_is_its_own_last_sentence(tmp_path):
    (tmp_path / "output.txt").write_text("step 1\nearloop: there is no corpus 'x'\n")
    assert why_it_failed(3, tmp_path).message == "there is no corpus 'x'"
    (tmp_path / "output.txt").write_text("Traceback:\nValueError: bad\n")
    assert why_it_failed(1, tmp_path).message == "ValueError: bad"


def leashed(parent: int, lock: Path, *command: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "training.worker.leash", str(parent), str(lock), *command]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_trainings_in_one_folder_the_second_waits_until_the_first_is_gone(tmp_path):
    holding = (sys.executable, "-c", "print('in', flush=True); import time; time.sleep(600)")
    with leashed(os.getpid(), tmp_path / "lock", *holding) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        with leashed(os.getpid(), tmp_path / "lock", sys.executable, "-c", "print('in')") as second:
            assert second.poll() is None
            first.kill()
            assert second.communicate(timeout=PATIENCE_S)[0] == "in\n"


def test_a_training_does_not_outlive_who_began_it(tmp_path):
    told = tmp_path / "pid"
    child = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = (
        "import os, subprocess, sys;"
        f"subprocess.run([sys.executable, '-m', 'training.worker.leash', str(os.getpid()), {str(tmp_path / 'lock')!r},"
        f" sys.executable, '-c', {child!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT) as began:
        until(lambda: told.is_file() and told.read_text())
        began.send_signal(signal.SIGKILL)
    stat = Path(f"/proc/{told.read_text()}/stat")
    until(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_whose_parent_is_gone_already_does_not_begin(tmp_path):
    with leashed(1 << 22, tmp_path / "lock", sys.executable, "-c", "print('in')") as orphan:
        assert orphan.communicate(timeout=PATIENCE_S)[0] == ""
        assert orphan.returncode == 7


# ------------------------------------------------------------------------------------------------------------- voices


def test_what_one_job_has_spoken_is_lent_to_the_next_and_old_speech_goes(tmp_path):
    shared, one, other = tmp_path / "voices", tmp_path / "one", tmp_path / "other"
    lend(shared, one)
    (one / "synthetic-a").mkdir()
    (one / "synthetic-a" / "1.flac").write_bytes(b"la")
    (one / "samples.pcm").write_bytes(b"somebody")
    take_back(shared, one)
    lend(shared, other)
    assert (other / "synthetic-a" / "1.flac").read_bytes() == b"la"
    assert [path.name for path in other.iterdir()] == ["synthetic-a"]
    for number in range(MOST + 3):
        (one / f"synthetic-{number}").mkdir()
    take_back(shared, one)
    assert len(list(shared.iterdir())) == MOST
