"""``eavctl show MODEL --markdown``: a card whose commands run."""

import json
import shlex
import shutil

import pytest
import yaml


def test_the_commands_of_a_card_run(run, made, tmp_path):
    shutil.copy(made / "svm.joblib", tmp_path / "svm.joblib")
    shutil.copytree(made / "dataset/sad", tmp_path / "recordings")
    shutil.copy(next((made / "dataset/sad").glob("*.wav")), tmp_path / "clip.wav")
    result = run("show", "svm.joblib", "--markdown")
    assert result.code == 0, result.err
    lines = [
        line.removeprefix("$ eavctl ") for line in result.out.splitlines() if line.startswith("$ eavctl ")
    ]
    predicting = [line for line in lines if line.startswith("predict ")]
    assert len(predicting) == 2
    for line in predicting:
        assert run(*shlex.split(line)).code == 0, line


def test_a_card_has_the_scores_that_show_has(run, made):
    facts = json.loads(run("show", made / "svm.joblib", "--json").out)
    card = run("show", made / "svm.joblib", "--markdown").out
    (entry,) = yaml.safe_load(card.split("---\n")[1])["model-index"]
    values = {each["name"]: each["value"] for each in entry["results"][0]["metrics"]}
    assert values["UAR"] == pytest.approx(facts["out_of_fold"]["uar"]["value"], abs=1e-4)
    assert facts["training_hash"] in card


@pytest.mark.parametrize("name", ["speech", "speech-small"])
def test_packaged_models_have_cards(run, name):
    result = run("show", name, "--markdown")
    assert result.code == 0, result.err
    about = yaml.safe_load(result.out.split("---\n")[1])
    assert about["license"] == "cc-by-nc-sa-4.0"
    assert f"--model {name}\n" in result.out


@pytest.mark.parametrize(
    ("file", "words"), [("feats.parquet", ["--markdown"]), ("svm.joblib", ["--markdown", "--json"])]
)
def test_a_card_is_of_a_model_and_markdown(run, made, file, words):
    result = run("show", made / file, *words)
    assert (result.code, result.out) == (2, "")
