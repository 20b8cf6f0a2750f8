"""EEG features: analytic signals, MNE as the yardstick, and one trial at a time."""

import mne
import numpy as np
import pytest
from scipy.signal import butter, freqz, sosfiltfilt, welch
from scipy.signal.windows import tukey

from eavctl.errors import SignalError, UsageError
from eavctl.features import eeg_preparation
from eavctl.features.eeg_bands import BANDS, _welch_powers, eeg_bands, homologous_pairs
from eavctl.features.eeg_epochs import eeg_epochs
from eavctl.features.eeg_preparation import prepare
from eavctl.features.eeg_spectrum import TAPER
from eavctl.features.eeg_spectrum import tukey as tukey_window
from eavctl.registry import get
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_trials import EAV_CHANNELS
from eavctl.signals.resampling import resampled

EPOCHS = {"rate": 100, "low": 0.5, "high": 45.0, "order": 5}
NAMES = ("F3", "Fz", "F4", "Fp2", "P8", "P7")


@pytest.fixture(scope="module")
def recording(shared_data):
    """S001R03, (64, 20000) at 160 Hz."""
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        return file.read()


def noise(n_chans=3, n_times=5000, seed=0):
    return np.random.default_rng(seed).normal(scale=20, size=(n_chans, n_times))


def tone(hz, sfreq, seconds, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * sfreq)) / sfreq)[None]


def bands_of(signal, sfreq=200.0, channels=None):
    """Feature by column name."""
    channels = channels or [f"X{i}" for i in range(len(signal))]
    names = get("features", "eeg-bands").facts["columns"](channels=channels)
    return dict(zip(names, eeg_bands(signal, sfreq, channels=channels), strict=True))


# --- prepare


@pytest.mark.parametrize(("low", "high", "order"), [(0.5, 45, 5), (0.5, 50, 5), (1, 40, 4), (4, 8, 3)])
@pytest.mark.parametrize("n_times", [20000, 3200, 800])
def test_the_filter_is_that_of_mne(recording, low, high, order, n_times):
    """Within a billionth of a microvolt, edges included, on 125, 20 and 5 s of a real recording."""
    signal = recording[:8, :n_times]
    found, sfreq = prepare(signal, 160.0, rate=160, low=low, high=high, order=order)
    params = {"order": order, "ftype": "butter", "output": "sos"}
    expected = mne.filter.filter_data(
        signal.copy(), 160.0, low, high, method="iir", iir_params=params, verbose="ERROR"
    )
    assert sfreq == 160.0
    assert np.abs(found - expected).max() < 1e-9


def test_resampling_agrees_with_mne_inside_the_band(recording):
    found, _ = prepare(recording[:8], 160.0, rate=100, low=0.5, high=30.0, order=5)
    filtered, _ = prepare(recording[:8], 160.0, rate=160, low=0.5, high=30.0, order=5)
    # With MNE's own choice of npad, its result is shifted by a part of a sample.
    expected = mne.filter.resample(filtered, 100, 160, npad=160, verbose="ERROR")
    assert np.abs(found - expected)[:, 100:-100].max() < 0.002 * expected.std()


@pytest.mark.parametrize(
    ("sfreq", "rate"), [(500.0, 100), (500.0, 200), (160.0, 100), (128.0, 200), (100.0, 100)]
)
def test_a_tone_in_the_band_keeps_place_and_amplitude(sfreq, rate):
    found, new = prepare(tone(10, sfreq, 20, 30.0), sfreq, rate=rate, low=0.5, high=45.0, order=5)
    assert new == rate
    assert found.shape == (1, 20 * rate)
    inner = slice(7 * rate, -7 * rate)  # at its ends, a filter from 0.5 Hz on takes seconds to settle
    assert np.abs(found - tone(10, rate, 20, 30.0))[:, inner].max() < 0.03


def test_a_rate_in_no_simple_ratio():
    sfreq = 249.876
    found, new = prepare(tone(10, sfreq, 20, 30.0), sfreq, **EPOCHS)
    assert new == pytest.approx(100, rel=1e-5)
    assert new != 100
    assert np.abs(found - tone(10, new, 25, 30.0)[:, : found.shape[1]])[:, 700:-700].max() < 0.03


def test_zero_phase():
    pulse = np.exp(-0.5 * ((np.arange(10001) - 5000) / 20) ** 2)[None]
    found, _ = prepare(pulse, 500.0, **EPOCHS)
    assert found.shape == (1, 2001)
    assert np.argmax(found) == 1000
    assert np.allclose(found, found[:, ::-1], rtol=0, atol=1e-6)  # of a pulse of height 1


