"""The commands in a chain, on made-up recordings: what they write, say, and refuse."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
from threadpoolctl import threadpool_limits

from eavctl.extraction import chunks
from eavctl.extraction.recipe import Recipe
from eavctl.storage import artifacts, tables


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def error_lines(result):
    return [line for line in result.err.splitlines() if not line.startswith("warning")]


# --- extract ----------------------------------------------------------------------------------------------


def test_extract_gives_what_the_recipe_gives_in_order(made):
    table = tables.read_features(made / "feats.parquet")
    assert len(table) == 32
    assert table.keys["sample_id"].is_monotonic_increasing
    assert table.meta["classes"] == ["angry", "happy", "neutral", "sad"]
    assert table.columns == Recipe("functionals").columns
    recipe = Recipe("functionals")
    with threadpool_limits(1), recipe.open(made / "dataset/sad/sad_sample_3.wav") as stretch_of:
        samples = recipe.describe(stretch_of())  # sums depend on the number of threads, which extract limits
    row = table.keys.index[table.keys["sample_id"] == "sad/sad_sample_3"][0]
    assert np.array_equal(table.x[row], samples[0].x)


@pytest.mark.parametrize("features", ["functionals", "logmel", "seed33"])
def test_same_input_same_bytes_whatever_the_jobs(run, made, tmp_path, features):
    for name, jobs in (("a", 1), ("b", 2)):
        assert (
            run("extract", made / "dataset", "--features", features, "-o", f"{name}.parquet", "-j", jobs).code
            == 0
        )
    assert digest(tmp_path / "a.parquet") == digest(tmp_path / "b.parquet")


def test_extract_again_computes_nothing_and_touches_the_table(run, made, tmp_path, monkeypatch):
    table = tmp_path / "f.parquet"
    shutil.copytree(made / "dataset", tmp_path / "dataset")
    words = ("extract", tmp_path / "dataset", "--features", "seed33", "-o", table)
    run(*words)
    before = digest(table)
    os.utime(table, (1, 1))
    monkeypatch.setattr("eavctl.stages.extract.batches", lambda *_, **__: pytest.fail("computed again"))
    assert "up to date" in run(*words).err
    assert table.stat().st_mtime > 1
    assert digest(table) == before
    monkeypatch.undo()
    (tmp_path / "dataset/sad/sad_sample_1.wav").unlink()
    assert "31 rows" in run(*words).err


def test_a_killed_extract_goes_on_where_it_stopped(made, tmp_path):
    """Killed for good after two batches, then run again: they are used, and nothing stays behind."""
    target = tmp_path / "f.parquet"
    words = ["extract", str(made / "dataset"), "-o", str(target)]
    slow = (
        "import time, eavctl.extraction.batches as e; old = e.write_part; n = []\n"
        "def write(*a): old(*a); n.append(1); len(n) < 2 or (print('parts', flush=True), time.sleep(60))\n"
        "e.write_part = write\nfrom eavctl.cli.start import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, *words], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    parts = list((tmp_path / ".f.parquet.parts").glob("*.npz"))
    assert len(parts) == 2
    assert not target.exists()
    for part in parts:
        marked = dict(np.load(part))
        marked["x"] = marked["x"] + 1  # what no computation gives: proof that the part is taken
        np.savez(part, **marked)
    subprocess.run([sys.executable, "-m", "eavctl", *words], check=True, capture_output=True)
    shift = tables.read_features(target).x - tables.read_features(made / "feats.parquet").x
    taken = np.arange(len(shift)) < 2 * chunks.BATCH
    assert np.allclose(shift.mean(axis=1), taken, atol=0.1)
    assert sorted(os.listdir(tmp_path)) == ["f.parquet"]


def test_an_interrupted_extract_leaves_no_table_and_ends_with_130(made, tmp_path):
    slow = "import time, eavctl.extraction.batches as e\n" \
           "e.read_part = lambda p: (print('on', flush=True), time.sleep(60))\n" \
           "from eavctl.cli.start import main; main()"  # fmt: skip
    words = ["extract", str(made / "dataset"), "-o", str(tmp_path / "f.parquet")]
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 130
    assert not (tmp_path / "f.parquet").exists()


def test_bad_recordings_are_named_listed_and_never_fatal(run, made, tmp_path, shared_data):
    shutil.copytree(made / "dataset/sad", tmp_path / "d/sad")
    shutil.copytree(shared_data / "hostile", tmp_path / "d/odd")
    result = run("extract", "d", "-o", "f.parquet", "--rejected", "bad.csv", "-j", 2)
    assert result.code == 0
    bad = pd.read_csv(tmp_path / "bad.csv")
    reasons = dict(zip(bad["path"], bad["reason"], strict=True))
    for name in ("empty.wav", "silent.wav", "nan.wav", "text.wav", "random.mp4", "one-sample.wav", "dc.wav"):
        assert reasons[f"odd/{name}"]
        assert f"odd/{name}: " in result.err
    assert reasons["odd/truncated.wav"] == "another recording has the same name"  # truncated.mp4
    assert "odd/truncated.mp4" not in reasons
    assert "odd/truncated.mp4: the end of the recording is missing" in result.err
    table = tables.read_features(tmp_path / "f.parquet")
    assert [(each["path"], each["reason"]) for each in table.meta["rejected"]] == list(reasons.items())
    assert str(tmp_path) not in json.dumps(table.meta)  # the same input gives the same bytes anywhere
    assert run("extract", "d", "-o", "f.parquet", "--strict").code == 3
    assert run("extract", "d", "-o", "g.parquet", "--strict").code == 3
    assert not (tmp_path / "g.parquet").exists()


def test_no_usable_recording_ends_with_3_and_no_table(run, tmp_path):
    (tmp_path / "d/sad").mkdir(parents=True)
    (tmp_path / "d/sad/a.wav").write_text("this is not sound")
    result = run("extract", "d", "-o", "f.parquet", "--rejected", "bad.csv")
    assert result.code == 3
    assert "sad/a.wav: not a sound file" in result.err
    assert not (tmp_path / "f.parquet").exists()
    assert (tmp_path / "bad.csv").exists()


def test_segments_are_told_by_their_start(run, made, tmp_path):
    cut = ("--segment", 1, "--hop", 0.5)
    assert run("extract", made / "dataset", "--features", "seed33", *cut, "-o", "f.parquet").code == 0
    table = tables.read_features(tmp_path / "f.parquet")
    assert table.keys["sample_id"].iloc[1].endswith("@00000.500")
    assert np.allclose(table.keys["end"] - table.keys["start"], 1)
    one = table.keys[table.keys["clip_id"] == "sad/sad_sample_1"]
    recipe = Recipe("seed33", segment=1.0, hop=0.5)
    with recipe.open(made / "dataset/sad/sad_sample_1.wav") as stretch_of:
        samples = recipe.describe(stretch_of())
    assert len(one) == len(samples) > 2


def test_a_manifest_takes_parts_of_recordings(run, made, tmp_path):
    path = made / "dataset/sad/sad_sample_1.wav"
    (tmp_path / "m.csv").write_text(
        f"audio_path,clip_id,label,subject,start,end\n{path},one,sad,s1,0.5,1.5\n{path},two,sad,s1,,\n"
    )
    assert run("extract", "m.csv", "-o", "f.parquet").code == 0
    table = tables.read_features(tmp_path / "f.parquet")
    assert table.keys[["start", "end"]].to_numpy()[0].tolist() == [0.5, 1.5]
    assert not np.array_equal(table.x[0], table.x[1])


def test_files_of_others_are_kept(run, made, tmp_path):
    (tmp_path / "f.parquet").write_text("my diary")
    result = run("extract", made / "dataset", "-o", "f.parquet")
    assert result.code == 2
    assert "--force" in result.err
    assert (tmp_path / "f.parquet").read_text() == "my diary"


def test_a_table_goes_through_a_pipe(run, made, tmp_path):
    piped = run("extract", made / "dataset/../dataset", "--features", "seed33", "-o", "-")
    assert piped.code == 0
    result = run("train-svm", "-", "-o", "m.joblib", "--folds", 2, stdin=piped.bytes)
    assert result.code == 0, result.err
    assert (tmp_path / "m.joblib").is_file()


def test_binary_is_never_written_to_a_terminal(run, made, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = run("extract", made / "dataset", "--features", "seed33", "-o", "-")
    assert result.code == 2
    assert "terminal" in result.err
    assert result.bytes == b""


# --- train-svm --------------------------------------------------------------------------------------------


def test_training_says_scores_with_intervals_and_what_was_not_kept_apart(run, made, tmp_path):
    result = run("train-svm", made / "feats.parquet", "-o", "m.joblib", "--folds", 2, "--json")
    assert result.code == 0
    summary = json.loads(result.out)
    uar = summary["out_of_fold"]["uar"]
    assert uar["low"] <= uar["value"] <= uar["high"]
    assert "over clips" in result.err
    assert "no subjects" in result.err
    assert summary["protocol"]["name"] == "stratified"


def test_random_says_in_every_output_that_speakers_may_be_shared(run, made, tmp_path):
    result = run(
        "train-svm",
        made / "feats.parquet",
        "-o",
        "m.joblib",
        "--protocol",
        "random",
        "--predictions",
        "p.parquet",
    )
    assert result.code == 0
    text = "a speaker may be on both sides"
    assert text in result.err
    assert text in run("show", "m.joblib").out
    assert text in run("show", "p.parquet").out
    run("report", "p.parquet", "-o", "r.html")
    assert text in (tmp_path / "r.html").read_text()
    assert len(tables.read_predictions(tmp_path / "p.parquet")) in range(6, 9)


def test_same_seed_same_bytes_and_again_computes_nothing(run, made, tmp_path, monkeypatch):
    words = [
        "train-svm",
        made / "feats.parquet",
        "-o",
        "m.joblib",
        "--folds",
        2,
        "--predictions",
        "p.parquet",
    ]
    assert run(*words).code == 0
    assert digest(tmp_path / "m.joblib") == digest(made / "svm.joblib")
    assert digest(tmp_path / "p.parquet") == digest(made / "preds.parquet")
    monkeypatch.setattr("eavctl.training.train._fit", lambda *_: pytest.fail("trained again"))
    assert "up to date" in run(*words).err


def with_subjects(table, path, subjects):
    keys = table.keys.assign(subject=subjects)
    tables.write_features(tables.FeatureTable(keys, table.x, table.columns, table.meta), path)


def test_auto_keeps_speakers_apart_and_predictions_are_out_of_fold(run, made, tmp_path):
    table = tables.read_features(made / "feats.parquet")
    with_subjects(table, tmp_path / "f.parquet", [f"s{i % 4}" for i in range(len(table))])
    assert (
        run("train-svm", "f.parquet", "-o", "m.joblib", "--folds", 4, "--predictions", "p.parquet").code == 0
    )
    predictions = tables.read_predictions(tmp_path / "p.parquet")
    assert predictions.meta["protocol"]["name"] == "group-kfold"
    assert predictions.meta["out_of_fold"] is True
    assert (predictions.keys.groupby("subject")["fold"].nunique() == 1).all()
    assert artifacts.load(tmp_path / "m.joblib").meta.trained_on["subjects"] == {
        "dataset": ["s0", "s1", "s2", "s3"]
    }


def test_out_of_fold_rows_are_judged_without_themselves(run, made, tmp_path):
    """Labels shuffled at random cannot be told out of fold: a leak would show as a score above chance."""
    table = tables.read_features(made / "feats.parquet")
    labels = np.random.default_rng(0).permutation(table.keys["label"].to_numpy())
    shuffled = tables.FeatureTable(table.keys.assign(label=labels), table.x, table.columns, table.meta)
    tables.write_features(shuffled, tmp_path / "f.parquet")
    result = run("train-svm", "f.parquet", "-o", "m.joblib", "--folds", 4, "--json")
    assert json.loads(result.out)["out_of_fold"]["uar"]["value"] < 0.5


def test_a_copy_on_the_other_side_is_a_leak(run, made, tmp_path):
    table = tables.read_features(made / "feats.parquet")
    x = table.x.copy()
    x[20] = x[21]
    keys = table.keys.assign(fold=pd.array([i % 2 for i in range(len(table))], "Int64"))
    tables.write_features(tables.FeatureTable(keys, x, table.columns, table.meta), tmp_path / "f.parquet")
    result = run("train-svm", "f.parquet", "-o", "m.joblib", "--protocol", "given", "--group", "clip_id")
    assert result.code == 3
    assert keys["sample_id"][20] in result.err
    assert not (tmp_path / "m.joblib").exists()


def test_a_speaker_on_both_sides_of_a_given_split_is_refused(run, made, tmp_path):
    table = tables.read_features(made / "feats.parquet")
    keys = table.keys.assign(split=["train", "test"] * 16, subject="s1")
    tables.write_features(
        tables.FeatureTable(keys, table.x, table.columns, table.meta), tmp_path / "f.parquet"
    )
    result = run("train-svm", "f.parquet", "-o", "m.joblib", "--protocol", "given")
    assert result.code == 3
    assert "s1" in result.err


def test_normalising_by_speaker_needs_speakers_and_is_said_everywhere(run, made, tmp_path):
    result = run("train-svm", made / "feats.parquet", "-o", "m.joblib", "--normalize", "speaker")
    assert result.code == 3
    assert "subject" in result.err
    table = tables.read_features(made / "feats.parquet")
    with_subjects(table, tmp_path / "f.parquet", [f"s{i % 4}" for i in range(len(table))])
    result = run(
        "train-svm",
        "f.parquet",
        "-o",
        "m.joblib",
        "--folds",
        2,
        "--normalize",
        "speaker",
        "--predictions",
        "p.parquet",
    )
    assert result.code == 0
    text = "several others of the same speaker"
    assert text in result.err
    assert text in run("show", "m.joblib").out
    run("report", "p.parquet", "-o", "r.html")
    assert text in (tmp_path / "r.html").read_text()
    lone = run("predict", made / "dataset/sad/sad_sample_1.wav", "--model", "m.joblib")
    assert lone.code == 3
    assert "needs 4 or more" in lone.err
    several = run("predict", *sorted((made / "dataset/sad").glob("*.wav")), "--model", "m.joblib")
    assert several.code == 0
    assert text in several.err


def test_tensors_belong_to_a_network_and_columns_to_the_machine_or_mlp(run, made, tmp_path):
    run("extract", made / "dataset", "--features", "logmel", "-o", "l.parquet")
    feats = made / "feats.parquet"
    for words, where in (
        (["train-svm", "l.parquet", "-o", "m.joblib"], "train-dnn"),
        (["train-dnn", feats, "-o", "m.pt", "--encoder", "cnn-lstm"], "train-svm"),
        (["train-dnn", "l.parquet", "-o", "m.pt", "--encoder", "mlp"], "mlp"),
    ):
        result = run(*words)
        assert result.code == 3, result.err
        assert where in result.err
    assert run("train-dnn", feats, "-o", "m.pt", "--epochs", "2", "--folds", "2").code == 0
    assert artifacts.read_meta(tmp_path / "m.pt").json["fitter"]["encoder"] == "mlp"


# --- predict ----------------------------------------------------------------------------------------------


def test_predict_repeats_what_extract_and_training_did(run, made):
    clip = made / "dataset/happy/happy_sample_2.wav"
    found = json.loads(run("predict", clip, "--model", made / "svm.joblib", "--json").out)
    model, table = artifacts.load(made / "svm.joblib"), tables.read_features(made / "feats.parquet")
    row = table.keys.index[table.keys["sample_id"] == "happy/happy_sample_2"]
    expected = model.predict_proba(table.x[row])[0]
    assert list(found["predictions"][0]["proba"].values()) == pytest.approx(expected.tolist(), abs=1e-12)


def test_predict_prints_class_bars_and_sureness(run, made, tmp_path):
    shutil.copy(made / "svm.joblib", tmp_path)
    result = run("predict", made / "dataset/angry/angry_sample_1.wav")
    lines = result.out.splitlines()
    assert lines[0].endswith(": angry")
    assert sum("%" in line and "█" in line for line in lines) >= 1
    assert all(any(name in line for line in lines) for name in ("happy", "sad", "neutral"))
    assert "were right" not in result.out  # eight answers a class are too few to tell


def test_an_error_stands_alone_where_the_packaged_models_judge_nothing(run, made):
    clip = made / "dataset/sad/sad_sample_1.wav"
    result = run("predict", clip)
    assert (result.code, result.out) == (3, "")
    assert f"{clip}: no speech" in result.err
    assert len(result.err.splitlines()) == 1


def test_the_model_may_stand_in_the_environment_and_not_in_the_settings(run, made, tmp_path, monkeypatch):
    clip = made / "dataset/sad/sad_sample_1.wav"
    monkeypatch.setenv("EAVCTL_MODEL", str(made / "svm.joblib"))
    assert run("predict", clip).code == 0
    monkeypatch.setenv("EAVCTL_PREDICT_MODEL", "absent.joblib")
    assert "absent.joblib" in run("predict", clip).err
    (tmp_path / "eavctl.toml").write_text(f'[predict]\nmodel = "{made}/svm.joblib"\n')
    refused = run("predict", clip)
    assert (refused.code, "eavctl.toml: model" in refused.err) == (2, True)


def test_predict_reads_stdin_and_many_files_and_folders(run, made, tmp_path):
    clip = made / "dataset/sad/sad_sample_1.wav"
    model = ["--model", made / "svm.joblib"]
    piped = run("predict", "-", *model, stdin=clip.read_bytes())
    assert piped.out.splitlines()[0] == run("predict", clip, *model).out.splitlines()[0].replace(
        str(clip), "stdin"
    )
    assert len(run("predict", clip, made / "dataset/happy", *model).out.splitlines()) == 9
    table = run("predict", made / "dataset", "-o", "p.parquet", *model)
    assert table.code == 0
    assert "the model was trained on" in table.err
    predictions = tables.read_predictions(tmp_path / "p.parquet")
    assert len(predictions) == 32
    assert predictions.meta["out_of_fold"] is False
    assert predictions.keys["label"].notna().all()


def test_predict_takes_feature_tables_and_refuses_those_of_other_settings(run, made, tmp_path):
    assert run("predict", made / "feats.parquet", "--model", made / "svm.joblib", "-o", "p.parquet").code == 0
    assert len(tables.read_predictions(tmp_path / "p.parquet")) == 32
    result = run("predict", made / "seed33.parquet", "--model", made / "svm.joblib")
    assert result.code == 3
    assert "'functionals'" in result.err
    assert "'seed33'" in result.err
    assert len(result.err.splitlines()) <= 2


def test_windows_slide_over_a_long_recording(run, made, tmp_path):
    parts = [
        soundfile.read(made / f"dataset/{name}/{name}_sample_1.wav")[0][: 22050 * 2]
        for name in ("sad", "angry")
    ]
    soundfile.write(tmp_path / "long.wav", np.concatenate([np.tile(part, 3) for part in parts]), 22050)
    result = run("predict", "long.wav", "--model", made / "svm.joblib", "--segment", 2, "--hop", 1, "--json")
    found = json.loads(result.out)["predictions"]
    assert [each["start"] for each in found] == list(range(11))
    assert all(each["end"] - each["start"] == pytest.approx(2) for each in found)


def test_bad_recordings_are_named_and_the_rest_is_judged(run, made, tmp_path):
    (tmp_path / "bad.wav").write_text("no sound")
    good = made / "dataset/sad/sad_sample_1.wav"
    model = ["--model", made / "svm.joblib"]
    result = run("predict", "bad.wav", good, *model)
    assert result.code == 0
    assert "bad.wav: not a sound file" in result.err
    assert run("predict", "bad.wav", *model).code == 3
    assert run("predict", "bad.wav", good, "--strict", *model).code == 3
    assert "no such file" in run("predict", "absent.wav", *model).err


def test_plot_draws_a_picture(run, made, tmp_path):
    result = run(
        "predict", made / "dataset/sad/sad_sample_1.wav", "--model", made / "svm.joblib", "--plot", "a.png"
    )
    assert result.code == 0, result.err
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (
        run(
            "predict",
            made / "dataset/sad/sad_sample_1.wav",
            "--model",
            made / "svm.joblib",
            "--plot",
            "a.png",
        ).code
        == 0
    )


def test_prediction_with_the_svm_imports_nothing_that_it_does_not_need(made):
    words = ["predict", str(made / "dataset/sad/sad_sample_1.wav"), "--model", str(made / "svm.joblib")]
    needless = (
        "torch", "sklearn", "librosa", "numba", "pandas", "pyarrow", "matplotlib", "mne", "av", "PIL", "h5py",
        "transformers", "scipy.fft", "scipy.signal", "soundfile", "typer", "hashlib",
    )  # fmt: skip
    script = f"""
