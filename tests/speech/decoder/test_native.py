import json
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import kenlm
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stt_server.errors import BadInput
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.native import Hotwords, NativeDecoder, Search, step_held, step_together
from stt_server.speech.decoder.ngram import build_search
from tests.speech.decoder.posteriors import ALPHABET, WORDS, flat, native, normal, sentence, write_arpa, written

ROOT = Path(__file__).parents[3]
EVERYTHING: dict[str, Any] = {"look_ahead": False, "margin": 1000.0, "work": 1 << 30, "labels": 1000}


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    return write_arpa(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def decoder(arpa):
    return native(arpa)


def heard(decoder, logprobs, size=None, **asked):
    """Steps of `size` frames; what each partial said, and the decoding."""
    decoding = decoder.prepare(Asked(**asked))()
    size = size or max(1, len(logprobs))
    partials = []
    for start in range(0, len(logprobs), size):
        decoding.step(logprobs[start : start + size])
        partials.append(decoding.partial())
    return decoding, partials


# ------------------------------------------------------------------------------------------------ against the reference


def all_alignments(logprobs: np.ndarray, text: str) -> float:
    """The logarithm of the mass of all that spells a text, spaces around it and more than one between words included:
    the forward algorithm (Graves et al. 2006), nothing dropped but the labels of a frame that no search tries.
    """
    is_tried = logprobs > np.minimum(Search().least_logprob, logprobs.max(1, keepdims=True) - 1e-6)
    is_tried[:, 0] = True
    labels = [0]
    for letter in f" {text} ":
        labels += [ALPHABET.letters.index(letter) + 1, 0]
    space = ALPHABET.letters.index(" ") + 1
    before = [{s, s - 1} for s in range(len(labels))]  # states from which each is reached
    for s in range(1, len(labels)):
        if s > 1 and labels[s] and labels[s] != labels[s - 2]:
            before[s].add(s - 2)
        if labels[s] == space:
            before[s].add(s + 1)  # the blank behind it: another space
    before[3].add(0)  # without a space before the first word
    mass = np.zeros(len(labels))
    rows = np.where(is_tried, np.exp(logprobs.astype(np.float64)), 0)
    mass[[0, 1, 3]] = rows[0][[labels[s] for s in (0, 1, 3)]]
    for row in rows[1:]:
        mass = np.array([row[label] * sum(mass[s] for s in before[i] if s >= 0) for i, label in enumerate(labels)])
    return float(np.log(mass[-4:].sum()))


def misheard(seed: int) -> np.ndarray:
    """Posteriors of three words. None ends with a space: for pyctcdecode that begins an unknown word."""
    rng = np.random.default_rng(seed)
    logprobs = written(sentence(rng, 3), rng, 1.0 + 0.2 * (seed % 5))
    logprobs[-5:, ALPHABET.space] = -30
    return normal(logprobs)


def score_exactly(arpa, seeds: range, beam: int) -> None:
    """The best sentence's score is that of all its alignments, in a search that drops little."""
    lm, decoder, compared = kenlm.Model(str(arpa)), native(arpa, beam=beam, **EVERYTHING), 0
    for seed in seeds:
        logprobs = misheard(seed)
        (text, score), *_ = heard(decoder, logprobs)[0].scores(1)
        if {*text.split()} <= {*WORDS}:
            said = 0.7 * np.log(10) * lm.score(text) + 1.0 * len(text.split())
            assert score == pytest.approx(all_alignments(logprobs, text) + said, abs=1e-3)
            compared += 1
    assert compared > 0.9 * len(seeds)


def test_a_sentences_score_is_that_of_all_its_alignments(arpa):
    score_exactly(arpa, range(100), 80)


@pytest.mark.nightly
def test_a_sentences_score_is_that_of_all_its_alignments_on_two_thousand_posteriors(arpa):
    score_exactly(arpa, range(2000), 150)


def agree(arpa, posteriors: int, beam: int) -> None:
    """The best sentence, found by two programs that share no line. Theirs drops some of a sentence's alignments."""
    ours, theirs = native(arpa, beam=beam, **EVERYTHING), build_search(ALPHABET, arpa, 0.7, 1.0)
    different = 0
    for seed in range(posteriors):
        logprobs = misheard(seed)
        (text, score), *_ = heard(ours, logprobs)[0].scores(1)
        their_text, _, _, _, their_score = theirs.decode_beams(logprobs, beam_width=beam, beam_prune_logp=-1000.0)[0]
        if all(word in WORDS or len(word) <= 6 for word in their_text.split()):  # a long unknown one costs ours more
            assert score >= their_score - 0.2
        different += text != their_text  # they dropped what was the best one
    assert different <= posteriors / 8


def test_the_best_sentence_is_the_references(arpa):
    agree(arpa, 16, 80)


@pytest.mark.nightly
def test_the_best_sentence_is_the_references_on_two_thousand_posteriors(arpa):
    agree(arpa, 2000, 150)


def test_without_language_model_a_prefix_has_the_mass_of_all_its_alignments():
    """Two frames, two letters: counted by hand."""
    logprobs = np.full((2, len(ALPHABET)), -30, np.float32)
    blank, a = 0, ALPHABET.letters.find("a") + 1
    logprobs[:, blank], logprobs[:, a] = np.log(0.6), np.log(0.4)
    decoding, _ = heard(native(None, **EVERYTHING), logprobs)
    scores = {text: float(np.exp(score)) for text, score in decoding.scores(10)}
    assert scores["a"] == pytest.approx(0.64, abs=1e-4)
    assert scores[""] == pytest.approx(0.36, abs=1e-4)


# ------------------------------------------------------------------------------------------------------------ streaming


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 30), st.integers(1, 9))
def test_chunking_changes_nothing(decoder, seed, size):
    rng = np.random.default_rng(seed)
    logprobs = written(sentence(rng, 6), rng, 2.5)
    whole, _ = heard(decoder, logprobs)
    cut, _ = heard(decoder, logprobs, size)
    assert cut.finals(5) == whole.finals(5)
    assert cut.scores(5) == whole.scores(5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 30))
