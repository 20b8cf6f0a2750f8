"""What was trained and how well it did, as a sentence for a paper that claims only what the data give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting

LODO = "lodo"
_SHARES = {"eav-70-30": "70 %", "eav-50-50": "half"}
_STEPS = {
    "tangent": " in the tangent space of covariances",
    "csp": " with common spatial patterns",
}
_GROUPS = {"clip_id": "clip", "dataset": "data set", "subject": "subject"}


def sentence(model: Mapping[str, Any]) -> str:
    """A sentence on a model of `eavctl.report.summary.summary`.

    Parameters
    ----------
    model : with what it tells of its training under ``trained``, or None there.
    """
    told = model["trained"]
    return (
        f"{model_words(model)}{_features(told)} {_evaluated(model)} {_data(model)}: "
        f"UAR {formatting.number(model['uar']['value'])} ({_interval(model)}; chance "
        f"{formatting.number(model['chance'])}), macro F1 {formatting.number(model['macro_f1']['value'])}, "
        f"accuracy {formatting.number(model['accuracy']['value'])}{_mean_of_datasets(model)}.{_limits(model)}"
    )


def person(model: Mapping[str, Any]) -> str:
    """``speaker`` where speech alone is judged, else ``subject``."""
    return "speaker" if list(model["modalities"]) == ["audio"] else "subject"


def joined(names: Sequence[str]) -> str:
    """Names with commas, and ``and`` before the last."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def counted(number: int, thing: str) -> str:
    """A number with thousands marked, and the thing in the singular or plural."""
    return f"{number:,} {thing}{'' if number == 1 else 'es' if thing.endswith('ss') else 's'}"


def model_words(model: Mapping[str, Any]) -> str:
    """The kind of a model with its article, and the package that fitted it."""
    told = model["trained"]
    return _kind(told, model["versions"], model["zero_shot"]) if told else f"The model {model['model']}"


def features_words(source: Mapping[str, Any], *, modality: bool = True) -> str:
    """A feature set with its number of values, version, and the version of eavctl that computed it."""
    shape = source["shape"]
    size = f"{shape[0]:,} values" if len(shape) == 1 else " x ".join(map(str, shape))
    version = f"version {source['features_version']}" if source["features_version"] else ""
    made_by = (source["versions"] or {}).get("eavctl")
    facts = [
        size if shape else "",
        (source["modality"] or "") if modality else "",
        version,
        f"eavctl {made_by}" if made_by else "",
    ]
    segment = (source["segment"] or {}).get("seconds")
    cut = f", segments of {segment:g} s" if isinstance(segment, int | float) else ""
    if len(source["epoch"]) == 2:
        cut = ", epochs from {:g} to {:g} s".format(*source["epoch"]) + cut
    return f"{source['features']} ({', '.join(filter(None, facts))}{cut})"


def protocol_words(model: Mapping[str, Any]) -> str:
    """How rows were split, in words; empty where it is not known."""
    protocol = model["protocol"]
    name, folds, group = (protocol.get(key) for key in ("name", "folds", "group"))
    is_apart = group == "subject" and not protocol.get("shares") and model["n_subjects"] > 1
    apart = "" if is_apart or group == "dataset" else f", not {person(model)}-independent"
    whole = _GROUPS.get(str(group), str(group))
    if name == LODO:
        return f"leave-one-data-set-out cross-validation ({counted(folds or 0, 'data set')})"
    if name == "loso":
        out = person(model) if group == "subject" else whole
        return f"leave-one-{out}-out cross-validation ({counted(folds or 0, 'fold')}{apart})"
    if name == "group-kfold" and is_apart:
        return f"{folds}-fold {person(model)}-independent cross-validation"
    if name == "group-kfold":
        return f"{folds}-fold cross-validation that keeps each {whole} whole{apart}"
    if name == "stratified":
        return f"{folds}-fold cross-validation stratified by class{apart}"
    if name == "random":
        return f"one random split, a fifth of the clips for testing{apart}"
    if name in _SHARES:
        whose = person(model)
        return (
            f"a model for each {whose}, trained on the first {_SHARES[name]} of that {whose}'s trials of "
            f"each class and tested on the rest{apart}"
        )
    if name == "given":
        return (
            "the split given with the data" if folds == 1 else f"the {folds} folds given with the data"
        ) + (apart)
    return ""


# --- parts of the sentence --------------------------------------------------------------------------------