import sys
from eavctl.cli.start import run
assert run({words!r}) == 0
heavy = [name for name in {needless!r} if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_strangers_model_runs_no_code(run, made, tmp_path):
    import pickle

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    (tmp_path / "svm.joblib").write_bytes(pickle.dumps(Attack()))
    result = run("predict", made / "dataset/sad/sad_sample_1.wav")
    assert result.code == 3
    assert "refused" in result.err
    assert not (tmp_path / "attacked").exists()


# --- fuse, report, show, init -----------------------------------------------------------------------------


def test_fuse_says_whether_it_was_worth_it(run, made, tmp_path):
    inputs = [made / "preds.parquet", made / "seed33_preds.parquet"]
    result = run("fuse", *inputs, "-o", "fused.parquet", "--save", "fuse.joblib", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    (versus,) = found["fusion"]["versus"]
    assert versus["name"] in ("preds", "seed33_preds")
    assert f"the best of its inputs, {versus['name']}" in result.err
    assert ("fusion is better than" in result.err) == versus["better"]
    assert versus["n_compared"] == 2  # it was picked from two
    assert sum(found["fusion"]["weights"].values()) == pytest.approx(1)
    fused = tables.read_predictions(tmp_path / "fused.parquet")
    assert len(fused) == 32
    again = run("fuse", *inputs, "-o", "again.parquet", "--use", "fuse.joblib")
    assert again.code == 0, again.err
    clip = made / "dataset/sad/sad_sample_1.wav"
    assert "eavctl fuse --use" in run("predict", clip, "--model", "fuse.joblib").err


@pytest.mark.parametrize("method", ["mean", "weighted", "product", "max", "vote", "stacking"])
def test_every_method_fuses(run, made, tmp_path, method):
    result = run(
        "fuse", made / "preds.parquet", made / "seed33_preds.parquet", "-o", "f.parquet", "--method", method
    )
    assert result.code == 0, result.err
    assert tables.read_predictions(tmp_path / "f.parquet").proba.sum(axis=1) == pytest.approx(np.ones(32))


def test_report_as_page_and_json_say_the_same(run, made, tmp_path):
    result = run("report", made / "preds.parquet", made / "seed33_preds.parquet", "-o", "r.html", "--json")
    assert result.code == 0
    models = json.loads(result.out)["models"]
    assert [model["name"] for model in models] == ["preds", "seed33_preds"]
    page = (tmp_path / "r.html").read_text()
    for model in models:
        assert f"{model['uar']['value']:.3f}"[1:] in page or f"{100 * model['uar']['value']:.1f}" in page
    before = digest(tmp_path / "r.html")
    run("report", made / "preds.parquet", made / "seed33_preds.parquet", "-o", "r.html")
    assert digest(tmp_path / "r.html") == before
    assert run("report", made / "preds.parquet").code == 2


def test_show_tells_what_files_are(run, made):
    for name, facts in {
        "feats.parquet": ["table of features", "functionals", "32 of 32 clips", "angry 8"],
        "preds.parquet": ["table of predictions", "out of fold", "UAR"],
        "svm.joblib": ["model: svm", "chance: 0.250", "angry/angry_sample_1"],
    }.items():
        shown = run("show", made / name)
        assert shown.code == 0
        for fact in facts:
            assert fact in shown.out
        assert json.loads(run("show", made / name, "--json").out)["kind"]


def test_output_that_cannot_be_written_is_said_in_one_line(run, made):
    result = run("extract", made / "dataset", "-o", "absent/f.parquet")
    assert result.code == 2
    assert "absent" in error_lines(result)[-1]


def test_dry_runs_write_nothing(run, made, tmp_path):
    for words in (
        ["extract", made / "dataset", "-o", "f.parquet"],
        ["train-svm", made / "feats.parquet", "-o", "m.joblib"],
        ["synth"],
    ):
        result = run(*words, "-n")
        assert result.code == 0
        assert "would " in result.err
    assert list(tmp_path.iterdir()) == []
