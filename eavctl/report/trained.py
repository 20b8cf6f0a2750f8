"""What was trained, as a part of the report: from which data, how, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eavctl.evaluation.formatting import shortened
from eavctl.report.commands import RECORDINGS, WEIGHTS
from eavctl.report.markup import Child, Markup, el
from eavctl.report.sentences import counted, features_words, model_words, person, protocol_words

LONGEST = 12  # names of a list that are shown; the others are counted

Row = tuple[str, Child]


def trained_part(model: Mapping[str, Any]) -> Markup:
    """A list of facts on a model of `eavctl.report.summary.summary`, its commands, and its sentence."""
    told = model["trained"]
    rows = [("model", model_words(model).rstrip(",")), *(_told(told, model) if told else ())]
    rows += [("protocol", _protocol(model)), ("data", list(_data(model)))]
    if told:
        rows.append(("not used", [el("div", text) for text in _rejected(told["inputs"])]))
    if versions := _versions(model):
        rows.append(("versions", versions))
    return el(
        "div",
        el("h3", "What was trained"),
        el(
            "dl", [[el("dt", title), el("dd", content)] for title, content in rows if content], class_="facts"
        ),
        None
        if told
        else el("p", "The table is of an older eavctl, and does not tell more of it.", class_="soft"),
        _commands(model["commands"]),
        el("h3", "For a paper"),
        el("p", model["sentence"], class_="paper"),
    )


def settings_words(settings: Mapping[str, Any]) -> str:
    """Settings as ``name value``, with commas between; nested ones in brackets, long lists shortened."""
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _value(value: Any) -> str:
    value = shortened(value)
    if isinstance(value, Mapping):
        return f"({settings_words(value)})"
    if isinstance(value, list | tuple):
        shown = " ".join(_value(each) for each in value[:LONGEST])
        return shown + (f" and {len(value) - LONGEST} more" if len(value) > LONGEST else "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _told(told: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Row]:
    settings = told["settings"]
    if settings is not None:
        yield "settings", f"{settings_words(settings)}; others as by default" if settings else "as by default"
    if told["fused"]:
        yield "inputs", [el("div", text) for text in _inputs(told["fused"], model)]
    if told["inputs"]:
        yield "features", [el("div", text) for text in map(_source, told["inputs"])]
    if choices := told["choices"]:
        yield "choices", [el("div", text) for text in _choices(choices)]


def _choices(choices: Mapping[str, Any]) -> Iterator[str]:
    """What was chosen of the labels and the data sets."""
    labels = choices.get("labels")
    labels = labels if isinstance(labels, Mapping) else {}
    if renamed := [f"{old} as {new}" for old, new in labels.items() if new]:
        yield f"labels: {', '.join(renamed)}"
    if left_out := [str(old) for old, new in labels.items() if not new]:
        yield f"left out: {', '.join(left_out)}"
    if answers := choices.get("answers"):
        yield f"answers: {_value(answers)}; other classes are trained on, and never an answer"
    if corpora := choices.get("corpora"):
        yield "data sets and their classes count alike" if corpora != "rows" else "all rows count alike"


def _inputs(fused: Sequence[Mapping[str, Any]], model: Mapping[str, Any]) -> Iterator[str]:
    """What each input of a late fusion is."""
    for each in fused:
        inner = {**model, "trained": each["training"], "versions": each["versions"], "model": "not told"}
        words = model_words(inner).rstrip(",") if each["training"] else "not told"
        sources = (each["training"] or {}).get("inputs") or ()
        on = ", ".join(features_words(source) for source in sources if source["features"])
        yield f"{each['name']}: {words}" + (f" on {on}" if on else "")


def _source(source: Mapping[str, Any]) -> str:
    settings, text = source["settings"], features_words(source) if source["features"] else "not told"
    if settings is not None:
        text += f"; {settings_words(settings)}" if settings else "; settings as by default"
    if source["augment"] and source["augment"]["alterations"]:
        text += f"; altered copies for training: {', '.join(source['augment']['alterations'])}"
    if source["who"] and source["who"]["phrase"]:
        text += f"; of several faces, {source['who']['phrase']!r}"
    return f"{source['table']}: {text}" if source["table"] else text


def _protocol(model: Mapping[str, Any]) -> str:
    protocol = model["protocol"]
    name, words = protocol.get("name") or "not stated", protocol_words(model)
    text = f"{name}: {words}" if words else str(name)
    done = {
        "speaker": f"standardised by {person(model)}, without labels",
        "dataset": "standardised by data set, without labels",
        "subject": "normalised by subject, without labels",
    }.get(str(protocol.get("normalize")), f"not standardised by {person(model)}")
    return f"{text}; features {done}"


def _data(model: Mapping[str, Any]) -> Iterator[Markup]:
    """The data sets that were trained on, what was scored, and the rows of each class."""
    told = model["trained"]
    for each in (told or {}).get("data", ()):
        parts = [counted(each["rows"], "row")] if each["rows"] is not None else []
        parts += [counted(each["clips"], "clip")] if each["clips"] is not None else []
        parts.append(
            counted(each["people"], person(model)) if each["people"] else f"{person(model)}s not named"
        )
        name = f"{'' if model['out_of_fold'] else 'trained on '}{each['dataset'] or 'no named data set'}"
        yield el("div", f"{name}: {', '.join(parts)}")
    if told and told["n_only_trained"]:
        yield el("div", f"{counted(told['n_only_trained'], 'more row')} trained on and never tested")
    scored = [counted(model["n_rows"], "row"), counted(model["n_clips"], "clip")]
    scored += [counted(model["n_subjects"], person(model))] if model["n_subjects"] else []
    yield el("div", f"scored: {', '.join(scored)}")
    counts = [f"{each['class']} {each['support']}" for each in model["per_class"]]
    yield el("div", f"{counted(len(counts), 'class')}: {', '.join(counts)}")


def _rejected(sources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of each table how many recordings could not be used, and why the first could not."""
    for each in sources:
        if each["rejected"] is None:
            continue
        of = f" of {counted(each['n_recordings'], 'recording')}" if each["n_recordings"] is not None else ""
        where = f"{each['table']}: " if len(sources) > 1 else ""
        without = f"; {each['n_without']} without {each['modality']}" if each["n_without"] else ""
        if not each["rejected"]:
            yield f"{where}none{of} rejected{without}"
            continue
        reasons = "; ".join(f"{bad['path']}: {bad['reason']}" for bad in each["first_rejected"])
        more = each["rejected"] - len(each["first_rejected"])
        yield f"{where}{each['rejected']}{of} rejected{without}: {reasons}" + (
            f"; and {more} more" if more > 0 else ""
        )


def _versions(model: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in model["versions"].items())


def _commands(lines: Sequence[str]) -> Markup | None:
    if not lines:
        return None
    words = {word for line in lines for word in line.split()}
    stands = [
        f"{name} stands for {what}"
        for name, what in (
            (RECORDINGS, "the folder or the table of the recordings"),
            (WEIGHTS, "the pretrained weights"),
        )
        if name in words
    ]
    return el(
        "div",
        el("h3", "To repeat it"),
        el("pre", "\n".join(lines)),
        el("p", f"{'; '.join(stands)}.", class_="soft") if stands else None,
    )
