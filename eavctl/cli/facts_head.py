"""The first lines on a file: what it is, from what it was made, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.cli.nested import few, short
from eavctl.evaluation import formatting

Facts = Mapping[str, Any]
PROBE = "result of a probe"
KINDS = {
    "svm": "support vector machine",
    "linear": "logistic regression",
    "dnn": "neural network",
    "fusion": "network that fuses several inputs",
    "fuse": "late fusion of predictions",
    "encoder": "pretrained encoder, no classes",
    "grounding": "finds what a phrase describes",
}
SCORES = (("UAR", "uar"), ("macro F1", "macro_f1"), ("accuracy", "accuracy"))


def what(facts: Facts) -> list[tuple[str, str]]:
    """The first lines: file, kind, features, classes, and whose recordings."""
    found = [("file", facts["file"]), ("kind", _kind(facts)), *_inputs(facts)]
    if facts["kind"] == PROBE:
        return [*found, *_probe(facts)]
    if "rows" in facts:
        found.append(("rows", _rows(facts)))
    counts = facts.get("labels") if "rows" in facts else facts.get("class_counts")
    if counts:
        found.append(("classes", _counted(counts)))
    elif facts.get("classes"):
        found.append(("classes", short(facts["classes"])))
    if "phrases" in facts:
        found += _phrases(facts)
    if "trained_on" in facts:
        found.append(("trained on", _trained_on(facts)))
    protocol = facts.get("protocol") or {}
    if protocol.get("name"):
        found.append(("protocol", _protocol(protocol)))
    return found


def _kind(facts: Facts) -> str:
    words = [facts["kind"]]
    model = facts.get("model") or {}
    if facts["kind"].startswith("model: "):
        words.append(KINDS.get(facts["kind"].removeprefix("model: "), ""))
        words.append(facts.get("method") or model.get("encoder") or "")
    elif facts.get("name"):
        words.append(f"by {facts['name']}")
    if facts.get("export"):
        words.append(f"exported to ONNX, {facts['export']['precision']}")
    if "tuning" in facts:
        words.append("tuned")
    return ", ".join(filter(None, words))


def _inputs(facts: Facts) -> list[tuple[str, str]]:
    """Feature sets, with what a row of each is, or the inputs of a late fusion."""
    streams = facts.get("streams") or ([facts] if "features" in facts else [])
    if streams:
        segments = [each["segment"] for each in streams if each.get("segment")]
        cut = {f"segments of {each['seconds']:g} s, one every {each['hop']:g} s" for each in segments}
        epochs = [each["epoch"] for each in streams if each.get("epoch")]
        cut |= {f"epochs from {tmin:g} to {tmax:g} s at events" for tmin, tmax in epochs}
        return [("features", "; ".join([", ".join(map(_features, streams)), *sorted(cut)]))]
    if names := facts.get("inputs") or (facts.get("fusion") or {}).get("inputs"):
        return [("inputs", ", ".join(names))]
    return [("modality", ", ".join(facts["modalities"]))] if facts.get("modalities") else []


def _features(about: Facts) -> str:
    columns, shape = about.get("columns"), about.get("shape") or []
    what = f"{columns['count']} columns" if columns else " x ".join(map(str, shape))
    return f"{about['features']} ({', '.join(filter(None, (about['modality'], what)))})"


def _rows(facts: Facts) -> str:
    """Rows, clips, people and data sets of a table, and how many recordings could not be used."""
    if "clips" not in facts:
        return str(facts["rows"])
    parts = [f"{facts['rows']} of {_n(facts['clips'], 'clip')}", _people(facts["subjects"])]
    if facts.get("copies"):
        parts.append(f"{facts['copies']} altered copies")
    parts.append(_datasets(facts.get("dataset") or []))
    if facts["kind"] == "table of features":
        parts.append(f"{_n(len(facts.get('rejected') or []), 'recording')} rejected")
    elif facts.get("out_of_fold"):
        parts.append("each predicted out of fold")
    else:
        parts.append("not out of fold: scores are too high where the model was trained on them")
    return ", ".join(filter(None, parts))


def _n(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _people(count: int) -> str:
    return _n(count, "subject") if count else "subjects not named"


def _datasets(names: Sequence[str]) -> str:
    return f"data set{'s' * (len(names) > 1)} {', '.join(few(list(names)))}" if names else ""


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def _phrases(facts: Facts) -> list[tuple[str, str]]:
    absent, masks = facts["absent"], facts["masks"]
    what = f"{facts['phrases']} on {facts['pictures']} pictures; {absent} fit nothing, {masks} have a mask"
    parts = [(name, _counted(facts[name])) for name in ("kinds", "splits", "tasks") if facts.get(name)]
    return [("phrases", what), *parts]


def _trained_on(facts: Facts) -> str:
    about = facts["trained_on"]
    clips = by_dataset(about.get("clips") or {})
    n_clips = sum(each["count"] for each in clips.values())
    n_people = sum(map(len, by_dataset(about.get("subjects") or {}).values()))
    phrases = (facts.get("n_phrases") or {}).get("train")
    first = f"{phrases} phrases on {n_clips} pictures" if phrases else _n(n_clips, "clip")
    whose = "" if phrases else _people(n_people)
    return ", ".join(filter(None, [first, whose, _datasets([name for name in clips if name])]))


def by_dataset(names: Any) -> Facts:
    """Names of people or clips by data set; in files of old versions there are no data sets."""
    return names if isinstance(names, Mapping) and "count" not in names else {"": names}


def _probe(facts: Facts) -> list[tuple[str, str]]:
    """The encoder that was judged, its table, and the protocol."""
    encoder, table = facts["encoder"], facts["table"]
    method = (encoder.get("pretraining") or {}).get("method")
    share = facts["shares"][-1]
    scores = ", ".join(f"{arm} {formatting.score(found)}" for arm, found in share["scores"].items())
    return [
        ("encoder", encoder["name"] + (f", pretrained by {method}" if method else "")),
        ("table", f"{table['features']}, {_n(table['n_rows'], 'row')}"),
        ("classes", _counted(table["class_counts"])),
        ("protocol", _protocol(facts["protocol"])),
        ("UAR", f"{scores}; labels {share['labels']}; chance {formatting.number(facts['chance'])}"),
    ]


def _protocol(protocol: Facts) -> str:
    words = [protocol["name"]]
    if protocol.get("folds"):
        words.append(f"{protocol['folds']} folds")
    if protocol.get("group"):
        words.append(f"grouped by {protocol['group']}")
    if protocol.get("shares"):
        words.append("subjects may be on both sides")
    if protocol.get("normalize"):
        words.append(f"normalised by {protocol['normalize']}")
    return ", ".join(words)


def scores_of(facts: Facts) -> Facts:
    """The scores of a model or of predictions; empty where there are none."""
    fusion = facts.get("fusion") or {}
    held_out = facts.get("out_of_fold")  # of a table, whether its rows are
    for found in (held_out, facts.get("scores"), fusion.get("scores")):
        if isinstance(found, Mapping) and "uar" in found:
            return found
    return {}


def how_good(facts: Facts) -> list[tuple[str, str]]:
    """The scores with their intervals, or why there is none."""
    scores = scores_of(facts)
    if scores:
        titled = [(title, formatting.score(scores[key])) for title, key in SCORES if key in scores]
        note, chance = formatting.intervals_over(scores, scores["uar"]), formatting.number(scores["chance"])
        first = f"{titled[0][1]} ({note}); chance: {chance}"
        return [(titled[0][0], first), *titled[1:]]
    if "parts" in (facts.get("scores") or {}):
        from eavctl.grounding.scores import words

        return [("scores", words({"parts": facts["scores"]["parts"]})[0])]
    if "pretraining" in facts:
        from eavctl.pretraining.facts import words as pretrained

        return [("encoder", line) for line in pretrained(facts["pretraining"])]
    is_scored = facts["kind"] == "table of predictions" or facts["kind"].startswith("model: ")
    return [("scores", "none: the rows have no labels")] if is_scored else []
