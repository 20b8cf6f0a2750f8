from __future__ import annotations

import tracemalloc
from itertools import chain, combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as yardstick

from benchmarks import statistics
from eavctl.errors import DataError
from eavctl.evaluation import intervals, metrics
from eavctl.evaluation.intervals import (
    Clusters,
    Interval,
    clusters_of,
    exchange_p,
    holm,
    paired_difference,
    repeated_difference,
    repeated_score,
    score_intervals,
)
from eavctl.storage.tables import key_frame

N_CLASSES = 4


def keys_of(subjects: np.ndarray | None, n: int, **columns: object) -> pd.DataFrame:
    ids = [f"c{i:04d}" for i in range(n)]
    return key_frame(pd.DataFrame({"sample_id": ids, "clip_id": ids, "subject": subjects, **columns}))


def people(of_row: np.ndarray, clip_of_row: np.ndarray | None = None) -> Clusters:
    clips = np.arange(len(of_row)) if clip_of_row is None else clip_of_row
    return Clusters(of_row, int(of_row.max()) + 1, "subjects", clips)


def simulate(
    rng: np.random.Generator, n_subjects: int, per_subject: int, a: float = 6, b: float = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subjects differ in how often they are recognised; truth, prediction and subject of each row."""
    skill = rng.beta(a, b, n_subjects)
    subjects = np.repeat(np.arange(n_subjects), per_subject)
    truth = np.tile(np.arange(per_subject) % N_CLASSES, n_subjects)
    wrong = (truth + rng.integers(1, N_CLASSES, len(truth))) % N_CLASSES
    predicted = np.where(rng.random(len(truth)) < skill[subjects], truth, wrong)
    return truth, predicted, subjects


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


# --- what intervals are over ------------------------------------------------------------------------------


def test_two_subjects_or_more_are_the_clusters_whatever_the_protocol_keeps_apart() -> None:
    sessions = [f"x{i % 3}" for i in range(12)]
    keys = keys_of(np.repeat(["a", "b", "c"], 4), 12, session=sessions)
    for group in (None, "subject", "session", "clip_id", "no such key"):
        found = clusters_of(keys, group)
        assert (found.over, found.n) == ("subjects", 3)
        assert found.of_row.tolist() == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("subject", [None, "only"])
def test_without_two_subjects_the_groups_of_the_protocol_are_the_clusters(subject: str | None) -> None:
    names = np.repeat(["one", "two", "three"], 4)
    keys = keys_of(None if subject is None else np.full(12, subject), 12, session=names, task=names)
    for group in ("session", "task"):
        found = clusters_of(keys, group)
        assert (found.over, found.n) == (f"{group}s", 3)
        assert [len(set(part)) for part in np.split(found.of_row, 3)] == [1, 1, 1]
    for group in (None, "subject", "clip_id", "no such key"):
        found = clusters_of(keys, group)
        assert (found.over, found.n) == ("clips", 12)


def test_blocks_that_the_protocol_keeps_apart_are_the_clusters() -> None:
    labels = list("aabbaabb")
    keys = keys_of(np.full(8, "only"), 8, trial=[str(i) for i in range(8)], label=labels)
    found = clusters_of(keys, "block")
    assert (found.over, found.n) == ("blocks", 4)
    assert found.of_row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_groups_that_some_rows_do_not_name_are_no_clusters() -> None:
    keys = keys_of(None, 4, session=["one", "two", "three", None])
    assert clusters_of(keys, "session").over == "clips"
    subjects = np.array(["a", "b", "c", None], dtype=object)
    assert clusters_of(keys_of(subjects, 4), "subject").over == "clips"


def test_sessions_of_one_person_make_wider_intervals_than_their_clips() -> None:
    truth, predicted, sessions = simulate(np.random.default_rng(1), 8, 40)
    keys = keys_of(np.full(320, "only"), 320, session=sessions.astype(str))
    wide, narrow = (
        score_intervals(clusters_of(keys, group), truth, predicted, N_CLASSES)["uar"]
        for group in ("session", "clip_id")
    )
    assert width(wide) > 1.5 * width(narrow)


# --- intervals of scores ----------------------------------------------------------------------------------


def test_intervals_hold_the_score() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), 12, 20)
    found = score_intervals(people(subjects), truth, predicted, N_CLASSES)
    assert set(found) == {"uar", "macro_f1", "accuracy"}
    confusion = metrics.confusion_matrix(truth, predicted, N_CLASSES)
    assert found["uar"].value == pytest.approx(float(metrics.uar(confusion)))
    for interval in found.values():
        assert interval.low is not None
        assert interval.high is not None
        assert 0 < interval.low < interval.value < interval.high < 1


def test_interval_is_that_of_a_jackknife_with_scikit_learns_scores() -> None:
    """People who differ much: the jackknife decides, and rows are really left out."""
    truth, predicted, subjects = simulate(np.random.default_rng(2), 6, 41, 2, 2)
    found = score_intervals(people(subjects), truth, predicted, N_CLASSES)
    scores = {
        "uar": yardstick.balanced_accuracy_score,
        "macro_f1": lambda y, p: yardstick.f1_score(y, p, average="macro"),
        "accuracy": yardstick.accuracy_score,
    }
    for name, score in scores.items():
        whole = np.arcsin(np.sqrt(score(truth, predicted)))
        rest = [score(truth[subjects != s], predicted[subjects != s]) for s in range(6)]
        error = np.sqrt(((np.arcsin(np.sqrt(rest)) - whole) ** 2).sum())
        ends = np.sin(whole + np.array([-1, 1]) * stats.t(5).ppf(0.975) * error) ** 2
        assert (found[name].low, found[name].high) == pytest.approx(tuple(ends))


def test_clips_of_unlike_subjects_make_wider_intervals_than_clips_alone() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(1), 12, 40)
    wide, narrow = (
        score_intervals(people(of_row), truth, predicted, N_CLASSES)["uar"]
        for of_row in (subjects, np.arange(480))
    )
    assert width(wide) > 1.5 * width(narrow)


def test_segments_of_a_clip_are_one_cluster() -> None:
    truth, predicted, _ = simulate(np.random.default_rng(2), 1, 40)
    clip = keys_of(None, 40)
    thrice = pd.concat([clip] * 3, ignore_index=True)
    thrice["sample_id"] = [str(i) for i in range(120)]
    once = score_intervals(clusters_of(clip), truth, predicted, N_CLASSES)
    same = score_intervals(clusters_of(thrice), np.tile(truth, 3), np.tile(predicted, 3), N_CLASSES)
    for name, interval in once.items():
        assert (same[name].low, same[name].high) == pytest.approx((interval.low, interval.high))


def test_same_rows_in_another_order_have_the_same_interval() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), 9, 20)
    keys, order = (
        keys_of(subjects.astype(str), len(truth)),
        np.random.default_rng(3).permutation(len(truth)),
    )
    shuffled = keys.iloc[order].reset_index(drop=True)
    assert score_intervals(clusters_of(keys), truth, predicted, N_CLASSES) == score_intervals(
        clusters_of(shuffled), truth[order], predicted[order], N_CLASSES
    )


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_clusters_give_no_interval(n: int) -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), n, 40)
    found = score_intervals(people(subjects), truth, predicted, N_CLASSES)
    assert all((each.low, each.high) == (None, None) for each in found.values())
    assert found["accuracy"].value == pytest.approx((truth == predicted).mean())
    difference = paired_difference(people(subjects), truth, truth, predicted, N_CLASSES)
    assert (difference.interval.low, difference.interval.high) == (None, None)
    assert difference.interval.value > 0


@pytest.mark.parametrize(("n_people", "n_each"), [(3, 8), (10, 40)])
def test_scores_of_one_for_all_people_are_not_certain(n_people: int, n_each: int) -> None:
    """Where people do not differ, the posterior tells: of the accuracy Beta(n + 1, 1)."""
    truth, _, subjects = simulate(np.random.default_rng(0), n_people, n_each)
    found = score_intervals(people(subjects), truth, truth, N_CLASSES)
    posterior = stats.beta(n_people * n_each + 1, 1)
    distance = np.sqrt(posterior.expect(lambda share: (np.pi / 2 - np.arcsin(np.sqrt(share))) ** 2))
    low = np.sin(np.pi / 2 - stats.t(n_people - 1).ppf(0.975) * distance) ** 2
    assert found["accuracy"].low is not None
    assert 1 - found["accuracy"].low == pytest.approx(1 - low, rel=0.2)
    for interval in found.values():
        assert interval.low is not None
        assert interval.low < 1
        assert interval.value == interval.high == 1


def test_segments_do_not_make_a_perfect_score_more_certain() -> None:
    truth, _, subjects = simulate(np.random.default_rng(0), 4, 8)
    once = score_intervals(people(subjects), truth, truth, N_CLASSES)
    rows = np.repeat(np.arange(len(truth)), 30)
    often = score_intervals(people(subjects[rows], rows), truth[rows], truth[rows], N_CLASSES)
    for name, interval in once.items():
        assert often[name].low == pytest.approx(interval.low)


def test_a_class_that_one_person_has_does_not_make_the_score_jump() -> None:
    """Of 8 people equally good at three classes, one has a fourth, which is never recognised."""
    truth = np.concatenate([np.tile([0, 1, 2], 20 * 8), np.full(20, 3)])
    subjects = np.concatenate([np.repeat(np.arange(8), 60), np.zeros(20, int)])
    predicted = np.where(np.arange(len(truth)) // 3 % 20 == 0, (truth + 1) % 3, truth)
    predicted[truth == 3] = 0
    found = score_intervals(people(subjects), truth, predicted, N_CLASSES)
    assert found["uar"].value == pytest.approx(0.95 * 3 / 4)
    assert width(found["uar"]) < 0.1  # were the class lost with its person, UAR would jump by 0.24
    assert width(found["macro_f1"]) < 0.15


def test_classes_of_one_person_each_do_not_hide_how_people_differ_in_accuracy() -> None:
    truth = np.repeat(np.arange(4), 50)
    predicted = np.where(np.arange(200) % 50 < np.repeat([10, 20, 30, 40], 50), truth, (truth + 1) % 4)
    found = score_intervals(people(truth), truth, predicted, N_CLASSES)["accuracy"]
    rest = [(0.2 + 0.4 + 0.6 + 0.8 - share) / 3 for share in (0.2, 0.4, 0.6, 0.8)]
    error = np.sqrt(((np.arcsin(np.sqrt(rest)) - np.pi / 4) ** 2).sum())
    low = np.sin(max(np.pi / 4 - stats.t(3).ppf(0.975) * error, 0)) ** 2
    assert found.low == pytest.approx(low)


def test_thousands_of_clips_take_little_memory() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 10_000)
    predicted = np.where(rng.random(10_000) < 0.6, truth, rng.integers(0, 8, 10_000))
    clusters = people(np.arange(10_000))
    tracemalloc.start()
    score_intervals(clusters, truth, predicted, 8)
    paired_difference(clusters, truth, predicted, truth, 8)
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()


def test_no_rows_no_interval() -> None:
    none = np.array([], dtype=int)
    with pytest.raises(DataError, match="no labelled rows"):
        score_intervals(clusters_of(keys_of(None, 0)), none, none, N_CLASSES)


# --- coverage and level, in simulation --------------------------------------------------------------------

REPEATS = 120
SPREAD_OUT = statistics.People("middle, people differ", 0.6, "beta", 0.25, unequal=True)
CEILING = statistics.People("ceiling, people differ", 0.95, "logit", 0.8)


@pytest.mark.parametrize("n", statistics.PEOPLE)
@pytest.mark.parametrize("population", [SPREAD_OUT, CEILING], ids=lambda each: each.name)
def test_intervals_cover(population: statistics.People, n: int) -> None:
    """Of today's bootstrap intervals over 3 people, 75 % did."""
    for covered in statistics.coverage(population, n, REPEATS).values():
        assert statistics.Cell(covered, statistics.COVERAGE, REPEATS, at_least=True).holds


@pytest.mark.parametrize(("level", "n"), [(0.25, 8), (0.95, 20), (0.95, 50)])
def test_intervals_over_few_clips_cover_although_all_may_be_right_by_luck(level: float, n: int) -> None:
    rng = np.random.default_rng(0)
    hits = dict.fromkeys(("uar", "macro_f1", "accuracy"), 0)
    truth = np.arange(n) % N_CLASSES
    for _ in range(REPEATS):
        predicted = np.where(rng.random(n) < level, truth, (truth + rng.integers(1, 4, n)) % N_CLASSES)
        for name, each in score_intervals(people(np.arange(n)), truth, predicted, N_CLASSES).items():
            hits[name] += each.low <= level <= each.high
    for count in hits.values():
        assert statistics.Cell(count / REPEATS, statistics.COVERAGE, REPEATS, at_least=True).holds


@pytest.mark.parametrize("n", statistics.PEOPLE)
def test_intervals_of_differences_cover_and_the_exchange_test_keeps_its_level(n: int) -> None:
    covered, small = statistics.compared(statistics.NULL_PAIRS[1], n, REPEATS)
    assert statistics.Cell(covered, statistics.COVERAGE, REPEATS, at_least=True).holds
    assert statistics.Cell(small, intervals.SIGNIFICANT, REPEATS, at_least=False).holds


@pytest.mark.parametrize("n", [6, 8])
def test_a_page_of_equal_models_calls_none_better(n: int) -> None:
    wrong = statistics.wrong_pages(SPREAD_OUT, n, REPEATS)
    assert statistics.Cell(wrong, intervals.SIGNIFICANT, REPEATS, at_least=False).holds


def test_a_cell_below_its_bound_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    cells = [statistics.Cell(share, 0.93, 600, at_least=True) for share in (0.96, 0.75)]
    assert [cell.holds for cell in cells] == [True, False]
    columns = ("3 people", "4 people")
    monkeypatch.setattr(statistics, "PARTS", (statistics.Part(columns, lambda: [("narrow", cells)]),))
    assert statistics.main() == 1
    assert "75.0% !" in capsys.readouterr().out
    monkeypatch.setattr(statistics, "PARTS", (statistics.Part(columns[:1], lambda: [("fine", cells[:1])]),))
    assert statistics.main() == 0


# --- differences ------------------------------------------------------------------------------------------


def test_a_model_does_not_differ_from_itself() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), 8, 20)
    same = paired_difference(people(subjects), truth, predicted, predicted, N_CLASSES)
    assert (same.interval, same.p_value) == (Interval(0, 0, 0), 1)


