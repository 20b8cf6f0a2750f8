"""Batches of recordings: a file is opened once for its trials, and rows that do not fit are named."""

import numpy as np
import pytest
from scipy.io import savemat

from eavctl.extraction import batches, chunks
from eavctl.extraction.recipe import Recipe
from eavctl.signals import eeg
from eavctl.stages.extract import extract
from eavctl.storage import tables


@pytest.fixture
def subject(tmp_path):
    """One subject of EEG alone: 40 trials of 2 s, of which each has a level of its own."""
    folder = tmp_path / "eav/subject1/EEG"
    folder.mkdir(parents=True)
    (folder.parent / "Video").mkdir()
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(1000, 30, 40)) * np.arange(1, 41)
    hot = np.zeros((10, 40), np.uint8)
    hot[np.arange(40) % 10, np.arange(40)] = 1
    savemat(folder / "subject1_eeg.mat", {"seg": signal}, do_compression=True)
    savemat(folder / "subject1_eeg_label.mat", {"label": hot})
    return tmp_path / "eav"


def test_a_file_is_read_once_whatever_the_number_of_batches(subject, tmp_path, monkeypatch):
    opened = []
    original = eeg.open_eeg
    monkeypatch.setattr(eeg, "open_eeg", lambda path: opened.append(path) or original(path))
    result = extract(subject, tmp_path / "t.parquet", Recipe("eeg-epochs"))
    assert result.n_rows == 40 > 2 * chunks.BATCH
    assert len(opened) == 3  # to count its trials, for the names of its channels, and to read it
    levels = tables.read_features(tmp_path / "t.parquet").x.std(axis=(1, 2))
    assert np.corrcoef(levels, np.arange(1, 41))[0, 1] > 0.99


def test_jobs_change_no_byte(subject, tmp_path):
    for name, jobs in (("a", 1), ("b", 2)):
        extract(subject, tmp_path / f"{name}.parquet", Recipe("eeg-bands"), jobs=jobs, executor="fork")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_file_that_changed_is_read_anew(subject, tmp_path):
    out, array = tmp_path / "t.parquet", subject / "subject1/EEG/subject1_eeg.mat"
    recipe = Recipe("eeg-epochs")
    extract(subject, out, recipe)
    before = tables.read_features(out).x
    savemat(array, {"seg": np.random.default_rng(1).normal(size=(1000, 30, 40))})
    assert not extract(subject, out, recipe).up_to_date
    assert not np.allclose(tables.read_features(out).x, before)


def test_rows_of_another_length_are_rejected_by_name(shared_data, tmp_path):
    path = shared_data / "eeg/S001R03.edf"
    rows = [f"{path},c{i:02d},{'ab'[i % 2]},{i},{i + (2 if i == 5 else 3)}" for i in range(20)]
    (tmp_path / "m.csv").write_text("\n".join(["eeg_path,clip_id,label,start,end", *rows]))
    recipe = Recipe("eeg-epochs", {"channels": ["Cz"]})
    result = extract(tmp_path / "m.csv", tmp_path / "t.parquet", recipe)
    assert result.n_rows == 19
    (bad,) = result.rejected
    assert bad["clip_id"] == "c05"
    assert bad["reason"].startswith("gives 1x200 values where the first recording gives 1x300")


def test_recordings_without_the_modality_are_counted_not_rejected(shared_data, tmp_path):
    (tmp_path / "d/sad").mkdir(parents=True)
    (tmp_path / "d/sad/a.edf").symlink_to(shared_data / "eeg/S001R03.edf")
    (tmp_path / "d/sad/b.wav").touch()
    result = extract(tmp_path / "d", tmp_path / "x.parquet", Recipe("eeg-bands", segment=4.0))
    assert (result.n_rows, result.n_without, result.rejected) == (31, 1, ())


def test_what_is_said_of_several_files_is_said_once():
    notes = ["a: x: y", "b: x: z", "c: x: y", "d", "e: x: y"]
    assert batches.said_once(notes) == ["a: x: y (likewise 2 more recordings)", "b: x: z", "d"]
