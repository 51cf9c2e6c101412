import gzip
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadBundle, BadOption, NotFound, Unsupported
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder import reference
from stt_server.speech.decoder.choice import load_decoders
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.ngram import build_search, read_unigrams
from stt_server.speech.decoder.reference import ReferenceDecoder

ALPHABET = Alphabet(" 'abcdefghijklmnopqrstuvwxyz")
ARPA = """\\data\\
ngram 1=7
ngram 2=3

\\1-grams:
-1.0\t<unk>\t0
-9.0\t<s>\t-0.3
-1.0\t</s>\t0
-0.8\tstop\t-0.3
-0.8\tlight\t-0.3
-0.8\tsee\t-0.3
-0.8\tsea\t-0.3

\\2-grams:
-0.1\tstop light
-0.1\t<s> stop
-0.1\tlight </s>

\\end\\
"""


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def searching(arpa):
    return ReferenceDecoder(ALPHABET, arpa, alpha=0.7, beta=1.0, beam=32)


def rows(path, sure=0.9):
    """Log-probabilities (T, 29) in which each frame's letter, `-` for the blank, has probability `sure`."""
    probabilities = np.full((len(path), 29), (1 - sure) / 28)
    for frame, letter in enumerate(path):
        probabilities[frame, ALPHABET.letters.find(letter) + 1] = sure
    return np.log(probabilities).astype(np.float32)


def mixed(path, place, letters):
    """`rows(path)` with one frame shared between letters: {letter: probability}."""
    made = np.exp(rows(path))
    made[place] = 0.2 / 29
    for letter, probability in letters.items():
        made[place, ALPHABET.letters.find(letter) + 1] = probability
    return np.log(made / made.sum(1, keepdims=True)).astype(np.float32)


def greedy(logprobs, size=None):
    decoding = GreedyDecoder(ALPHABET).open()
    size = size or max(1, len(logprobs))
    for start in range(0, len(logprobs), size):
        decoding.step(logprobs[start : start + size])
    return decoding