@example(42)  # the best prefix ends where all share the space behind it
def test_what_a_partial_calls_stable_stays_to_the_end(decoder, seed):
    rng = np.random.default_rng(seed)
    decoding, partials = heard(decoder, written(sentence(rng, 8), rng, 3.0), 3)
    final = decoding.final()
    lengths = [partial.stable for partial in partials]
    assert lengths == sorted(lengths)
    assert all(final.text.startswith(partial.text[: partial.stable].rstrip()) for partial in partials)


def test_words_that_were_clear_are_settled_before_the_next_has_ended(decoder):
    _, partials = heard(decoder, written("turn on the light", np.random.default_rng(1), 0.3), 2)
    assert any(each.text[: each.stable].startswith("turn on") and "light" not in each.text for each in partials)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 30), st.integers(0, 60))
def test_a_resumed_decoding_goes_on_as_if_nothing_had_been(decoder, seed, place):
    rng = np.random.default_rng(seed)
    logprobs = written(sentence(rng, 6), rng, 2.5)
    whole, _ = heard(decoder, logprobs)
    first, _ = heard(decoder, logprobs[:place])
    second = decoder.begin()
    second.restore(first.save())
    second.step(logprobs[place:])
    assert second.finals(5) == whole.finals(5)
    assert second.spelled() == whole.spelled()


