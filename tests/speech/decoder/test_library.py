"""The compiled half: that it can be missing, that it is built by the package's own build, that it is sound."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stt_server.errors import Unsupported
from stt_server.speech.decoder import choice, library, native
from stt_server.speech.decoder.library import Library, library_path
from tests.speech.decoder.posteriors import ALPHABET

SOURCE = Path(library.__file__).with_name("native.cpp")
HERE = Path(__file__).parent
CLEAN = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


@pytest.fixture
def without_library(monkeypatch):
    """As on a machine where no compiler was found."""
    monkeypatch.setattr(library, "library_path", lambda: None)
    library.load_library.cache_clear()
    choice._tell_once.cache_clear()
    yield
    library.load_library.cache_clear()


def test_the_build_made_it():
    assert library_path() is not None


def test_without_it_other_decoders_run_and_the_log_says_so_once(without_library, caplog):
    with caplog.at_level(logging.WARNING, "earloop"):
        choice.load_decoders(ALPHABET, None, alpha=0.5, beta=1.0, beam=8)
        decoders = choice.load_decoders(ALPHABET, None, alpha=0.5, beta=1.0, beam=8)
    assert list(decoders) == ["greedy", "reference"]
    assert choice.default_decoder(None, "native", decoders) == "reference"
    (record,) = caplog.records
    assert record.getMessage() == "no_native_decoder"
    assert "C++ compiler" in str(vars(record))


def test_asked_for_where_it_is_missing_it_is_refused(without_library):
    with pytest.raises(Unsupported, match="install a C\\+\\+ compiler"):
        choice.load_decoders(ALPHABET, None, alpha=0.5, beta=1.0, beam=8, required="native")


def test_what_is_no_library_or_built_from_other_sources_is_refused(tmp_path):
    (tmp_path / "none.so").write_bytes(b"no library")
    with pytest.raises(Unsupported, match="does not load"):
        Library(tmp_path / "none.so")
    (tmp_path / "other.c").write_text("int earloop_abi(void) { return 0; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "other.c", "-o", "other.so"], cwd=tmp_path, check=True, timeout=60)
    with pytest.raises(Unsupported, match="other sources"):
        Library(tmp_path / "other.so")


def test_a_bundle_that_wants_greedy_gets_it_and_who_asks_gets_what_he_asks():
    there = ("greedy", "native", "reference")
    assert choice.default_decoder(None, "greedy", there) == "greedy"
    assert choice.default_decoder(None, "reference", there) == choice.default_decoder(None, "native", there) == "native"
    assert choice.default_decoder("reference", "native", there) == "reference"
    assert choice.default_decoder(None, "native", ("greedy",)) == "greedy"
    assert native.NativeDecoder.name in choice.ENGINES


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_the_source_compiles_without_a_warning(tmp_path):
    subprocess.run(["g++", "-O3", *CLEAN, str(SOURCE), "-o", str(tmp_path / "a.so")], check=True, timeout=1800)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_no_sanitizer_complains_when_the_tests_run(tmp_path):
    """Address and undefined behaviour: the decoder's tests once more, with a library that watches itself."""
    built = tmp_path / "native.so"
    subprocess.run(["g++", *SANITIZED, *CLEAN, str(SOURCE), "-o", str(built)], check=True, timeout=1800)
    runtimes = [_printed("libasan.so"), _printed("libstdc++.so")]
    program = (
        "import sys, pathlib, pytest\n"
        "from stt_server.speech.decoder import library\n"
        f"library.library_path = lambda: pathlib.Path({str(built)!r})\n"
        "sys.exit(pytest.main(sys.argv[1:]))\n"
    )
    names = "native model grammar_search hotwords_kept confidence".split()
    tests = [*(str(HERE / f"test_{name}.py") for name in names), "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "LD_PRELOAD": ":".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0"}
    # A library that watches itself is slow, and KenLM's is not ours to watch.
    left_out = "not cost and not soon and not reference and not other_threads and not an_hours and not kenlm"
    ran = subprocess.run(
        [sys.executable, "-c", program, *tests, "-k", left_out],
        env=environment,
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]


def _printed(name: str) -> str:
    asked = subprocess.run(["g++", f"-print-file-name={name}"], check=True, capture_output=True, text=True, timeout=60)
    return asked.stdout.strip()
