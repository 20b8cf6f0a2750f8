"""A predictor judges each recording by itself, as it comes, and a window of arrays as the file of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from eavctl.classifiers import dnn, svm
from eavctl.errors import DataError, SignalError, UsageError
from eavctl.extraction.open_recording import Signal
from eavctl.extraction.recipe import Recipe
from eavctl.predicting import describing
from eavctl.predicting.predictor import Judged, Predictor
from eavctl.predicting.rows import Row
from eavctl.predicting.sources import Recording, find_recordings, selection
from eavctl.stages.predict import predict
from eavctl.storage import artifacts
from eavctl.storage.metadata import ModelMeta
from eavctl.synthetic.tones import synth_speech

RATE = 16000


def save(path: Path, recipe: Recipe, predictor: Any, normalize: str | None = None) -> None:
    meta = {
        **recipe.meta(),
        "kind": "svm" if path.suffix == ".joblib" else "dnn",
        "training_hash": "abc",
        "protocol": {"name": "random", "normalize": normalize},
        "trained_on": {"subjects": {}, "clips": {}, "recordings": []},
        "versions": {},
    }
    artifacts.save(path, predictor, meta)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, and models of segments of them: machines on vectors, and a network on tensors."""
    folder = tmp_path_factory.mktemp("made")
    synth_speech(folder / "clips", per_class=2, seed=0)
    clips = sorted((folder / "clips").rglob("*.wav"))
    labels = [clip.parent.name for clip in clips]
    for name, features in (("svm.joblib", "functionals"), ("dnn.pt", "logmel"), ("speaker.joblib", "seed33")):
        settings = {"n_frames": 50} if features == "logmel" else {}
        recipe = Recipe(features, settings, segment=0.5)
        x, y = [], []
        for clip, label in zip(clips, labels, strict=True):
            with recipe.open(clip) as stretch_of:
                found = [sample.x for sample in recipe.describe(stretch_of()) if sample.x is not None]
            x, y = [*x, *found], [*y, *[label] * len(found)]
        rows = np.stack(x)
        if name.endswith(".pt"):
            few = dnn.TrainSettings(epochs=2, members=2, device="cpu")
            save(folder / name, recipe, dnn.fit(rows, y, encoder="cnn-lstm", settings=few))
        else:
            fitted = svm.fit(rows, y, c_grid=(1.0,), gamma_grid=(0.1,))
            save(folder / name, recipe, fitted, "speaker" if "speaker" in name else None)
    return folder


def clips_of(made: Path) -> list[str]:
    return [str(clip) for clip in sorted((made / "clips").rglob("*.wav"))]


def recordings_of(made: Path) -> list[Recording]:
    chosen = selection(("audio",))
    return [each for clip in clips_of(made) for each in find_recordings(clip, chosen)]


def bits(row: Row) -> bytes:
    return row.proba.tobytes()


@pytest.mark.parametrize("segment", [None, 0.5])
@pytest.mark.parametrize("model", ["svm.joblib", "dnn.pt"])
def test_an_answer_does_not_depend_in_any_bit_on_the_other_recordings(
    made: Path, model: str, segment: float | None
) -> None:
    clips = clips_of(made)
    alone = [predict(clip, made / model, segment=segment).rows for clip in clips]
    assert len({bits(rows[0]) for rows in alone}) == len(clips)
    backwards = predict(clips[::-1], made / model, segment=segment, jobs=2).rows
    for calls in (
        predict(clips, made / model, segment=segment).rows,
        backwards,
        predict(clips[2:6], made / model, segment=segment).rows,
    ):
        by_name = {name: [bits(row) for row in calls if row.recording == name] for name in clips}
        for clip, rows in zip(clips, alone, strict=True):
            assert by_name[clip] in ([bits(row) for row in rows], [])
        assert sum(map(len, by_name.values())) == len(calls) > 0