def flat(frames, seed=0):
    """Posteriors of noise: every label about as likely as any other."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (frames, 29))
    return (noise - np.log(np.exp(noise).sum(1, keepdims=True))).astype(np.float32)


# --------------------------------------------------------------------------------------------------------------- greedy


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("--ss-eeee--t-", "set"),
        ("seet", "set"),
        ("se-et", "seet"),
        ("no  yes", "no yes"),
        ("  -no- - yes  ", "no yes"),
        ("no -  - yes", "no yes"),
        ("-----", ""),
        ("   ", ""),
        ("", ""),
    ],
)
def test_repeats_and_blanks_collapse(path, text):
    assert greedy(rows(path)).final().text == text


def test_words_have_the_frames_of_their_letters():
    words = greedy(rows("--yy-es-- -no--")).final().words
    assert [(word.text, word.start, word.end) for word in words] == [("yes", 2, 7), ("no", 11, 13)]


def test_confidence_is_the_mean_probability_of_the_words_letters():
    logprobs = np.concatenate([rows("-yes", 0.9), rows("- no", 0.5)])
    yes, no = greedy(logprobs).final().words
    assert yes.confidence == pytest.approx(0.9, abs=1e-3)
    assert no.confidence == pytest.approx(0.5, abs=1e-3)


@settings(deadline=None)
@given(st.text("- aabnst", max_size=40), st.integers(1, 7))
def test_greedy_hears_the_same_in_steps_of_any_size(path, size):
    assert greedy(rows(path), size).final() == greedy(rows(path)).final()


@settings(deadline=None)
@given(st.text("- anost", max_size=40))
def test_what_a_partial_calls_stable_stays_to_the_end(path):
    decoding, settled = GreedyDecoder(ALPHABET).open(), []
    for row in rows(path):
        decoding.step(row[None])
        partial = decoding.partial()
        settled.append(partial.text[: partial.stable])
        assert len(settled[-1]) == partial.stable
    final = decoding.final()
    assert all(final.text.startswith(text.rstrip()) for text in settled)
    assert final.stable == len(final.text)


def test_a_partial_shows_the_word_that_is_being_written():
    decoding = greedy(rows("stop li"))
    assert (decoding.partial().text, decoding.partial().stable) == ("stop li", len("stop "))


# ------------------------------------------------------------------------------------------------------------ reference


def test_the_reference_hears_what_greedy_hears_where_every_frame_is_sure(searching):
    logprobs = rows("-ss-t-oo-p-- -l-i-g-h-t--", 0.99)
    decoding = searching.open()
    decoding.step(logprobs)
    assert decoding.partial().text == decoding.final().text == greedy(logprobs).final().text == "stop light"


def test_its_words_lie_where_greedys_lie(searching):
    logprobs = rows("---s-t-o-p-- --l-i-g-h-t---", 0.99)
    decoding = searching.open()
    decoding.step(logprobs)
    for word, plain in zip(decoding.final().words, greedy(logprobs).final().words, strict=True):
        assert abs(word.start - plain.start) <= 1
        assert abs(word.end - plain.end) <= 1
        assert word.confidence == pytest.approx(0.99, abs=0.02)


def test_the_language_model_mends_a_letter(searching):
    logprobs = mixed("-s-t-o-p- -l-i-g-h-t-", 5, {"u": 0.45, "o": 0.4})
    decoding = searching.open()
    decoding.step(logprobs)
    assert decoding.partial().text == "stup light"
    assert decoding.final().text == "stop light"


def test_hotwords_decide_between_words_that_sound_alike(searching):
    logprobs = mixed("-s-e-a-", 5, {"e": 0.42, "a": 0.4})
    texts = {}
    for hotwords in ((), ("sea",), ("see",)):
        decoding = searching.open(hotwords)
        decoding.step(logprobs)
        texts[hotwords] = decoding.final().text
    assert texts[("sea",)] == "sea"
    assert texts[()] == texts[("see",)] == "see"


def test_silence_says_nothing_whatever_the_language_model_says(searching):
    decoding = searching.open()
    decoding.step(rows("-" * 50, 0.6))
    assert decoding.final().words == ()
    assert searching.open().final().words == ()


def test_a_partial_settles_all_but_the_word_being_written(searching):
    decoding = searching.open()
    shown: list[str] = []
    for letter in "stop light":
        decoding.step(rows(letter))
        partial = decoding.partial()
        assert all(partial.text.startswith(earlier) for earlier in shown)
        shown.append(partial.text[: partial.stable])
    assert shown[-1] == "stop "


def test_flat_posteriors_narrow_the_search_and_sharp_ones_do_not(searching):
    assert searching.bounds(rows("-s-t-o-p-" * 10, 0.99)) == (32, -5.0)
    beam, least_logp = searching.bounds(flat(750))
    assert beam * (flat(750) > least_logp).sum() <= reference.WORK
    narrow = ReferenceDecoder(ALPHABET, None, alpha=0.5, beta=1.0, beam=4)
    assert narrow.bounds(flat(750))[0] == 4


def test_words_in_loud_noise_survive_the_narrowed_search(searching):
    path = "-s-t-o-p-- -l-i-g-h-t--- " * 30
    noisy = np.log(0.5 * np.exp(rows(path)) + 0.5 * np.exp(flat(len(path)))).astype(np.float32)
    assert searching.bounds(noisy)[1] > -5.0
    assert " ".join(word.text for word in searching.decode(noisy)) == " ".join(["stop light"] * 30)


def test_half_a_minute_of_noise_is_searched_in_a_bounded_time(searching):
    began = time.process_time()
    searching.decode(flat(750))
    assert time.process_time() - began < 0.5  # 0.04 where it was measured; 0.25 before the search was narrowed


def test_an_utterance_without_end_is_searched_in_parts(searching, monkeypatch):
    monkeypatch.setattr(reference, "LONGEST", 60)
    searched: list[int] = []
    decode = searching.decode

    def decode_and_note(part, hotwords):
        searched.append(len(part))
        return decode(part, hotwords)

    monkeypatch.setattr(searching, "decode", decode_and_note)
    path = "-s-t-o-p-- -l-i-g-h-t--- " * 12
    logprobs = rows(path, 0.99)
    decoding = searching.open()
    stable = 0
    for start in range(0, len(logprobs), 4):
        decoding.step(logprobs[start : start + 4])
        assert decoding.partial().stable >= stable
        stable = decoding.partial().stable
    final = decoding.final()
    assert final.text == " ".join(["stop light"] * 12)
    assert max(searched) <= 64
    plain = greedy(logprobs).final().words
    assert all(abs(word.start - other.start) <= 1 for word, other in zip(final.words, plain, strict=True))


def test_noise_without_a_space_is_searched_in_parts_too(searching, monkeypatch):
    monkeypatch.setattr(reference, "LONGEST", 40)
    decoding = searching.open()
    for _ in range(50):
        decoding.step(rows("abcd"))
    assert len(decoding.final().text.replace(" ", "")) == 200


def test_steps_do_not_keep_the_whole_batch_alive(searching):
    batch = np.stack([rows("stop")] * 64)
    decoding = searching.open()
    decoding.step(batch[3])
    assert all(kept.base is None or kept.base.nbytes <= batch[3].nbytes for kept in decoding._kept)


# ----------------------------------------------------------------------------------------------- choice, language model


def test_a_gzipped_arpa_decodes_as_the_plain_one(arpa, searching):
    packed = arpa.with_suffix(".arpa.gz")
    packed.write_bytes(gzip.compress(arpa.read_bytes()))
    decoder = ReferenceDecoder(ALPHABET, packed, alpha=0.7, beta=1.0, beam=32)
    logprobs = mixed("-s-t-o-p- -l-i-g-h-t-", 5, {"u": 0.45, "o": 0.4})
    assert decoder.decode(logprobs) == searching.decode(logprobs)


def test_unigrams_are_read_without_the_signs_for_edges_and_unknown(arpa):
    assert read_unigrams(arpa) == ["stop", "light", "see", "sea"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.arpa", b""),
        ("text.arpa", b"turn on the light\n"),
        ("binary.arpa", bytes(range(256)) * 10),
        ("cut.arpa", ARPA[:150].encode()),
        ("not.arpa.gz", ARPA.encode()),
        ("cut.arpa.gz", gzip.compress(ARPA.encode())[:-40]),
    ],
)
def test_a_file_that_is_no_language_model_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadBundle, match=f"{name} is not an ARPA language model") as refused:
        ReferenceDecoder(ALPHABET, tmp_path / name, alpha=0.5, beta=1.0, beam=8).load()
    assert refused.value.field == "lm"


def test_a_language_model_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="nothing.arpa"):
        ReferenceDecoder(ALPHABET, tmp_path / "nothing.arpa", alpha=0.5, beta=1.0, beam=8).load()


def test_nothing_is_written_to_standard_error_when_a_language_model_is_read(arpa, capfd):
    ReferenceDecoder(ALPHABET, arpa, alpha=0.5, beta=1.0, beam=8).load()
    assert capfd.readouterr() == ("", "")


def test_greedy_alone_needs_no_packages_and_reads_no_language_model(tmp_path):
    chosen = load_decoders(ALPHABET, tmp_path / "none.arpa", alpha=0.5, beta=1.0, beam=8, required="greedy")
    assert list(chosen) == ["greedy"]


@pytest.mark.parametrize("package", ["kenlm", "pyctcdecode"])
def test_a_decoder_whose_packages_are_missing_is_left_out_or_refused_where_it_was_asked_for(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert list(load_decoders(ALPHABET, None, alpha=0.5, beta=1.0, beam=8)) == ["greedy", "native"]
    with pytest.raises(Unsupported, match="extras reference and kenlm"):
        load_decoders(ALPHABET, None, alpha=0.5, beta=1.0, beam=8, required="reference")


def test_the_reference_loads_its_language_model_for_whom_asks_for_it_unless_it_serves(arpa, monkeypatch):
    loaded = []

    def build(*given):
        loaded.append(given)
        return build_search(*given)

    monkeypatch.setattr(reference, "build_search", build)
    beside = load_decoders(ALPHABET, arpa, alpha=0.5, beta=1.0, beam=8)["reference"]
    assert not loaded
    for _ in range(2):
        beside.prepare(Asked())
    assert len(loaded) == 1
    load_decoders(ALPHABET, arpa, alpha=0.5, beta=1.0, beam=8, required="reference")
    assert len(loaded) == 2


def test_an_unknown_decoder_is_a_bad_option():
    with pytest.raises(BadOption, match="'best'") as refused:
        load_decoders(ALPHABET, None, alpha=0.5, beta=1.0, beam=8, required="best")
    assert refused.value.field == "decoder"
