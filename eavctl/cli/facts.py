"""What a file is, as lines for readers: what it is and how good first, then the details, hashes last."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from eavctl.cli.facts_head import PROBE, Facts, by_dataset, how_good, scores_of, what
from eavctl.cli.grids import confusion_grid, grid
from eavctl.cli.nested import INDENT, LONGEST, pairs, short, tree
from eavctl.evaluation import formatting

HANGING = 2  # further indentation of the rest of a broken line
HASHES = (
    *("training_hash", "features_hash", "content_hash", "inputs_hash", "phrases_hash", "model_hashes"),
    "probe_hash",
)
# Keys that the lines have in another place or other words, or that tell readers nothing.
TOLD = {
    *("file", "kind", "rows", "copies", "clips", "subjects", "labels", "dataset", "class_counts", "classes"),
    *("features", "modality", "shape", "columns", "streams", "protocol", "trained_on"),
    *("out_of_fold", "out_of_fold_adapted", "scores", "fusion", "tuning", "zero_shot", "pretraining"),
    *("rejected", "notes", "versions", "card", "model", "novelty", "n_rows", "n_phrases", "n_recordings"),
    *("phrases", "pictures", "absent", "masks", "kinds", "splits", "tasks", "modalities", "name", "method"),
    *("inputs", "format", "format_version", "schema_version", "segment", "export", "n_copies", *HASHES),
    *("epoch", "encoder", "shares", "comparisons", "persons", "chance", "level", "over", "n_clusters"),
}
PRETRAINING = ("method_settings", "settings")  # of the facts of a pretraining
FITTED = ("training", "design", "method", "shape")  # of a model, which stand in its other facts too


def lines(facts: Facts, width: int | None = None) -> list[str]:
    """The facts of `eavctl.stages.show.show` as lines.

    Parameters
    ----------
    width : of the terminal, at which lines are broken; None breaks none.
    """
    head = [*what(facts), *how_good(facts)]
    indent = max(len(name) for name, _ in head) + 2
    found = [line for name, value in head for line in _broken(f"{name}:".ljust(indent), value, width, indent)]
    for name, part in _sections(facts):
        if part:
            found += ["", f"{name}:"]
            for line in part:
                content = line.lstrip()
                start = INDENT + line[: len(line) - len(content)]
                is_table = "  " in content
                found += _broken(start, content, None if is_table else width, len(start) + HANGING)
    return found


def _broken(start: str, content: str, width: int | None, indent: int) -> list[str]:
    """A line, broken between words where it is longer than the width."""
    if width is None:
        return [f"{start}{content}".rstrip()]
    return textwrap.wrap(
        content,
        width,
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sections(facts: Facts) -> Iterable[tuple[str, Sequence[str]]]:
    """Titles and lines; those without lines are left out."""
    from eavctl.cli.scores import adapted_lines, dataset_lines, tuning_lines
    from eavctl.evaluation import zero_shot

    scores = scores_of(facts)
    yield "card", tree(facts.get("card") or {})
    yield "warnings", [*(facts.get("protocol") or {}).get("warnings", ()), *(facts.get("notes") or ())]
    yield "confusion, rows true, columns predicted: per cent of the row, and rows", _confusion(scores)
    yield "classes", _per_class(scores)
    yield "data sets", dataset_lines(scores)
    yield "subjects", _per_subject(scores)
    yield "with --adapt", adapted_lines(facts.get("out_of_fold_adapted") or {})
    yield "fusion", _fusion(facts.get("fusion") or {})
    yield "tuning", tuning_lines(facts["tuning"]) if facts.get("tuning") else []
    yield "classes held out", zero_shot.lines(facts["zero_shot"]) if facts.get("zero_shot") else []
    yield from _probe(facts) if facts["kind"] == PROBE else ()
    yield "phrases", _phrase_scores(facts)
    yield "calibration and doubt", _calibration(facts, scores)
    yield "published", [scores["published"]] if scores.get("published") else []
    yield "training data", _training_data(facts)
    yield "rejected", _rejected(facts.get("rejected") or [])
    yield "export", tree(facts.get("export") or {})
    yield "settings", _settings(facts)
    yield "versions", [pairs(facts["versions"])] if facts.get("versions") else []
    yield "hashes", _hashes(facts)


def _confusion(scores: Facts) -> list[str]:
    return confusion_grid(scores["confusion"], scores["classes"]) if "confusion" in scores else []


def _per_class(scores: Facts) -> list[str]:
    keys = ("precision", "recall", "f1")
    rows = [
        [
            each["class"],
            *(formatting.number(each[key]) if each["support"] else "-" for key in keys),
            str(each["support"]),
        ]
        for each in scores.get("per_class") or ()
    ]
    return grid([["", "precision", "recall", "F1", "rows"], *rows]) if rows else []


def _per_subject(scores: Facts) -> list[str]:
    """The UAR of each, of many that of the worst and the best."""
    ordered = sorted(scores.get("per_subject") or (), key=lambda each: each["uar"])
    named = [f"{each['subject']} {formatting.number(each['uar'])}" for each in ordered]
    if len(named) <= LONGEST:
        return [f"UAR: {', '.join(named)}"] if named else []
    worst, best = named[: LONGEST // 2], named[-LONGEST // 2 :]
    return [f"UAR of {len(named)}, worst: {', '.join(worst)}; best: {', '.join(best)}"]


def _fusion(fusion: Facts) -> list[str]:
    from eavctl.cli.scores import verdict
    from eavctl.fusion import subsets

    found = []
    if fusion.get("weights"):
        found.append("weights: " + ", ".join(f"{name} {n:.2f}" for name, n in fusion["weights"].items()))
    if fusion.get("pool"):
        found.append("pool: " + ", ".join(f"{name} {n:.2f}" for name, n in fusion["pool"].items()))
    found += subsets.lines(fusion["subsets"]) if fusion.get("subsets") else []
    return [*found, *map(verdict, fusion.get("versus") or ())]


def _phrase_scores(facts: Facts) -> list[str]:
    """Scores of a model that finds phrases: those of each part, but the first, and of each kind."""
    if "parts" not in (facts.get("scores") or {}):
        return []
    from eavctl.grounding.scores import words

    return words(facts["scores"])[1:]


def _calibration(facts: Facts, scores: Facts) -> list[str]:
    found = []
    if isinstance(scores.get("calibration_error"), Mapping):  # one number in files of older versions
        found.append(f"expected calibration error {formatting.calibration(scores)}")
    if measured := (facts.get("novelty") or {}).get("measured"):
        found.append(
            f"recordings unlike the training data are called unsure, and so are, wrongly, "
            f"{measured['false_alarms']:.0%} of held-out ones"
        )
    return found


def _training_data(facts: Facts) -> list[str]:
    """Subjects and clips by data set, the first names of each."""
    about = facts.get("trained_on") or {}
    return [
        f"{what} of {dataset or 'no named data set'}: {short(names)}"
        for what in ("subjects", "clips")
        for dataset, names in by_dataset(about.get(what) or {}).items()
        if names
    ]


def _rejected(records: Sequence[Facts]) -> list[str]:
    """How many recordings for each reason, and the first of them."""
    counts = Counter(each["reason"] for each in records)
    first = {each["reason"]: each.get("path") or each.get("clip_id") for each in reversed(records)}
    found = [f"{n} {reason}: {first[reason]}" for reason, n in counts.most_common(LONGEST)]
    more = len(counts) - LONGEST
    return [*found, f"... and {more} more reasons; --json has all"] if more > 0 else found


def _probe(facts: Facts) -> Iterable[tuple[str, Sequence[str]]]:
    from eavctl.cli import probe_table

    yield "scores", list(probe_table.lines(facts))
    yield "encoder", tree(facts["encoder"])


def _settings(facts: Facts) -> list[str]:
    """Whatever the other lines do not tell; of what was fitted, the settings alone."""
    own = {key: value for key, value in facts.items() if key not in TOLD}
    if "rows" not in facts:  # of a model they are settings: new names for the labels
        own["labels"] = facts.get("labels")
    pretraining = {key: (facts.get("pretraining") or {}).get(key) for key in PRETRAINING}
    fitted = {*FITTED, *(facts.get("fitter") or {})}
    model = {
        key: value
        for key, value in (facts.get("model") or {}).items()
        if key not in fitted and not (isinstance(value, list) and value and not isinstance(value[0], Mapping))
    }
    return tree({**own, "pretraining": pretraining, "model": model})


def _hashes(facts: Facts) -> list[str]:
    found = {key: facts[key] for key in HASHES if facts.get(key)}
    if table := (facts.get("trained_on") or {}).get("table"):
        found["table"] = table
    return tree(found)
