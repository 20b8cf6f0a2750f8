"""Judging by several streams: which are joined, which are absent and why, and that every route is one."""

import gzip
import shutil
from collections import Counter

import mne
import numpy as np
import pytest
import soundfile
import torch

from eavctl.classifiers.calibration import decide
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError, SettingsError, SignalError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.rows import AbsentStream
from eavctl.stages.extract import extract
from eavctl.stages.predict import predict
from eavctl.storage import artifacts, tables
from eavctl.storage.metadata import ModelMeta
from eavctl.synthetic.twin import synth_eav

CLASSES = ("calm", "glad", "sad")
CHANNELS = ["Fz", "Cz", "Pz"]
EEG = Recipe("eeg-bands", {"channels": CHANNELS}, segment=1.0)
AUDIO = Recipe("seed33", segment=1.0)
VIDEO = Recipe("faces", {"n_frames": 2, "size": 8, "crop": "frame"}, segment=1.0)
WEIGHT = {"eeg": 3.0, "audio": 2.0, "video": 1.0}


class StandIn:
    """Judges by a fixed linear map of each stream that is there; fails where it sees another."""

    def __init__(self, shapes, names):
        rng = np.random.default_rng(0)
        self.classes_, self.streams = np.array(CLASSES), tuple(names)
        self.maps = [rng.normal(size=(int(np.prod(shape)), len(CLASSES))) for shape in shapes]

    def weights(self, x: Streams) -> np.ndarray:
        weights = x.present * np.array([WEIGHT.get(name, 1.0) for name in self.streams])
        return weights / weights.sum(axis=1, keepdims=True)

    def predict_proba(self, x: Streams) -> np.ndarray:
        flat = [np.where(x.present[:, [i]], a.reshape(len(x), -1), 0) for i, a in enumerate(x.arrays)]
        logits = np.stack([np.tanh(f / 100 @ m) for f, m in zip(flat, self.maps, strict=True)], axis=1)
        found = np.exp(2 * (logits * self.weights(x)[:, :, None]).sum(axis=1))
        return found / found.sum(axis=1, keepdims=True)

    def proba_and_weights(self, x: Streams) -> tuple[np.ndarray, np.ndarray]:
        return self.predict_proba(x), self.weights(x)

    def decide(self, proba: np.ndarray) -> np.ndarray:
        return proba.argmax(axis=-1)


def stream(name, recipe, shape):
    columns = recipe.columns
    return {
        "name": name,
        **recipe.meta(),
        "shape": list(shape),
        "columns": list(columns) if columns else None,
    }


STREAMS = (
    stream("eeg", EEG, (len(EEG.columns),)),
    stream("audio", AUDIO, (33,)),
    stream("video", VIDEO, (2, 8, 8, 3)),
)


def model_of(streams, **changes):
    meta = {
        "kind": "fusion",
        "method": "ambt-mean",
        "streams": list(streams),
        "protocol": {"name": "loso", "normalize": None},
        "trained_on": {"subjects": [], "clips": []},
        "training_hash": "abc",
        "versions": {},
        "out_of_fold": {},
    }
    stand_in = StandIn([each["shape"] for each in streams], [each["name"] for each in streams])
    return artifacts.Model(ModelMeta.from_json(meta | changes, "m.pt"), stand_in)


