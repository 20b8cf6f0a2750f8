"""The sentence for a paper: it names what was done for every kind of model, and claims no more."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from test_html import predictions, read

from eavctl.report.commands import commands
from eavctl.report.html import page
from eavctl.report.summary import summary
from eavctl.report.told import training_of

SOURCE = {
    "table": "t.parquet",
    "features": "functionals",
    "features_version": 1,
    "shape": [3415],
    "settings": {},
}
SOURCE |= {"modality": "audio", "versions": {"eavctl": "0.12"}, "rejected": 0, "n_recordings": 72}
VERSIONS = {"eavctl": "0.12", "scikit-learn": "1.9.1", "torch": "2.13"}


def told(kind: str = "svm", settings: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "settings": settings or {}, "inputs": [SOURCE], "data": [], **facts}


def sentence(protocol: dict[str, Any] | None = None, **meta: Any) -> str:
    table = predictions(versions=VERSIONS, **{"training": told(), **meta})
    table.meta["protocol"] = {**table.meta["protocol"], **(protocol or {})}
    (model,) = summary([table])["models"]
    text: str = model["sentence"]
    assert f"UAR {model['uar']['value']:.3f}" in text
    assert f"{model['uar']['low']:.3f} to {model['uar']['high']:.3f}" in text
    assert f"chance {model['chance']:.3f}" in text
    assert not re.search(r"None|\s\s|\s[,.;)]|\(\s|\{", text), text
    return text


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({}, ["support vector machine (RBF kernel; scikit-learn 1.9.1)", "3,415", "eavctl 0.12"]),
        ({"training": told("linear")}, ["multinomial logistic regression"]),
        ({"training": told("linear", {"step": "tangent"})}, ["regression", "tangent space"]),
        (
            {"training": told("svm", {"step": "csp", "tuned": {"trials": 9}})},
            ["common spatial patterns, its"],
        ),
        ({"training": told("dnn", {"encoder": "cnn-lstm"})}, ["neural network (cnn-lstm; PyTorch 2.13)"]),
        ({"training": told("dnn", {"training": {"members": 5}})}, ["ensemble of 5 neural networks"]),
        ({"training": told("dnn", {"init": "a hash"})}, ["pretrained"]),
        ({"training": told("fusion", {"method": "law"})}, ["fusion network (law; PyTorch 2.13)"]),
        ({"training": told("svm", {"tuned": {"trials": 9}})}, ["chosen in 9 trials a fold on training rows"]),
        ({"training": None, "name": "old one"}, ["The model old one was evaluated"]),
        ({"training": told("from elsewhere")}, ["from elsewhere"]),
        ({"out_of_fold": False}, ["not marked as out of fold"]),
        (
            {
                "training": told("zero-shot"),
                "zero_shot": {"held_out": "all", "query": "eeg", "space": ["audio", "video"]},
            },
            ["zero-shot", "eeg aligned to audio and video", "lacked the row's class"],
        ),
        (
            {"training": {"kind": "fuse", "method": "mean", "fused": [{"name": "a"}, {"name": "b"}]}},
            ["late fusion (mean) of a and b"],
        ),
    ],
)
def test_each_kind_of_model_is_named(meta: dict[str, Any], words: list[str]) -> None:
    text = sentence(**meta)
    assert all(each in text for each in words), text


@pytest.mark.parametrize(
    ("protocol", "words", "independent"),
    [
        ({"name": "group-kfold", "folds": 10}, "10-fold speaker-independent", True),
        ({"name": "loso", "folds": 6}, "leave-one-speaker-out cross-validation (6 folds)", True),
        ({"name": "loso", "group": "session", "shares": True, "folds": 4}, "leave-one-session-out", False),
        ({"name": "group-kfold", "group": "session", "shares": True}, "keeps each session whole", False),
        ({"name": "lodo", "group": "dataset", "folds": 3}, "leave-one-data-set-out", None),
        ({"name": "stratified", "group": "clip_id", "shares": True}, "stratified by class", False),
        ({"name": "random", "group": "clip_id", "shares": True, "folds": 1}, "one random split", False),
        ({"name": "eav-70-30", "group": "trial", "shares": True}, "the first 70 %", False),
        ({"name": "given", "folds": 1}, "the split given with the data", True),
        ({"name": "normalize", "normalize": "speaker"}, "standardised by speaker without labels", None),
    ],
)
def test_the_protocol_is_named_and_independence_claimed_only_where_it_is_kept(
    protocol: dict[str, Any], words: str, independent: bool | None
) -> None:
    text = sentence(protocol)
    assert words in text
    if independent is not None:
        assert ("not speaker-independent" not in text) == independent
    if independent is False:
        assert "speaker-independent" not in text.replace("not speaker-independent", "")


def test_people_are_speakers_only_where_speech_alone_is_judged() -> None:
    assert "6 speakers" in sentence()
    assert "6 subjects" in sentence(modalities=["audio", "eeg"])


def test_two_people_have_no_interval_in_the_sentence() -> None:
    (model,) = summary([predictions(n_subjects=2)])["models"]
    assert "2 subjects are too few" in model["sentence"]
    assert "confidence interval" not in model["sentence"]


@pytest.mark.parametrize(
    "training",
    [
        "text",
        [],
        {},
        {"kind": 3},
        {"kind": "svm"},
        {"kind": "svm", "inputs": "x", "settings": [], "data": 5, "command": "rm", "fused": {}},
        {"kind": "svm", "inputs": [1, {}, {"rejected": "x", "shape": ["a"], "segment": {"seconds": "x"}}]},
        {"kind": "svm", "data": [{}, {"rows": "x"}], "settings": {"training": 3, "tuned": 4, "encoder": []}},
        {"kind": "fuse", "fused": [None, {"name": 3, "training": {"kind": "svm"}, "versions": 4}]},
        {"kind": "svm", "command": {"name": "x", "inputs": [3], "options": {"a": {"b": 1}, "c": [None]}}},
        {"kind": "svm", "settings": {"C": float("nan"), "deep": json.loads("[" * 400 + "]" * 400)}},
        {"kind": "svm", "choices": {"labels": 3, "answers": 4, "corpora": []}},
        {
            "kind": "svm",
            "inputs": [{**SOURCE, "augment": {}, "who": {}, "epoch": ["x"], "where": {"a": None}}],
        },
    ],
)
def test_metadata_of_strangers_cannot_break_the_page(training: Any) -> None:
    table = predictions(training=training, versions={"eavctl": 3, "torch": "2"}, zero_shot={"held_out": 3})
    found = summary([table])
    json.dumps(found, allow_nan=False)
    assert "UAR" in read(page([table])).text


def test_fusions_of_fusions_end() -> None:
    inner: dict[str, Any] = {"kind": "fuse"}
    for _ in range(200):
        inner = {"kind": "fuse", "fused": [{"name": "x", "training": inner}]}
    json.dumps(training_of({"training": inner}))
    assert "UAR" in read(page([predictions(training=inner)])).text


def test_commands_are_quoted_for_the_shell() -> None:
    evil = "$(rm -rf ~); `x`.parquet"
    source = {**SOURCE, "table": evil}
    found = training_of({"training": told(inputs=[source], command={"name": "train-svm", "inputs": [evil]})})
    assert all(f"'{evil}'" in line for line in commands(found, "p"))


def test_no_command_is_shown_where_a_step_is_not_known_or_was_done_in_python() -> None:
    command = {"name": "train-svm", "inputs": ["t.parquet"], "options": {}}
    assert len(commands(training_of({"training": told(command=command)}), "p")) == 2
    assert commands(training_of({"training": told()}), "p") == []
    assert commands(None, "p") == []
    other = {**command, "python_only": ["weight_decay"]}
    assert commands(training_of({"training": told(command=other)}), "p") == []
    unknown = {"kind": "fuse", "command": {"name": "fuse"}, "fused": [{"name": "a", "training": None}]}
    assert commands(training_of({"training": unknown}), "p") == []
