"""The scores of a probe's arms, and their differences, with intervals over people and draws of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eavctl.classifiers.calibration import uar
from eavctl.evaluation.groups import n_identities
from eavctl.evaluation.intervals import LEVEL, Clusters, clusters_of, repeated_difference, repeated_score
from eavctl.evaluation.summary import corrected
from eavctl.storage.provenance import hash_json
from eavctl.training.probing.arms import BASELINES, JUDGED
from eavctl.training.probing.draws import Share
from eavctl.training.probing.probe import Predicted


def findings(found: Predicted, arms: Sequence[str], shares: Sequence[Share], group: str) -> dict[str, Any]:
    """Score what was predicted.

    Parameters
    ----------
    arms : their names.
    shares : of labels.
    group : the key that the protocol keeps whole.

    Returns
    -------
    JSON-able: ``shares``, of each the scores of all arms (mean UAR with its interval, and the UAR of each
    draw, and in it of each fold) and the draws; ``comparisons`` of the probe and of fine-tuning with the
    other arms, whose p values are corrected for all of them; the clusters of the intervals; and ``chance``.
    """
    keys = found.rows.key_frame.iloc[found.tested].reset_index(drop=True)
    clusters, truth = clusters_of(keys, group), found.rows.y[found.tested]
    return {
        "level": LEVEL,
        "over": clusters.over,
        "n_clusters": clusters.n,
        "n_rows": len(truth),
        "chance": 1 / len(np.unique(truth)),
        "shares": [_of_share(found, arms, share, clusters, truth) for share in shares],
        "comparisons": _comparisons(found, arms, shares, clusters, truth),
    }


def _of_share(
    found: Predicted, arms: Sequence[str], share: Share, clusters: Clusters, truth: np.ndarray
) -> dict[str, Any]:
    scores = {}
    for arm in arms:
        answers = found.answers[arm, share.text]
        interval = repeated_score(clusters, truth, answers, len(found.rows.classes))
        scores[arm] = {
            **interval.to_json(),
            "draws": [uar(each, truth) for each in answers],
            "folds": [_by_fold(each, truth, found.fold) for each in answers],
        }
    return {"labels": share.text, "scores": scores, "draws": _draws(found, share)}


def _by_fold(answers: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> dict[str, float]:
    """UAR of the test rows of each fold, by its number."""
    return {str(n): uar(answers[fold == n], truth[fold == n]) for n in np.unique(fold)}


def _draws(found: Predicted, share: Share) -> list[dict[str, Any]]:
    """Which rows were labelled: how many of each class and person, and a hash of their names."""
    keys, listed = found.rows.key_frame, []
    for task in (each for each in found.tasks if each.share == share):
        mine = keys.iloc[task.labelled]
        counts = np.bincount(found.rows.y[task.labelled], minlength=len(found.rows.classes))
        listed.append({
            "fold": task.split.fold,
            "seed": task.seed,
            "n_rows": len(task.labelled),
            "n_people": n_identities(mine, "subject"),
            "class_counts": dict(zip(found.rows.classes, counts.tolist(), strict=True)),
            "rows_hash": hash_json(mine["sample_id"].tolist()),
        })  # fmt: skip
    return listed


def _comparisons(
    found: Predicted, arms: Sequence[str], shares: Sequence[Share], clusters: Clusters, truth: np.ndarray
) -> list[dict[str, Any]]:
    listed = []
    for share in shares:
        for first in (name for name in JUDGED if name in arms):
            for second in (name for name in BASELINES if name in arms):
                ours, theirs = (found.answers[name, share.text] for name in (first, second))
                versus = repeated_difference(clusters, truth, ours, theirs, len(found.rows.classes))
                listed.append({
                    "labels": share.text,
                    "first": first,
                    "second": second,
                    "difference": versus.interval.to_json(),
                    "p_value": versus.p_value,
                    "level": LEVEL,
                    "over": clusters.over,
                    "n_clusters": clusters.n,
                })  # fmt: skip
    return corrected(listed)
