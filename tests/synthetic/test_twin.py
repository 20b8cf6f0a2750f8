"""The made-up EAV tree: named and laid out as published, and repeatable."""

import json
import os
import signal
import subprocess
import sys
import time
import wave

import av
import numpy as np
import pytest
import scipy.io

from eavctl.datasets import eav
from eavctl.errors import UsageError
from eavctl.synthetic import twin, twin_face, twin_trials
from eavctl.synthetic.twin_files import mat_array

TINY = {"trials": 10, "seconds": 1.0}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("twin") / "EAV"
    assert twin.synth_eav(out, subjects=2, **TINY) == 20
    return out


def all_files(folder):
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def contents(folder):
    return {name: path.read_bytes() for name, path in all_files(folder).items()}


def sound(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22050, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def frames(path):
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (640, 480, 30)
        return np.array([frame.to_ndarray(format="rgb24") for frame in file.decode(stream)])


def test_names_are_as_published(tree):
    names = set(all_files(tree))
    for subject, ending in ((1, "Aud"), (2, "aud")):
        assert {n.split("/", 1)[1] for n in names if n.startswith(f"subject{subject}/")} == {
            f"EEG/subject{subject}_eeg.mat",
            f"EEG/subject{subject}_eeg_label.mat",
            "Video/001_Trial_01_Listening_Neutral.mp4", "Video/002_Trial_02_Speaking_Neutral.mp4",
            "Video/003_Trial_03_Listening_Anger.mp4", "Video/004_Trial_04_Speaking_Anger.mp4",
            "Video/005_Trial_05_Listening_Calmness.mp4", "Video/006_Trial_06_Speaking_Calmness.mp4",
            "Video/007_Trial_07_Listening_Sadness.mp4", "Video/008_Trial_08_Speaking_Sadness.mp4",
            "Video/009_Trial_09_Listening_Happiness.mp4", "Video/010_Trial_10_Speaking_Happiness.mp4",
            f"Audio/002_Trial_02_Speaking_Neutral_{ending}.wav",
            f"Audio/004_Trial_03_Speaking_Anger_{ending}.wav",
            f"Audio/006_Trial_04_Speaking_Calmness_{ending}.wav",
            f"Audio/008_Trial_05_Speaking_Sadness_{ending}.wav",
            f"Audio/010_Trial_06_Speaking_Happiness_{ending}.wav",
        }  # fmt: skip
    assert len(names) == 2 * 17 + 1
    about = json.loads((tree / "TWIN.json").read_text())
    assert about["made_by"] == "eavctl synth"
    assert about["settings"] == {
        "trials": 10,
        "snr": 1.0,
        "seed": 42,
        "seconds": 1.0,
        "recipe": twin_trials.RECIPE,
    }


def test_recordings_are_as_published(tree):
    for subject, key in ((1, "seg"), (2, "seg1")):
        found = scipy.io.loadmat(tree / f"subject{subject}/EEG/subject{subject}_eeg.mat")
        eeg = found[key]
        assert (eeg.shape, eeg.dtype) == ((500, 30, 10), np.float64)
        assert ("seg" in found) + ("seg1" in found) == 1
        assert 8 < np.sqrt(np.mean(eeg**2)) < 25
        assert all(len(sound(path)) == 22050 for path in (tree / f"subject{subject}/Audio").iterdir())
    assert frames(tree / "subject1/Video/010_Trial_10_Speaking_Happiness.mp4").shape == (30, 480, 640, 3)


def test_labels_agree_with_the_names_of_the_videos(tree):
    label = scipy.io.loadmat(tree / "subject1/EEG/subject1_eeg_label.mat")["label"]
    assert label.shape == (10, 10)
    assert np.array_equal(label.sum(axis=0), np.ones(10))
    assert set(np.unique(label)) == {0, 1}
    for path in (tree / "subject1/Video").iterdir():
        number, _, _, task, emotion = path.stem.split("_")
        row = label[:, int(number) - 1].argmax()
        assert (task, emotion) == (("Listening", "Speaking")[row % 2], eav.EMOTIONS[row // 2])


def test_the_layout_reads_it(tree):
    manifest = eav.scan(tree)
    assert len(manifest) == 20
    assert not manifest.rejected
    assert manifest.rows["audio_path"].notna().sum() == 10


def test_keys_are_shared_out_as_published():
    keys = ["seg" if subject % 4 == 1 else "seg1" for subject in range(1, 43)]
    assert (keys.count("seg"), keys.count("seg1")) == (11, 31)


def test_same_seed_same_bytes_for_any_other_subjects(tree, tmp_path):
    twin.synth_eav(tmp_path / "one", subjects=1, **TINY)
    twin.synth_eav(tmp_path / "other", subjects=1, seed=1, **TINY)
    first, one, other = contents(tree), contents(tmp_path / "one"), contents(tmp_path / "other")
    assert one == {name: content for name, content in first.items() if not name.startswith("subject2")}
    same = [name for name in one if one[name] == other[name]]
    assert same == ["subject1/EEG/subject1_eeg_label.mat"]


def test_modalities_can_be_added_later(tree, tmp_path):
    twin.synth_eav(tmp_path, subjects=1, modalities=("video",), **TINY)
    assert not (tmp_path / "subject1/EEG").exists()
    twin.synth_eav(tmp_path, subjects=1, modalities=("eeg", "audio"), **TINY)
    twin.synth_eav(tmp_path, subjects=2, modalities=("audio", "video"), **TINY)
    twin.synth_eav(tmp_path, subjects=2, **TINY)
    assert contents(tmp_path) == contents(tree)


def test_what_is_there_is_kept_and_what_is_missing_made(tmp_path):
    make = {"subjects": 1, "modalities": ("audio", "eeg"), **TINY}
    twin.synth_eav(tmp_path, **make)
    before = contents(tmp_path)
    for path in all_files(tmp_path).values():
        os.utime(path, (1, 1))
    gone = tmp_path / "subject1/Audio/004_Trial_03_Speaking_Anger_Aud.wav"
    gone.unlink()
    (gone.parent / f".{gone.name}.0123abcd.tmp").write_bytes(b"half")
    twin.synth_eav(tmp_path, **make)
    assert contents(tmp_path) == before
    written = [path for path in all_files(tmp_path).values() if path.stat().st_mtime != 1]
    assert written == [gone]


def test_other_settings_take_force(tmp_path):
    twin.synth_eav(tmp_path, subjects=1, modalities=("audio",), **TINY)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="--force"):
        twin.synth_eav(tmp_path, subjects=1, modalities=("audio",), seed=1, **TINY)
    assert contents(tmp_path) == before
    twin.synth_eav(tmp_path, subjects=1, modalities=("audio",), seed=1, force=True, **TINY)
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def test_recordings_of_others_are_not_mixed_with_it(tmp_path):
    own = tmp_path / "subject7" / "Audio" / "002_Trial_02_Speaking_Neutral_Aud.wav"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"somebody's")
    for force in (False, True):
        with pytest.raises(UsageError, match="subject7"):
            twin.synth_eav(tmp_path, subjects=1, modalities=("audio",), force=force, **TINY)
    assert list(all_files(tmp_path).values()) == [own]
    assert own.read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"trials": 15}, "multiple of 10"), ({"trials": 0}, "multiple of 10"),
        ({"trials": 1000}, "at most 990"),
        ({"subjects": 0}, "at least one"), ({"seed": -1}, "from 0"), ({"snr": -1.0}, "0 or more"),
        ({"snr": float("nan")}, "0 or more"), ({"seconds": 0.5}, "at least 1"), ({"modalities": ()}, "eeg"),
        ({"modalities": ("smell",)}, "smell.*eeg, audio, video"),
        ({"latent": "sphere"}, "sphere.*circumplex"), ({"latent_strength": 0.5}, "--latent circumplex"),
        ({"latent": "circumplex", "latent_strength": 1.5}, "0 to 1"),
        ({"latent": "circumplex", "latent_strength": float("nan")}, "0 to 1"),
    ],
)  # fmt: skip
def test_invalid_settings_are_refused(tmp_path, wrong, words):
    with pytest.raises(UsageError, match=words):
        twin.synth_eav(tmp_path, **{**TINY, **wrong})
    assert not list(tmp_path.iterdir())