@pytest.mark.parametrize(("sfreq", "rate"), [(500.0, 100), (160.0, 100), (128.0, 200), (500.0, 500)])
def test_causal_values_do_not_depend_on_later_samples(sfreq, rate):
    settings = EPOCHS | {"rate": rate, "filter": "causal"}
    signal = noise(2).cumsum(axis=1)
    whole, _ = prepare(signal, sfreq, **settings)
    for n_times in (700, 701, 1234):
        part, _ = prepare(signal[:, :n_times], sfreq, **settings)
        assert np.abs(part - whole[:, : part.shape[1]]).max() < 1e-10
    zero, _ = prepare(signal[:, :700], sfreq, **EPOCHS | {"rate": rate})
    assert np.abs(zero - prepare(signal, sfreq, **EPOCHS | {"rate": rate})[0][:, : zero.shape[1]]).max() > 1


@pytest.mark.parametrize(("hz", "delay"), [(1, 0.33), (2, 0.10), (10, 0.038)])
def test_causal_delays_as_documented(hz, delay):
    """The group delay is that of the envelope of a slowly modulated tone."""
    time = np.arange(0, 60, 1 / 500)
    signal = (1 + np.cos(2 * np.pi * 0.05 * (time - 30))) * np.exp(2j * np.pi * hz * time)
    parts = np.stack([signal.real, signal.imag])
    (real, imaginary), _ = prepare(parts, 500.0, **EPOCHS, filter="causal")
    envelope = np.abs(real + 1j * imaginary)[2000:4000]
    centre = np.angle(envelope @ np.exp(2j * np.pi * 0.05 * (np.arange(2000, 4000) / 100 - 30)))
    assert centre / (2 * np.pi * 0.05) == pytest.approx(delay, abs=0.006)


@pytest.mark.parametrize("hz", [55, 60, 90, 140, 160, 240])
def test_nothing_folds_back(hz):
    """A tone above the new Nyquist frequency is gone, also where it would have become one in the band."""
    kept, _ = prepare(tone(hz, 500.0, 20, 100.0), 500.0, rate=500, low=0.5, high=45.0, order=5)
    found, _ = prepare(tone(hz, 500.0, 20, 100.0), 500.0, **EPOCHS)
    inner = found[0, 500:-500] * np.hanning(1000)
    spectrum = np.abs(np.fft.rfft(inner)) * 4 / 1000  # amplitude of a tone at each multiple of 0.1 Hz
    assert kept.std() > 1e-4  # the band-pass alone lets it through
    assert spectrum[20:].max() < 1e-3 * 100
    alias = abs((hz + 50) % 100 - 50)
    assert spectrum[max(10 * alias - 5, 0) : 10 * alias + 6].max() < 1e-4 * 100


def test_the_low_pass_by_itself():
    found = resampled(np.eye(1, 4001, 2000), 1, 5)[0] * 5
    hz, response = freqz(found, worN=2000, fs=100.0)
    # Sampled at 100 Hz, an impulse shows the response folded: flat where neither part is attenuated.
    assert np.abs(np.abs(response[hz < 45]) - 1).max() < 1e-3


def test_each_trial_and_channel_is_filtered_apart():
    one, other = noise(seed=1), noise(seed=2)
    before, _ = prepare(one, 500.0, **EPOCHS)
    prepare(other * 1e6, 500.0, **EPOCHS)
    after, _ = prepare(one, 500.0, **EPOCHS)
    assert np.array_equal(before, after)
    changed = one.copy()
    changed[1] = other[1] * 1e6
    found, _ = prepare(changed, 500.0, **EPOCHS)
    assert np.array_equal(found[[0, 2]], before[[0, 2]])


def test_groups_of_channels_do_not_show(monkeypatch):
    signal = noise(7)
    whole, _ = prepare(signal, 500.0, **EPOCHS)
    monkeypatch.setattr(eeg_preparation, "GROUP_VALUES", 2 * signal.shape[1])
    parts, _ = prepare(signal, 500.0, **EPOCHS)
    assert np.abs(whole - parts).max() < 1e-11  # matrices of other sizes are summed in another order


def test_offset_and_drift_are_gone():
    signal = noise(1, 10000)
    drifting = signal - 528.0 + np.linspace(0, 3000, 10000)
    found, expected = (prepare(s, 500.0, **EPOCHS)[0] for s in (drifting, signal))
    assert np.abs(found - expected).max() < 1.0


