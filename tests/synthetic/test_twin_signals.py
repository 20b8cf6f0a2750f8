"""Made-up EEG, voices and faces: they follow their courses, and tell classes apart as strongly as asked."""

import importlib.util

import numpy as np
import pytest
import scipy.io
import soundfile

from eavctl.datasets import eav
from eavctl.signals.eeg_trials import EAV_CHANNELS
from eavctl.synthetic import twin, twin_eeg, twin_face, twin_trials, twin_voice

HAPPY, SAD = (eav.EMOTIONS.index(name) for name in ("Happiness", "Sadness"))


def effect(x, y):
    """Difference of two means in their common standard deviation."""
    return (np.mean(x) - np.mean(y)) / np.sqrt((np.var(x, ddof=1) + np.var(y, ddof=1)) / 2)


def asymmetry(eeg, low, high, left, right):
    """Logarithm of the power in a band on the right over that on the left, for each trial."""
    power = np.abs(np.fft.rfft(eeg * np.hanning(len(eeg))[:, None, None], axis=0)) ** 2
    hz = np.fft.rfftfreq(len(eeg), 1 / 500)
    band = power[(hz >= low) & (hz <= high)].sum(axis=0)
    return np.log(band[EAV_CHANNELS.index(right)] / band[EAV_CHANNELS.index(left)])


def test_eeg_separates_classes_as_strongly_as_requested(tmp_path):
    assert tuple(twin_eeg.POSITIONS) == EAV_CHANNELS
    order = twin_trials.sequence(60)
    found = []
    for snr in (0.0, 1.0, 3.0):
        out, effects = tmp_path / str(snr), []
        twin.synth_eav(out, subjects=2, trials=60, seconds=4, snr=snr, modalities=("eeg",))
        for n in (1, 2):
            arrays = scipy.io.loadmat(out / f"subject{n}/EEG/subject{n}_eeg.mat")
            eeg = arrays["seg" if n == 1 else "seg1"]
            leans = [asymmetry(half, 8, 12, "F3", "F4") for half in (eeg[:1000], eeg[1000:])]
            effects.append([effect(lean[order == HAPPY], lean[order == SAD]) for lean in leans])
        found.append(np.mean(effects, axis=0))  # of the beginnings of trials, and of their ends
    none, some, much = found
    assert np.all(np.abs(none) < 0.6)
    assert np.all(some > 0.7)
    assert np.all(much > some)


def pitch(signal, rate=22050):
    """Of the loudest stretches of a sound, by autocorrelation, in Hz."""
    parts = np.lib.stride_tricks.sliding_window_view(signal, 2048)[::512] * np.hanning(2048)
    parts = parts[np.argsort((parts**2).sum(axis=1))[-30:]]
    likeness = np.fft.irfft(np.abs(np.fft.rfft(parts, 4096)) ** 2)
    first, last = rate // 500, rate // 60
    return np.median(rate / (first + likeness[:, first:last].argmax(axis=1)))


def test_voices_tell_classes_and_people_apart(tmp_path):
    spoken = twin_trials.sequence(40)[1::2]
    found = []
    for snr in (0.0, 1.0, 3.0):
        out = tmp_path / str(snr)
        twin.synth_eav(out, subjects=2, trials=40, seconds=2, snr=snr, modalities=("audio",))
        high = [
            12
            * np.log2(
                [pitch(soundfile.read(path)[0]) for path in sorted((out / f"subject{n}/Audio").iterdir())]
            )
            for n in (1, 2)
        ]
        found.append([effect(each[spoken == HAPPY], each[spoken == SAD]) for each in high])
        if snr == 0:
            assert abs(effect(*high)) > 1
    none, some, much = np.mean(found, axis=1)
    assert abs(none) < 0.8
    assert some > 0.8
    assert much > some


def test_voice_has_the_pitch_it_is_given():
    speaker = twin_voice.Speaker(pitch=120.0, tract=1.0, tilt=-11.0, level=1.0)
    for semitones in (-2, 0, 3):
        course = np.array([semitones / twin_voice.PITCH_ST, -6.0, 0, 0, 0])  # and hardly any melody
        heard = pitch(twin_voice.speech(speaker, course, 44100, np.random.default_rng(0)))
        assert heard == pytest.approx(120 * 2 ** (semitones / 12), rel=0.02)


def test_loudness_of_voices_is_as_requested():
    speaker = twin_voice.Speaker(pitch=120.0, tract=1.0, tilt=-11.0, level=1.0)
    soft, loud = (
        twin_voice.speech(speaker, np.array([0, 0, 0, dev, 0]), 44100, np.random.default_rng(0))
        for dev in (0, 2)
    )
    gained = 10 * np.log10(np.mean(loud**2) / np.mean(soft**2))
    assert gained == pytest.approx(2 * twin_voice.LOUDNESS_DB, abs=0.1)
    assert np.abs(loud).max() < 1


