"""Layout ``eav``: every oddity of the published files, and what is missing or contradicts itself."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from eavctl.datasets import manifest
from eavctl.errors import DataError, RecordingWarning

EMOTIONS = ("Neutral", "Sadness", "Anger", "Happiness", "Calmness")


def kind_of(number: int) -> tuple[str, str]:
    """Task and emotion of a trial, from 1: listening and speaking alternate, four trials an emotion."""
    return ("Speaking", "Listening")[number % 2], EMOTIONS[(number - 1) // 4 % 5]


def make_subject(
    root: Path,
    name: str = "subject3",
    n_trials: int = 20,
    key: str = "seg1",
    sound: str = "_aud",
    labels: np.ndarray | None = None,
) -> Path:
    """A subject's files: names, an EEG array of 2 s a trial, labels; sound and pictures are empty files."""
    folder = root / name
    for part in ("EEG", "Audio", "Video"):
        (folder / part).mkdir(parents=True)
    hot = np.zeros((10, n_trials), np.uint8)
    for number in range(1, n_trials + 1):
        task, emotion = kind_of(number)
        hot[2 * EMOTIONS.index(emotion) + (task == "Speaking"), number - 1] = 1
        (folder / f"Video/{number:03d}_Trial_{number:02d}_{task}_{emotion}.mp4").touch()
        if task == "Speaking":
            (folder / f"Audio/{number:03d}_Trial_{number // 2:02d}_{task}_{emotion}{sound}.wav").touch()
    short = name.replace("subject0", "subject")
    eeg = np.random.default_rng(0).normal(size=(1000, 30, n_trials))
    savemat(folder / f"EEG/{short}_eeg.mat", {key: eeg})
    savemat(folder / f"EEG/{short}_eeg_label.mat", {"label": hot if labels is None else labels})
    return folder


def test_modalities_meet_on_the_prefix_and_never_on_trial_nn(tmp_path: Path) -> None:
    make_subject(tmp_path)
    found = manifest.find(tmp_path)
    assert found.layout == "eav"
    assert len(found) == 20
    second = found.rows.iloc[1]
    assert second["clip_id"] == "subject03/002"
    assert (second["subject"], second["trial"], second["task"]) == ("subject03", "002", "speaking")
    assert second["label"] == "Neutral"
    assert second["audio_path"] == "subject3/Audio/002_Trial_01_Speaking_Neutral_aud.wav"
    assert second["video_path"] == "subject3/Video/002_Trial_02_Speaking_Neutral.mp4"
    assert (second["eeg_path"], second["eeg_index"]) == ("subject3/EEG/subject3_eeg.mat", 1)
    assert found.rows["audio_path"].notna().sum() == 10
    assert found.classes == EMOTIONS
    assert found.rejected == ()


def test_padded_folders_both_keys_and_both_spellings_are_one_data_set(tmp_path: Path) -> None:
    make_subject(tmp_path, "subject01", key="seg", sound="_Aud")
    make_subject(tmp_path, "subject10", key="seg1")
    found = manifest.find(tmp_path)
    assert sorted(set(found.rows["subject"])) == ["subject01", "subject10"]
    assert set(found.rows["dataset"]) == {"eav"}
    assert found.rows["eeg_path"].notna().all()
    assert found.rows["audio_path"].notna().sum() == 20


def test_a_subjects_folder_alone_is_read_with_the_same_names(tmp_path: Path) -> None:
    make_subject(tmp_path)
    whole, one = manifest.find(tmp_path), manifest.find(tmp_path / "subject3")
    assert one.rows["clip_id"].tolist() == whole.rows["clip_id"].tolist()
    assert one.rows["eeg_path"].iloc[0] == "EEG/subject3_eeg.mat"


def without_eeg(root: Path) -> str:
    """Make sure that sound and video are there and EEG is not; why."""
    found = manifest.find(root)
    assert len(found) == 20
    assert found.rows["eeg_path"].isna().all()
    for modality, n_rows in (("audio", 10), ("video", 20)):
        assert len(found.holding(modality)) == n_rows
        assert found.holding(modality).rejected == ()
    (bad,) = found.holding("eeg").rejected
    return bad["reason"]


def test_labels_that_contradict_the_names_cost_the_eeg_and_say_where(tmp_path: Path) -> None:
    make_subject(tmp_path)
    label = tmp_path / "subject3/EEG/subject3_eeg_label.mat"
    hot = np.zeros((10, 20))
    for number in range(1, 21):
        task, emotion = kind_of(number)
        hot[2 * EMOTIONS.index(emotion) + (task == "Listening"), number - 1] = 1
    savemat(label, {"label": hot})
    assert re.search(
        r"subject3_eeg_label.mat: trial 1 is speaking Neutral .* listening Neutral", without_eeg(tmp_path)
    )


