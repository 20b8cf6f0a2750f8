"""A folder of a headband's CSV from `extract` to `predict`, and equal features by EDF, CSV and XDF."""

import json

import mne
import numpy as np
import pytest

from eavctl.storage import tables
from tests.signals.made_streams import Stream, eeg, stamps_of, write_csv, xdf

PEOPLE = ("anna", "ben", "cora", "dan")
CLASSES = {"calm": 8, "neutral": 12, "concentrating": 20}  # Hz
NAMES = "--pattern", "{subject}-{label}-{take}"
BANDS = "--features", "eeg-bands", "--segment", "5"
EDF_CHANNELS = ["C3", "Cz", "C4", "Fp1", "Fp2", "O1", "O2", "Oz"]


@pytest.fixture(scope="module")
def headbands(tmp_path_factory):
    """Four people in three classes: jitter, a channel that is no EEG, and a gap in every second take."""
    folder = tmp_path_factory.mktemp("headbands") / "muse"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i, (person, label, take) in enumerate((p, c, t) for p in PEOPLE for c in CLASSES for t in (1, 2)):
        signal = eeg(5, 20, seed=i)
        phase = 2 * np.pi * CLASSES[label] * np.arange(signal.shape[1]) / 256
        signal[:4] += 25 * np.sin(phase + generator.uniform(0, 6))
        stamps = stamps_of(signal.shape[1]) + generator.normal(0, 1e-3, signal.shape[1])
        lost = [(1300, 1400)] if take == 2 else []
        write_csv(folder / f"{person}-{label}-{take}.csv", signal.round(3), lost=lost, stamps=stamps)
    return folder


def features_of(path):
    """The features of a table, by the names of its rows."""
    table = tables.read_features(path)
    return dict(zip(table.keys["sample_id"], table.x, strict=True)), table


def test_a_folder_of_headbands_from_extract_to_predict(run, headbands, tmp_path):
    extracted = run("extract", headbands, *BANDS, *NAMES, "-o", "bands.parquet", "--rejected", "bad.csv")
    assert extracted.code == 0
    assert extracted.err.count("Right AUX") == 1
    _, table = features_of("bands.parquet")
    assert len(table.keys) == 24 * 4 - 12  # the second segment of the second takes has the gap
    assert table.keys["subject"].nunique() == 4
    assert dict(table.keys["label"].value_counts()) == dict.fromkeys(CLASSES, 28)
    assert not any("AUX" in name for name in table.columns)
    rejected = (tmp_path / "bad.csv").read_text().splitlines()[1:]
    assert len(rejected) == 12
    assert all("missing" in line for line in rejected)
    words = ("bands.parquet", "-o", "m.joblib", "--group", "subject", "--json")
    trained = json.loads(run("train-linear", *words).out)
    assert trained["out_of_fold"]["uar"]["value"] > 0.95
    recording = headbands / "dan-neutral-2.csv"
    found = json.loads(run("predict", recording, "--model", "m.joblib", "--json").out)
    assert found["predictions"][0]["pred"] == "neutral"
    assert len(found["rejected"]) == 1


def test_names_with_words_for_emotions_need_no_pattern(run, headbands):
    assert run("extract", headbands, *BANDS, *NAMES, "-o", "given.parquet").code == 0
    inferred = run("extract", headbands, *BANDS, "-o", "inferred.parquet")
    assert inferred.code == 0
    assert NAMES[1] in inferred.err
    (given, one), (found, two) = features_of("given.parquet"), features_of("inferred.parquet")
    assert one.keys[["subject", "label"]].equals(two.keys[["subject", "label"]])
    assert all(np.array_equal(given[name], found[name]) for name in given)