def _kind(
    told: Mapping[str, Any], versions: Mapping[str, str], zero_shot: Mapping[str, Any] | None = None
) -> str:
    settings = told["settings"] or {}
    training = settings.get("training")
    training = training if isinstance(training, Mapping) else {}
    kind, method = told["kind"], told["method"] or settings.get("method")
    torch = _version(versions, "torch", "PyTorch")
    members = training.get("members", 1)
    network = f"An ensemble of {members}" if isinstance(members, int) and members > 1 else "A"
    plural = "s" if network != "A" else ""
    begun = ", started from pretrained weights," if any(map(settings.get, ("init", "weights"))) else ""
    if kind == "zero-shot":
        what = (
            f", {zero_shot['query']} aligned to {joined(zero_shot['space'])}, {_unseen(zero_shot)}"
            if zero_shot
            else ""
        )
        return f"A zero-shot classifier{_in_brackets(torch)}{what},"
    if kind == "svm":
        words = f"A support vector machine{_in_brackets('RBF kernel', _version(versions, 'scikit-learn'))}"
    elif kind == "linear":
        words = f"A multinomial logistic regression{_in_brackets('L2 penalty', _version(versions, 'eavctl'))}"
    elif kind == "dnn":
        encoder = str(settings.get("encoder") or "")
        words = f"{network} neural network{plural}{_in_brackets(encoder, torch)}{begun}"
    elif kind == "fusion":
        words = f"{network} fusion network{plural}{_in_brackets(str(method or ''), torch)}{begun}"
    elif kind == "fuse":
        names = [each["name"] for each in told["fused"]]
        words = f"A late fusion{_in_brackets(str(method or ''))}" + (f" of {joined(names)}" if names else "")
    else:
        words = f"A model of kind {kind}"
    words += _STEPS.get(str(settings.get("step")), "")
    tuned = settings.get("tuned")
    if isinstance(tuned, Mapping) and tuned.get("trials"):
        words += f", its settings chosen in {tuned['trials']} trials a fold on training rows alone,"
    return words


def _unseen(zero_shot: Mapping[str, Any]) -> str:
    if zero_shot["held_out"] == "all":
        return "each row judged by a model whose training lacked the row's class"
    return f"trained without the class {zero_shot['held_out']}"


def _in_brackets(*facts: str) -> str:
    known = "; ".join(filter(None, facts))
    return f" ({known})" if known else ""


def _version(versions: Mapping[str, str], package: str, title: str | None = None) -> str:
    found = versions.get(package)
    return f"{title or package} {found}" if found else ""


def _features(told: Mapping[str, Any] | None) -> str:
    sources = [each for each in (told or {}).get("inputs", ()) if each["features"]]
    words = dict.fromkeys(features_words(each, modality=False) for each in sources)
    return f" on the features {joined(list(words))}" if words else ""


def _evaluated(model: Mapping[str, Any]) -> str:
    protocol = model["protocol"]
    if protocol.get("name") == "predict":
        return "was applied to"
    words = protocol_words(model)
    normalized = {
        "speaker": f", with features standardised by {person(model)} without labels,",
        "dataset": ", with features standardised by data set without labels,",
        "subject": ", with features normalised by subject without labels,",
    }.get(str(protocol.get("normalize")), "")
    return f"was evaluated by {words}{normalized} on" if words else f"was evaluated{normalized} on"


def _data(model: Mapping[str, Any]) -> str:
    present = [each for each in model["per_class"] if each["support"]]
    facts = [counted(model["n_clips"], "clip")]
    if model["n_rows"] != model["n_clips"]:
        facts.insert(0, counted(model["n_rows"], "row"))
    if model["n_subjects"]:
        facts.append(counted(model["n_subjects"], person(model)))
    facts.append(counted(len(present), "class"))
    names = joined(model["datasets"]) or "recordings of no named data set"
    return f"{names} ({', '.join(facts)})"


def _interval(model: Mapping[str, Any]) -> str:
    uar = model["uar"]
    if uar["low"] is None:
        return formatting.no_interval(model)
    span = f"{formatting.number(uar['low'])} to {formatting.number(uar['high'])}"
    over = f"{model['n_clusters']:,} {model['over']}"
    return f"{model['level'] * 100:.0f} % confidence interval {span}, over {over}"


def _mean_of_datasets(model: Mapping[str, Any]) -> str:
    over = model["over_datasets"]
    if not over:
        return ""
    score = over["uar"]
    span = formatting.no_interval(over)
    if score["low"] is not None:
        span = f"{formatting.number(score['low'])} to {formatting.number(score['high'])}"
    what = f"mean UAR of the {counted(over['n_clusters'], 'data set')}"
    return f"; {what} {formatting.number(score['value'])} ({span})"


def _limits(model: Mapping[str, Any]) -> str:
    """What a reader must know before the score is compared with others."""
    if model["out_of_fold"]:
        return ""
    if model["protocol"].get("name") == "predict":
        return " The recordings may be among those that it was trained on, which the table does not tell."
    return " The predictions are not marked as out of fold."
