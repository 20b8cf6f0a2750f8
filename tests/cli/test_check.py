"""`eavctl check` on made-up and real data sets: exit codes, ignored codes, JSON, and no false alarm."""

import json
import shutil

import pytest

from eavctl.storage import tables


def checked(run, *words):
    result = run("check", *words, "--json")
    return result.code, json.loads(result.out)


def codes(answer):
    """Codes of the findings, but for that on lengths: synthetic classes do differ in length."""
    return [each["code"] for each in answer["findings"] if each["code"] != "EAV048"]


def test_an_error_ends_with_3_unless_it_is_ignored(run, made, tmp_path):
    shutil.copytree(made / "dataset", tmp_path / "d")
    (tmp_path / "d/sad/sad_sample_1.wav").write_bytes(b"")
    code, answer = checked(run, "d")
    assert (code, answer["has_errors"]) == (3, True)
    assert codes(answer) == ["EAV011", "EAV030"]
    empty = answer["findings"][0]
    assert empty["items"] == ["sad/sad_sample_1.wav"]
    assert (empty["severity"], answer["counts"]["usable_rows"], answer["counts"]["rows"]) == ("error", 31, 32)
    code, answer = checked(run, "d", "--ignore", "eav011")
    assert (code, answer["ignored"], codes(answer)) == (0, ["EAV011"], ["EAV030"])


def test_the_text_has_counts_then_findings_then_protocols(run, made):
    result = run("check", made / "dataset")
    assert result.code == 0
    text = result.out
    assert text.index("8") < text.index("EAV030") < text.index("stratified")
    assert run("check", made / "dataset", "-q").out == text


def test_a_dry_run_opens_nothing_and_fails_where_the_run_would(run, made, monkeypatch):
    monkeypatch.setattr("eavctl.stages.check.survey", None)
    result = run("check", made / "dataset", "-n")
    assert (result.code, result.out) == (0, "")
    assert "32" in result.err
    assert run("check", made / "nowhere", "-n").code == 3


def test_a_table_is_checked_by_its_keys_and_features(run, made, tmp_path):
    code, answer = checked(run, made / "seed33.parquet")
    assert (code, codes(answer), answer["layout"]) == (0, ["EAV030"], None)
    table = tables.read_features(made / "seed33.parquet")
    x = table.x.copy()
    x[3] = x[2]
    labels = table.keys["label"].to_numpy()
    assert labels[3] == labels[2]
    keys = table.keys.assign(recording=[f"r{i}" for i in range(len(x))])
    tables.write_features(tables.FeatureTable(keys, x, table.columns, table.meta), tmp_path / "t.parquet")
    assert codes(checked(run, "t.parquet")[1]) == ["EAV030", "EAV050"]


def test_tables_of_other_kinds_and_unknown_codes_are_refused(run, made):
    assert run("check", made / "preds.parquet").code == 3
    assert run("check", made / "seed33.parquet", "--where", "label=sad").code == 2
    assert run("check", made / "dataset", "--ignore", "EAV999").code == 2


def test_altered_copies_are_no_duplicates(run, made, tmp_path):
    line = "--features seed33 --augment gain --copies 1 -o a.parquet --where label=sad"
    assert run("extract", made / "dataset", *line.split()).code == 0
    assert codes(checked(run, "a.parquet")[1]) == ["EAV023", "EAV030"]


def test_names_that_look_alike_are_a_finding_unless_meant(run, made, tmp_path):
    clips = sorted((made / "dataset").rglob("*.wav"))
    lines = [f"{clip},{'Sad' if i % 2 else clip.parent.name},p{i % 4}" for i, clip in enumerate(clips)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,subject", *lines]))
    code, answer = checked(run, "m.csv")
    assert (code, "EAV022" in codes(answer)) == (3, True)
    code, answer = checked(run, "m.csv", "--distinct-names")
    assert (code, "EAV022" in codes(answer)) == (0, False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("emodb", []), ("nemo", []), ("ravdess-speech", ["EAV050"]), ("coco128-refs", [])],
)
def test_real_corpora_have_no_false_alarm(run, shared_data, name, expected):
    code, answer = checked(run, shared_data / name)
    assert (code, codes(answer)) == (0, expected)


def test_eeg_by_its_events(run, shared_data):
    code, answer = checked(
        run, shared_data / "eeg", "--where", "subject=S001", "--events", "T1=left,T2=right"
    )
    assert (code, codes(answer)) == (0, ["EAV035"])
    default = answer["protocols"][0]
    assert (default["group"], default["n_groups"], default["is_default"]) == ("session", 6, True)


def test_hostile_files_are_findings_and_no_end(run, shared_data, tmp_path):
    files = sorted(
        path for path in (shared_data / "hostile").iterdir() if path.suffix in (".wav", ".edf", ".mp4")
    )
    (tmp_path / "crashing.fdt").write_bytes((shared_data / "eeg/eeglab_data.fdt").read_bytes())
    shutil.copy(shared_data / "crashing/eeglab.set", tmp_path)
    (tmp_path / "eeglab_data.fdt").symlink_to(shared_data / "eeg/eeglab_data.fdt")
    lines = [f"{path.name},{path},sad" for path in files]
    (tmp_path / "m.csv").write_text(
        "\n".join(["clip_id,path,label", *lines, "c,eeglab.set,sad", "n,none.wav,sad"])
    )
    code, answer = checked(run, "m.csv")
    assert code == 3
    assert {"EAV010", "EAV011", "EAV012", "EAV013", "EAV015", "EAV040"} <= set(codes(answer))
