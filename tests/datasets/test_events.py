"""Epochs at events, and the layout of plain EEG folders."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest

from eavctl.datasets import manifest
from eavctl.datasets.events import Epochs, cut_at_events
from eavctl.errors import DataError, RecordingWarning, UsageError
from eavctl.evaluation.groups import identify
from eavctl.extraction.recipe import Recipe

RUNS = ("S001R03", "S001R04")


@pytest.fixture
def runs(shared_data: Path, tmp_path: Path) -> Path:
    for name in RUNS:
        shutil.copy(shared_data / f"eeg/{name}.edf", tmp_path)
    return tmp_path


def test_the_layout_names_subject_and_recording(runs: Path) -> None:
    found = manifest.find(runs)
    assert found.layout == "eeg"
    assert found.rows["clip_id"].tolist() == list(RUNS)
    assert set(found.rows["subject"]) == {"S001"}
    assert manifest.find(runs / "S001R03.edf").rows["eeg_path"].tolist() == ["S001R03.edf"]


def test_folders_of_classes_stay_the_layout_folder(tmp_path: Path) -> None:
    for name in ("calm/a.edf", "angry/b.edf"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    found = manifest.find(tmp_path)
    assert found.layout == "folder"
    assert found.rows["eeg_path"].tolist() == ["angry/b.edf", "calm/a.edf"]


def test_each_event_is_a_clip_of_its_recording(runs: Path) -> None:
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T2": "right"}))
    assert len(found) == 30  # 15 in each run
    assert found.classes == ("left", "right")
    assert set(found.rows["session"]) == set(RUNS)
    first = found.rows.iloc[0]
    assert first["clip_id"] == "S001R03@00004.200"
    assert first["start"] == pytest.approx(4.2)
    assert (found.rows["end"] - found.rows["start"]).to_numpy() == pytest.approx(4.1)
    assert found.rows.groupby("session")["trial"].nunique().tolist() == [15, 15]


def test_equal_onsets_in_two_recordings_of_one_session_are_two_trials(runs: Path) -> None:
    for run, name in enumerate(RUNS, start=1):
        (runs / f"{name}.edf").rename(runs / f"sub-01_ses-1_task-move_run-{run}_eeg.edf")
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T2": "right"})).rows
    assert set(found["session"]) == {"1"}
    onsets = found["clip_id"].str.rpartition("@")[2]
    assert onsets.duplicated().any()  # both runs keep the same clock
    assert len(set(identify(found, "trial"))) == len(found) == 30


def test_a_span_counts_from_the_event(runs: Path) -> None:
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left"}, 0.5, 2.5))
    assert found.rows["start"].iloc[0] == pytest.approx(12.5 + 0.5)
    assert (found.rows["end"] - found.rows["start"]).to_numpy() == pytest.approx(2.0)


def test_an_event_that_never_occurs_names_those_that_do(runs: Path) -> None:
    with pytest.raises(DataError, match=r"no recording has the event 'T9'; found: T0 \(30\), T"):
        cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T9": "right"}))


def test_events_without_duration_need_a_span(shared_data: Path) -> None:
    found = manifest.find(shared_data / "eeg/eeglab_data.set")
    with pytest.raises(DataError, match="no duration.*--tmax"):
        cut_at_events(found, Epochs({"square": "seen"}))
    assert len(cut_at_events(found, Epochs({"square": "seen"}, tmax=1.0))) == 80


def test_a_broken_recording_is_named_and_the_rest_goes_on(runs: Path, shared_data: Path) -> None:
    (runs / "S001R09.edf").write_bytes(b"0       " + bytes(100))
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left"}))
    assert [bad["path"] for bad in found.rejected] == ["S001R09.edf"]
    assert len(found) > 10


def test_epochs_that_are_not_all_in_the_recording_are_rejected_with_their_times(runs: Path) -> None:
    """The runs last 125 s, and their last events of these kinds end before that."""
    whole = cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T2": "right"}, 0.0, 4.0))
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T2": "right"}, 0.0, 100.0))
    assert len(whole) == len(found) + len(found.rejected) == 30
    assert (found.rows["end"] <= 125.0).all()
    late = {bad["clip_id"]: bad for bad in found.rejected}
    onset = whole.rows["start"].max()
    name = whole.rows.loc[whole.rows["start"].idxmax(), "clip_id"]
    assert f"{onset:.2f} to {onset + 100:.2f} s" in late[name]["reason"]
    assert "125.00 s" in late[name]["reason"]
    assert late[name]["path"] == f"{name.partition('@')[0]}.edf"


def test_epochs_that_begin_before_the_recording_are_rejected(runs: Path) -> None:
    found = cut_at_events(manifest.find(runs), Epochs({"T0": "rest"}, -1.0, 3.0))
    assert len(found) == 28  # the first rest of each run begins with it
    assert [bad["clip_id"] for bad in found.rejected] == [f"{run}@00000.000" for run in RUNS]


@pytest.mark.parametrize(
    ("first", "samples"), [(0, 0.0), (0, -1.0), (0, -1.9), (121, 0.0), (121, 1.0), (121, 1.9)]
)
def test_a_sample_or_two_of_rounding_cost_no_epoch_and_no_value(
    runs: Path, first: int, samples: float
) -> None:
    """The first rest begins with the recording of 125 s at 160 Hz."""
    start = first + samples / 160
    found = cut_at_events(manifest.find(runs), Epochs({"T0": "rest"}, start, start + 4.0)).rows
    (row,) = found[found["clip_id"] == "S001R03@00000.000"].to_dict("records")
    recipe = Recipe("eeg-epochs", {"channels": ["Cz"]})
    with recipe.open(runs / "S001R03.edf") as stretch_of:
        parts = ((row["start"], row["end"]), (first, first + 4.0))
        (sample,), (inner,) = (recipe.describe(stretch_of(), *part) for part in parts)
    assert sample.x is not None
    assert inner.x is not None
    assert np.array_equal(sample.x, inner.x)


@pytest.mark.parametrize("samples", [2.5, 8.0])
def test_more_than_that_costs_the_epoch(runs: Path, samples: float) -> None:
    early, late = -samples / 160, 121 + samples / 160
    found = cut_at_events(manifest.find(runs), Epochs({"T0": "rest"}, early, early + 4.0))
    assert {bad["clip_id"] for bad in found.rejected} == {f"{run}@00000.000" for run in RUNS}
    with pytest.raises(DataError):  # the later ones reach beyond the end by more
        cut_at_events(manifest.find(runs), Epochs({"T0": "rest"}, late, late + 4.0))


def test_without_a_complete_epoch_the_error_gives_the_reason(runs: Path) -> None:
    with pytest.raises(DataError, match=r"to \d+\.\d\d s is not entirely .* 125\.00 s"):
        cut_at_events(manifest.find(runs), Epochs({"T1": "left"}, 0.0, 200.0))


def test_an_event_that_the_end_of_the_file_cuts_shortens_no_other(runs: Path) -> None:
    """A file that stops 1.3 s into an event: its epoch is rejected, and all others last as before."""
    content = (runs / "S001R03.edf").read_bytes()
    before = cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T2": "right"})).rows
    mine = before[before["session"] == "S001R03"]
    start = mine["start"].iloc[-2]
    n_records = math.ceil(start) + 1  # of 1 s
    (runs / "S001R03.edf").write_bytes(content[: 66 * 256 + n_records * 20640])
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left", "T2": "right"}))
    assert (found.rows["end"] - found.rows["start"]).to_numpy() == pytest.approx(4.1)
    assert [bad["clip_id"] for bad in found.rejected] == [mine["clip_id"].iloc[-2]]
    assert len(found) == 30 - 2


@pytest.mark.parametrize(("tmin", "tmax", "span"), [(-0.5, None, (-0.5, 4.1)), (None, 2.0, (0.0, 2.0))])
def test_either_end_has_its_own_default(
    runs: Path, tmin: float | None, tmax: float | None, span: tuple[float, float]
) -> None:
    found = cut_at_events(manifest.find(runs), Epochs({"T1": "left"}, tmin, tmax))
    assert found.epoch == pytest.approx(span)
    onsets = found.rows["clip_id"].str.rpartition("@")[2].astype(float)
    assert (found.rows["start"] - onsets).to_numpy() == pytest.approx(span[0])
    assert (found.rows["end"] - onsets).to_numpy() == pytest.approx(span[1])


@pytest.mark.parametrize("ends", [(2.0, 1.0), (1.0, 1.0), (math.nan, 1.0), (0.0, math.inf), (5.0, None)])
def test_ends_that_cannot_be_meant(runs: Path, ends: tuple[float, float | None]) -> None:
    with pytest.raises(UsageError):
        cut_at_events(manifest.find(runs), Epochs({"T1": "left"}, *ends))


def test_events_without_a_class_give_rows_with_the_label_of_their_recording(runs: Path) -> None:
    found = cut_at_events(manifest.find(runs), Epochs({"T1": None, "T2": "right"}))
    assert found.classes == ("right",)
    assert set(found.rows["label"]) == {None, "right"}
    (runs / "m.csv").write_text("path,label\nS001R03.edf,calm\nS001R04.edf,tense\n")
    found = cut_at_events(manifest.find(runs / "m.csv"), Epochs({"T1": None, "T2": None}))
    assert found.rows.groupby("session")["label"].unique().map(list).tolist() == [["calm"], ["tense"]]
    assert len(found) == 30


def test_of_events_without_a_class_some_may_be_missing(runs: Path) -> None:
    with pytest.warns(RecordingWarning, match="'T9'"):
        found = cut_at_events(manifest.find(runs), Epochs({"T1": None, "T9": None}))
    assert len(found) == len(cut_at_events(manifest.find(runs), Epochs({"T1": None}))) > 0
    with pytest.raises(DataError, match="'T8'"):
        cut_at_events(manifest.find(runs), Epochs({"T8": None, "T9": None}))


def test_several_events_without_a_class_at_one_time_are_one_epoch(tmp_path: Path) -> None:
    info = mne.create_info(["C3", "C4"], 100.0, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).normal(size=(2, 2000)) * 1e-5, info, verbose="ERROR")
    at = [(2, "A"), (2, "B"), (5, "B"), (5, "A"), (9, "A"), (9, "A"), (12, "C"), (12, "B")]
    raw.set_annotations(mne.Annotations([t for t, _ in at], 0.0, [name for _, name in at]))
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    found = cut_at_events(manifest.find(tmp_path), Epochs({"A": None, "B": None, "C": "c"}, 0.0, 2.0))
    assert found.rows["start"].tolist() == [2.0, 5.0, 9.0, 12.0]
    assert found.rows["label"].tolist() == [None, None, None, "c"]
    assert not found.rejected