def test_what_cannot_be_filtered():
    with pytest.raises(SignalError, match=r"33 samples, but more than 33"):
        prepare(noise(2, 33), 500.0, **EPOCHS)
    assert np.isfinite(prepare(noise(2, 34), 500.0, **EPOCHS)[0]).all()
    with pytest.raises(SignalError, match="90 Hz is too low .* below 45"):
        prepare(noise(), 90.0, **EPOCHS)
    for wrong, message in (
        ({"high": 50.1}, "above half the rate"),
        ({"low": 45.0}, "0 < low < high"),
        ({"low": 0.0}, "0 < low < high"),
        ({"order": 0}, "order 0"),
    ):
        with pytest.raises(UsageError, match=message):
            prepare(noise(), 500.0, **EPOCHS | wrong)
    assert prepare(noise(), 500.0, **EPOCHS | {"high": 50.0})[0].shape == (3, 1000)


# --- eeg-epochs


def test_epochs_are_the_signal():
    signal = noise(4, 500)
    found = eeg_epochs(signal, 100.0, channels=("F3", "F4", "Cz", "Pz"))
    assert found.dtype == np.float32
    assert np.array_equal(found, signal.astype(np.float32))


@pytest.mark.parametrize("name", ["eeg-epochs", "eeg-bands"])
@pytest.mark.parametrize(
    "signal",
    [np.full((2, 800), 3.0), np.empty((2, 0)), np.full((2, 800), np.nan), np.ones(800), np.empty((0, 9))],
)
def test_what_is_no_segment(name, signal):
    with pytest.raises(SignalError):
        get("features", name).thing(signal, 200.0)


def test_names_must_be_as_many_as_channels():
    for describe in (eeg_epochs, eeg_bands):
        with pytest.raises(SignalError, match="3 channels, but 2 names"):
            describe(noise(3, 800), 200.0, channels=("F3", "F4"))


# --- eeg-bands


@pytest.mark.parametrize(
    ("band", "hz"), [("delta", 2.5), ("theta", 6), ("alpha", 10), ("beta", 20), ("gamma", 38)]
)
def test_a_tone_has_the_entropy_of_its_variance(band, hz):
    amplitude = 12.0
    found = bands_of(tone(hz, 200.0, 5, amplitude))
    assert found[f"{band}_de_X0"] == pytest.approx(
        0.5 * np.log(2 * np.pi * np.e * amplitude**2 / 2), abs=0.02
    )
    assert found[f"{band}_power_X0"] == pytest.approx(0.0, abs=0.01)
    others = set(BANDS) - {band}
    assert all(found[f"{other}_de_X0"] < found[f"{band}_de_X0"] - 2 for other in others)
    assert all(found[f"{other}_power_X0"] < -1.5 for other in others)


def test_white_noise_is_shared_by_the_width_of_bands():
    signal = noise(200, 2000)
    found = bands_of(signal)
    for band, (low, high) in BANDS.items():
        variance = 400 * (high - low) / 100  # of 20 microvolt squared, over 0 to 100 Hz
        entropy = np.mean([found[f"{band}_de_X{i}"] for i in range(200)])
        assert entropy == pytest.approx(0.5 * np.log(2 * np.pi * np.e * variance), abs=0.05)
        share = np.mean([found[f"{band}_power_X{i}"] for i in range(200)])
        assert share == pytest.approx(np.log10((high - low) / 44), abs=0.06)


