"""The card of a model, as markdown for a model hub: what it is, its training data, its scores, its limits.

Everything is read from the model file. What a file of an older version does not say is left out.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting
from eavctl.evaluation.reliability import is_cross_corpus, measured_on
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.fusion.subsets import is_worse, warnings_of
from eavctl.report.markdown import code, front_matter, table, text
from eavctl.storage import files
from eavctl.storage.metadata import ModelMeta

Lines = list[str]

KINDS = {
    "svm": "A support vector machine with an RBF kernel",
    "linear": "A multinomial logistic regression",
    "dnn": "A neural network",
    "fusion": "A neural network that fuses several inputs, of which any can be missing",
    "fuse": "A late fusion of the predictions of other models",
}
LANGUAGES = {"English": "en", "German": "de", "Polish": "pl"}  # of the packaged models
TASKS = {"audio": "audio-classification", "video": "video-classification"}
ADAPTED_BY = {"dataset": "data set", "speaker": "speaker"}
HELD_OUT = {"dataset": "data sets", "subject": "people", "clip_id": "clips", "session": "sessions"}
FILES = {"audio": "clip.wav", "video": "clip.mp4", "eeg": "rec.edf"}
PARTS = {"audio": "a.wav", "video": "v.mp4", "eeg": "rec.edf"}
SAME_S = 0.05  # durations that differ by less are written as one
LIVE = {"audio": "mic:default", "video": "camera:0", "eeg": "lsl:NAME"}


def model_card(meta: ModelMeta, file: str | os.PathLike[str], packaged: Mapping[str, Any] = {}) -> str:
    """The card of a model.

    Parameters
    ----------
    meta : of the model.
    file : its file, whose name the commands of the card have.
    packaged : what the card of a packaged model says (`eavctl.packaged.models.PackagedModel.card`).

    Returns
    -------
    Markdown that begins with YAML between two lines ``---``, as the Hugging Face Hub takes it.
    """
    card = _Card(meta, file, packaged)
    sections = (
        ("Training data", card.training_data()),
        ("Scores", card.scores()),
        ("Tuning", card.tuning()),
        ("With every subset of the inputs", card.subsets()),
        ("Calibration and confidence", card.confidence()),
        ("Limits", card.limits()),
        ("Use", card.use()),
        ("How it was made", card.making()),
        ("Export", card.export()),
        ("Licence", card.licence()),
    )
    lines = [*card.front_matter(), f"# {text(card.name)}", "", *card.what()]
    for title, content in sections:
        if content:
            lines += [f"## {title}", "", *content]
    return "\n".join(lines).rstrip("\n") + "\n"


class _Card:
    """A model's meta, its file, and the card of a packaged model, from which the sections are written."""

    def __init__(self, meta: ModelMeta, file: str | os.PathLike[str], packaged: Mapping[str, Any]) -> None:
        self.meta, self.packaged = meta, packaged
        self.json: Mapping[str, Any] = meta.json
        self.found: Mapping[str, Any] = meta.out_of_fold or (meta.fusion or {}).get("scores") or {}
        self.name = str(packaged.get("name") or files.stem(file))
        self.model = self.name if packaged else os.path.basename(file)
        self.classes = [str(name) for name in self.json["model"]["classes"]]
        self.modalities = list(dict.fromkeys(each.modality for each in meta.inputs))

    def front_matter(self) -> Lines:
        about = self.packaged
        named = about.get("licence")
        return front_matter(
            {
                "language": [LANGUAGES[name] for name in about.get("languages", ()) if name in LANGUAGES],
                "license": named.lower().replace(" ", "-") if named else "other",
                "license_name": None if named else "not-stated",
                "library_name": "eavctl",
                "pipeline_tag": self._task(),
                "tags": ["emotion-recognition", *self.modalities, *(["onnx"] if self.meta.export else [])],
                "metrics": ["recall", "f1", "accuracy"] if self.found else None,
                "model-index": [{"name": self.name, "results": self._results()}] if self.found else None,
            }
        )

    def _task(self) -> str | None:
        return TASKS.get(self.modalities[0]) if len(self.modalities) == 1 else None

    def _results(self) -> list[dict[str, Any]]:
        """Out-of-fold scores of each data set, as the index of a hub lists them."""
        datasets = sorted(self._trained.count("clips"))
        entries = self.found.get("per_dataset") or [
            {**self.found, "dataset": ", ".join(datasets) or "unknown"}
        ]
        titles = (
            ("recall", "UAR", "uar"),
            ("f1", "macro F1", "macro_f1"),
            ("accuracy", "accuracy", "accuracy"),
        )
        return [
            {
                "task": {"type": self._task() or "other", "name": "emotion recognition"},
                "dataset": {"type": entry["dataset"], "name": f"{entry['dataset']}, out of fold"},
                "metrics": [
                    {"type": kind, "name": title, "value": round(entry[key]["value"], 4)}
                    for kind, title, key in titles
                    if key in entry
                ],
            }
            for entry in entries
        ]

    @property
    def _trained(self) -> TrainedOn:
        return TrainedOn.from_meta(self.meta.trained_on)

    def what(self) -> Lines:
        """What the model is, from which inputs, and its classes."""
        model = self.json["model"]
        method = self.meta.method or model.get("design", {}).get("method") or model.get("encoder") or ""
        inputs = ", ".join(f"{code(each.features)} ({each.modality})" for each in self.meta.inputs)
        lines = [
            KINDS.get(self.meta.kind, f"A model of kind {code(self.meta.kind)}")
            + (f" ({code(method)})" if method else "")
            + (f", on {inputs}." if inputs else ".")
            + f" It names one of {len(self.classes)} classes: {', '.join(map(text, self.classes))}."
        ]
        if self.meta.export:
            lines[0] += " This file is its ONNX export."
        if self.packaged:
            lines += ["", self.packaged["use"]]
        return [*lines, ""]

    def training_data(self) -> Lines:
        """Data sets, and how many people, clips and rows of each class."""
        people, clips = self._trained.count("subjects"), self._trained.count("clips")
        rows = [
            [text(name or "not named"), str(people[name]) if people[name] else "not named", str(n)]
            for name, n in sorted(clips.items())
        ]
        lines = table(["data set", "people", "clips"], rows)
        counts = self.json.get("class_counts") or {}
        if counts:
            shown = ", ".join(f"{text(name)} {n}" for name, n in counts.items())
            lines += [f"Rows of each class: {shown}.", ""]
        if self.packaged:
            lines += [f"Languages: {', '.join(self.packaged['languages'])}.", ""]
            lines += table(
                ["source", "licence", "citation"],
                (
                    [text(name), text(each["licence"]), text(each["citation"])]
                    for name, each in self.packaged["sources"].items()
                ),
            )
        return lines

    def scores(self) -> Lines:
        """Out-of-fold scores: of all rows, of each data set, and of each class."""
        if not self.found:
            return []
        found, protocol = self.found, self.meta.protocol
        held_out = HELD_OUT.get(protocol.group or "", protocol.group or "rows")
        lines = [
            f"Out-of-fold predictions of {found['n_rows']} rows by protocol {code(protocol.name)}"
            + (f", {protocol.folds} folds" if protocol.folds else "")
            + (
                "; people may be on both sides of a split. "
                if protocol.shares
                else f"; a fold holds out whole {held_out}. "
            )
            + f"{formatting.intervals_over(found, found['uar']).capitalize()}; chance (UAR) "
            f"{formatting.number(found['chance'])}.",
            "",
            *table(["", "score"], ([title, formatting.score(found[key])] for title, key in _titles(found))),
            *self._by_dataset(),
            *table(
                ["class", "precision", "recall", "F1", "rows"],
                (
                    [
                        text(each["class"]),
                        *(
                            formatting.number(each[key]) if each["support"] else "-"
                            for key in ("precision", "recall", "f1")
                        ),
                        str(each["support"]),
                    ]
                    for each in found.get("per_class") or ()
                ),
            ),
        ]
        if self.meta.out_of_fold_adapted:
            lines += [
                "With `--adapt` (recordings standardised by those at hand, without labels):",
                "",
                *table(
                    ["adapted by", "mean UAR over data sets"],
                    (
                        [ADAPTED_BY.get(by, text(by)), formatting.score(each["over_datasets"]["uar"])]
                        for by, each in self.meta.out_of_fold_adapted.items()
                    ),
                ),
            ]
        return lines

    def _by_dataset(self) -> Lines:
        entries = self.found.get("per_dataset") or []
        rows = [
            [text(each["dataset"]), *(formatting.score(each[key]) for key in ("uar", "macro_f1", "accuracy"))]
            for each in entries
        ]
        if entries:
            over = self.found["over_datasets"]["uar"]
            rows.append([f"mean of {len(entries)}", formatting.score(over), "", ""])
        return table(["data set", "UAR", "macro F1", "accuracy"], rows)

    def tuning(self) -> Lines:
        """How settings were chosen, and what that is worth on held-out rows."""
        found = self.json.get("tuning")
        if not found:
            return []
        versus, chosen = found["versus"], (found["all_rows"] or {}).get("chosen", {})
        difference, judged = formatting.difference(versus["difference"]), formatting.relation(versus)
        rows = [
            ["best inner score, mean over the folds", formatting.number(found["inner"])],
            ["held-out rows", formatting.score(found["outer"])],
            ["optimism, the difference of both", formatting.signed(found["optimism"])],
            ["default settings, on the same rows", formatting.score(found["defaults"])],
            ["tuned minus default", f"{difference}, {judged}, {formatting.p_value(versus)}"],
        ]
        settings = [
            [text(name), text(span), _value(chosen.get(name, ""))] for name, span in found["space"].items()
        ]
        return [
            f"Settings of {code(found['method'])} were chosen in {found['trials']} trials a fold, on inner "
            "folds of the training rows alone. The score on held-out rows is that of the whole procedure.",
            "",
            *table(["", "UAR"], rows),
            *table(["setting", "range", "chosen on all rows"], settings),
        ]

    def subsets(self) -> Lines:
        """Scores of a fusion with every subset of its inputs."""
        entries = (self.meta.fusion or {}).get("subsets") or []
        return table(
            ["inputs", "UAR", "best single model", "difference"],
            (
                [" + ".join(map(text, entry["inputs"])), formatting.score(entry["uar"]), *_versus(entry)]
                for entry in entries
            ),
        )

    def confidence(self) -> Lines:
        """Calibration error, and how often answers of a probability were right."""
        lines: Lines = []
        if isinstance(self.found.get("calibration_error"), Mapping):  # one number in files of older versions
            lines += [f"Expected calibration error: {text(formatting.calibration(self.found))}.", ""]
        level = (self.found.get("reliability") or {}).get("rows") or {}
        rows = [
            [
                text(name),
                f"{part['up_to']:.2f}",
                f"{part['right']:.2f} [{part['low']:.2f}, {part['high']:.2f}]",
                str(part["n_rows"]),
            ]
            for name, parts in (level.get("classes") or {}).items()
            for part in parts
        ]
        if rows:
            where = text(measured_on(level.get("measured_on", {})))
            lines += [f"How often answers were right, measured on {where}:", ""]
        return lines + table(["answer", "probability up to", "right", "rows"], rows)

    def limits(self) -> Lines:
        """What the scores do not promise, and what the model must not be used for."""
        return [*(f"- {sentence}" for sentence in self._limits()), ""]

    def _limits(self) -> Iterator[str]:
        yield "It knows its classes alone: anything else gets one of their names."
        for warning in self.meta.protocol.warnings:
            yield f"{_sentence(text(warning))}"
        level = (self.found.get("reliability") or {}).get("rows") or {}
        if not is_cross_corpus(level.get("measured_on") or {"datasets": ()}):
            yield "The scores hold for recordings like those of the training; on others fewer may be right."
        if level.get("seconds"):
            shortest, longest = level["seconds"]
            span = f"{shortest:.1f}" + (f" to {longest:.1f}" if longest - shortest > SAME_S else "")
            yield f"It was tested on recordings of {span} s, and on no others."
        if any(each.speech for each in self.meta.inputs):
            yield "Recordings without speech are not judged."
        if self.meta.protocol.normalize:
            by = self.meta.protocol.normalize
            several = "segments" if by == "subject" else "recordings"
            yield (
                f"Features are normalised by {by}: several {several} of one are judged together, and no "
                "single one."
            )
        if measured := (self.json.get("novelty") or {}).get("measured"):
            yield (
                "Recordings unlike the training data are called unsure; so are, wrongly, "
                f"{measured['false_alarms']:.0%} of held-out ones."
            )
        if self.packaged:
            yield (
                "Its features and settings were chosen by scores on these corpora: on others it may score "
                "lower. docs/packaged-models.md of eavctl says where it fails."
            )
        for warning in warnings_of((self.meta.fusion or {}).get("subsets") or []):
            yield _sentence(text(warning))
        yield (
            "An expression is not a feeling. Where its classes are emotions, it must not be used to decide "
            "about people, to watch them, or as a diagnosis. At work and in education, the European Union "
            "prohibits emotion recognition except for medical or safety reasons (Regulation (EU) 2024/1689, "
            "Article 5)."
        )

    def use(self) -> Lines:
        """Commands, for the model's modalities."""
        lines = ["```console", *(f"$ {command}" for command in self._commands()), "```", ""]
        if self.meta.kind == "fuse":
            return lines
        return [
            *lines,
            "```python",
            "import eavctl",
            "",
            f"predictor = eavctl.Predictor.load({self.model!r})",
            f"for judged in predictor.judge(predictor.find({FILES[self.modalities[0]]!r})):",
            "    print(judged.recording, [(row.pred, row.proba) for row in judged.rows])",
            "```",
            "",
        ]

    def _commands(self) -> Iterator[str]:
        model = shlex.quote(self.model)
        if self.meta.kind == "fuse":
            yield f"eavctl fuse one.parquet other.parquet --use {model} -o fused.parquet"
            return
        if self.meta.export:
            yield "pip install 'eavctl[export]'"
        if len(self.modalities) == 1:
            yield f"eavctl predict {FILES[self.modalities[0]]} --model {model}"
        else:
            given = " ".join(f"--{each} {PARTS[each]}" for each in self.modalities)
            yield f"eavctl predict {given} --model {model}"
        yield f"eavctl predict recordings/ --model {model} -o preds.parquet"
        if not self.meta.protocol.normalize:
            sources = " ".join(f"--{each} {LIVE[each]}" for each in self.modalities)
            yield f"eavctl live {sources} --model {model}"
            yield f"eavctl serve --model {model}"

    def making(self) -> Lines:
        """Features, settings, versions and the hash of the training."""
        rows = [["features", f"{code(each.features)}{_settings(each.settings)}"] for each in self.meta.inputs]
        rows += [
            [f"encoder of {text(each.name)}", f"{code(each.encoder)}{_settings(each.encoder_settings)}"]
            for each in self.meta.streams
        ]
        settings = {**(self.json.get("fitter") or {})}
        training = settings.pop("training", None) or {}
        settings.pop("streams", None)  # of a fusion network: the encoders above
        rows += [["settings", _settings(settings).strip(" ,")]] if settings else []
        rows += [["training", _settings(training).strip(" ,")]] if training else []
        chosen = {k: v for k, v in (self.json["model"].get("chosen") or {}).items() if k != "inner_uar"}
        rows += [["chosen on inner folds", _settings(chosen).strip(" ,")]] if chosen else []
        versions = ", ".join(f"{text(name)} {text(version)}" for name, version in self.meta.versions.items())
        rows += [["versions", versions]] if versions else []
        return table(["", ""], [*rows, ["hash of the training", code(self.meta.training_hash)]])

    def export(self) -> Lines:
        """Facts of an ONNX file: inputs, outputs, operators and the check."""
        about = self.meta.export
        if not about:
            return []
        streams = [(each.name, each.features.shape) for each in self.meta.streams]
        inputs = streams or [("x", each.shape) for each in self.meta.inputs]
        names = [f"{code(name)} (batch, {', '.join(map(str, shape))})" for name, shape in inputs]
        if streams:
            names.append(f"{code('present')} (batch, {len(streams)}), which inputs a row has")
        outputs = [f"`proba` (batch, {len(self.classes)})"]
        outputs += [f"`weights` (batch, {len(streams)})"] if streams else []
        outputs += ["`distance` (batch,)"] if self.json.get("novelty") else []
        rows = [["inputs", "; ".join(names)], ["outputs", "; ".join(outputs)]]
        rows += [[text(key), _value(value)] for key, value in about.items() if value not in (None, {}, [])]
        return [
            "Probabilities are calibrated: standardisation and calibration are in the graph. Scores above "
            "are those of the model that was exported.",
            "",
            *table(["", ""], rows),
        ]

    def licence(self) -> Lines:
        """The licence of the weights, where it is known."""
        if self.packaged:
            return [f"{self.packaged['licence']}. {self.packaged['licence_reason']}", ""]
        return [
            "Not stated in the file. The licences of the training data decide what may be done with it.",
            "",
        ]


