"""What the trials of the twin of EAV show."""

import numpy as np
import pytest

from eavctl.datasets import eav
from eavctl.synthetic import twin_effects, twin_trials


@pytest.mark.parametrize("trials", [10, 20, 30, 50, 110, 200, 990])
def test_each_class_is_equally_often_listened_to_and_spoken(trials):
    order = twin_trials.sequence(trials)
    assert len(order) == trials
    for emotion in range(5):
        assert np.sum(order[::2] == emotion) == np.sum(order[1::2] == emotion) == trials // 10
    assert np.array_equal(order[::2], order[1::2])
    assert not order[: trials // 5].any()
    starts = np.flatnonzero(np.diff(order, prepend=-1))
    blocks = np.bincount(order[starts], minlength=5)
    assert blocks[0] == 1
    assert all(blocks[1:] >= min(2, trials // 10))


def test_the_whole_sequence_is_the_published_one():
    order = twin_trials.sequence(200)
    letters = "".join(eav.EMOTIONS[emotion][0] for emotion in order[40::8])
    assert letters == "AACCSSHACHHSSAACCHHS"
    assert np.array_equal(order[40:], np.repeat(order[40::8], 8))


def test_every_trial_has_an_informative_modality_and_none_is_always_informative():
    telling = twin_trials.Settings(990, 1.0, 3, 1.0).informative(1)
    speaking, listening = telling[1::2], telling[::2][:, [0, 2]]
    assert speaking.any(axis=1).all()
    assert listening.any(axis=1).all()
    assert all(0.6 < share < 0.8 for share in (*speaking.mean(axis=0), *listening.mean(axis=0)))
    chance = np.prod(speaking.mean(axis=0))
    assert speaking.all(axis=1).mean() == pytest.approx(chance, abs=0.07)  # independent of one another


@pytest.mark.parametrize("modality", twin_trials.MODALITIES)
def test_strength_is_linear_and_classes_are_apart(modality):
    none, some, more = (
        twin_trials.Settings(200, snr, 5, 1.0).courses(2, modality) for snr in (0.0, 1.0, 3.0)
    )
    within = np.abs([none, some, more]).max(axis=0) < twin_trials.LARGEST
    assert within.mean() > 0.5
    assert np.allclose((more - none)[within], 3 * (some - none)[within])
    profiles = twin_effects.profiles(modality)
    apart = np.linalg.norm(profiles[:, None] - profiles, axis=-1)[np.triu_indices(5, 1)]
    assert apart.min() > 2  # of at most sqrt(12.5) for five equally distant classes


def test_with_interaction_face_and_voice_tell_the_class_together_and_not_alone():
    settings = twin_trials.Settings(200, 3.0, 7, 1.0, interaction=True)
    speaking = np.arange(200) % 2 == 1
    opposite = np.argsort(twin_trials.OPPOSITES)
    shares = []
    for subject in range(1, 9):
        shown, labels = settings.shown(subject), settings.labels
        eeg, voice, face = shown.T
        assert np.array_equal(eeg, labels)
        assert np.array_equal(face[~speaking], labels[~speaking])
        assert settings.informative(subject)[speaking][:, 1:].all()
        together = np.where(voice == face, face, opposite[face])
        assert np.array_equal(together[speaking], labels[speaking])
        shares.append((face == labels)[speaking].mean())
    assert 0.4 < np.mean(shares) < 0.6
