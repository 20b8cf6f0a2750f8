"""Model cards: a hub reads their front matter, they say what the file says, and names in them are inert."""

import re

import pytest
import yaml
from huggingface_hub import ModelCard

from eavctl.report.model_card import model_card
from eavctl.storage.metadata import ModelMeta

INTERVAL = {"value": 0.5123, "low": 0.4321, "high": 0.6234}
LEVELS = {"level": 0.95, "over": "subjects", "n_clusters": 12, "chance": 0.5}
SCORES = {
    "uar": INTERVAL,
    "macro_f1": {"value": 0.4, "low": None, "high": None},
    "accuracy": {"value": 0.75, "low": 0.7, "high": 0.8},
    **LEVELS,
    "chance_accuracy": 0.55,
    "n_rows": 90,
    "calibration_error": {"value": 0.0625, "low": 0.03, "high": 0.1},
    "calibration_error_by_dataset": {},
    "per_class": [
        {"class": name, "precision": 0.25, "recall": 0.125, "f1": 0.2, "support": 45}
        for name in ("calm", "sad")
    ],
    "reliability": {
        "rows": {
            "seconds": [1.0, 4.5],
            "classes": {"sad": [{"up_to": 0.875, "right": 0.6, "low": 0.5, "high": 0.7, "n_rows": 33}]},
            "measured_on": {"held_out": "subject", "datasets": ["ravdess"]},
        }
    },
}
TRAINED_ON = {"subjects": {"ravdess": ["Jane Roe", "John Doe"]}, "clips": {"ravdess": ["x1", "x2", "x3"]}}
STREAM = {"features": "f", "features_version": 1, "settings": {}, "features_hash": "aa", "encoder": "mlp"}
STREAMS = [{**STREAM, "name": name, "modality": name} for name in ("eeg", "audio")]
MODEL = {"classes": ["calm", "sad"]}