@pytest.mark.parametrize("hot", [np.ones((10, 20)), np.zeros((10, 20)), np.eye(10), np.zeros((3, 20))])
def test_labels_of_another_form_cost_the_eeg_alone(tmp_path: Path, hot: np.ndarray) -> None:
    make_subject(tmp_path, labels=hot)
    assert "subject3_eeg_label.mat: 'label' is of shape" in without_eeg(tmp_path)


@pytest.mark.parametrize("name", ["subject3_eeg.mat", "subject3_eeg_label.mat"])
def test_two_files_of_a_kind_or_a_damaged_one_cost_the_eeg_alone(tmp_path: Path, name: str) -> None:
    path = make_subject(tmp_path) / "EEG" / name
    path.with_name(f"copy_of_{name}").write_bytes(path.read_bytes())
    assert "keep one" in without_eeg(tmp_path)
    path.with_name(f"copy_of_{name}").unlink()
    path.write_bytes(path.read_bytes()[:300])
    assert "damaged" in without_eeg(tmp_path)


def test_names_of_one_trial_that_contradict_each_other_stop(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    (folder / "Audio/002_Trial_01_Speaking_Neutral_aud.wav").rename(
        folder / "Audio/002_Trial_01_Speaking_Anger_aud.wav"
    )
    with pytest.raises(
        DataError, match="trial 2 is speaking Anger by this name, speaking Neutral by that of"
    ):
        manifest.find(tmp_path)


def test_missing_files_are_reported_for_their_modality_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    (folder / "Audio/004_Trial_02_Speaking_Neutral_aud.wav").unlink()
    (folder / "Video/007_Trial_07_Listening_Sadness.mp4").unlink()
    found = manifest.find(tmp_path)
    assert len(found) == 20
    assert [(bad["modality"], bad["path"]) for bad in found.holding("audio").rejected] == [
        ("audio", "subject3/Audio/004_*")
    ]
    assert [bad["path"] for bad in found.holding("video").rejected] == ["subject3/Video/007_*"]
    assert found.holding("eeg").rejected == ()
    assert len(found.holding("audio")) == 9


def test_an_unreadable_array_costs_the_eeg_alone(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    (folder / "EEG/subject3_eeg.mat").write_bytes(np.random.default_rng(0).bytes(5000))
    found = manifest.find(tmp_path)
    assert found.rows["eeg_path"].isna().all()
    assert [bad["path"] for bad in found.holding("eeg").rejected] == ["subject3/EEG/subject3_eeg.mat"]
    assert len(found.holding("video")) == 20


def test_a_missing_label_file_is_reported(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    (folder / "EEG/subject3_eeg_label.mat").unlink()
    with pytest.warns(RecordingWarning, match="cannot be checked"):
        assert manifest.find(tmp_path).rows["eeg_path"].notna().all()


def test_eeg_alone_takes_its_labels_from_the_label_file(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    for part in ("Audio", "Video"):
        for path in (folder / part).iterdir():
            path.unlink()
        (folder / part).rmdir()
    found = manifest.find(tmp_path).holding("eeg")
    assert [(row.task, row.label) for row in found.rows.itertuples()] == [
        (task.lower(), emotion) for task, emotion in map(kind_of, range(1, 21))
    ]
    assert found.rejected == ()


def test_the_twin_is_known_by_its_mark(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    (tmp_path / "TWIN.json").write_text("{}")
    assert set(manifest.find(tmp_path).rows["dataset"]) == {"eav-twin"}
    assert set(manifest.find(folder).rows["dataset"]) == {"eav-twin"}


def test_two_folders_of_one_subject_stop(tmp_path: Path) -> None:
    make_subject(tmp_path, "subject1")
    make_subject(tmp_path, "subject01")
    with pytest.raises(DataError, match="two folders are of subject 1"):
        manifest.find(tmp_path)


def test_where_chooses_by_key_and_names_what_there_is(tmp_path: Path) -> None:
    make_subject(tmp_path)
    found = manifest.find(tmp_path)
    assert len(found.where({"task": "speaking", "label": "Anger"})) == 2
    with pytest.raises(DataError, match="no recording has task 'talking'; found: listening, speaking"):
        found.where({"task": "talking"})


def test_nothing_is_said_of_a_whole_data_set(tmp_path: Path) -> None:
    make_subject(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manifest.find(tmp_path)


def test_a_subject_of_nothing_but_an_unreadable_array_says_why(tmp_path: Path) -> None:
    folder = make_subject(tmp_path)
    for part in ("Audio", "Video"):
        for path in (folder / part).iterdir():
            path.unlink()
    savemat(folder / "EEG/subject3_eeg.mat", {"seg": np.zeros((10, 10, 10))})
    with pytest.raises(
        DataError, match=r"no recordings found .*subject3_eeg.mat: 'seg' is of shape \(10, 10, 10\)"
    ):
        manifest.find(tmp_path)