def test_rows_of_a_table_are_judged_clip_by_clip_too(made: Path, tmp_path: Path) -> None:
    from eavctl.stages.extract import extract

    extract(made / "clips", tmp_path / "t.parquet", Recipe("functionals", segment=0.5))
    clips = predict(made / "clips", made / "svm.joblib").to_table()
    rows = predict(tmp_path / "t.parquet", made / "svm.joblib").to_table()
    assert clips.keys["sample_id"].tolist() == rows.keys["sample_id"].tolist()
    assert np.array_equal(clips.proba, rows.proba)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_recording_is_judged_before_the_last_is_read(
    made: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """And what waits to be judged is what the executor keeps ahead."""
    described = []
    original = describing.join_streams
    monkeypatch.setattr(
        describing, "join_streams", lambda *given: described.append(given[0].name) or original(*given)
    )
    recordings = recordings_of(made)
    judged = Predictor.load(made / "svm.joblib").judge(recordings, jobs, "loky")
    for n, each in enumerate(judged, start=1):
        assert each.recording == recordings[n - 1].name
        assert described == [recording.name for recording in recordings[:n]]


def test_a_predictor_is_used_many_times(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.load(made / "dnn.pt")
    monkeypatch.setattr(artifacts, "load", lambda path: pytest.fail("loaded again"))
    first, again = ([bits(j.rows[0]) for j in predictor.judge(recordings_of(made))] for _ in range(2))
    assert first == again


def test_every_recording_gives_one_result_with_its_faults(made: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    soundfile.write(tmp_path / "cut.wav", np.random.default_rng(0).normal(scale=0.1, size=RATE), RATE)
    content = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: -RATE // 2])
    chosen = selection(("audio",))
    recordings = [
        *find_recordings(tmp_path / "bad.wav", chosen),
        Recording("gone", {"sample_id": "gone", "clip_id": "gone"}, {}, "no such file"),
        *find_recordings(tmp_path / "cut.wav", chosen),
        *recordings_of(made)[:1],
    ]
    bad, gone, cut, good = Predictor.load(made / "svm.joblib").judge(recordings)
    assert (bad.rows, gone.rows) == ((), ())
    assert "not a sound file" in bad.rejected[0].reason
    assert gone.rejected[0].to_dict() == {
        "clip_id": "gone",
        "path": "gone",
        "start": None,
        "reason": "no such file",
    }
    assert len(cut.rows) == len(good.rows) == 1
    assert "missing" in cut.notes[0]
    assert good == Judged(good.recording, good.rows, (), (), ())
    assert good.rows[0].clip_id == recordings[-1].keys["clip_id"]


@pytest.mark.parametrize("model", ["svm.joblib", "dnn.pt"])
def test_a_window_of_an_array_is_judged_as_the_file_is(made: Path, model: str) -> None:
    predictor, clip = Predictor.load(made / model), clips_of(made)[0]
    signal, rate = soundfile.read(clip, dtype="float32")
    window = predictor.judge_window({"audio": (signal, rate)})
    (file,) = predict(clip, made / model).rows
    assert bits(window) == bits(file)
    assert (window.pred, window.start, window.end, window.weights) == (
        file.pred,
        file.start,
        file.end,
        file.weights,
    )
    facts, other = predictor.answer(window), predictor.answer(file)
    assert {**facts, "recording": ""} == {**other, "recording": ""}


@pytest.mark.parametrize("model", ["svm.joblib", "dnn.pt"])
def test_a_window_is_described_and_judged_apart_as_at_once(made: Path, model: str) -> None:
    predictor, clip = Predictor.load(made / model), clips_of(made)[0]
    signals = {"audio": soundfile.read(clip, dtype="float32")}
    described = predictor.describe_window(signals)
    row, expected = predictor.judge_described_window(described), predictor.judge_window(signals)
    assert bits(row) == bits(expected)
    assert row._replace(proba=expected.proba) == expected


def test_a_window_of_the_models_length_is_one_segment(made: Path) -> None:
    predictor = Predictor.load(made / "svm.joblib")
    assert predictor.window_s == 0.5
    assert Predictor.load(made / "svm.joblib", segment=0.7, hop=0.1).window_s == 0.7
    signal, rate = soundfile.read(clips_of(made)[0], dtype="float32")
    window = {"audio": (signal[: round(predictor.window_s * rate)], rate)}
    assert len(predictor.describe_window(window).segments) == 1


def test_without_segments_a_window_has_a_length_of_the_training() -> None:
    """One for which the accuracy of answers is known."""
    predictor = Predictor.load("speech-small")
    shortest, longest = predictor.confidence.lengths
    assert shortest < predictor.window_s < longest
    clip = np.random.default_rng(0).normal(scale=0.1, size=round(predictor.window_s * RATE) + 7)
    row = Row(
        "", {}, 0.0, predictor.window_s, np.eye(len(predictor.classes))[0], predictor.classes[0], {}, ()
    )
    windows = predictor.for_windows()
    assert windows.confidence.length_note([row]) == []
    assert windows.window_s == predictor.window_s
    (stream,) = windows.streams
    with stream.recipe.open(Signal(clip, RATE)) as stretch_of:
        assert [each.end for each in stream.recipe.describe(stretch_of())] == [predictor.window_s]


def test_windows_of_a_model_of_segments_are_looked_up_among_segments() -> None:
    """Recordings of the training, of 20 s, were judged by the mean over segments of 5 s."""
    level = {"seconds": [5.0, 5.0], "classes": {"a": [{"up_to": 1.0, "right": 0.5}]}}
    clips = {**level, "seconds": [20.0, 20.0], "classes": {"a": [{"up_to": 1.0, "right": 0.9}]}}
    meta = {
        **Recipe("seed33", segment=5.0).meta(),
        "kind": "svm",
        "training_hash": "abc",
        "protocol": {"name": "random", "normalize": None},
        "versions": {},
        "out_of_fold": {"reliability": {"rows": level, "clips": clips}},
    }
    stand_in = SimpleNamespace(classes_=np.array(["a", "b"]))
    predictor = Predictor(artifacts.Model(ModelMeta.from_json(meta, "m.joblib"), stand_in), "m.joblib")
    window = Row("", {}, 0.0, 5.0, np.array([0.9, 0.1]), "a", {}, ())
    recording = window._replace(end=20.0)
    windows = predictor.for_windows()
    unknown = {**meta, **Recipe("seed33").meta(), "out_of_fold": None}
    other = Predictor(artifacts.Model(ModelMeta.from_json(unknown, "m.joblib"), stand_in), "m.joblib")
    assert (windows.window_s, other.window_s) == (5.0, 3.0)
    assert windows.confidence.right(window)["right"] == 0.5
    assert (windows.confidence.right(recording), predictor.confidence.right(window)) == (None, None)
    assert predictor.confidence.right(recording)["right"] == 0.9


def test_windows_that_cannot_be_judged(made: Path) -> None:
    predictor = Predictor.load(made / "svm.joblib")
    with pytest.raises(SignalError, match="silent"):
        predictor.judge_window({"audio": (np.zeros(RATE, np.float32), RATE)})
    with pytest.raises(UsageError, match="eeg"):
        predictor.judge_window({"eeg": (np.ones((1, 500)), 250.0, ["Fz"])})
    with pytest.raises(UsageError, match="floats"):
        predictor.judge_window({"audio": (np.ones(RATE, int), RATE)})
    with pytest.raises(SignalError, match="none of audio"):
        predictor.judge_window({})
    with pytest.raises(DataError, match="speaker"):
        Predictor.load(made / "speaker.joblib").judge_window({"audio": (np.ones(RATE), RATE)})


def test_speakers_need_all_their_recordings_and_are_judged_one_by_one(made: Path) -> None:
    """The answers depend on the others of the call, as they must, and on no order of them."""
    clips = clips_of(made)
    whole = predict(clips, made / "speaker.joblib").rows
    fewer = predict(clips[:6], made / "speaker.joblib").rows
    assert not np.array_equal(whole[0].proba, fewer[0].proba)
    with pytest.raises(DataError, match="4 or more"):
        predict(clips[:3], made / "speaker.joblib")