@pytest.fixture
def card(model_meta):
    """Makes the card of a model of a kind, with other facts."""

    def make(kind="dnn", file="folder/emotion.pt", packaged=None, **facts):
        streams = {"streams": STREAMS} if kind == "fusion" else {}
        content = model_meta(kind, model=MODEL, **{**streams, **facts})
        return model_card(ModelMeta.from_json(content, file), file, packaged or {})

    return make


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def cells(text):
    """All tables of a card: the cells of each line, where a pipe is no text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_a_hub_reads_the_scores_from_the_front_matter(card):
    read = ModelCard(card(out_of_fold=SCORES, trained_on=TRAINED_ON)).data
    found = {each.metric_name: each.metric_value for each in read.eval_results}
    assert found == {"UAR": 0.5123, "macro F1": 0.4, "accuracy": 0.75}
    assert {each.dataset_type for each in read.eval_results} == {"ravdess"}
    assert (read.license, read.library_name, read.model_name) == ("other", "eavctl", "emotion")
    assert read.pipeline_tag == "audio-classification"


def test_scores_of_several_data_sets_are_listed_apart(card):
    entries = [
        {"dataset": name, "uar": {"value": uar, "low": 0.1, "high": 0.9}, **LEVELS}
        | {key: INTERVAL for key in ("macro_f1", "accuracy")}
        for name, uar in (("emodb", 0.75), ("nemo", 0.5))
    ]
    over = {"uar": {"value": 0.625, "low": None, "high": None}, **LEVELS}
    text = card(out_of_fold={**SCORES, "per_dataset": entries, "over_datasets": over})
    read = ModelCard(text).data.eval_results
    assert {(r.dataset_type, r.metric_value) for r in read if r.metric_name == "UAR"} == {
        ("emodb", 0.75),
        ("nemo", 0.5),
    }
    assert ["emodb", "0.750 [0.100, 0.900]", *["0.512 [0.432, 0.623]"] * 2] in cells(text)


def test_scores_confidence_and_counts_are_those_of_the_file(card):
    found = cells(card(out_of_fold=SCORES, trained_on=TRAINED_ON, class_counts={"calm": 60, "sad": 30}))
    assert ["UAR", "0.512 [0.432, 0.623]"] in found
    assert ["macro F1", "0.400"] in found
    assert ["sad", "0.250", "0.125", "0.200", "45"] in found
    assert ["sad", "0.88", "0.60 [0.50, 0.70]", "33"] in found
    assert ["ravdess", "2", "3"] in found


def test_people_are_counted_and_not_named(card):
    text = card(out_of_fold=SCORES, trained_on=TRAINED_ON)
    assert not any(name in text for name in ("Jane", "John", "x1"))


@pytest.mark.parametrize("kind", ["svm", "linear", "dnn", "fuse", "fusion"])
def test_a_file_that_says_little_has_a_card(card, kind):
    text = card(kind)
    assert "None" not in text
    assert front_matter(text)["license"] == "other"
    assert ("## Scores" in text, "## Limits" in text) == (False, True)


def test_subsets_of_a_fusion_are_listed(card):
    entry = {"uar": INTERVAL, **LEVELS, "n_rows": 9, "best": None, "worse": False}
    worse = {"best": "svm", "best_uar": 0.75, "worse": True, "p_value": 0.01, "n_compared": 3}
    difference = {"value": -0.2, "low": -0.3, "high": -0.1}
    subsets = [
        {**entry, "inputs": ["eeg", "audio"]},
        {**entry, **worse, "inputs": ["eeg"], "difference": difference},
    ]
    text = card("fusion", fusion={"subsets": subsets, "weights": {}})
    found = cells(text)
    assert ["eeg + audio", "0.512 [0.432, 0.623]", "", ""] in found
    (row,) = (each for each in found if each[0] == "eeg")
    assert row[2] == "svm 0.750"
    assert "-0.200 [-0.300, -0.100]" in row[3]
    assert "without audio" in text.partition("## Limits")[2].lower()


def test_a_tuned_model_says_how_and_what_it_was_worth(card):
    tuning = {
        "method": "svm",
        "trials": 50,
        "space": {"C": "log:0.1..100", "gamma": "0.5"},
        "inner": 0.625,
        "outer": INTERVAL,
        "optimism": 0.1127,
        "defaults": {"value": 0.5, "low": 0.4, "high": 0.6},
        "versus": {
            "difference": {"value": 0.0123, "low": -0.01, "high": 0.03},
            "better": False,
            "worse": False,
            "p_value": 0.4,
        },
        "all_rows": {"inner": 0.64, "chosen": {"C": 2.5, "gamma": 0.5}},
    }
    text = card("svm", tuning=tuning).partition("## Tuning")[2].partition("\n## ")[0]
    found = {row[0]: row[1:] for row in cells(text)}
    assert "50" in text
    assert [found[name] for name in ("C", "gamma")] == [["log:0.1..100", "2.5"], ["0.5", "0.5"]]
    scores = ("0.625", "0.512 [0.432, 0.623]", "+0.113", "0.500 [0.400, 0.600]")
    assert {(score,) for score in scores} <= {tuple(row) for row in found.values()}
    assert "+0.012 [-0.010, +0.030]" in text
    assert "## Tuning" not in card("svm")


def test_names_in_a_file_are_no_markup(card):
    evil = "a|b\n## Scores\n<script>alert(1)</script> [x](http://y) `c` *d*"
    counts = {evil: 3}
    text = card(
        class_counts=counts,
        trained_on={"clips": {evil: ["x"]}, "subjects": {}},
        protocol={"name": evil, "warnings": [evil]},
        fitter={evil: evil},
        out_of_fold=SCORES,
        file="f/a b\nc.pt",
    )
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(set(re.findall(r"^## .*", text, re.MULTILINE)))
    body = re.sub(r"`[^`]*`", "", text.split("---\n", 2)[2])
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(http|(?<!\\)\*", body)
    assert [len(row) for row in cells(text)[:3]] == [3, 3, 3]
    assert front_matter(text)["model-index"][0]["name"] == r"a b\nc"


def test_an_exported_model_says_what_its_graph_takes_and_gives(card):
    export = {"opset": 20, "precision": "int8", "check": {"rows": 256, "largest_change": 2e-7}}
    text = card(file="m.onnx", shape=[64, 300], export=export, novelty={"measured": {"false_alarms": 0.05}})
    found = dict(row for row in cells(text) if len(row) == 2)
    assert found["inputs"] == "`x` (batch, 64, 300)"
    assert "`distance`" in found["outputs"]
    assert found["opset"] == "20"
    assert "2e-07" in found["check"]
    assert "onnx" in front_matter(text)["tags"]


def test_the_licence_of_a_packaged_model_is_that_of_its_card(card):
    source = {"licence": "CC0 1.0", "citation": "Someone: A corpus, 2005."}
    packaged = {
        "name": "speech",
        "use": "A first answer.",
        "languages": ["German"],
        "licence": "CC BY-NC-SA 4.0",
        "licence_reason": "As one of the corpora.",
        "sources": {"EmoDB": source},
    }
    text = card(packaged=packaged)
    assert front_matter(text)["license"] == "cc-by-nc-sa-4.0"
    assert front_matter(text)["language"] == ["de"]
    assert ["EmoDB", *source.values()] in cells(text)
    assert "--model speech\n" in text
