"""A probe of planted encoders: what must be found, and nothing of a test row that reaches a fit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from eavctl.classifiers import linear
from eavctl.errors import LeakError, SettingsError, UsageError
from eavctl.stages.probe import ProbeChoice, plan, probe
from eavctl.training.cross_validation import Evaluation, grouped, plan_folds
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.probing import arms
from eavctl.training.probing.arms import ARMS, make_arms
from eavctl.training.probing.draws import Share
from eavctl.training.probing.embedder import Embedder
from eavctl.training.probing.fits import Fits
from eavctl.training.probing.networks import FEW, settings_for
from eavctl.training.probing.probe import predict_all
from eavctl.training.rows import read_training_set
from tests.training.probing import planted

LINEAR = ("probe", "random", "raw")
ONE, TWO = Evaluation("random"), Evaluation("group-kfold", 2)
FEW_LABELS = ProbeChoice(("3",), arms=LINEAR)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return planted.write_table(tmp_path_factory.mktemp("probe") / "table.parquet")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return planted.write_encoder(tmp_path_factory.mktemp("probe") / "encoder.pt")


def comparison(facts, first, second):
    (found,) = [each for each in facts["comparisons"] if (each["first"], each["second"]) == (first, second)]
    return found


def test_an_encoder_that_knows_the_classes_is_surely_above_the_rest(table, encoder):
    facts = probe(encoder, table, choice=FEW_LABELS, evaluation=TWO).facts
    scores = facts["shares"][0]["scores"]
    assert scores["probe"]["value"] > 0.95
    for other in ("random", "raw"):
        found = comparison(facts, "probe", other)
        assert found["better"]
        assert found["difference"]["low"] > 0
        assert scores[other]["value"] + found["difference"]["value"] == pytest.approx(
            scores["probe"]["value"]
        )
        assert len(scores[other]["draws"]) == 3
        assert scores[other]["value"] == pytest.approx(np.mean(scores[other]["draws"]))
    assert (facts["over"], facts["n_clusters"]) == ("subjects", planted.N_PEOPLE)
    assert facts["chance"] == pytest.approx(1 / 3)
    persons = facts["persons"]
    assert persons["scores"]["probe"]["value"] < persons["scores"]["random"]["value"]
    assert persons["chance"] == pytest.approx(1 / planted.N_PEOPLE)


def test_an_encoder_that_knows_people_alone_is_found_out(table, tmp_path):
    people = range(len(planted.CLASSES), len(planted.CLASSES) + planted.N_PEOPLE)
    path = planted.write_encoder(tmp_path / "people.pt", people)
    facts = probe(path, table, choice=replace(FEW_LABELS, labels=("all",)), evaluation=TWO).facts
    assert facts["shares"][0]["scores"]["probe"]["value"] < 0.5
    assert not comparison(facts, "probe", "random")["better"]
    persons = facts["persons"]
    assert persons["scores"]["probe"]["value"] > 0.95
    assert persons["better"]


def test_an_encoder_with_random_weights_is_the_random_arm(table, tmp_path):
    seed = 5
    path = planted.write_encoder(tmp_path / "random.pt", None, seed=seed)
    arms = ("probe", "random")
    facts = probe(
        path, table, choice=replace(FEW_LABELS, arms=arms), evaluation=replace(TWO, seed=seed)
    ).facts
    scores = facts["shares"][0]["scores"]
    assert scores["probe"]["draws"][0] == scores["random"]["draws"][0]
    assert scores["probe"]["draws"] != scores["random"]["draws"]  # other draws have other weights


def test_people_that_the_encoder_has_met_are_refused_unless_they_are_shared(table, tmp_path):
    path = planted.write_encoder(tmp_path / "met.pt", met=planted.frame(1))
    for call in (probe, plan):
        with pytest.raises(LeakError, match=r"met\.pt.*1 subject.*p0"):
            call(path, table, choice=FEW_LABELS, evaluation=TWO)
        with pytest.raises(LeakError):
            call(path, table, choice=FEW_LABELS, evaluation=replace(TWO, shared=("p1",)))
    shared = probe(path, table, choice=FEW_LABELS, evaluation=replace(TWO, shared=("p0",)))
    assert any("p0" in text for text in shared.warnings)
    assert shared.facts["protocol"]["warnings"] == list(shared.warnings)


def test_features_of_other_settings_are_named(table, tmp_path):
    path = planted.write_encoder(tmp_path / "other.pt", features_hash="bb")
    with pytest.raises(SettingsError, match=r"other\.pt.*numbers.*table\.parquet"):
        plan(path, table)


@pytest.fixture
def parts(table, encoder):
    """Rows, splits, and a function that makes the arms for rows."""
    rows = read_training_set(table).rows
    split = plan_folds(rows, TWO)

    def arms_of(rows):
        start = planted.start_of(encoder)
        device = settings_for(9, pretrained=False, seed=0, given={"device": "cpu"}).torch_device()
        return make_arms(ARMS, start, Embedder(start, rows.array, device), {"epochs": 2, "device": "cpu"})

    return rows, split, arms_of


def run(rows, split, arms, shares=("3", "all"), seeds=(1, 2, 3)):
    return predict_all(rows, split, arms, [Share(text) for text in shares], seeds, {}, Fits(None))


def test_no_fit_is_given_a_test_row_nor_its_person_and_all_arms_the_same_rows(parts, monkeypatch):
    rows, split, arms_of = parts
    given = []
    real_linear, real_network = linear.solved, DnnFitter.fit

    def of_columns(x, y, *args, **options):
        given.append(x.numbers)
        return real_linear(x, y, *args, **options)

    def of_network(self, rows, fit):
        assert len(fit.test_keys) == 0
        ids = {name: number for number, name in enumerate(whole["sample_id"])}
        given.append(np.array([ids[name] for name in rows.key_frame["sample_id"]]))
        return real_network(self, rows, fit)

    whole = rows.key_frame
    monkeypatch.setattr(linear, "solved", of_columns)
    monkeypatch.setattr(DnnFitter, "fit", of_network)
    found = run(rows, split, arms_of(rows), shares=("3",), seeds=(1, 2))
    assert len(given) == len(ARMS) * len(found.tasks) == 5 * 4
    for number, task in enumerate(found.tasks):
        tested = set(whole["subject"].iloc[task.split.test])
        for labelled in given[number * len(ARMS) : (number + 1) * len(ARMS)]:
            np.testing.assert_array_equal(labelled, task.labelled)
            assert set(labelled) <= set(task.split.train)
            assert not tested & set(whole["subject"].iloc[labelled])


def test_predictions_do_not_depend_on_other_test_rows_nor_on_labels_of_test_rows(parts):
    rows, split, arms_of = parts
    split = replace(split, folds=split.folds[:1])
    test = split.folds[0].test
    changed, kept = test[::2], np.arange(len(test)) % 2 == 1
    x, y = rows.array.copy(), rows.y.copy()
    x[changed], y[test] = 50 * x[changed] + 7, (y[test] + 1) % 3
    first = run(rows, split, arms_of(rows))
    second = run(replace(rows, x=x, y=y), split, arms_of(replace(rows, x=x)))
    for arm, answers in first.answers.items():
        np.testing.assert_array_equal(answers[:, kept], second.answers[arm][:, kept], err_msg=str(arm))


@pytest.mark.filterwarnings("ignore::eavctl.errors.TrainingWarning")
def test_unlabelled_training_rows_give_their_features_and_not_their_labels(parts):
    rows, split, arms_of = parts
    split = replace(split, folds=split.folds[:1])
    first = run(rows, split, arms_of(rows), shares=("3",), seeds=(1,))
    hidden = np.setdiff1d(split.folds[0].train, first.tasks[0].labelled)
    answers = [arm.predict(first.tasks[0], None) for arm in arms_of(rows)]
    y = rows.y.copy()
    y[hidden] = (y[hidden] + 1) % 3
    other = grouped(replace(rows, y=y), split)
    again = [arm.predict(replace(first.tasks[0], rows=other), None) for arm in arms_of(rows)]
    np.testing.assert_array_equal(answers, again)


def test_enough_labels_choose_the_penalty_on_inner_folds_of_the_labelled_rows(parts, monkeypatch):
    rows, split, arms_of = parts
    monkeypatch.setattr(arms, "ENOUGH", 6)
    given = []
    real = linear.fit

    def of_columns(x, labels, **options):
        given.append((x.numbers, options["groups"]))
        return real(x, labels, **options)

    monkeypatch.setattr(linear, "fit", of_columns)
    pair = [arm for arm in arms_of(rows) if arm.name in ("probe", "raw")]
    found = run(rows, split, pair, shares=("3", "6"), seeds=(1,))
    tasks = [task for task in found.tasks if task.share.text == "6"]
    assert len(given) == 2 * len(tasks) == 4
    people = rows.key_frame["subject"].to_numpy()
    for number, task in enumerate(tasks):
        for labelled, groups in given[2 * number : 2 * number + 2]:
            np.testing.assert_array_equal(labelled, task.labelled)
            assert len(np.unique(groups)) == len(np.unique(people[labelled]))
    assert found.answers["probe", "6"].min() >= 0


def test_with_all_labels_what_draws_nothing_is_fitted_once(parts):
    rows, split, arms_of = parts
    found = run(rows, split, arms_of(rows), shares=("all",))
    for name in ("probe", "raw"):
        answers = found.answers[name, "all"]
        assert (answers == answers[0]).all()
    assert (np.ptp(found.answers["scratch", "all"], axis=0) > 0).any()


def test_the_same_seed_gives_the_same_file_and_what_is_finished_is_not_made_again(
    table, encoder, tmp_path, monkeypatch
):
    files, fits = [tmp_path / name for name in ("one.json", "two.json", "three.json")], tmp_path / "fits"
    choice = ProbeChoice(("3",), networks={"epochs": 1, "device": "cpu"})
    options = {"choice": choice, "evaluation": ONE}
    assert not probe(encoder, table, files[0], **options).up_to_date
    probe(encoder, table, files[1], fits=fits, **options)
    fitted = []
    real = DnnFitter.fit
    monkeypatch.setattr(DnnFitter, "fit", lambda self, *args: fitted.append(self.init) or real(self, *args))
    probe(encoder, table, files[2], fits=fits, **options)
    assert fitted == []
    assert len({file.read_bytes() for file in files}) == 1
    facts = json.loads(files[0].read_bytes())
    again = probe(encoder, table, files[0], **options)
    assert again.up_to_date
    assert again.facts == facts
    assert set(facts["shares"][0]["scores"]) == set(ARMS)
    assert len(facts["comparisons"]) == 6
    assert not plan(encoder, table, files[0], choice=choice, evaluation=replace(ONE, seed=1)).up_to_date
    other = planted.write_encoder(tmp_path / "other.pt", range(4, 9))
    probe(other, table, fits=fits, **options)
    assert len(fitted) == 3  # fine-tuned alone, once a draw
    assert all(fitted)


def test_a_damaged_file_of_a_fit_is_fitted_again(table, encoder, tmp_path):
    folder = tmp_path / "fits"
    choice = replace(FEW_LABELS, arms=("probe",))
    first = probe(encoder, table, choice=choice, evaluation=TWO, fits=folder).facts
    for file, text in zip(sorted(folder.iterdir()), ("", "[1]", "{}", '["a"]', "[[", "null"), strict=True):
        file.write_text(text)
    assert probe(encoder, table, choice=choice, evaluation=TWO, fits=folder).facts == first


@pytest.mark.parametrize(
    "choice",
    [
        {"labels": ()},
        {"labels": ("x",)},
        {"draws": 2},
        {"arms": ()},
        {"arms": ("prob",)},
        {"networks": {"epochs": 0}},
    ],
)
def test_choices_that_cannot_be_meant_are_refused(choice):
    with pytest.raises(UsageError):
        ProbeChoice(**choice)


def test_networks_validate_where_there_are_rows_for_it():
    few, many = (settings_for(n, pretrained=False, seed=1, given={}) for n in (50, FEW))
    assert (few.validation, few.patience) == (0, few.epochs)
    assert few.epochs * 4 >= 600  # of four batches
    assert (many.validation, many.epochs, many.lr) == (0.2, 40, 1e-3)
    tuned = settings_for(50, pretrained=True, seed=1, given={})
    assert 0 < tuned.freeze_epochs < tuned.epochs == few.epochs
    assert tuned.lr < few.lr
    asked = settings_for(50, pretrained=True, seed=1, given={"epochs": 2, "lr": 0.1})
    assert (asked.epochs, asked.lr, asked.freeze_epochs) == (2, 0.1, 0)
