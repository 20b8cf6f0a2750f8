"""Explanations of models of tables in which it is known what carries the class."""

import json

import numpy as np
import pytest

from eavctl.errors import DataError, SettingsError, UsageError
from eavctl.stages.explain import explain, plan
from eavctl.stages.train_linear import train_linear
from eavctl.stages.train_svm import train_svm
from eavctl.storage import artifacts, tables
from eavctl.training.cross_validation import Evaluation
from tests.explaining.made_tables import keys_of, vectors, write

CHANCE = 1 / 3


@pytest.fixture(autouse=True)
def _few_settings(few_settings):
    with few_settings():
        yield


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A table in which only the cepstra carry the class, and a logistic regression of it."""
    folder = tmp_path_factory.mktemp("one")
    table = write(folder / "table.parquet", keys_of(), vectors(keys_of()))
    trained = train_linear(table, folder / "linear.joblib", evaluation=Evaluation(folds=4))
    return folder / "linear.joblib", table, trained


def parts_of(found, view="family"):
    (parts,) = (each["parts"] for each in found["views"] if each["name"] == view)
    return {part["name"]: part for part in parts}


def test_the_score_is_that_of_the_training(one):
    model, table, trained = one
    found = explain(model, table)
    assert found["uar"] == trained.meta["out_of_fold"]["uar"]
    assert (found["judged_by"], found["rows"]) == ("refitted folds", 144)


@pytest.mark.parametrize("train", [train_linear, train_svm])
def test_only_the_family_that_carries_the_class_is_missed(tmp_path, train):
    table = write(tmp_path / "table.parquet", keys_of(), vectors(keys_of()))
    train(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=4))
    found = explain(tmp_path / "m.joblib", table)
    parts, uar = parts_of(found), found["uar"]["value"]
    assert uar > 0.9
    assert parts["mfcc"]["drop"]["value"] == pytest.approx(uar - CHANCE, abs=0.12)
    assert parts["mfcc"]["drop"]["low"] > 0.3
    assert parts["mfcc"]["p_value"] < 0.05
    assert parts["mfcc"]["alone"]["value"] == pytest.approx(uar, abs=0.05)
    for name in ("chroma", "mel"):
        assert parts[name]["drop"]["low"] <= 0 <= parts[name]["drop"]["high"]
        assert parts[name]["alone"]["value"] == pytest.approx(CHANCE, abs=0.12)
    assert [parts[name]["columns"] for name in ("mfcc", "chroma", "mel")] == [40, 12, 128]


@pytest.mark.parametrize("train", [train_linear, train_svm])
def test_families_of_the_same_information_stand_in_for_one_another(tmp_path, train):
    keys = keys_of()
    table = write(tmp_path / "table.parquet", keys, vectors(keys, carriers=("mfcc", "chroma")))
    train(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=4))
    found = explain(tmp_path / "m.joblib", table)
    parts = parts_of(found)
    for name in ("mfcc", "chroma"):
        assert abs(parts[name]["drop"]["value"]) < 0.08
        assert parts[name]["alone"]["value"] > found["uar"]["value"] - 0.1


def test_the_same_seed_gives_the_same_result(one):
    model, table, _ = one
    first, again, other = (explain(model, table, seed=seed) for seed in (1, 1, 2))
    assert json.dumps(first) == json.dumps(again)
    assert first["uar"] == other["uar"]
    for name, part in parts_of(first).items():  # another draw of donors
        assert parts_of(other)[name]["drop"]["value"] == pytest.approx(part["drop"]["value"], abs=0.05)


def test_a_model_that_has_met_nobody_judges_itself(one, tmp_path):
    model, _, _ = one
    keys = keys_of(prefix="q")
    new = write(tmp_path / "new.parquet", keys, vectors(keys, seed=9))
    found = explain(model, new)
    assert found["judged_by"] == "the model"
    stored = artifacts.load(model)
    read = tables.read_features(new)
    answers = stored.predict(read.x)
    recalls = [np.mean(answers[read.keys["label"] == name] == name) for name in stored.classes_]
    assert found["uar"]["value"] == pytest.approx(np.mean(recalls))
    assert parts_of(found)["mfcc"]["drop"]["low"] > 0.3


def test_one_known_person_among_new_ones_is_enough_to_fit_again(one, tmp_path):
    model, _, _ = one
    keys = keys_of(prefix="q")
    keys.loc[keys["subject"] == "q0", "subject"] = "p0"  # by another name of the clips
    mixed = write(tmp_path / "mixed.parquet", keys, vectors(keys, seed=9))
    found = explain(model, mixed)
    assert found["judged_by"] == "refitted folds"
    assert any("not the training's" in text for text in found["warnings"])


def test_another_table_has_folds_of_its_own_number(tmp_path):
    keys, others = keys_of(), keys_of(prefix="q").assign(dataset="other")
    tables = [
        write(tmp_path / "a.parquet", keys, vectors(keys)),
        write(tmp_path / "b.parquet", others, vectors(others, seed=9)),
    ]
    train_linear(tables, tmp_path / "m.joblib")  # each data set is held out in turn: two folds
    assert "2 folds" in explain(tmp_path / "m.joblib", tables)["how"]
    assert "5 folds" in explain(tmp_path / "m.joblib", tables[0])["how"]


def test_subjects_of_another_data_set_are_other_people(one, tmp_path):
    model, _, _ = one
    keys = keys_of().assign(dataset="elsewhere", clip_id=[f"c{i}" for i in range(144)])
    new = write(tmp_path / "new.parquet", keys, vectors(keys, seed=9))
    assert explain(model, new)["judged_by"] == "the model"


def test_rows_of_classes_that_the_model_does_not_know_are_left_out_or_renamed(one, tmp_path):
    model, _, _ = one
    keys = keys_of(prefix="q").replace({"label": {"sad": "grief"}})
    new = write(tmp_path / "new.parquet", keys, vectors(keys, seed=9))
    found = explain(model, new)
    assert found["rows"] == 96
    assert any("grief" in text for text in found["warnings"])
    assert explain(model, new, labels={"grief": "sad"})["rows"] == 144
    with pytest.raises(DataError, match="--labels"):
        explain(model, new, labels={"grief": "sorrow", "calm": None, "loud": "noisy"})


def test_columns_of_a_speaker_are_replaced_within_that_speaker(tmp_path):
    """Standardised by speaker, the model still relies on the family that carries the class."""
    keys = keys_of()
    x = vectors(keys) + 50 * np.random.default_rng(1).normal(size=(8, 1))[np.repeat(range(8), 18)]
    table = write(tmp_path / "table.parquet", keys, x)
    train_linear(table, tmp_path / "m.joblib", normalize="speaker", evaluation=Evaluation(folds=4))
    found = explain(tmp_path / "m.joblib", table)
    assert found["normalize"] == "speaker"
    assert parts_of(found)["mfcc"]["drop"]["low"] > 0.3


def test_a_speaker_of_one_row_is_told(tmp_path):
    keys = keys_of(n_people=3, each=2)
    keys["subject"] = [f"s{i}" for i in range(len(keys))]
    table = write(tmp_path / "table.parquet", keys, vectors(keys))
    train_linear(table, tmp_path / "m.joblib", evaluation=Evaluation("loso"))
    found = explain(tmp_path / "m.joblib", table)
    assert any("18 rows are alone" in text for text in found["warnings"])
    assert all(part["drop"]["value"] == 0 for part in parts_of(found).values())


def test_patterns_name_the_columns_that_carry_the_class(one):
    model, table, _ = one
    found = explain(model, table)
    assert list(found["patterns"]) == ["calm", "loud", "sad"]
    read = tables.read_features(table)
    for name, columns in found["patterns"].items():
        assert all(each["column"].startswith("mfcc") for each in columns[:5])
        first = columns[0]
        values = read.x[:, read.columns.index(first["column"])]
        mine = (read.keys["label"] == name).to_numpy()
        assert np.sign(values[mine].mean() - values[~mine].mean()) == np.sign(first["pattern"])
        assert abs(first["pattern"]) > 0.5


def test_a_family_that_misleads_the_model_has_a_drop_below_zero(tmp_path):
    """Fewer rows than columns: the model has learned the noise of its training rows."""
    keys = keys_of(6, 2)
    noise = np.random.default_rng(5).normal(size=(len(keys), 12))
    x = vectors(keys)
    x[:, :12] += 1.2 * noise
    table = write(tmp_path / "table.parquet", keys, x)
    train_linear(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=3))
    parts = parts_of(found := explain(tmp_path / "m.joblib", table))
    assert parts["mfcc"]["alone"]["value"] > found["uar"]["value"]
    assert parts["mel"]["drop"]["value"] < 0 < parts["mfcc"]["drop"]["value"]


def test_a_support_vector_machine_has_no_patterns(tmp_path):
    table = write(tmp_path / "table.parquet", keys_of(4, 4), vectors(keys_of(4, 4)))
    train_svm(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=2))
    assert explain(tmp_path / "m.joblib", table)["patterns"] is None


def test_other_features_and_an_output_that_is_an_input_are_refused(one, tmp_path):
    model, _, _ = one
    keys = keys_of(2, 2)
    other = write(tmp_path / "seed33.parquet", keys, np.zeros((len(keys), 33)), "seed33")
    with pytest.raises(SettingsError):
        explain(model, other)
    with pytest.raises(UsageError):
        explain(model, tmp_path / "seed33.parquet", tmp_path / "seed33.parquet")


def test_rows_of_one_class_and_too_few_rows_are_refused(one, tmp_path):
    model, table, _ = one
    read = tables.read_features(table)
    for name, rows, subject in (("one", [0], None), ("two", [0, 20], None), ("class", [0, 1, 2], "new")):
        keys = read.keys.iloc[rows].reset_index(drop=True)
        if subject:
            keys = keys.assign(subject=subject, clip_id=["x", "y", "z"])
        few = write(tmp_path / f"{name}.parquet", keys, read.x[rows])
        with pytest.raises(DataError) as refused:
            explain(model, few)
        assert "--folds" not in str(refused.value)


def test_rows_without_a_subject_are_told(one, tmp_path):
    model, _, _ = one
    keys = keys_of(prefix="q").assign(subject=None)
    found = explain(model, write(tmp_path / "new.parquet", keys, vectors(keys)))
    assert any("144 rows name no subject" in text for text in found["warnings"])


def test_a_plan_says_who_judges_and_writes_nothing(one, tmp_path):
    model, table, _ = one
    planned = plan(model, table, tmp_path / "page.html")
    assert (planned.n_rows, planned.parts) == (144, 3)
    assert "4 folds" in planned.how
    assert not list(tmp_path.iterdir())


def test_a_model_without_skill_is_told(tmp_path):
    keys = keys_of(6, 4)
    table = write(tmp_path / "noise.parquet", keys, vectors(keys, carriers=()))
    train_linear(table, tmp_path / "m.joblib", evaluation=Evaluation(folds=3))
    found = explain(tmp_path / "m.joblib", table)
    assert any("chance" in text for text in found["warnings"])