def test_entropy_agrees_with_filters_on_a_real_recording(recording):
    """With a zero-phase Butterworth filter of order 4: 0.12 nat (RMS), and 0.97 in correlation."""
    whole, _ = prepare(recording, 160.0, rate=200, low=0.5, high=50.0, order=5)
    segments = whole[:, : whole.shape[1] // 1000 * 1000].reshape(64, -1, 1000)
    found = np.stack([eeg_bands(segments[:, i], 200.0)[: 5 * 64].reshape(5, 64) for i in range(25)], axis=2)
    for row, (low, high) in enumerate(BANDS.values()):
        sections = butter(4, (low, high), "bandpass", fs=200.0, output="sos")
        variance = sosfiltfilt(sections, whole, axis=1, padlen=999).reshape(64, -1, 1000).var(axis=2)
        expected = 0.5 * np.log(2 * np.pi * np.e * variance)
        assert np.sqrt(np.mean((found[row] - expected) ** 2)) < 0.12
        assert np.corrcoef(found[row].ravel(), expected.ravel())[0, 1] > 0.97


def test_slow_waves_do_not_spill_into_gamma():
    slow = tone(1.3, 200.0, 5, 100.0) + 0.05 * np.arange(1000)  # ends far from where it starts
    assert bands_of(slow)["gamma_de_X0"] < 0.5 * np.log(2 * np.pi * np.e * 0.05)


def test_gain_moves_entropy_and_not_shares_or_asymmetry():
    signal = noise(6, 1000)
    before, after = bands_of(signal, channels=NAMES), bands_of(10 * signal, channels=NAMES)
    for name in before:
        moved = np.log(10) if "_de_" in name else 0.0
        assert after[name] - before[name] == pytest.approx(moved, abs=1e-3)


def test_asymmetry_is_right_minus_left():
    signal = noise(6, 1000)
    signal[2] = 3 * signal[0]  # F4 is F3, three times as strong
    found = bands_of(signal, channels=NAMES)
    for band in BANDS:
        assert found[f"{band}_asymmetry_F4-F3"] == pytest.approx(np.log(9), abs=1e-3)
    assert sum("asymmetry" in name for name in found) == 2 * 5
    louder = bands_of(signal * np.array([1, 1, 1, 1, 2, 1])[:, None], channels=NAMES)
    assert louder["alpha_asymmetry_P8-P7"] > found["alpha_asymmetry_P8-P7"] + 1


def test_pairs_by_the_rule_of_names():
    def named(channels):
        return {(channels[left], channels[right]) for left, right in homologous_pairs(channels)}

    assert named(NAMES) == {("F3", "F4"), ("P7", "P8")}
    assert named(("Fz", "Cz", "A1", "A2", "X1", "X2", "F4")) == set()
    assert len(named(EAV_CHANNELS)) == 13
    assert ("PO9", "PO10") in named(EAV_CHANNELS)
    assert all(int(r.strip("FCTPOp")) - int(le.strip("FCTPOp")) == 1 for le, r in named(EAV_CHANNELS))


def test_columns_follow_the_channels():
    columns = get("features", "eeg-bands").facts["columns"]
    names = columns(channels=list(EAV_CHANNELS), rate=200, low=0.5, high=50.0, order=5)
    assert len(set(names)) == len(names) == 5 * (30 + 30 + 13)
    assert {"alpha_de_F3", "alpha_power_F3", "alpha_asymmetry_F4-F3", "gamma_de_PO10"} <= set(names)
    signal = noise(30, 1000)
    assert len(eeg_bands(signal, 200.0, channels=EAV_CHANNELS)) == len(names)
    backwards = bands_of(signal[::-1], channels=EAV_CHANNELS[::-1])
    assert backwards == pytest.approx(bands_of(signal, channels=EAV_CHANNELS), rel=1e-6)


@pytest.mark.parametrize("describe", [eeg_epochs, eeg_bands])
@pytest.mark.parametrize("level", [0.0, -528.0])
def test_a_segment_with_a_flat_channel_is_rejected_by_name(describe, level):
    """Flat is what deviates by less than 0.01 microvolt."""
    signal = noise(3, 1000) + level
    names = ("F3", "F4", "Cz")
    for deviation, is_flat in ((0.0, True), (0.0099, True), (0.0101, False), (1.0, False)):
        signal[1] = level + deviation * np.where(np.arange(1000) % 2, 1, -1)
        if is_flat:
            with pytest.raises(SignalError, match=r"channels F4; leave"):
                describe(signal, 200.0, channels=names)
        else:
            assert np.isfinite(describe(signal, 200.0, channels=names)).all()


def test_bands_that_the_filter_or_the_length_cuts_off():
    for wrong in ({"low": 2.0}, {"high": 40.0}):
        with pytest.raises(UsageError, match="needs a pass-band of 1 to 45 Hz"):
            eeg_bands(noise(2, 1000), 200.0, **wrong)
    with pytest.raises(SignalError, match=r"too short: 0.99 s"):
        eeg_bands(noise(2, 199), 200.0)
    assert np.isfinite(eeg_bands(noise(2, 200), 200.0)).all()


@pytest.mark.parametrize("name", ["eeg-epochs", "eeg-bands"])
def test_pure(name):
    signal = noise(3, 800)
    kept = signal.copy()
    entry = get("features", name)
    assert np.array_equal(entry.thing(signal, 200.0), entry.thing(signal, 200.0))
    entry.facts["prepare"](signal, 500.0, **EPOCHS)
    assert np.array_equal(signal, kept)


@pytest.mark.parametrize("n_times", [150, 200, 601, 1000])
def test_powers_are_those_of_welch(n_times):
    signal = noise(3, n_times)
    length = min(400, n_times)
    hz, density = welch(signal, 200.0, nperseg=length, detrend="linear")
    inside = [(hz >= low) & (hz < high) for low, high in BANDS.values()]
    expected = [density[:, where].sum(axis=1) * 200 / length for where in inside]
    np.testing.assert_allclose(_welch_powers(signal, 200.0), expected, rtol=1e-10)
    np.testing.assert_allclose(tukey_window(n_times), tukey(n_times, TAPER), atol=1e-14)