def test_progress_is_told(tmp_path):
    told = []
    twin.synth_eav(
        tmp_path, subjects=2, modalities=("audio",), on_trial=lambda *step: told.append(step[:2]), **TINY
    )
    assert told == [(done, 20) for done in range(21)]


def test_arrays_are_what_scipy_reads(tmp_path):
    pieces = np.random.default_rng(0).normal(size=(7, 5, 3))
    with mat_array(tmp_path / "a.mat", "segment", (7, 5, 3)) as write:
        for piece in np.moveaxis(pieces, -1, 0):
            write(piece)
    assert np.array_equal(scipy.io.loadmat(tmp_path / "a.mat")["segment"], pieces)
    with pytest.raises(UsageError, match="too many"), mat_array(tmp_path / "b.mat", "x", (10000, 30, 2000)):
        pass
    assert not (tmp_path / "b.mat").exists()


def test_films_hold_what_was_drawn(tree):
    settings, what = twin_trials.Settings(10, 1.0, 42, 1.0), twin_trials.MODALITIES.index("video")
    course = settings.courses(2, "video")[3]
    looks = twin_face.draw_looks(settings.rng(2, what, 0))
    drawn = np.array(list(twin_face.film(looks, course, 3, True, settings.rng(2, what, 4))))
    shown = frames(tree / "subject2/Video/004_Trial_04_Speaking_Anger.mp4")
    apart = np.abs(shown.astype(float) - np.repeat(drawn, 10, axis=0))
    assert apart.mean() < 4
    assert np.abs(drawn[0].astype(float) - drawn[1]).mean() > 0.1  # it moves


