"""Recordings at a URL give the rows of a local copy; the worker that needs one fetches it, once."""

import pickle
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from eavctl.datasets.choice import Choice
from eavctl.datasets.events import Epochs
from eavctl.errors import DataError, RecordingWarning
from eavctl.extraction.recipe import Recipe, noting
from eavctl.stages.extract import extract, plan
from eavctl.storage import remote, remote_tree, tables
from eavctl.synthetic.tones import synth_speech

RECIPE = Recipe("seed33")


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones") / "tones"
    synth_speech(folder, per_class=6, classes=("happy", "sad"))
    return folder


def same(local, far, tmp_path, recipe=RECIPE, **options):
    """Whether both give the same table; what each gave."""
    found = []
    for name, source in (("local.parquet", local), ("remote.parquet", far)):
        out = tmp_path / name
        result = extract(source, out, recipe, **options)
        meta = tables.read_meta(out)
        found.append((result, meta["content_hash"], tables.read_keys(out)))
    (one, hashed, keys), (other, hashed_too, keys_too) = found
    assert hashed == hashed_too
    assert keys.equals(keys_too)
    assert (one.rejected, one.notes) == (other.rejected, other.notes)
    return other


def copies():
    """Recordings that are left in this process's folder of copies, and are no placeholders."""
    return [path for path in remote.scratch().rglob("*.wav") if path.stat().st_mode & 0o777]


def test_each_recording_is_fetched_once_and_removed(tones, bucket, tmp_path):
    far = bucket.put(tones)
    assert same(tones, far, tmp_path).n_rows == 12
    assert Counter(Counter(bucket.fetched).values()) == {1: 12}
    assert copies() == []


FORKS = """
import sys
from pathlib import Path

import fsspec

from eavctl.datasets.choice import Choice
from eavctl.errors import DataError
from eavctl.extraction.recipe import Recipe
from eavctl.extraction.survey import survey
from eavctl.stages.extract import extract
from eavctl.stages.predict import predict
from eavctl.stages.train_linear import train_linear
from eavctl.storage import remote, tables
from eavctl.training.cross_validation import Evaluation

near, out = Path(sys.argv[1]), Path(sys.argv[2])
store = fsspec.filesystem("memory")
for path in near.rglob("*.wav"):
    store.pipe_file(f"/tones/{path.relative_to(near)}", path.read_bytes())
hashes, answers = [], []
for source in (near, "memory://tones"):
    extract(source, out / "t.parquet", Recipe("seed33"), jobs=2, executor="fork", force=True)
    hashes.append(tables.read_meta(out / "t.parquet")["content_hash"])
    train_linear(out / "t.parquet", out / "m.joblib", evaluation=Evaluation(folds=2))
    found = predict(source, out / "m.joblib", jobs=2, executor="fork")
    answers.append([(row.pred, row.proba.tolist()) for row in found.rows])
assert hashes[0] == hashes[1]
assert answers[0] == answers[1]
checks = [survey(Choice().of(source), executor="fork") for source in (near, "memory://tones")]
assert checks[0] == checks[1]
assert not [path for path in remote.scratch().rglob("*.wav") if path.stat().st_mode & 0o777]
try:
    extract("memory://tones", out / "t.parquet", Recipe("seed33"), jobs=2, executor="loky", force=True)
except DataError as error:
    print(error)
"""