def curve(picture, looks, light):
    """How many half widths of the head the lips' corners lie above their middle, seen by their redness."""
    v = (np.arange(480) - light.centre[1]) / looks.size / looks.long
    u = (np.arange(640) - light.centre[0]) / looks.size
    red = picture[..., 0] / (picture.sum(axis=-1) + 1.0)
    rows = (v > 0.6) & (v < 1.1)

    def middle(columns):
        strip = red[rows][:, columns]
        weight = np.clip(strip - np.quantile(strip, 0.6), 0, None) ** 2
        return (weight.sum(axis=1) * v[rows]).sum() / weight.sum()

    return middle(np.abs(u) < 0.1) - middle((np.abs(u) > 0.2) & (np.abs(u) < 0.32))


def test_mouths_are_bent_as_requested():
    rng = np.random.default_rng(0)
    looks, light = twin_face.draw_looks(rng), twin_face.draw_light(rng)
    portrait = twin_face.Portrait(looks, light, rng)
    bends = [
        curve(portrait.draw(twin_face.Pose(smile=smile)), looks, light) for smile in (-1, -0.5, 0, 0.5, 1)
    ]
    assert np.all(np.diff(bends) > 0.01)
    still, moved = portrait.draw(twin_face.Pose()), portrait.draw(twin_face.Pose(), (5, -3))
    assert np.array_equal(still[10:200, 10:600], moved[7:197, 15:605])


def test_faces_separate_classes_as_strongly_as_requested():
    what = twin_trials.MODALITIES.index("video")
    found = []
    for snr in (0.0, 0.5, 2.0):
        settings = twin_trials.Settings(60, snr, 42, 20.0)
        looks = twin_face.draw_looks(settings.rng(1, what, 0))
        bends = {HAPPY: [], SAD: []}
        for place, course in enumerate(settings.courses(1, "video")):
            if settings.labels[place] in bends:
                light = twin_face.draw_light(settings.rng(1, what, place + 1))
                (shown,) = twin_face.film(looks, course, 1, False, settings.rng(1, what, place + 1))
                bends[settings.labels[place]].append(curve(shown, looks, light))
        found.append(effect(bends[HAPPY], bends[SAD]))
    none, some, much = found
    assert abs(none) < 0.7
    assert some > 0.8
    assert much > some


def test_heads_are_wired_differently():
    heads = [twin_eeg.draw_head(np.random.default_rng(n)) for n in (1, 2)]

    def alpha(head, seed):
        eeg = twin_eeg.trial(head, np.zeros(5), 1.0, 10000, np.random.default_rng(seed))
        return np.log((np.abs(np.fft.rfft(eeg)[:, 160:240]) ** 2).sum(axis=1))  # 8 to 12 Hz

    same = [np.linalg.norm(alpha(head, 3) - alpha(head, 4)) for head in heads]
    assert np.linalg.norm(alpha(heads[0], 3) - alpha(heads[1], 4)) > 2 * max(same)


def test_eeg_is_as_correlated_in_space_and_coloured_as_eeg_is():
    head = twin_eeg.draw_head(np.random.default_rng(0))
    eeg = twin_eeg.trial(head, np.zeros(5), 1.0, 20000, np.random.default_rng(1))
    assert np.all((8 < eeg.std(axis=1)) & (eeg.std(axis=1) < 25))
    likeness = np.corrcoef(eeg)
    places = {name: place for place, name in enumerate(EAV_CHANNELS)}
    assert likeness[places["O1"], places["Oz"]] > 0.5
    assert abs(likeness[places["O1"], places["Fp2"]]) < 0.3
    power = (np.abs(np.fft.rfft(eeg)) ** 2).mean(axis=0)
    hz = np.fft.rfftfreq(20000, 1 / 500)
    low, high = (power[(hz > edge) & (hz < 2 * edge)].mean() for edge in (1, 50))
    assert np.log(low / high) / np.log(50) == pytest.approx(head.slope, abs=0.25)


@pytest.mark.skipif(importlib.util.find_spec("mtcnn") is None, reason="no detector's weights")
def test_a_detector_trained_on_photographs_finds_the_faces():
    from eavctl.signals import mtcnn

    found = []
    for person in range(8):
        rng = np.random.default_rng(person)
        looks, course = twin_face.draw_looks(rng), rng.normal(0, 2, 5)
        found += [len(mtcnn.detect(picture)) == 1 for picture in twin_face.film(looks, course, 4, True, rng)]
    assert np.mean(found) > 0.9
