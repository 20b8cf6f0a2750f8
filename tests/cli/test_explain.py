"""``eavctl explain``: tables, networks and exported models by the commands, and the page in a browser."""

import json

import pytest


def explained(run, *words):
    result = run("explain", *words, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_a_table_of_families_is_printed_and_a_page_written(run, made, tmp_path):
    result = run("explain", made / "svm.joblib", made / "feats.parquet", "-o", "page.html")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("UAR ")
    assert lines[2].split() == ["family", "drop", "of", "UAR", "drop", "of", "probability", "alone"]
    assert {"pitch", "energy", "cepstra", "modulation"} <= {line.split()[0] for line in lines[3:]}
    assert "fitted again" in result.err
    page = (tmp_path / "page.html").read_text()
    assert "Families of features" in page
    quiet = run("explain", made / "svm.joblib", made / "feats.parquet", "-o", "page.html", "-q").err
    assert "subject" in quiet
    assert all(line.startswith("warning: ") for line in quiet.splitlines())


def test_the_page_can_go_to_stdout_alone(run, made):
    result = run("explain", made / "seed33.joblib", made / "seed33.parquet", "-o", "-")
    assert result.code == 0
    assert result.out.startswith("<!doctype html>")
    assert result.out.rstrip().endswith("</html>")


@pytest.mark.parametrize("words", [("explain", "seed33.joblib", "seed33.parquet"), ("map", "seed33.parquet")])
@pytest.mark.parametrize("ending", [".md", ".csv", ".json"])
def test_a_page_is_written_to_html_alone(run, made, tmp_path, words, ending):
    command, *files = words
    result = run(command, *(made / name for name in files), "-o", f"page{ending}")
    assert (result.code, list(tmp_path.iterdir())) == (2, [])
    assert ".html" in result.err


def test_the_bytes_are_those_of_the_seed(run, made, tmp_path):
    for name in "ab":
        words = ("explain", made / "seed33.joblib", made / "seed33.parquet")
        assert run(*words, "-s", 1, "-o", f"{name}.html").code == 0
    a, b = ((tmp_path / f"{name}.html").read_bytes() for name in "ab")
    assert a == b


def test_bands_and_channels_of_eeg(run, eav):
    found = explained(run, eav / "bands.joblib", eav / "bands.parquet", "-o", "page.html")
    views = {view["name"]: [part["name"] for part in view["parts"]] for view in found["views"]}
    assert set(views) == {"band", "channel", "measure"}
    assert [each["title"] for each in found["maps"]] == ["delta", "theta", "alpha", "beta", "gamma"]
    assert set(found["maps"][0]["values"]) == set(views["channel"])


def test_a_network_is_judged_by_the_folds_that_its_file_keeps(run, eav):
    found = explained(run, eav / "epochs.pt", eav / "epochs.parquet")
    assert found["judged_by"] == "kept folds"
    assert [view["name"] for view in found["views"]] == ["time", "channel"]
    trained = json.loads(run("show", eav / "epochs.pt", "--json").out)
    assert found["uar"] == trained["out_of_fold"]["uar"]
    assert found["rows"] == trained["out_of_fold"]["n_rows"]


def test_a_network_of_films_is_occluded_in_time_and_patches(run, eav):
    found = explained(run, eav / "faces.pt", eav / "faces.parquet")
    assert {view["name"]: len(view["parts"]) for view in found["views"]} == {"time": 4, "patch": 49}


def test_an_exported_model_judges_new_rows_alone(run, made, tmp_path):
    pytest.importorskip("onnxruntime")
    assert run("synth", "--per-class", 3, "--seed", 9, "--out", "new").code == 0
    assert run("extract", "new", "--features", "seed33", "-o", "new.parquet").code == 0
    assert run("export", made / "seed33.joblib", "-o", "m.onnx").code == 0
    refused = run("explain", "m.onnx", made / "seed33.parquet")
    assert refused.code == 3
    assert "m.onnx" in refused.err
    original = explained(run, made / "seed33.joblib", "new.parquet")
    exported = explained(run, "m.onnx", "new.parquet")
    assert original["judged_by"] == exported["judged_by"] == "the model"
    for one, other in zip(original["views"][0]["parts"], exported["views"][0]["parts"], strict=True):
        assert one["probability"]["value"] == pytest.approx(other["probability"]["value"], abs=1e-3)


def test_a_fusion_is_refused_with_what_to_do(run, made):
    tables = (made / "preds.parquet", made / "seed33_preds.parquet")
    assert run("fuse", *tables, "-o", "f.parquet", "--method", "mean", "--save", "f.joblib").code == 0
    result = run("explain", "f.joblib", made / "seed33.parquet")
    assert result.code == 2
    assert "f.joblib" in result.err
    assert len(result.err.splitlines()) <= 2


def test_the_page_shows_in_a_browser_without_errors(run, eav, tmp_path, chromium):
    from playwright.sync_api import sync_playwright

    assert run("explain", eav / "bands.joblib", eav / "bands.parquet", "-o", "page.html").code == 0
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, said, asked = browser.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        widths = page.eval_on_selector_all("img", "all => all.map(each => each.naturalWidth)")
        browser.close()
    assert not said
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert widths
    assert all(widths)