def test_copies_of_the_process_see_its_memory_and_other_processes_say_that_they_do_not(tones, tmp_path):
    pytest.importorskip("fsspec")  # a process of its own: another test's threads would forbid forks
    call = [sys.executable, "-c", FORKS, tones, tmp_path]
    found = subprocess.run(call, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "not seen by this process" in found.stdout


def test_real_recordings_give_the_rows_of_a_local_copy(shared_data, bucket, tmp_path):
    folder = tmp_path / "emodb"
    folder.mkdir()
    for path in sorted((shared_data / "emodb").rglob("*.flac"))[::60]:
        shutil.copy(path, folder)
    assert same(folder, bucket.put(folder), tmp_path, Recipe("seed33", segment=1.0)).n_rows > 9


def test_what_is_unchanged_is_up_to_date_without_reading_it(tones, bucket):
    far, out = bucket.put(tones), f"{bucket.url}/out/t.parquet"
    extract(far, out, RECIPE)
    bucket.fetched.clear()
    assert plan(far, out, RECIPE).up_to_date
    assert extract(far, out, RECIPE).up_to_date
    assert set(bucket.fetched) <= {"out/t.parquet"}
    bucket.write("tones/happy/happy_sample_1.wav", (tones / "sad/sad_sample_1.wav").read_bytes())
    assert not extract(far, out, RECIPE).up_to_date
    bucket.write("tones/sad/new.wav", (tones / "sad/sad_sample_1.wav").read_bytes())
    assert extract(far, out, RECIPE).n_rows == 13


def test_a_network_that_fails_rejects_no_recording_and_the_next_run_resumes(tones, bucket, tmp_path):
    far, out = bucket.put(tones), f"{bucket.url}/t.parquet"
    bucket.broken_after = 9  # after the first batch of 8
    with pytest.raises(DataError, match="the network is gone"):
        extract(far, out, RECIPE)
    assert not remote.exists(out)
    bucket.broken_after = None
    n_before = len(bucket.fetched)
    result = extract(far, out, RECIPE)
    assert (result.n_rows, result.rejected) == (12, ())
    assert len(bucket.fetched) - n_before == 4
    extract(tones, tmp_path / "local.parquet", RECIPE)
    metas = [tables.read_meta(each)["content_hash"] for each in (out, tmp_path / "local.parquet")]
    assert metas[0] == metas[1]


def test_an_output_that_cannot_be_written_keeps_its_parts(tones, bucket):
    far, out = bucket.put(tones), f"{bucket.url}/t.parquet"
    extract(far, out, RECIPE)
    before = bucket.read("t.parquet")
    bucket.is_read_only = True
    with pytest.raises(DataError, match="cannot be written"):
        extract(far, out, Recipe("seed33", segment=0.5))
    assert bucket.read("t.parquet") == before
    bucket.is_read_only = False
    bucket.fetched.clear()
    assert extract(far, out, Recipe("seed33", segment=0.5)).n_rows > 12
    assert set(bucket.fetched) <= {"t.parquet"}


def test_recordings_that_change_while_they_are_read_give_no_table(tones, bucket, tmp_path, monkeypatch):
    far = bucket.put(tones)

    def tick(done, total, note):
        bucket.write("tones/sad/sad_sample_1.wav", (tones / "sad/sad_sample_2.wav").read_bytes())

    with pytest.raises(DataError, match="changed while they were read"):
        extract(far, tmp_path / "t.parquet", RECIPE, on_clip=tick)
    assert not (tmp_path / "t.parquet").exists()


def test_a_manifest_names_recordings_below_it_alone(tones, bucket, tmp_path):
    secret = tmp_path / "secret.wav"
    shutil.copy(tones / "sad/sad_sample_1.wav", secret)
    bucket.put(tones)
    named = ("happy/happy_sample_1.wav", "sad/none.wav", secret, "../secret.wav", "sad/../x.wav")
    rows = [f"{path},{'ab'[i % 2]}" for i, path in enumerate(named)]
    bucket.write("tones/x.wav", secret.read_bytes())
    far = bucket.write("tones/list.csv", "\n".join(["path,label", *rows]).encode())
    result = extract(far, tmp_path / "t.parquet", RECIPE)
    assert result.n_rows == 2
    reasons = {bad["path"]: bad["reason"] for bad in result.rejected}
    assert reasons.pop("sad/none.wav") == "no such file"
    assert len(reasons) == 2
    assert set(reasons.values()) == {"not below the folder of the manifest"}


def test_keys_that_are_no_paths_are_left_out_and_the_others_are_read(tones, bucket, tmp_path):
    sound = (tones / "sad/sad_sample_1.wav").read_bytes()
    good = ["a b/ü é.wav", "A b/ü é.wav", "x?y#z%20[1]*/::q.wav", "a b/ ü .wav"]
    bad = ["../../evil.wav", "//abs/x.wav", "./x.wav", f"{'n' * 300}.wav"]
    for key in (*good, *bad):
        bucket.write(f"odd/{key}", sound)
    with noting() as notes:
        manifest = Choice(distinct_names=True).of(f"{bucket.url}/odd")
    assert [note for note in notes if note.startswith(f"{bucket.url}/odd: {len(bad)} objects")]
    assert sorted(manifest.table["audio_path"].to_pylist()) == sorted(good)
    result = extract(f"{bucket.url}/odd", tmp_path / "t.parquet", RECIPE, choice=Choice(distinct_names=True))
    assert (result.n_rows, result.rejected) == (len(good), ())
    assert not list(remote.scratch().rglob("evil.wav"))


@pytest.mark.parametrize("name", ["empty", "none"])
def test_a_folder_without_recordings_is_named_by_its_url(bucket, tmp_path, name):
    bucket.write("empty/readme.md", b"")
    with pytest.raises(DataError) as raised:
        extract(f"{bucket.url}/{name}", tmp_path / "t.parquet", RECIPE)
    assert f"{bucket.url}/{name}" in str(raised.value)
    assert remote.SCRATCH not in str(raised.value)


def test_bad_recordings_are_rejected_with_the_reasons_of_local_ones(tones, bucket, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(tones, folder)
    (folder / "sad/empty.wav").write_bytes(b"")
    (folder / "sad/text.wav").write_bytes(b"this is no sound")
    assert len(same(folder, bucket.put(folder), tmp_path).rejected) == 2


def test_eeg_is_read_with_the_files_beside_it(shared_data, bucket, tmp_path):
    folder = tmp_path / "eeg"
    folder.mkdir()
    for path in (shared_data / "eeg").iterdir():
        if path.suffix in (".vhdr", ".vmrk", ".dat", ".set", ".fdt"):
            shutil.copy(path, folder)
    recipe = Recipe("eeg-bands", {"channels": ["Cz"]}, segment=2.0)
    result = same(folder, bucket.put(folder), tmp_path, recipe, choice=Choice(layout="eeg"))
    assert result.n_rows > 10
    assert set(Counter(bucket.fetched).values()) == {1}  # also what finding the channels has read


def test_events_are_read_of_remote_runs(shared_data, bucket, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(shared_data / "eeg/S001R03.edf", folder)
    choice = Choice(epochs=Epochs({"T1": "left", "T2": "right"}, 0, 2))
    recipe = Recipe("eeg-bands", {"channels": ["C3", "C4"]})
    assert same(folder, bucket.put(folder), tmp_path, recipe, choice=choice).n_rows > 10


def test_a_worker_elsewhere_reads_by_the_url_alone(tones, bucket):
    far = bucket.put(tones)
    root = Choice().of(far).root
    with remote_tree.source_of(root) as source:
        sent = pickle.loads(pickle.dumps(source))
    elsewhere = remote_tree.RemoteFolder(sent.url, "/no/such/tree")
    wanted = "sad/sad_sample_1.wav"
    with remote_tree.fetched_below(elsewhere, [wanted]) as folder:
        assert (folder / wanted).read_bytes() == (tones / wanted).read_bytes()
    assert not folder.exists()
    with remote_tree.fetched_below(elsewhere, ["sad/none.wav"]) as folder:
        assert not (folder / "sad/none.wav").exists()


def test_a_tree_follows_its_folder(bucket):
    ends = (".csv",)
    bucket.write("d/a/x.wav", b"12345")
    bucket.write("d/list.csv", b"path\n")
    root = remote_tree.placed(f"{bucket.url}/d/", ends)
    assert root.name == "d"
    assert (root / "a/x.wav").stat().st_size == 5
    assert (root / "list.csv").read_bytes() == b"path\n"
    bucket.write("d/list.csv", b"path\nx")
    bucket.write("d/a/x.wav", b"123")
    bucket.write("d/b.wav", b"")
    assert remote_tree.placed(f"{bucket.url}/d", ends) == root
    assert (root / "a/x.wav").stat().st_size == 3
    assert (root / "list.csv").read_bytes() == b"path\nx"
    assert sorted(path.name for path in root.rglob("*.wav")) == ["b.wav", "x.wav"]
    bucket.remove("d/a/x.wav")
    bucket.write("d/a", b"no folder now")
    assert (remote_tree.placed(f"{bucket.url}/d", ends) / "a").stat().st_size == 13
    bucket.remove("d/a")
    bucket.write("d/a/x.wav", b"123")
    remote_tree.placed(f"{bucket.url}/d", ends)
    remote_tree.whole(root / "a/x.wav")
    assert (root / "a/x.wav").read_bytes() == b"123"
    assert np.array_equal(remote_tree.stamp_of(root / "b.wav")[:1], [0])


def test_a_plain_table_of_samples_is_no_warning(bucket, recwarn):
    bucket.write("d/a/x.wav", b"12345")
    remote_tree.placed(f"{bucket.url}/d", ())
    assert [each for each in recwarn if issubclass(each.category, RecordingWarning)] == []
