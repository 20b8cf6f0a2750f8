from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from eavctl.errors import DataError
from eavctl.evaluation import intervals, metrics
from eavctl.evaluation.intervals import paired_difference, score_intervals
from eavctl.tables import key_frame

N_CLASSES = 4


def keys_of(subjects: np.ndarray | None, n: int) -> pd.DataFrame:
    ids = [f"c{i:04d}" for i in range(n)]
    return key_frame(pd.DataFrame({"sample_id": ids, "clip_id": ids, "subject": subjects}))


def simulate(rng: np.random.Generator, n_subjects: int, per_subject: int) -> tuple[np.ndarray, ...]:
    """Subjects differ in how often they are understood; truth, prediction and subject of each row."""
    skill = rng.beta(6, 4, n_subjects)
    subjects = np.repeat(np.arange(n_subjects), per_subject)
    truth = np.tile(np.arange(per_subject) % N_CLASSES, n_subjects)
    wrong = (truth + rng.integers(1, N_CLASSES, len(truth))) % N_CLASSES
    predicted = np.where(rng.random(len(truth)) < skill[subjects], truth, wrong)
    return truth, predicted, subjects.astype(str)


def test_intervals_hold_the_score_and_say_what_they_are_over() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), 12, 20)
    by_subject = score_intervals(keys_of(subjects, len(truth)), truth, predicted, N_CLASSES)
    assert set(by_subject) == {"uar", "macro_f1", "accuracy"}
    for interval in by_subject.values():
        assert interval.low < interval.value < interval.high
        assert (interval.over, interval.n_clusters) == ("subjects", 12)
    by_clip = score_intervals(keys_of(None, len(truth)), truth, predicted, N_CLASSES)
    assert (by_clip["uar"].over, by_clip["uar"].n_clusters) == ("clips", 240)
    confusion = metrics.confusion_matrix(truth, predicted, N_CLASSES)
    assert by_clip["uar"].value == pytest.approx(float(metrics.uar(confusion)))


def test_one_subject_is_resampled_by_clips() -> None:
    truth, predicted, _ = simulate(np.random.default_rng(0), 1, 40)
    one = score_intervals(keys_of(np.full(40, "only"), 40), truth, predicted, N_CLASSES)
    assert one["uar"].over == "clips"


def test_clips_of_unlike_subjects_make_wider_intervals_than_clips_alone() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(1), 12, 40)
    wide, narrow = (
        score_intervals(keys_of(s, len(truth)), truth, predicted, N_CLASSES)["uar"] for s in (subjects, None)
    )
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_segments_of_a_clip_are_one_cluster() -> None:
    truth, predicted, _ = simulate(np.random.default_rng(2), 1, 40)
    clip = keys_of(None, 40)
    thrice = pd.concat([clip] * 3, ignore_index=True)
    thrice["sample_id"] = [str(i) for i in range(120)]
    once = score_intervals(clip, truth, predicted, N_CLASSES)["accuracy"]
    same = score_intervals(thrice, np.tile(truth, 3), np.tile(predicted, 3), N_CLASSES)["accuracy"]
    assert (same.low, same.high) == pytest.approx((once.low, once.high))


def test_same_rows_in_another_order_have_the_same_interval() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), 9, 20)
    keys, order = keys_of(subjects, len(truth)), np.random.default_rng(3).permutation(len(truth))
    shuffled = keys.iloc[order].reset_index(drop=True)
    assert score_intervals(keys, truth, predicted, N_CLASSES) == score_intervals(
        shuffled, truth[order], predicted[order], N_CLASSES
    )


def test_patterns_resample_as_clusters_do() -> None:
    """The multinomial over patterns has the moments of a plain bootstrap that draws cluster by cluster."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (30, 2, 2))
    fast = intervals.resample(counts, 20_000, rng).reshape(20_000, 4)
    plain = counts.reshape(30, 4)[rng.integers(0, 30, (20_000, 30))].sum(axis=1)
    np.testing.assert_allclose(fast.mean(axis=0), plain.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(np.cov(fast.T), np.cov(plain.T), atol=0.8)


def test_intervals_over_sixteen_subjects_cover_the_truth() -> None:
    """Of 95 % intervals about 95 % must cover: the plain percentile interval covers some 92 % here."""
    rng = np.random.default_rng(5)
    expected, hits, repeats = 0.6, 0, 300  # the mean of the skills' beta distribution
    for _ in range(repeats):
        truth, predicted, subjects = simulate(rng, 16, 24)
        interval = score_intervals(keys_of(subjects, len(truth)), truth, predicted, N_CLASSES, resamples=400)[
            "uar"
        ]
        hits += interval.low <= expected <= interval.high
    assert 0.925 <= hits / repeats <= 0.98


def test_a_model_does_not_differ_from_itself() -> None:
    truth, predicted, subjects = simulate(np.random.default_rng(0), 8, 20)
    same = paired_difference(keys_of(subjects, len(truth)), truth, predicted, predicted, N_CLASSES)
    assert (same.interval.value, same.interval.low, same.interval.high, same.p_value) == (0, 0, 0, 1)
    assert not same.better


def test_a_clear_difference_is_seen_and_changes_sign_with_the_order() -> None:
    truth, worse, subjects = simulate(np.random.default_rng(0), 12, 40)
    better = np.where(np.random.default_rng(1).random(len(truth)) < 0.3, truth, worse)
    keys = keys_of(subjects, len(truth))
    up = paired_difference(keys, truth, better, worse, N_CLASSES)
    down = paired_difference(keys, truth, worse, better, N_CLASSES)
    assert up.better
    assert not down.better
    assert up.p_value < 0.01
    assert down.p_value < 0.01
    assert up.interval.value == pytest.approx(-down.interval.value)


def test_p_values_of_equal_models_are_even() -> None:
    rng = np.random.default_rng(7)
    p_values = []
    for _ in range(200):
        truth, _, subjects = simulate(rng, 10, 16)
        first, second = (
            np.where(rng.random(len(truth)) < 0.6, truth, (truth + 1) % N_CLASSES) for _ in range(2)
        )
        keys = keys_of(subjects, len(truth))
        p_values.append(paired_difference(keys, truth, first, second, N_CLASSES, resamples=300).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.09
    assert 0.4 < np.mean(p_values) < 0.62


def test_no_rows_no_interval() -> None:
    none = np.array([], dtype=int)
    with pytest.raises(DataError, match="no labelled rows"):
        score_intervals(keys_of(None, 0), none, none, N_CLASSES)
