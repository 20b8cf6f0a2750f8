"""The feature set functionals: analytic truths of its descriptors, and what must not matter."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.errors import SignalError
from eavctl.features import functionals as module
from eavctl.features.descriptors import RATE, SPECTRAL_NAMES, describe
from eavctl.features.functionals import core_names, functionals, functionals_core, names
from eavctl.features.statistics import delta

TIME = np.arange(2 * RATE) / RATE


def tone(hz, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * TIME)).astype(np.float32)


def pulses(hz, seconds=2.0):
    """A glottis-like pulse train through a gentle low-pass."""
    phase = np.floor(np.arange(int(seconds * RATE)) * hz / RATE)
    train = np.diff(phase, prepend=0.0)
    return np.convolve(train, np.exp(-np.arange(80) / 12.0))[: len(train)].astype(np.float32)


def speechlike(seed=0, seconds=2.0):
    """Voiced and noisy stretches under a syllable envelope, with silence at neither end."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    time = np.arange(n) / RATE
    voice = pulses(120 + 40 * rng.random(), seconds)
    return ((0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)) * voice + 0.01 * rng.normal(size=n)).astype(np.float32)


def as_dict(signal):
    return dict(zip(names(), functionals(signal, RATE), strict=True))


def contour(signal, name):
    return describe(signal).spectral[SPECTRAL_NAMES.index(name)][5:-5]


def test_names_are_unique_and_as_many_as_values():
    assert len(set(names())) == len(names()) == len(functionals(speechlike(), RATE))


def test_the_core_is_a_part_of_all_columns_without_delays_and_correlations_in_the_voice():
    everything, core = (
        as_dict(speechlike()),
        dict(zip(core_names(), functionals_core(speechlike(), RATE), strict=True)),
    )
    assert core == {name: everything[name] for name in core}
    left_out = everything.keys() - core.keys()
    assert left_out == {name for name in everything if name.startswith(("voicedcorr_", "delay"))}


@pytest.mark.parametrize("hz", [300, 1000, 3000])
def test_a_sines_centroid_and_rolloff_are_its_frequency(hz):
    assert np.exp(contour(tone(hz), "centroid").mean()) == pytest.approx(hz, rel=0.02)
    assert np.exp(contour(tone(hz), "rolloff50").mean()) == pytest.approx(hz, abs=2 * RATE / 512)


def test_a_sines_energy_is_its_mean_square():
    assert contour(tone(1000, 0.5), "energy_db").mean() == pytest.approx(10 * np.log10(0.5**2 / 2), abs=0.05)


def test_a_sines_zero_crossing_rate():
    assert np.exp(contour(tone(1000), "zcr")).mean() == pytest.approx(2 * 1000 / RATE, rel=0.05)


def test_flatness_and_entropy_tell_noise_from_a_tone():
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * 0.1
    assert contour(noise, "flatness").mean() == pytest.approx(
        -0.577, abs=0.05
    )  # Euler's constant: exponential power
    assert contour(tone(1000), "flatness").mean() < -5
    assert contour(noise, "entropy").mean() > contour(tone(1000), "entropy").mean() + 2


def test_moments_entropy_and_rolloffs_are_those_of_each_frames_power():
    """By their definitions, in float64, from a transform of numpy's."""
    signal = speechlike()
    signal = signal - signal.mean()
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(signal, 200), 400)[::160].astype(float)
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:-1], 512)) ** 2
    power += 1e-6 * power.max()
    share, hz = power / power.sum(axis=1, keepdims=True), np.fft.rfftfreq(512, 1 / RATE)
    centroid = share @ hz
    second, third, fourth = ((share * (hz - centroid[:, None]) ** n).sum(axis=1) for n in (2, 3, 4))
    below = np.array([np.searchsorted(row, (0.25, 0.5, 0.75, 0.9)) for row in np.cumsum(share, axis=1)])
    magnitude = np.sqrt(power)
    magnitude /= magnitude.sum(axis=1, keepdims=True)
    expected = {
        "centroid": np.log(centroid),
        "spread": np.log(second) / 2,
        "skewness": third / second**1.5,
        "kurtosis": np.log(fourth / second**2),
        "entropy": -(share * np.log(share)).sum(axis=1),
        **{
            f"rolloff{q}": np.log(hz[bins] + hz[1]) for q, bins in zip((25, 50, 75, 90), below.T, strict=True)
        },
        "flux": np.linalg.norm(np.diff(magnitude, axis=0, prepend=magnitude[:1]), axis=1),
        "flatness": np.log(power).mean(axis=1) - np.log(power.mean(axis=1)),
    }
    found = dict(zip(SPECTRAL_NAMES, describe(signal).spectral, strict=True))
    for name, contour_expected in expected.items():
        assert found[name] == pytest.approx(contour_expected, rel=2e-4, abs=2e-5), name