@pytest.fixture
def judge(monkeypatch):
    """Call predict with a model of these streams, by default EEG, sound and video."""

    def call(*sources, model=None, **options):
        monkeypatch.setattr(artifacts, "load", lambda path: model or model_of(STREAMS))
        return predict([str(source) for source in sources], "m.pt", **options)

    return call


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Folder with a twin of one subject, trials of 2.5 s, and a table of each stream."""
    folder = tmp_path_factory.mktemp("twin")
    synth_eav(folder / "twin", subjects=1, trials=10, seconds=2.5, snr=2)
    for name, recipe in (("eeg", EEG), ("audio", AUDIO), ("video", VIDEO)):
        extract(folder / "twin", folder / f"{name}.parquet", recipe)
    return folder


def files_of(twin, trial):
    """The files of a speaking trial, by modality."""
    folder = twin / "twin/subject1"
    (audio,), (video,) = (list(folder.glob(f"{part}/{trial:03d}_*")) for part in ("Audio", "Video"))
    return {"eeg": str(folder / "EEG/subject1_eeg.mat"), "audio": str(audio), "video": str(video)}


def proba_of(result):
    return np.stack([row.proba for row in result.rows])


def test_segments_are_averaged_before_the_answer(judge, twin):
    """The mean decides, by the priors: an answer a segment, or the likeliest class, would be another."""
    model = model_of(STREAMS)
    mean = judge(twin / "twin/subject1", trial=4).rows[0].proba
    likeliest = int(mean.argmax())
    priors = np.where(np.arange(3) == likeliest, 0.98, 0.01)
    model.predictor.decide = lambda proba: decide(proba, priors)
    (row,) = judge(twin / "twin/subject1", trial=4, model=model).rows
    assert row.proba == pytest.approx(mean)
    assert row.pred == CLASSES[int((mean / priors).argmax())] != CLASSES[likeliest]
    assert judge(twin / "twin/subject1", trial=4, model=model).to_table().pred.tolist() == [row.pred]


# --- three routes, one answer -----------------------------------------------------------------------------


def test_a_trial_separate_files_and_tables_give_one_answer(judge, twin):
    (trial,) = judge(twin / "twin/subject1", trial=4).rows
    (apart,) = judge(separate=files_of(twin, 4), trial=4).rows
    everything = judge(*(twin / f"{name}.parquet" for name in ("video", "eeg", "audio")))
    (row,) = [row for row in everything.rows if row.keys["clip_id"] == "subject01/004"]
    for other in (apart, row):
        assert other.proba == pytest.approx(trial.proba, abs=1e-12)
        assert other.weights == trial.weights == pytest.approx({"eeg": 1 / 2, "audio": 1 / 3, "video": 1 / 6})
        assert (other.start, other.end, other.absent) == (trial.start, trial.end, ()) == (0, 2, ())
    assert trial.keys["sample_id"] == row.keys["sample_id"] == "subject01/004"


def test_each_stream_meets_its_own_kind_of_features(judge, twin):
    row, read = "subject01/006@00001.000", {}
    for name in ("eeg", "audio", "video"):
        table = tables.read_features(twin / f"{name}.parquet")
        read[name] = table.x[table.keys["sample_id"] == row]
    expected = model_of(STREAMS).predict_proba(Streams(tuple(read.values()), np.ones((1, 3), bool)))
    found = judge(twin / "twin", trial=6, segment=1.0)
    assert [each.keys["sample_id"][-6:] for each in found.rows] == ["00.000", "01.000"]
    assert found.rows[1].proba == pytest.approx(expected[0], abs=1e-12)


def test_a_data_set_is_judged_by_what_each_trial_has(judge, twin):
    result = judge(twin / "twin")
    assert len(result.rows) == 10
    assert result.used == {("eeg", "audio", "video"): 5, ("eeg", "video"): 5}
    silent = [row for row in result.rows if "audio" not in row.weights]
    assert {row.keys["task"] for row in silent} == {"listening"}
    assert [(each.name, each.reason, each.share) for each in silent[0].absent] == [("audio", "", 1)]
    assert silent[0].weights == pytest.approx({"eeg": 0.75, "video": 0.25})
    assert result.rejected == result.notes == ()
    meta = result.to_table().meta
    assert meta["modalities"] == ["eeg", "audio", "video"]
    assert meta["fusion"] == {"method": "ambt-mean", "used": {"eeg+audio+video": 5, "eeg+video": 5}}
    assert meta["name"] == "ambt-mean on eeg + audio + video"


def test_streams_are_joined_by_start_and_never_by_position(judge, twin, tmp_path):
    files = {trial: files_of(twin, trial) for trial in (2, 4, 6)}
    files[2].pop("video")
    files[4].pop("audio")
    lines = ["clip_id,audio_path,video_path"]
    lines += [f"{n},{each.get('audio', '')},{each.get('video', '')}" for n, each in files.items()]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    alone = [judge(separate={m: p for m, p in each.items() if m != "eeg"}) for each in files.values()]
    found = judge(tmp_path / "m.csv")
    assert found.used == {("audio", "video"): 1, ("audio",): 1, ("video",): 1}
    assert proba_of(found) == pytest.approx(np.concatenate([proba_of(each) for each in alone]), abs=1e-12)


def test_sound_that_ends_early_is_absent_from_there_on(judge, twin, tmp_path):
    files = files_of(twin, 8)
    sound, rate = soundfile.read(files["audio"])
    soundfile.write(tmp_path / "short.wav", sound[: int(1.2 * rate)], rate)
    short = files | {"audio": str(tmp_path / "short.wav")}
    (row,) = judge(separate=short, trial=8).rows
    windows = judge(separate=short, trial=8, segment=1.0).rows
    whole = judge(separate=files, trial=8, segment=1.0).rows
    without = judge(separate={m: p for m, p in files.items() if m != "audio"}, trial=8, segment=1.0).rows
    assert windows[0].proba == pytest.approx(whole[0].proba, abs=1e-12)
    assert windows[1].proba == pytest.approx(without[1].proba, abs=1e-12)
    assert windows[1].absent[0].reason.startswith("ends at 1.0")
    assert row.absent[0].share == 0.5
    assert row.weights == pytest.approx({"eeg": (1 / 2 + 3 / 4) / 2, "audio": 1 / 6, "video": 5 / 24})


# --- real recordings --------------------------------------------------------------------------------------


def test_a_video_with_sound_gives_both(judge, shared_data):
    clip = shared_data / "ravdess-video/01-01-01-01-01-01-01.mp4"
    result = judge(clip)
    (row,) = result.rows
    assert list(row.weights) == ["audio", "video"]
    assert [(each.name, each.reason) for each in row.absent] == [("eeg", "")]
    assert result.notes == ()
    apart = judge(separate={"audio": str(clip), "video": str(clip)})
    assert apart.rows[0].proba == pytest.approx(row.proba, abs=1e-12)


def test_real_files_of_three_lengths(judge, shared_data):
    separate = {
        "eeg": str(shared_data / "eeg/S001R03.edf"),
        "audio": str(next((shared_data / "ravdess-speech").rglob("*.flac"))),
        "video": str(shared_data / "video/single_face.mp4"),
    }
    result = judge(separate=separate, segment=1.0)
    used = [tuple(row.weights) for row in result.rows]
    assert used[:2] == [("eeg", "audio", "video")] * 2
    assert Counter(used)[("eeg",)] > 100
    assert [row.start for row in result.rows] == list(range(len(used)))


def test_a_face_that_is_not_found_leaves_the_sound(judge, shared_data):
    faces = Recipe("face-stats", {"n_frames": 2})
    streams = [stream("audio", Recipe("seed33"), (33,)), stream("video", faces, (len(faces.columns),))]
    clip = shared_data / "video/no_face.mp4"
    result = judge(clip, model=model_of(streams))
    (row,) = result.rows
    assert list(row.weights) == ["audio"]
    assert row.absent[0].reason.startswith("no face found")
    assert result.notes == (f"{clip}: {row.absent[0].reason}; judged without video",)


def test_a_file_without_the_modality_is_no_fault(judge, twin, shared_data):
    files = files_of(twin, 2)
    silent, sound = files["video"], files["audio"]
    result = judge(silent)
    assert (list(result.rows[0].weights), result.notes) == (["video"], ())
    assert {each.name: each.reason for each in result.rows[0].absent} == {
        "eeg": "",
        "audio": "has no sound",
    }
    result = judge(separate={"audio": sound, "video": sound}, strict=True)
    assert (list(result.rows[0].weights), result.notes) == (["audio"], ())
    assert result.rows[0].absent[1].reason == "has no picture"
    with pytest.raises(DataError, match="has no picture"):
        judge(separate={"video": sound})


@pytest.mark.parametrize("bad", ["random.mp4", "text.wav", "silent.wav", "nan.wav", "truncated.edf"])
def test_a_broken_file_is_named_and_the_others_are_judged(judge, twin, shared_data, bad):
    files = files_of(twin, 2)
    modality = {".mp4": "video", ".wav": "audio", ".edf": "eeg"}[bad[-4:]]
    path = str(shared_data / "hostile" / bad)
    rest = {m: p for m, p in files.items() if m not in ("eeg", modality)}
    result = judge(separate=rest | {modality: path})
    (row,) = result.rows
    assert modality not in row.weights
    (note,) = result.notes
    assert note.startswith(f"{path}: ")
    assert note.endswith(f"; judged without {modality}")
    assert row.proba == pytest.approx(judge(separate=rest).rows[0].proba, abs=1e-12)
    with pytest.raises(DataError, match=f"judged without {modality}"):
        judge(separate=rest | {modality: path}, strict=True)


# --- what cannot be judged --------------------------------------------------------------------------------


def test_a_recording_of_which_nothing_can_be_read_is_rejected_with_the_reasons(judge, twin, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no film at all")
    good = files_of(twin, 2)["audio"]
    result = judge(tmp_path / "bad.mp4", good)
    assert len(result.rows) == 1
    (bad,) = result.rejected
    assert bad["path"] == str(tmp_path / "bad.mp4")
    assert "audio: not a sound file" in bad["reason"]
    assert "video: not a video file" in bad["reason"]
    assert str(tmp_path) not in bad["reason"]
    with pytest.raises(DataError, match=r"absent\.mp4: no such file"):
        judge(tmp_path / "absent.mp4")


def test_a_file_that_no_stream_takes_is_rejected(judge, shared_data, tmp_path):
    eeg = shared_data / "eeg/S001R03.edf"
    (tmp_path / "m.csv").write_text(f"eeg_path\n{eeg}\n")
    with pytest.raises(DataError, match="has none of audio, video"):
        judge(eeg, model=model_of(STREAMS[1:]))
    with pytest.raises(UsageError, match="the model takes audio or video: it has no use for --eeg"):
        judge(separate={"eeg": str(eeg)}, model=model_of(STREAMS[1:]))
    with pytest.raises(DataError, match="none of the 1 recordings has audio or video"):
        judge(tmp_path / "m.csv", model=model_of(STREAMS[1:]))


@pytest.mark.parametrize("streams", [STREAMS[:1], STREAMS])
def test_a_broken_file_of_many_recordings_is_named_once(judge, twin, shared_data, tmp_path, streams):
    broken = shared_data / "hostile/truncated.edf"
    good = files_of(twin, 2)["eeg"]
    lines = [f"{broken},,{n},{n + 1},c{n}" for n in range(3)] + [f"{good},1,,,d"]
    (tmp_path / "m.csv").write_text("\n".join(["eeg_path,eeg_index,start,end,clip_id", *lines]))
    result = judge(tmp_path / "m.csv", model=model_of(streams))
    assert len(result.rows) == 1
    assert [each["path"] for each in result.rejected] == [str(broken)]


def test_segments_that_no_stream_knows_are_told_by_their_time(judge, shared_data):
    faces = Recipe("face-stats", {"n_frames": 2}, segment=2.0)
    streams = [stream("video", faces, (len(faces.columns),)), STREAMS[0]]
    clip = shared_data / "video/face_noface.mov"
    result = judge(clip, model=model_of(streams), segment=1.0)
    assert 1 <= len(result.rows) < 6
    assert len(result.rows) + len(result.rejected) == 6
    for bad in result.rejected:
        assert "no face found" in bad["reason"]
    times = {bad["start"] for bad in result.rejected} | {row.start for row in result.rows}
    assert times == set(range(6))
    with pytest.raises(DataError, match=r"face_noface\.mov.*no face found"):
        judge(clip, model=model_of(streams), segment=1.0, strict=True)


def test_a_model_whose_parts_name_other_streams_is_damaged(judge, twin):
    model = model_of(STREAMS)
    model.predictor.streams = ("eeg", "audio", "gait")
    with pytest.raises(DataError, match="damaged .it takes eeg, audio, gait"):
        judge(twin / "twin", model=model)


def test_features_of_another_shape_are_absent_with_the_reason(judge, twin):
    epochs = Recipe("eeg-epochs", {"channels": CHANNELS}, segment=1.0)
    model = model_of([stream("eeg", epochs, (3, 100)), STREAMS[1]])
    (row,) = judge(twin / "twin", model=model, trial=2).rows
    assert list(row.weights) == ["eeg", "audio"]
    (row,) = judge(twin / "twin", model=model, trial=2, segment=2.0).rows
    assert "shape (3, 200), and the model takes (3, 100)" in row.absent[0].reason


# --- EEG arrays of many trials ----------------------------------------------------------------------------


def test_an_array_alone_goes_trial_by_trial_and_with_others_needs_its_number(judge, twin):
    files = files_of(twin, 4)
    alone = judge(files["eeg"])
    assert [row.keys["clip_id"][-4:] for row in alone.rows] == [f"/{n:03d}" for n in range(1, 11)]
    assert alone.used == {("eeg",): 10}
    assert proba_of(judge(separate={"eeg": files["eeg"]})) == pytest.approx(proba_of(alone))
    with pytest.raises(UsageError, match="holds 10 trials.*--trial"):
        judge(separate=files)
    with pytest.raises(DataError, match=r"gone\.wav: no such file"):
        judge(separate=files | {"audio": "gone.wav"}, trial=4)


def test_an_array_that_breaks_leaves_the_other_files(judge, twin, shared_data):
    files = files_of(twin, 4) | {"eeg": str(shared_data / "hostile/random.mat")}
    result = judge(separate=files)
    assert list(result.rows[0].weights) == ["audio", "video"]
    assert "random.mat" in result.notes[0]


# --- several streams of one modality ----------------------------------------------------------------------


def test_a_broken_array_in_a_folder_is_a_reason_where_eeg_is_wanted_and_nowhere_else(judge, twin, tmp_path):
    files = files_of(twin, 2)
    shutil.copy(files["audio"], tmp_path / "a.wav")
    shutil.copy(files["eeg"], tmp_path / "b.mat")
    (tmp_path / "c.mat").write_bytes((tmp_path / "b.mat").read_bytes()[:5000])
    eeg, audio, _ = STREAMS
    found = judge(tmp_path, model=model_of([audio]))
    assert not found.rejected
    assert proba_of(found) == pytest.approx(proba_of(judge(files["audio"], model=model_of([audio]))))
    found = judge(tmp_path, model=model_of([eeg]))
    assert len({row.keys["clip_id"] for row in found.rows}) == 10
    assert [each["path"] for each in found.rejected] == [str(tmp_path / "c.mat")]
    both = judge(tmp_path, model=model_of([audio, eeg]))
    assert len({row.keys["clip_id"] for row in both.rows}) == 11
    assert [each["path"] for each in both.rejected] == [str(tmp_path / "c.mat")]


def test_packed_fif_is_extracted_from_a_folder_and_judged_by_itself(judge, tmp_path):
    data = np.random.default_rng(0).normal(scale=2e-5, size=(3, 1000))
    raw = mne.io.RawArray(data, mne.create_info(CHANNELS, 200.0, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "one_raw.fif", verbose="ERROR")
    (tmp_path / "in").mkdir()
    packed = tmp_path / "in" / "one_raw.fif.gz"
    packed.write_bytes(gzip.compress((tmp_path / "one_raw.fif").read_bytes()))
    for source, name in ((tmp_path / "in", "folder"), (packed, "file")):
        assert extract(source, tmp_path / f"{name}.parquet", EEG).rejected == ()
        table = tables.read_features(tmp_path / f"{name}.parquet")
        assert table.keys["clip_id"].tolist() == ["one_raw"] * 5
    model = model_of([STREAMS[0]])
    found = judge(packed, model=model)
    assert {row.keys["clip_id"] for row in found.rows} == {str(packed).removesuffix(".fif.gz")}
    assert proba_of(found) == pytest.approx(proba_of(judge(tmp_path / "one_raw.fif", model=model)))
    assert proba_of(judge(tmp_path / "in", model=model)) == pytest.approx(proba_of(found))


def test_three_models_of_sound_hear_one_recording(judge, shared_data):
    clip = next((shared_data / "ravdess-speech").rglob("*.flac"))
    recipes = [Recipe("functionals"), Recipe("seed33"), Recipe("means180")]
    streams = [stream(r.features, r, (len(r.columns),)) for r in recipes]
    result = judge(clip, model=model_of(streams))
    assert result.rows[0].weights == pytest.approx(
        dict.fromkeys(["functionals", "seed33", "means180"], 1 / 3)
    )
    assert result.to_table().meta["modalities"] == ["audio"]
    bad = judge(clip, shared_data / "hostile/silent.wav", model=model_of(streams))
    assert [each["reason"] for each in bad.rejected] == ["silent, every sample is 0"]


def test_streams_with_one_recipe_share_the_work(judge, twin, monkeypatch):
    from eavctl.signals import audio

    read, original = [], audio.read
    monkeypatch.setattr(audio, "read", lambda *given: read.append(given) or original(*given))
    streams = [stream(name, AUDIO, (33,)) for name in ("svm", "mlp")]
    (row,) = judge(files_of(twin, 2)["audio"], model=model_of(streams)).rows
    assert len(read) == 1
    assert list(row.weights) == ["svm", "mlp"]


# --- feature tables ---------------------------------------------------------------------------------------


def test_tables_that_lack_samples_or_are_not_given_make_streams_absent(judge, twin):
    result = judge(twin / "audio.parquet", twin / "video.parquet")
    assert result.used == {("audio", "video"): 5, ("video",): 5}
    direct = judge(twin / "twin", model=model_of(STREAMS[1:]))
    assert direct.used == result.used


def test_a_table_that_fits_no_stream_is_refused_by_name(judge, twin, tmp_path):
    extract(twin / "twin", tmp_path / "t.parquet", Recipe("functionals", segment=1.0))
    with pytest.raises(SettingsError, match="'functionals', which no stream of m.pt") as caught:
        judge(twin / "eeg.parquet", tmp_path / "t.parquet")
    assert "'eeg-bands' for eeg; 'seed33' for audio; 'faces' for video" in str(caught.value)
    extract(
        twin / "twin", tmp_path / "f.parquet", Recipe("faces", {**VIDEO.settings, "size": 6}, segment=1.0)
    )
    with pytest.raises(SettingsError, match="'faces' for video with size=8"):
        judge(tmp_path / "f.parquet")


def test_tables_that_contradict_each_other_or_repeat_samples_are_refused(judge, twin, tmp_path):
    table = tables.read_features(twin / "audio.parquet")
    with pytest.raises(DataError, match="both have the sample subject01/002@00000.000"):
        shutil.copy(twin / "audio.parquet", tmp_path / "again.parquet")
        judge(twin / "audio.parquet", tmp_path / "again.parquet")
    table.keys["label"] = "Boredom"
    tables.write_features(table, tmp_path / "other.parquet")
    with pytest.raises(
        DataError, match="contradict each other: subject01/002@00000.000 is Neutral, or Boredom"
    ):
        judge(twin / "video.parquet", tmp_path / "other.parquet")


def test_a_table_in_parts_is_one_table(judge, twin, tmp_path):
    table = tables.read_features(twin / "eeg.parquet")
    for name, rows in (("a", slice(0, 7)), ("b", slice(7, None))):
        keys = table.keys.iloc[rows].reset_index(drop=True)
        part = tables.FeatureTable(keys, table.x[rows], table.columns, table.meta)
        tables.write_features(part, tmp_path / f"{name}.parquet")
    parts = judge(tmp_path / "b.parquet", tmp_path / "a.parquet").to_table()
    whole = judge(twin / "eeg.parquet").to_table()
    assert parts.keys["sample_id"].tolist() == whole.keys["sample_id"].tolist()
    assert parts.proba == pytest.approx(whole.proba, abs=1e-12)


def test_a_table_of_a_setting_that_the_model_leaves_at_its_default_is_told_which(judge, twin, tmp_path):
    causal = Recipe("eeg-bands", {"channels": CHANNELS, "filter": "causal"}, segment=1.0)
    extract(twin / "twin", tmp_path / "causal.parquet", causal)
    with pytest.raises(SettingsError, match="filter"):
        judge(tmp_path / "causal.parquet")


# --- models that say less ---------------------------------------------------------------------------------


def test_a_model_that_knows_no_weights_and_no_reliability_still_judges(judge, twin):
    model = model_of(STREAMS, out_of_fold=None)

    class Bare:
        classes_, predict_proba = model.predictor.classes_, model.predictor.predict_proba
        decide = model.predictor.decide

    (row,) = (result := judge(twin / "twin", model=artifacts.Model(model.meta, Bare()), trial=2)).rows
    assert row.weights == {"eeg": None, "audio": None, "video": None}
    assert result.right(row) is None


def test_training_subjects_are_told(judge, twin):
    model = model_of(STREAMS, trained_on={"subjects": ["subject01"], "clips": []})
    assert "was trained on subject01" in judge(twin / "twin", model=model).notes[0]


def test_sound_without_speech_is_absent_from_a_model_of_speech(judge, twin, tmp_path):
    """A model whose audio was speech judges a hum by the picture alone; another one takes the hum too."""
    time = np.arange(40000) / 16000
    soundfile.write(tmp_path / "hum.wav", 0.3 * np.sin(2 * np.pi * 120 * time), 16000)
    files = {"audio": str(tmp_path / "hum.wav"), "video": files_of(twin, 2)["video"]}
    of_speech = [each | {"speech": each["name"] == "audio"} for each in STREAMS]
    result = judge(separate=files, model=model_of(of_speech))
    (row,) = result.rows
    assert list(row.weights) == ["video"]
    (reason,) = [each.reason for each in row.absent if each.name == "audio"]
    assert "no speech" in reason
    assert result.notes == (f"{files['audio']}: {reason}; judged without audio",)
    assert row.proba == pytest.approx(judge(separate={"video": files["video"]}).rows[0].proba)
    assert list(judge(separate=files).rows[0].weights) == ["audio", "video"]
    with pytest.raises(DataError, match="no speech"):
        judge(separate={"audio": files["audio"]}, model=model_of(of_speech))


def test_streams_of_one_recipe_of_which_one_is_of_speech_are_described_apart(judge, twin, tmp_path):
    soundfile.write(tmp_path / "hum.wav", 0.3 * np.sin(2 * np.pi * 120 * np.arange(40000) / 16000), 16000)
    streams = [stream("voice", AUDIO, (33,)) | {"speech": True}, stream("sound", AUDIO, (33,))]
    (row,) = judge(tmp_path / "hum.wav", model=model_of(streams)).rows
    assert list(row.weights) == ["sound"]


# --- windows ----------------------------------------------------------------------------------------------


def test_a_modality_that_is_absent_from_a_window_is_so_for_the_given_reason():
    predictor = Predictor(model_of(STREAMS), "m.pt")
    sound = (np.random.default_rng(0).normal(scale=0.1, size=16000).astype(np.float32), 16000)
    described = predictor.describe_window({"audio": sound}, {"eeg": "stalled for 1.2 s"})
    row = predictor.judge_described_window(described)
    assert list(row.weights) == ["audio"]
    assert row.absent == (AbsentStream("eeg", "stalled for 1.2 s", 1.0), AbsentStream("video", "", 1.0))
    assert described.faults == ()
    assert list(described.seconds) == ["audio"]
    nothing = predictor.describe_window({}, {"eeg": "stalled for 1.2 s", "video": "late by 110 ms"})
    assert nothing.segments == ()
    with pytest.raises(SignalError, match=r"eeg: stalled for 1\.2 s; video: late by 110 ms"):
        predictor.judge_described_window(nothing)


def test_a_window_has_the_features_of_a_file_and_notes_on_what_is_odd(tmp_path):
    rng = np.random.default_rng(1)
    sound = rng.normal(scale=0.1, size=16000).astype(np.float32)
    brain = rng.normal(scale=20, size=(10, 500))
    brain[1] = 0
    names = ["Fz", "Cz", "Pz", "Oz", "F3", "F4", "C3", "C4", "P3", "P4"]
    predictor = Predictor(model_of(STREAMS), "m.pt")
    window = {"eeg": (brain, 500.0, names), "audio": (sound, 16000)}
    described = predictor.describe_window(window)
    assert set(described.seconds) == {"eeg", "audio"}
    assert min(described.seconds.values()) > 0
    (note,) = described.notes
    assert "Cz" in note
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    alone = predictor.describe_window({"audio": (sound, 16000)})
    (file,) = predictor.describe(predictor.find(tmp_path / "a.wav"))
    of_window, of_file = (each.segments[0].inputs[1] for each in (alone, file))
    np.testing.assert_array_equal(of_window, of_file)
    np.testing.assert_array_equal(described.segments[0].inputs[1], of_file)


def test_networks_judge_on_one_thread_whatever_the_machine_has(monkeypatch):
    """Sums of several threads differ in the last bits, and beside live sources they wait for each other."""
    predictor, n_threads = Predictor(model_of(STREAMS), "m.pt"), []
    judged = predictor.model.predictor.predict_proba

    def counted(x: Streams) -> np.ndarray:
        n_threads.append(torch.get_num_threads())
        return judged(x)

    monkeypatch.setattr(predictor.model.predictor, "predict_proba", counted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        predictor.judge_window({"audio": (np.sin(np.arange(16000, dtype=np.float32)), 16000)})
        assert (n_threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
