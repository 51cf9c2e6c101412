import kaldi_native_fbank
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.speech.features import FeatureRecipe, LogMel
from tests.voices import fan_noise, say, silence, white_noise

RECIPE = FeatureRecipe()
MEL = LogMel(RECIPE)
SPEECH = say("turn on the light in the kitchen")
SIGNALS = {
    "speech": SPEECH,
    "loud noise": white_noise(1.0, -6),
    "fan": fan_noise(1.0, -30),
    "speech after silence": np.concatenate([silence(0.5), SPEECH]),
}


def chunked(samples, cuts):
    tail, frames = MEL.initial(), []
    for piece in np.split(samples, sorted(cuts)):
        new, tail = MEL(piece, tail)
        frames.append(new)
    return np.concatenate(frames)


def mel(hz):
    return 1127 * torch.log(1 + torch.as_tensor(hz, dtype=torch.float64) / 700)


def by_torch(samples):
    """The same features, written down anew from the definition, in double precision: a matrix of triangles."""
    corners = torch.linspace(float(mel(40.0)), float(mel(7800.0)), 82, dtype=torch.float64)
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    bins = mel(torch.arange(257) * 16000 / 512)[:, None]
    triangles = torch.clamp(torch.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)), min=0)
    frames = torch.tensor(samples, dtype=torch.float64).unfold(0, 400, 160)
    window = torch.hann_window(400, periodic=True, dtype=torch.float64)
    power = torch.fft.rfft(frames * window, 512).abs() ** 2
    return torch.log(power @ triangles + 1e-6).numpy()


@pytest.mark.parametrize("name", SIGNALS)
def test_features_agree_with_a_formulation_in_torch(name):
    ours = MEL.whole(SIGNALS[name])
    assert ours.dtype == np.float32
    assert np.abs(ours - by_torch(SIGNALS[name])).max() < 1e-3


def test_features_agree_with_kaldi_where_its_filters_are_ours():
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.preemph_coeff = 0.0
    options.frame_opts.remove_dc_offset = False
    options.frame_opts.window_type = "hanning"  # symmetric, ours is periodic: the difference below
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = 80, 40, 7800
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(16000, SPEECH.tolist())
    fbank.input_finished()
    ours = MEL.whole(SPEECH)
    theirs = np.array([fbank.get_frame(i) for i in range(len(ours))])
    loud = theirs > np.log(1e-3)  # far above the floors, which differ
    assert loud.mean() > 0.5
    assert np.abs(ours - theirs)[loud].mean() < 0.02


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, len(SPEECH)), max_size=40))
def test_frames_are_the_same_however_the_samples_are_cut(cuts):
    pieces, whole = chunked(SPEECH, cuts), MEL.whole(SPEECH)
    assert pieces.shape == whole.shape
    assert np.abs(pieces - whole).max() < 1e-5


def test_whole_steps_give_the_same_bits_in_any_company():
    """What a stream relies on: the same 16 frames' samples give the same numbers."""
    step, _ = MEL(SPEECH[1600 : 1600 + 2800], MEL.initial())
    again, _ = MEL(SPEECH[1840 : 1600 + 2800], SPEECH[1600:1840])
    assert np.array_equal(step, again)


def test_every_frame_of_silence_is_the_recipes_silence():
    frames = MEL.whole(silence(0.1))
    assert frames.shape == (8, 80)
    assert np.all(frames == np.float32(RECIPE.silence))


def test_less_than_a_window_gives_no_frame_and_is_kept():
    frames, tail = MEL(SPEECH[:399], MEL.initial())
    assert frames.shape == (0, 80)
    assert len(tail) == 399
    frames, tail = MEL(SPEECH[399:400], tail)
    assert frames.shape == (1, 80)
    assert len(tail) == 240


def test_the_tail_does_not_keep_the_samples_before_it_alive():
    _, tail = MEL(np.zeros(16000 * 60, np.float32), MEL.initial())
    assert tail.base is None


def test_a_tone_is_loudest_in_the_band_of_its_pitch():
    time = np.arange(16000) / 16000
    peaks = [MEL.whole(np.sin(2 * np.pi * hz * time).astype(np.float32)).mean(0).argmax() for hz in (200, 1000, 4000)]
    assert peaks == sorted(peaks)
    centres = np.expm1(np.linspace(np.log1p(40 / 700), np.log1p(7800 / 700), 82)[1:-1]) * 700
    assert np.abs(centres[peaks] - [200, 1000, 4000]).max() < 100