def test_slow_changes_are_outlined_over_the_active_frames():
    signal = np.concatenate([np.zeros(RATE // 2, np.float32), speechlike() - speechlike().mean()])
    found, shown = describe(signal), as_dict(signal)
    assert not found.active.all()
    slow = delta(found.mfcc[3:4], 10)[0, found.active]
    expected = [slow.mean(), slow.std(), *np.percentile(slow, [10, 50, 90])]
    names_of = [f"slowdelta_mfcc3_{statistic}" for statistic in ("mean", "std", "p10", "p50", "p90")]
    assert [shown[name] for name in names_of] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("hz", [80, 120, 220, 400])
def test_pitch_of_a_pulse_train(hz):
    found = describe(pulses(hz))
    assert found.voiced[5:-5].mean() > 0.95
    heard = 100 * 2 ** (found.semitones[found.voiced] / 12)
    assert np.median(heard) == pytest.approx(hz, rel=0.01)
    assert np.mean(np.abs(heard / hz - 1) < 0.03) > 0.98


def test_harmonicity_falls_with_noise_as_the_ratio_says():
    rng = np.random.default_rng(0)
    for ratio_db in (0, 10, 20):
        noise = rng.normal(size=len(TIME)) * np.sqrt(0.125 / 10 ** (ratio_db / 10))
        heard = contour((tone(200) + noise).astype(np.float32), "hnr")
        assert np.median(heard) == pytest.approx(ratio_db, abs=2.0)


def test_noise_is_not_voiced():
    noise = np.random.default_rng(1).normal(size=RATE).astype(np.float32)
    assert describe(noise).voiced.mean() < 0.1


@pytest.mark.parametrize(("hz", "band"), [(2, "2.25hz"), (4, "4hz"), (8, "8.5hz"), (12, "12hz")])
def test_modulation_peaks_where_loudness_swings(hz, band):
    signal = (tone(1000) * (1 + 0.5 * np.sin(2 * np.pi * hz * TIME))).astype(np.float32)
    found = as_dict(signal)
    energy = {name: value for name, value in found.items() if name.startswith("modulation_energy_")}
    assert max(energy, key=energy.get) == f"modulation_energy_{band}"


def test_a_voice_that_brightens_as_it_grows_louder_is_seen():
    """Centroid climbs with level in one signal and falls in the other; both have the same averages."""
    swell = 0.1 + 0.9 * np.abs(np.sin(2 * np.pi * 0.75 * TIME))
    dark, bright = pulses(150), np.diff(pulses(150), prepend=np.float32(0))
    rising = (swell * (dark * (1 - swell) + 3 * bright * swell)).astype(np.float32)
    falling = (swell * (dark * swell + 3 * bright * (1 - swell))).astype(np.float32)
    for name in ("centroid_per_db", "centroid_loud_minus_soft"):
        assert as_dict(rising)[name] > 0.01
        assert as_dict(falling)[name] < as_dict(rising)[name] / 2


def test_gain_changes_levels_alone():
    signal = speechlike()
    quiet, loud = functionals(signal * 0.1, RATE), functionals(signal, RATE)
    changed = {
        name
        for name, a, b in zip(names(), quiet, loud, strict=True)
        if not np.isclose(a, b, rtol=0.01, atol=0.02)
    }
    positions = ("mean", "slope", *(f"p{q}" for q in (1, 10, 25, 50, 75, 90, 99)))
    assert changed <= {
        f"{v}{c}_{p}" for v in ("", "voiced_") for c in ("energy_db", "mfcc0") for p in positions
    }
    assert as_dict(signal)["energy_db_mean"] - as_dict(signal * 0.1)["energy_db_mean"] == pytest.approx(
        20, abs=0.01
    )


def test_offset_changes_nothing():
    signal = speechlike()
    assert functionals(signal + np.float32(0.05), RATE) == pytest.approx(
        functionals(signal, RATE), abs=0.05, rel=0.02
    )


def test_silence_at_the_ends_changes_little(shared_data):
    folder = shared_data / "ravdess-speech/Actor_01"
    clips = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.flac"))[:20]]
    hush = np.zeros(RATE // 2, np.float32)
    bare = np.stack([functionals(clip, RATE) for clip in clips])
    padded = np.stack([functionals(np.concatenate([hush, clip, hush]), RATE) for clip in clips])
    change = np.abs(padded - bare) / (bare.std(axis=0) + 1e-6)
    assert np.median(change) < 0.01
    assert np.percentile(change, 95) < 0.25


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_silence_does_not_move_the_line_between_speech_and_pause(seconds):
    rng = np.random.default_rng(2)
    levels = 10 ** (rng.uniform(-60, 0, size=20) / 20)  # a tenth of a second each
    signal = (np.repeat(levels, RATE // 10) * rng.normal(size=2 * RATE)).astype(np.float32)
    hush = np.zeros(int(seconds * RATE), np.float32)
    bare, padded = describe(signal).active, describe(np.concatenate([hush, signal, hush])).active
    assert 0 < bare.sum() < len(bare)
    inside = padded[len(hush) // 160 :][: len(bare)]
    assert (inside != bare)[2:-2].sum() == 0
    assert padded.sum() == pytest.approx(bare.sum(), abs=4)


def test_noise_of_a_quiet_room_moves_little(shared_data):
    """White noise 35 dB below the speech changes columns by less than clips of one speaker differ."""
    folder = shared_data / "ravdess-speech/Actor_01"
    clips = [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.flac"))[:20]]
    rng = np.random.default_rng(0)
    noisy = [
        clip + (rng.normal(size=len(clip)) * clip.std() * 10 ** (-35 / 20)).astype(np.float32)
        for clip in clips
    ]
    clean, noisy = (np.stack([functionals(clip, RATE) for clip in each]) for each in (clips, noisy))
    change = np.abs(noisy - clean) / (clean.std(axis=0) + 1e-6)
    assert np.median(change) < 0.1
    assert np.mean(change > 1) < 0.01


@given(seed=st.integers(0, 1000), seconds=st.floats(0.1, 1.5), level=st.floats(-6, 0))
@settings(max_examples=25, deadline=None)
def test_every_signal_that_is_not_constant_gives_finite_values(seed, seconds, level):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=int(np.ceil(seconds * RATE))) * 10**level
    signal[rng.random(len(signal)) < rng.random()] = 0
    signal[0] = 10**level
    assert np.isfinite(functionals(signal.astype(np.float32), RATE)).all()


def test_a_click_in_silence_gives_finite_values():
    signal = np.zeros(RATE, np.float32)
    signal[RATE // 2] = 1
    assert np.isfinite(functionals(signal, RATE)).all()


@pytest.mark.parametrize("signal", [np.zeros(RATE), np.full(RATE, 0.3), np.ones(40), np.array([])])
def test_what_cannot_be_described_is_refused(signal):
    with pytest.raises(SignalError, match="too short|constant"):
        functionals(signal.astype(np.float32), RATE)


def test_long_clips_keep_their_modulation():
    long = np.tile(speechlike(seconds=4.0), 5)
    assert np.isfinite(functionals(long, RATE)).all()
    assert module.MODULATION_FFT < len(long) / 160


def test_real_speech_has_a_plausible_pitch(shared_data):
    for actor, low, high in (("01", 80, 220), ("02", 150, 350)):  # a man, a woman
        signal, _ = soundfile.read(
            shared_data / f"ravdess-speech/Actor_{actor}/03-01-01-01-01-01-{actor}.flac", dtype="float32"
        )
        found = describe(signal)
        assert low < 100 * 2 ** (np.median(found.semitones[found.voiced]) / 12) < high
        assert 0.15 < found.voiced.mean() < 0.7
