"""Recordings at a URL get the answers of local copies."""

import shutil

import pytest

from eavctl.errors import DataError
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.stages.predict import plan, predict, stream
from eavctl.stages.train_linear import train_linear
from eavctl.storage import remote
from eavctl.synthetic.tones import synth_speech
from eavctl.training.cross_validation import Evaluation


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "clips"
    synth_speech(folder, per_class=2, classes=("happy", "sad"))
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    synth_speech(folder / "tones", per_class=6, seed=1, classes=("happy", "sad"))
    extract(folder / "tones", folder / "t.parquet", Recipe("seed33"))
    train_linear(folder / "t.parquet", folder / "m.joblib", evaluation=Evaluation(folds=2))
    return folder / "m.joblib"


def answers(found):
    return [(row.pred, row.proba.tolist(), row.start, row.end) for row in found.rows]


def names(found):
    return [row.recording for row in found.rows]


def test_a_folder_gets_the_answers_of_its_copy(clips, bucket, model):
    far = bucket.put(clips)
    mine, theirs = (predict(each, model) for each in (clips, f"{far}/"))
    assert answers(mine) == answers(theirs)
    assert names(theirs) == [name.replace(str(clips), far) for name in names(mine)]


def test_real_recordings_get_the_answers_of_their_copies(shared_data, bucket, tmp_path, model):
    folder = tmp_path / "emodb"
    folder.mkdir()
    for path in sorted((shared_data / "emodb").rglob("*.flac"))[::150]:
        shutil.copy(path, folder)
    assert answers(predict(folder, model)) == answers(predict(bucket.put(folder), model))


def test_a_single_recording_is_fetched_and_nothing_else(clips, bucket, model):
    far = bucket.put(clips)
    found = predict(f"{far}/sad/sad_sample_1.wav", model)
    assert answers(found) == answers(predict(clips / "sad/sad_sample_1.wav", model))
    assert bucket.fetched == ["clips/sad/sad_sample_1.wav"]
    assert names(found) == [f"{far}/sad/sad_sample_1.wav"]
    bucket.write("clips/sad/sad_sample_1.wav", (clips / "happy/happy_sample_1.wav").read_bytes())
    again = predict(f"{far}/sad/sad_sample_1.wav", model)
    assert answers(again) == answers(predict(clips / "happy/happy_sample_1.wav", model))


def test_a_folder_of_no_layout_and_a_manifest_are_judged_file_by_file(clips, bucket, model):
    flat = {f"flat/{path.name}": path for path in sorted(clips.rglob("*.wav"))}
    for key, path in flat.items():
        bucket.write(key, path.read_bytes())
    listed = "".join(f"{key.removeprefix('flat/')}\n" for key in flat)
    far = bucket.write("flat/list.csv", f"path\n{listed}none.wav\n".encode())
    wanted = answers(predict([*flat.values()], model))
    assert answers(predict(f"{bucket.url}/flat", model)) == wanted
    found = predict(far, model)
    assert answers(found) == wanted
    assert [(bad["path"], bad["reason"]) for bad in found.rejected] == [
        (f"{bucket.url}/flat/none.wav", "no such file")
    ]
    planned = plan(far, model)
    assert (planned.n_recordings, len(planned.rejected)) == (5, 1)


def test_a_bad_recording_is_named_by_its_url(clips, bucket, model):
    far = bucket.put(clips)
    bad = bucket.write("clips/sad/text.wav", b"this is no sound")
    found = predict(far, model)
    assert [each["path"] for each in found.rejected] == [bad]
    assert remote.SCRATCH not in found.rejected[0]["reason"]
    local = clips.parent / "text.wav"
    local.write_bytes(b"this is no sound")
    assert found.rejected[0]["reason"] == predict([local, clips], model).rejected[0]["reason"]


def test_a_network_that_fails_ends_the_prediction(clips, bucket, model):
    far = bucket.put(clips)
    bucket.broken_after = 2
    with pytest.raises(DataError, match="the network is gone"):
        predict(far, model)


def test_names_that_come_one_by_one_may_be_urls(clips, bucket, model):
    far = bucket.put(clips)

    class Listed(list):
        def is_ready(self):
            return True

    urls = Listed([f"{far}/sad/sad_sample_1.wav", f"{far}/none.wav", f"{far}/happy/happy_sample_2.wav"])
    judged = list(stream([], model, names=urls).judged)
    assert [bool(each.rows) for each in judged] == [True, False, True]