def test_a_clear_difference_is_seen_and_changes_sign_with_the_order() -> None:
    truth, worse, subjects = simulate(np.random.default_rng(0), 12, 40)
    better = np.where(np.random.default_rng(1).random(len(truth)) < 0.3, truth, worse)
    up = paired_difference(people(subjects), truth, better, worse, N_CLASSES)
    down = paired_difference(people(subjects), truth, worse, better, N_CLASSES)
    assert up.interval.low is not None
    assert up.interval.low > 0
    assert up.p_value == down.p_value < 0.01
    assert down.interval.value == pytest.approx(-up.interval.value)
    assert down.interval.high == pytest.approx(-up.interval.low, abs=0.01)
    scores = [yardstick.balanced_accuracy_score(truth, each) for each in (better, worse)]
    assert up.interval.value == pytest.approx(scores[0] - scores[1])


def test_equal_gains_of_all_people_are_not_certain() -> None:
    truth, _, subjects = simulate(np.random.default_rng(0), 6, 20)
    less = np.where(np.arange(len(truth)) % 20 == 0, (truth + 1) % N_CLASSES, truth)
    found = paired_difference(people(subjects), truth, truth, less, N_CLASSES).interval
    assert width(found) > 0.02


def test_the_exchange_test_goes_through_all_exchanges() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 3, 7, 10):
        gains = rng.normal(0.3, 1, n)
        sums = np.array(list(product([1, -1], repeat=n))) @ gains
        share = (np.abs(sums) >= abs(gains.sum()) - 1e-12).mean()
        assert exchange_p(gains) == pytest.approx(share, abs=1e-15)
    assert exchange_p(np.full(5, 0.1)) == 2 / 2**5
    assert exchange_p(np.full(6, 0.1)) == 2 / 2**6
    assert (
        exchange_p(np.append(np.full(5, 0.1), np.zeros(50))) == 2 / 2**5
    )  # who does not differ says nothing
    assert exchange_p(np.zeros(4)) == 1