def test_people_look_differently(tree):
    colours = [
        np.array(
            [frames(path)[0].mean(axis=(0, 1)) for path in sorted((tree / f"subject{n}/Video").iterdir())[:4]]
        )
        for n in (1, 2)
    ]
    within = np.mean([np.linalg.norm(each - each.mean(axis=0), axis=1).mean() for each in colours])
    assert np.linalg.norm(colours[0].mean(axis=0) - colours[1].mean(axis=0)) > 2 * within


def test_an_interrupt_leaves_nothing_that_workers_were_writing(tmp_path):
    words = ["synth", "--layout", "eav", "--subjects", "2", "--trials", "100", "-j", "2", "-o", "twin"]
    process = subprocess.Popen([sys.executable, "-m", "eavctl", *words], cwd=tmp_path)
    while not list(tmp_path.rglob("*_eeg.mat.*.tmp")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert not list(tmp_path.rglob("*.tmp"))


def test_without_interaction_nothing_is_other_than_before(tmp_path):
    settings = twin_trials.Settings(10, 1.0, 42, 1.0)
    assert "interaction" not in settings.facts
    assert (settings.shown(1) == settings.labels[:, None]).all()
    with pytest.raises(UsageError):
        twin.synth_eav(tmp_path, subjects=1, **TINY)
        twin.synth_eav(tmp_path, subjects=1, interaction=True, **TINY)


def test_a_shared_cause_is_told_and_changes_the_signals_and_not_the_labels(tree, tmp_path):
    twin.synth_eav(tmp_path, subjects=1, latent="circumplex", latent_strength=0.8, **TINY)
    assert json.loads((tmp_path / "TWIN.json").read_text())["settings"].items() >= {
        ("latent", "circumplex"),
        ("latent_strength", 0.8),
    }
    before, after = contents(tree), contents(tmp_path)
    same = {name for name in after if after[name] == before[name]}
    assert "subject1/EEG/subject1_eeg_label.mat" in same
    assert "subject1/EEG/subject1_eeg.mat" not in same
    assert len(same) < len(after) / 2  # a modality without class information in a trial is as before
    with pytest.raises(UsageError, match="--force"):
        twin.synth_eav(tmp_path, subjects=1, **TINY)
