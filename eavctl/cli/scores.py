"""Scores as the commands print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eavctl.cli.console import say, warn
from eavctl.evaluation import formatting


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print the scores, and published ones of the same data set and protocol, if there are any."""
    say(score_line(scores))
    if isinstance(scores.get("calibration_error"), Mapping):  # one number in files of older versions
        say(f"expected calibration error {formatting.calibration(scores)}")
    for line in dataset_lines(scores):
        say(line)
    if scores["published"]:
        say(scores["published"])


def score_line(scores: Mapping[str, Any]) -> str:
    """UAR, macro F1 and accuracy with their intervals, and chance."""
    titles = (("UAR", "uar"), ("macro F1", "macro_f1"), ("accuracy", "accuracy"))
    parts = ", ".join(f"{title} {formatting.score(scores[key])}" for title, key in titles)
    note = formatting.intervals_over(scores, scores["uar"])
    return f"{parts} ({note}); chance {formatting.number(scores['chance'])}"


def dataset_lines(scores: Mapping[str, Any]) -> list[str]:
    """The UAR of each data set, and their mean, where there are several."""
    entries = scores.get("per_dataset")  # not in models of older versions
    if not entries:
        return []
    lines = list(map(dataset_line, entries))
    over = scores["over_datasets"]
    note = formatting.intervals_over(over, over["uar"])
    return [*lines, f"mean over {over['n_clusters']} data sets: UAR {formatting.score(over['uar'])} ({note})"]


def dataset_line(entry: Mapping[str, Any]) -> str:
    """The UAR of a data set with its interval, and chance; see `eavctl.evaluation.by_dataset`."""
    note, chance = formatting.intervals_over(entry, entry["uar"]), formatting.number(entry["chance"])
    return f"{entry['dataset']}: UAR {formatting.score(entry['uar'])} ({note}); chance {chance}"


def adapted_lines(adapted: Mapping[str, Any]) -> list[str]:
    """UAR and calibration error of answers with --adapt, by what rows were standardised by."""
    titles, lines = {"dataset": "data set", "speaker": "speaker"}, []
    for by, scores in adapted.items():
        uar = formatting.score(scores["over_datasets"]["uar"])
        error = formatting.calibration(scores)
        lines.append(
            f"adapted by {titles[by]} without labels: mean UAR {uar}, expected calibration error {error}"
        )
    return lines


def print_fusion(fusion: Mapping[str, Any], scores: Mapping[str, Any] | None) -> None:
    """Print a fusion's weights and scores, those of every subset of its inputs, and its comparisons."""
    from eavctl.fusion.subsets import lines, warnings_of

    if fusion["weights"]:
        say("weights: " + ", ".join(f"{name} {share:.2f}" for name, share in fusion["weights"].items()))
    if fusion.get("pool"):
        say("pool: " + ", ".join(f"{name} {weight:.2f}" for name, weight in fusion["pool"].items()))
    used = fusion.get("used") or {}
    if len(used) > 1:
        say("used: " + ", ".join(f"{names} {n}" for names, n in used.items()))
    if scores:
        print_scores(scores)
    subsets = fusion.get("subsets") or []
    for line in lines(subsets) if subsets else []:
        say(line)
    for sentence in warnings_of(subsets):
        warn(sentence)
    for versus in fusion.get("versus") or []:
        say(verdict(versus))


def verdict(versus: Mapping[str, Any]) -> str:
    """Whether a fusion is better than what it is compared with, in one line."""
    from eavctl.evaluation.summary import judge

    difference, name = versus["difference"], versus["name"]
    other = name if versus.get("late") else f"the best of its inputs, {name}"
    judged = judge(versus)  # files of older versions were judged by the interval only
    relation = "is better than" if judged["better"] else "is not shown to be better than"
    if judged["worse"]:
        relation = "is worse than"
    scores = [formatting.number(versus[each]) for each in ("first", "second")]
    why = f" ({formatting.no_interval(versus)})" if difference["low"] is None else ""
    return (
        f"fusion {relation} {other}: UAR {scores[0]} against {scores[1]}, "
        f"difference {formatting.difference(difference)}{why}, {formatting.p_value(versus)}"
    )


def print_tuning(tuning: Mapping[str, Any]) -> None:
    """Print what a tuning found and what it is worth, and warn of ranges that may be too narrow."""
    for line in tuning_lines(tuning):
        say(line)
    for sentence in tuning["warnings"]:
        warn(sentence)


def tuning_lines(tuning: Mapping[str, Any]) -> list[str]:
    """Inner and outer scores, the comparison with the default settings, and the settings of the model."""
    inner, outer = formatting.number(tuning["inner"]), formatting.score(tuning["outer"])
    final = tuning["all_rows"]
    return [
        f"best inner UAR {inner} (mean of {len(tuning['folds'])} studies), outer UAR {outer}: optimism "
        f"{formatting.signed(tuning['optimism'])}",
        tuning_verdict(tuning["versus"]),
        *([f"chosen on all rows: {_settings(final['chosen'])}"] if final else []),
    ]


def tuning_verdict(versus: Mapping[str, Any]) -> str:
    """Whether tuned settings are better than the defaults, in one line."""
    difference = versus["difference"]
    tuned, defaults = (formatting.number(versus[each]) for each in ("first", "second"))
    why = f" ({formatting.no_interval(versus)})" if difference["low"] is None else ""
    return (
        f"tuned {tuned}, defaults {defaults}: {formatting.relation(versus)}; "
        f"difference {formatting.difference(difference)}{why}, {formatting.p_value(versus)}"
    )


def _settings(chosen: Mapping[str, Any]) -> str:
    """Names and values of settings, numbers with four digits."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in chosen.items()
    )


def weights_line(fitter: Mapping[str, Any]) -> str:
    """The public weights that a network started from, and its fine-tuning; empty where there are none."""
    if not fitter.get("weights"):
        return ""
    from eavctl.classifiers.fine_tuning import FineTuning

    rule = fitter.get("fine_tuning")
    return f"started from {fitter['weights_of']}" + (f": {FineTuning(**rule).words}" if rule else "")