def test_exchanges_of_many_clusters_are_drawn() -> None:
    gains = np.random.default_rng(0).normal(0.4, 1, 15)
    sums = np.array(list(product([1, -1], repeat=15))) @ gains
    assert exchange_p(gains) == pytest.approx((np.abs(sums) >= abs(gains.sum())).mean(), abs=0.02)
    assert exchange_p(np.ones(400)) == 1 / (1 + intervals.EXCHANGES)


def test_holms_correction_closes_that_of_bonferroni() -> None:
    """A hypothesis is rejected where each set that it is in is rejected by the set's smallest p value."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 5):
        p = (rng.random(n) ** 3).tolist()
        sets = [*chain.from_iterable(combinations(range(n), size) for size in range(1, n + 1))]
        closed = [max(min(1, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(n)]
        assert holm(p) == pytest.approx(closed)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


# --- several models of one kind ---------------------------------------------------------------------------


def drawn(
    rng: np.random.Generator, n_people: int, n_models: int, spread: float, gain: float = 0.0
) -> tuple[Clusters, np.ndarray, np.ndarray]:
    """Predictions of models whose skills differ, of people whose clips are of different difficulty."""
    person = np.repeat(np.arange(n_people), 20)
    truth = np.arange(len(person)) % N_CLASSES
    ease = rng.normal(size=n_people)[person] * 0.4 + rng.normal(size=len(person)) * 0.8 + 0.5
    z = ease + gain + spread * rng.normal(size=(n_models, 1)) + rng.normal(size=(n_models, len(person)))
    wrong = (truth + rng.integers(1, N_CLASSES, z.shape)) % N_CLASSES
    return people(person), truth, np.where(z > 0, truth, wrong)


def test_equal_models_have_the_interval_of_one() -> None:
    clusters, truth, (one,) = drawn(np.random.default_rng(0), 8, 1, 0.0)
    alone = score_intervals(clusters, truth, one, N_CLASSES)["uar"]
    other = np.roll(one, 1)
    assert repeated_score(clusters, truth, np.stack([one, one, one]), N_CLASSES) == alone
    assert repeated_score(clusters, truth, one[None], N_CLASSES) == alone
    pair = paired_difference(clusters, truth, one, other, N_CLASSES)
    assert repeated_difference(clusters, truth, one[None], other[None], N_CLASSES) == pair
    three = repeated_difference(clusters, truth, np.stack([one] * 3), np.stack([other] * 3), N_CLASSES)
    assert (three.p_value, width(three.interval)) == pytest.approx((pair.p_value, width(pair.interval)))


def test_the_score_of_several_models_is_the_mean_of_theirs() -> None:
    clusters, truth, predicted = drawn(np.random.default_rng(1), 8, 4, 0.3)
    each = [score_intervals(clusters, truth, one, N_CLASSES)["uar"].value for one in predicted]
    found = repeated_score(clusters, truth, predicted, N_CLASSES)
    assert found.value == pytest.approx(np.mean(each))
    difference = repeated_difference(clusters, truth, predicted, predicted[::-1], N_CLASSES)
    assert difference.interval.value == pytest.approx(0)
    one = repeated_difference(clusters, truth, predicted, np.stack([truth] * 4), N_CLASSES)
    assert one.interval.value == pytest.approx(found.value - 1)


def test_models_that_differ_widen_the_interval_and_more_of_them_narrow_it() -> None:
    widths: dict[tuple[float, int], list[float]] = {}
    for seed, spread, n_models in product(range(12), (0.0, 0.6), (3, 12)):
        clusters, truth, predicted = drawn(np.random.default_rng(seed), 12, n_models, spread)
        found = repeated_score(clusters, truth, predicted, N_CLASSES)
        widths.setdefault((spread, n_models), []).append(width(found))
    mean = {key: np.mean(each) for key, each in widths.items()}
    assert mean[0.6, 3] > 1.3 * mean[0.0, 3]
    assert mean[0.6, 12] < 0.8 * mean[0.6, 3]


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_intervals_of_several_models_cover_the_kind(spread: float) -> None:
    expected = stats.norm.cdf(0.5 / np.sqrt(1 + 0.4**2 + 0.8**2 + spread**2))
    rng, hits, repeats = np.random.default_rng(3), 0, 120
    for _ in range(repeats):
        found = repeated_score(*drawn(rng, 10, 3, spread), N_CLASSES)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= expected <= found.high
    assert hits / repeats > 0.9


def test_few_people_give_no_interval_of_several_models_either() -> None:
    found = repeated_score(*drawn(np.random.default_rng(0), 2, 3, 0.5), N_CLASSES)
    assert (found.low, found.high) == (None, None)
