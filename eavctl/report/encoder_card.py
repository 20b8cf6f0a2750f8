"""The card of a pretrained encoder, as markdown for a model hub: its training data, its figures, its use."""

from __future__ import annotations

import os
import shlex

from eavctl.evaluation.trained_on import TrainedOn
from eavctl.pretraining.facts import words
from eavctl.report.markdown import code, front_matter, table, text
from eavctl.storage import files
from eavctl.storage.metadata import ModelMeta

Lines = list[str]


def encoder_card(meta: ModelMeta, file: str | os.PathLike[str]) -> str:
    """The card of a pretrained encoder.

    Parameters
    ----------
    meta : of the file.
    file : its name, which the commands of the card have.

    Returns
    -------
    Markdown that begins with YAML between two lines ``---``, as the Hugging Face Hub takes it.
    """
    facts, modalities = meta.json["pretraining"], [each.modality for each in meta.inputs]
    tags = ["emotion-recognition", "self-supervised", *dict.fromkeys(modalities)]
    yaml = {"license": "other", "license_name": "not-stated", "library_name": "eavctl", "tags": tags}
    inputs = ", ".join(f"{code(each.features)} ({each.modality})" for each in meta.inputs)
    encoders = " and ".join(code(each["name"]) for each in meta.json["model"]["encoders"])
    method = (
        f"pretrained without labels by {code(facts['method'])}" if facts["epochs"] else "of random weights"
    )
    lines = [
        *front_matter(yaml),
        f"# {text(files.stem(file))}",
        "",
        f"An encoder {encoders}, {method}, on {inputs}. It embeds recordings and names no classes.",
        "",
        *("## Training data", "", *_training_data(meta)),
        *("## Embedding", "", *(f"- {text(line)}" for line in words(facts)), ""),
        *("## Limits", "", *_limits(meta)),
        *("## Use", "", *_use(shlex.quote(os.path.basename(file)))),
        *("## How it was made", "", *_making(meta)),
        *("## Licence", ""),
        "Not stated in the file. The licences of the training data decide what may be done with it.",
    ]
    return "\n".join(lines) + "\n"


def _training_data(meta: ModelMeta) -> Lines:
    """Data sets, and how many people and clips of each."""
    trained = TrainedOn.from_meta(meta.trained_on)
    people, clips = trained.count("subjects"), trained.count("clips")
    rows = [
        [text(name or "not named"), str(people[name]) if people[name] else "not named", str(n)]
        for name, n in sorted(clips.items())
    ]
    return table(["data set", "people", "clips"], rows)


def _limits(meta: ModelMeta) -> Lines:
    warnings = [f"- {text(each)}" for each in meta.protocol.warnings]
    return [
        *warnings,
        "- What the embedding is worth is told by `eavctl probe`, on people that the encoder was not "
        "pretrained on.",
        "- Two views of a recording share its speaker: the embedding may tell people apart better than "
        "emotions.",
        "",
    ]


def _use(file: str) -> Lines:
    return [
        "```console",
        f"$ eavctl probe {file} table.parquet",
        f"$ eavctl train-dnn table.parquet -o dnn.pt --init {file}",
        f"$ eavctl extract recordings/ --features embedding --weights {file} -o embedding.parquet",
        "```",
        "",
    ]


def _making(meta: ModelMeta) -> Lines:
    """Features, settings, versions and the hash of the training."""
    facts = meta.json["pretraining"]
    settings = {**facts["method_settings"], **facts["settings"]}
    rows = [[f"features of {each.modality}", text(each.words)] for each in meta.inputs]
    rows += [["settings", text(", ".join(f"{key} {value}" for key, value in settings.items()))]]
    rows += [["views", text(" ".join(facts["augment"]) or "the encoder's own augmentation")]]
    rows += [["versions", text(", ".join(f"{name} {each}" for name, each in meta.versions.items()))]]
    return table(["", ""], [*rows, ["hash of the training", code(meta.training_hash)]])