def test_folders_of_classes_manifests_and_init(run, headbands, tmp_path):
    (tmp_path / "classes/calm").mkdir(parents=True)
    (tmp_path / "classes/neutral").mkdir()
    for person in PEOPLE:
        for label in ("calm", "neutral"):
            name = f"{person}-{label}-1.csv"
            (tmp_path / "classes" / label / name).symlink_to(headbands / name)
    (tmp_path / "classes/participants.csv").write_text("subject,age\nanna,30\n")
    found = json.loads(run("extract", "classes", *BANDS, "-o", "a.parquet", "--json").out)
    assert (found["rows"], found["class_counts"]) == (32, {"calm": 16, "neutral": 16})
    for column in ("path", "eeg_path"):
        rows = [f"{headbands}/{p}-{label}-1.csv,{p},{label}" for p in PEOPLE for label in ("calm", "neutral")]
        (tmp_path / "manifest.csv").write_text("\n".join([f"{column},subject,label", *rows, ""]))
        run("extract", "manifest.csv", *BANDS, "-o", "b.parquet")
        assert np.array_equal(
            np.sort(features_of("a.parquet")[1].x, axis=0), np.sort(features_of("b.parquet")[1].x, axis=0)
        )
    assert run("init", "project", "--from", headbands).code == 0
    made = (tmp_path / "project/manifest.csv").read_text().splitlines()
    assert len(made) == 25
    assert made[1].endswith("anna-calm-1.csv,anna,calm,muse,1")
    assert "eeg-cov" in (tmp_path / "project/Makefile").read_text()


def test_check_tells_rate_channels_and_gaps(run, headbands):
    found = run("check", headbands).out
    assert all(text in found for text in ("24 recordings", "4 people", "256 Hz", "4 channels", "gap"))
    assert "Right AUX" not in found  # it is no damage


def test_the_same_samples_give_the_same_features_by_edf_csv_and_xdf(run, shared_data, tmp_path):
    """Real epochs, by annotations, a column of markers and a stream of markers."""
    raw = mne.io.read_raw_edf(shared_data / "eeg/S001R03.edf", verbose="ERROR")
    raw.rename_channels(lambda name: name.strip("."))
    signal = raw.get_data(picks=EDF_CHANNELS) * 1e6
    marks = np.zeros(signal.shape[1], int)
    for each in raw.annotations:
        first, length = round(each["onset"] * 160), round(each["duration"] * 160)
        marks[first : first + length] = int(each["description"][1])
    seconds = np.arange(signal.shape[1]) / 160
    header = ",".join(["time", *EDF_CHANNELS, "stimulus"])
    columns = np.column_stack([1e9 + seconds, signal.T, marks])
    form = ["%.3f", *["%.17g"] * len(EDF_CHANNELS), "%d"]
    np.savetxt(tmp_path / "S001R03.csv", columns, form, ",", header=header, comments="")
    channels = [{"label": name, "unit": "microvolts"} for name in EDF_CHANNELS]
    stream = Stream("EEG", "EEG", signal.T, 70 + seconds, 160.0, form="double64", channels=channels)
    texts = [[each["description"]] for each in raw.annotations]
    onsets = np.array([70 + each["onset"] for each in raw.annotations])
    (tmp_path / "S001R03.xdf").write_bytes(xdf(stream, Stream("M", "Markers", texts, onsets, form="string")))
    setting = ("--features", "eeg-bands", "--set", f"channels={json.dumps(EDF_CHANNELS)}", "--epoch", "0,4")
    found = []
    for path, events in (
        (shared_data / "eeg/S001R03.edf", "T1=left,T2=right"),
        ("S001R03.csv", "1=left,2=right"),
        ("S001R03.xdf", "T1=left,T2=right"),
    ):
        assert run("extract", path, *setting, "--events", events, "-o", "x.parquet", "-f").code == 0
        found.append(features_of("x.parquet")[1])
    for other in found[1:]:
        assert other.keys["label"].tolist() == found[0].keys["label"].tolist()
        assert np.allclose(other.keys["start"], found[0].keys["start"], atol=1 / 160)
        assert np.allclose(other.x, found[0].x, atol=1e-5)


def test_a_header_without_samples_is_told_as_such(run, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("timestamps,TP9,AF7,AF8,TP10\n", encoding="utf-8")
    result = run("check", path)
    assert result.code == 3
    assert "no samples" in result.err
    assert "--columns" not in result.err