def test_a_saved_decoding_that_is_damaged_or_anothers_is_refused(decoder, arpa):
    decoding, _ = heard(decoder, written("turn on the light", np.random.default_rng(1)))
    saved = decoding.save()
    rng = np.random.default_rng(0)
    for place in rng.integers(4, len(saved), 50):
        damaged = bytearray(saved)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(BadInput, match="not saved by this decoder"):
            decoder.begin().restore(bytes(damaged))
    for size in (0, 3, 4, 11, len(saved) // 2, len(saved) - 1):
        with pytest.raises(BadInput, match="not saved by this decoder"):
            decoder.begin().restore(saved[:size])
    other = NativeDecoder(["▁a", "b"], None, alpha=0.5, beta=1.0, beam=8)
    with pytest.raises(BadInput, match="other labels"):
        other.begin().restore(saved)


def test_streams_stepped_together_hear_what_each_hears_alone(decoder):
    rng = np.random.default_rng(5)
    clips = [written(sentence(rng, count), rng, 2.5) for count in (1, 4, 7, 3)]
    together = [decoder.begin() for _ in clips]
    for start in range(0, max(map(len, clips)), 5):
        step_together(together, [clip[start : start + 5] for clip in clips])
    assert [each.final() for each in together] == [heard(decoder, clip)[0].final() for clip in clips]


def test_what_streams_hold_is_stepped_together_or_when_somebody_asks(decoder):
    rng = np.random.default_rng(15)
    clips = [written(sentence(rng, count), rng, 2.5) for count in (4, 7, 3)]
    holding = [*(decoder.begin() for _ in clips), GreedyDecoder(ALPHABET).open()]
    for start in range(0, max(map(len, clips)), 5):
        for decoding, clip in zip(holding, [*clips, clips[0]], strict=True):
            decoding.hold(clip[start : start + 5])
        if start % 2:
            step_held(holding)
    greedy = GreedyDecoder(ALPHABET).open()
    greedy.step(clips[0])
    assert [each.final() for each in holding[:-1]] == [heard(decoder, clip)[0].final() for clip in clips]
    assert holding[-1].final() == greedy.final()


def test_what_is_held_is_saved(decoder):
    rng = np.random.default_rng(16)
    clip = written(sentence(rng, 5), rng, 2.5)
    decoding, resumed = decoder.begin(), decoder.begin()
    decoding.hold(clip[:20])
    resumed.restore(decoding.save())
    resumed.step(clip[20:])
    assert resumed.final() == heard(decoder, clip)[0].final()


def test_streams_on_threads_hear_what_each_hears_alone(decoder):
    rng = np.random.default_rng(6)
    clips = [written(sentence(rng, 20), rng, 3.0) for _ in range(6)]
    alone = [heard(decoder, clip)[0].final() for clip in clips]
    found = [None] * len(clips)

    def hear(place):
        for _ in range(5):
            found[place] = heard(decoder, clips[place], 4)[0].final()

    threads = [threading.Thread(target=hear, args=(place,)) for place in range(len(clips))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == alone


def test_a_step_lets_other_threads_run(decoder):
    """In one long call Python's other threads go on: a counter moves while it lasts."""
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.001)

    noise = flat(20_000)
    decoding = decoder.begin()
    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = counted[0]
        decoding.step(noise)
        moved = counted[0] - before
    finally:
        stop.set()
        thread.join(60)
    assert moved >= 5


# ------------------------------------------------------------------------------------------------------- noise and time


def test_an_hour_of_noise_takes_no_more_memory_than_its_first_minutes(decoder):
    """What is saved is all that there is, but for the words that were settled: those a decoding keeps for its text."""
    decoding = decoder.begin()
    noise = np.concatenate([flat(1500, seed) for seed in range(2)])
    sizes = []
    for minute in range(20):
        decoding.step(noise[(minute % 2) * 1500 :][:1500])
        decoding.partial()
        settled = sum(16 + len(word.text) for word in decoding._settled)
        sizes.append(len(decoding.save()) - settled - len(decoding._read(final=True).spelled))
    assert max(sizes[5:]) <= 1.3 * max(sizes[:5])
    assert max(sizes) < 2_000_000


def memory_of_an_hour(lm: Path, beam: int) -> tuple[list[int], int]:
    """Bytes resident after each minute, in a process that does nothing else, and the words that were heard."""
    command = [sys.executable, "-m", "tests.speech.decoder.hour", str(lm), str(beam)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=1800)
    told = json.loads(ran.stdout)
    return told["bytes"], told["words"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_an_hours_utterance_is_flat_but_for_its_text(arpa):
    sizes, words = memory_of_an_hour(arpa, 64)
    assert words > 3000
    assert max(sizes[5:]) <= 1.05 * sizes[4]


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_an_hours_utterance_is_flat_with_the_shipped_language_model():
    sizes, _ = memory_of_an_hour(ROOT / "stt_server/bundles/en-small/lm.arpa.gz", 100)
    assert max(sizes[5:]) <= 1.05 * sizes[4]


def test_noise_costs_a_bounded_number_of_times_what_speech_costs(decoder):
    """In one run, and with room: a flat frame has 28 labels to try, a clear one has one or two."""
    rng = np.random.default_rng(8)
    speech = np.concatenate([written(sentence(rng, 8), rng, 1.0) for _ in range(30)])
    noise = flat(len(speech))

    def cost(rows):
        began = time.process_time()
        for _ in range(3):
            heard(decoder, rows, 4)
        return time.process_time() - began

    cost(speech)
    assert cost(noise) < 60 * cost(speech)


def test_log_probabilities_that_are_no_numbers_do_no_harm(decoder):
    rng = np.random.default_rng(9)
    logprobs = written("turn on the light", rng)
    logprobs[3] = -np.inf
    logprobs[5, 0] = np.nan
    logprobs[7] = np.nan
    decoding, _ = heard(decoder, logprobs, 2)
    assert decoding.final().text.endswith("light")
    assert all(np.isfinite(score) for _, score in decoding.scores(5))


def test_rows_of_another_width_are_refused(decoder):
    with pytest.raises(BadInput, match="29 labels"):
        decoder.begin().step(np.zeros((3, 28), np.float32))
    decoder.begin().step(np.zeros((0, 29), np.float32))


# ---------------------------------------------------------------------------------------------------- words, confidence


def test_words_lie_where_their_letters_are_heard(decoder):
    logits = np.full((30, len(ALPHABET)), -8.0)
    logits[:, 0] = 4
    for frame, letter in ((4, "s"), (5, "e"), (7, "e"), (10, " "), (14, "o"), (15, "o"), (16, "n")):
        logits[frame, ALPHABET.letters.find(letter) + 1] = 12
    decoding, _ = heard(decoder, normal(logits))
    assert [(word.text, word.start, word.end) for word in decoding.final().words] == [("see", 4, 8), ("on", 14, 17)]


def test_a_word_that_was_hardly_heard_is_trusted_less(decoder):
    rng = np.random.default_rng(3)
    clear = written("turn on the light", rng, 0.5)
    doubtful = clear.copy()
    s, e, a = (ALPHABET.letters.find(letter) + 1 for letter in "sea")
    rows = normal(np.full((7, len(ALPHABET)), -6.0))
    for frame, labels in enumerate(([s], [s], [e], [0], [e, a], [0], [0])):
        rows[frame] = np.log(0.01 / 28)
        rows[frame, labels] = np.log(0.99 / len(labels))
    space = np.full((1, len(ALPHABET)), -9.0, np.float32)
    space[0, 1] = -0.001
    decoding, _ = heard(decoder, np.concatenate([doubtful, space, rows]))
    words = decoding.final().words
    assert words[-1].text in ("see", "sea")
    assert words[-1].confidence < 0.9 < min(word.confidence for word in words[:-1])


def test_the_likeliest_utterances_come_in_order_and_differ(decoder):
    rng = np.random.default_rng(4)
    decoding, _ = heard(decoder, written("turn on the sea", rng, 2.5))
    scores = decoding.scores(20)
    assert len({text for text, _ in scores}) == len(scores) > 2
    assert [score for _, score in scores] == sorted((score for _, score in scores), reverse=True)
    assert decoding.finals(3)[0] == decoding.final()


# --------------------------------------------------------------------------------------- vocabulary, pieces, wishes


def test_an_unknown_word_is_written_where_the_vocabulary_is_open_and_never_where_it_is_closed(arpa):
    logprobs = written("turn on xylo", np.random.default_rng(2), 0.3)
    assert heard(native(arpa), logprobs)[0].final().text == "turn on xylo"
    closed = heard(native(arpa, closed=True, margin=1000.0), logprobs)[0].final().text
    assert "xylo" not in closed
    assert set(closed.split()) <= set("turn on stop light lights see sea the a at".split())


def test_a_word_whose_letter_was_all_but_missed_is_found_by_a_search_that_looks_deep(arpa):
    logprobs = written("turn on the", np.random.default_rng(3), 0.1)
    frame = int(logprobs[:, ALPHABET.letters.index("n") + 1].argmax())
    logprobs[frame - 1 : frame + 2, ALPHABET.letters.index("n") + 1] = -8.0
    (missed, _), (found, _) = (heard(native(arpa, closed=True, deep=deep), logprobs) for deep in (0, 28))
    assert found.final().text == "turn on the"
    assert missed.final().text != "turn on the"


def test_pieces_of_words_spell_what_letters_spell(arpa):
    """▁ begins a word, alone or before letters; a word may be cut into pieces in any way."""
    pieces = ["▁", "▁turn", "▁o", "n", "▁the", "▁li", "ght", "s", "l", "i", "g", "h", "t"]
    decoder = NativeDecoder(pieces, arpa, alpha=0.7, beta=1.0, beam=32)
    for spelled in ("▁turn ▁o n ▁the ▁li ght", "▁turn ▁o n ▁the ▁ l i g h t"):
        logits = np.full((30, len(pieces) + 1), -6.0)
        for frame, piece in enumerate(spelled.split()):
            logits[2 * frame, pieces.index(piece) + 1] = 3
            logits[2 * frame + 1, 0] = 3
        logits[2 * len(spelled.split()) :, 0] = 3
        decoding, _ = heard(decoder, normal(logits), 4)
        assert decoding.final().text == decoding.spelled() == "turn on the light"


def test_five_thousand_pieces_in_flat_frames_cost_a_bounded_time():
    pieces = [f"{'▁' if number % 3 == 0 else ''}{number:x}" for number in range(5000)]
    decoder = NativeDecoder(pieces, None, alpha=0.5, beta=1.0, beam=64)
    rng = np.random.default_rng(0)
    flat_rows = normal(rng.normal(0, 0.1, (100, 5001)))
    began = time.process_time()
    decoder.begin().step(flat_rows)
    assert time.process_time() - began < 5  # 0.05 where it was measured; every piece after every prefix: minutes


@pytest.mark.parametrize("more", [0, 999])
def test_hotwords_bring_words_that_the_model_does_not_know(decoder, more):
    logprobs = written("turn on zeldo", np.random.default_rng(12), 2.6)
    letters = "abcdefghij"
    others = tuple((f"w{letters[n % 10]}{letters[n // 10 % 10]}{letters[n // 100]}", 8.0) for n in range(more))
    assert heard(decoder, logprobs)[0].final().text != "turn on zeldo"
    assert heard(decoder, logprobs, boosts=(*others, ("zeldo", 12.0)))[0].final().text == "turn on zeldo"


def test_a_phrase_that_is_left_half_way_earns_nothing(decoder):
    logprobs = written("turn on the light", np.random.default_rng(13), 0.5)
    plain, boosted = (heard(decoder, logprobs, boosts=b)[0].scores(1)[0] for b in ((), (("turn on the stove", 9.0),)))
    assert boosted == pytest.approx(plain)
    text, score = heard(decoder, logprobs, boosts=(("on the light", 2.0),))[0].scores(1)[0]
    assert (text, score) == (plain[0], pytest.approx(plain[1] + 6.0, abs=1e-3))


def test_of_two_phrases_that_begin_alike_each_earns_its_own(decoder):
    logprobs = written("turn on the light", np.random.default_rng(13), 0.5)
    base = heard(decoder, logprobs)[0].scores(1)[0][1]
    boosts = (("turn on", 2.0), ("turn on the light", 2.0))
    assert heard(decoder, logprobs, boosts=boosts)[0].scores(1)[0][1] == pytest.approx(base + 8.0, abs=1e-3)
    inner = (("turn on the stove", 2.0), ("on the", 2.0))
    assert heard(decoder, logprobs, boosts=inner)[0].scores(1)[0][1] == pytest.approx(base + 4.0, abs=1e-3)


def test_a_thousand_phrases_are_ready_soon():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    phrases = {" ".join("".join(rng.choice(letters, 7)) for _ in range(2)): 6.0 for _ in range(1000)}
    began = time.process_time()
    Hotwords(phrases)
    assert time.process_time() - began < 1  # 0.01 where it was measured


def test_one_streams_wishes_do_not_touch_another(decoder):
    logprobs = written("turn on zeldo", np.random.default_rng(12), 2.6)
    plain = heard(decoder, logprobs)[0].final()
    wishing, other = decoder.prepare(Asked(boosts=(("zeldo", 12.0),), beam=8))(), decoder.begin()
    for row in logprobs:
        wishing.step(row[None])
        other.step(row[None])
    assert other.final() == plain != wishing.final()


def test_silence_says_nothing_whatever_the_language_model_says(decoder):
    logprobs = np.full((50, 29), np.log(0.4 / 28), np.float32)
    logprobs[:, 0] = np.log(0.6)
    decoding, partials = heard(decoder, logprobs, 5)
    assert decoding.final().words == ()
    assert not any(partial.words for partial in partials)
    assert decoder.begin().final().words == ()


def test_what_is_read_is_what_was_packed():
    from stt_server.speech.decoder.interface import TimedWord
    from stt_server.speech.decoder.native import _Cursor, _packed_words

    words = (TimedWord("größe", 3, 9, 0.5), TimedWord("", 9, 10, 1.0))
    assert _Cursor(_packed_words(words)).words() == words
    with pytest.raises(struct.error):
        _Cursor(_packed_words(words)[:-9]).words()