def _titles(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    guess = f" (the most frequent class: {formatting.number(found['chance_accuracy'])})"
    return [("UAR", "uar"), ("macro F1", "macro_f1"), (f"accuracy{guess}", "accuracy")]


def _versus(entry: Mapping[str, Any]) -> Sequence[str]:
    if entry["best"] is None:
        return "", ""
    judged = f", worse, {formatting.p_value(entry)}" if is_worse(entry) else ""
    best = f"{text(entry['best'])} {formatting.number(entry['best_uar'])}"
    return best, formatting.difference(entry["difference"]) + judged


def _settings(settings: Mapping[str, Any]) -> str:
    """Names and values, each after a comma; those that are None, or lists of nothing else, are left out."""
    given = {
        key: value
        for key, value in settings.items()
        if any(each is not None for each in (value if isinstance(value, list) else [value]))
    }
    return "".join(f", {text(key)} {_value(value)}" for key, value in given.items())


def _value(value: Any) -> str:
    """A value of the meta as text, nested ones in brackets."""
    value = formatting.shortened(value)
    if isinstance(value, Mapping):
        return f"({_settings(value).strip(' ,')})"
    if isinstance(value, list | tuple):
        return " ".join(_value(each) for each in value)
    return text(f"{value:g}" if isinstance(value, float) else value)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"
