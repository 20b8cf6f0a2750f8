"""``--columns`` and ``--pattern``, and what the commands print of how a data set was understood."""

import json
import shutil

import pytest

from eavctl.storage import tables


@pytest.fixture(scope="module")
def flat(made, tmp_path_factory):
    """Recordings of two people in one folder, and a manifest of them beside it with names of its own."""
    root = tmp_path_factory.mktemp("own")
    (root / "flat").mkdir()
    rows = ["clip;mood;voice;Age"]
    for i, path in enumerate(sorted((made / "dataset").rglob("*.wav"))):
        name = f"{('anna', 'ben')[i % 2]}_{path.parent.name}_{i:02d}.wav"
        shutil.copy(path, root / "flat" / name)
        rows.append(f"flat\\{name};{path.parent.name};{('Zoë', 'Jürgen')[i % 2]};{20 + i}")
    (root / "own.csv").write_bytes("\r\n".join(rows).encode("cp1252"))
    return root


PATTERN = ("--pattern", "{subject}_{label}_{take}")
COLUMNS = ("--columns", "clip=path,mood=emotion,voice=speaker")


@pytest.mark.parametrize(("source", "options"), [("flat", PATTERN), ("own.csv", COLUMNS)])
def test_a_dry_run_shows_the_first_rows(run, flat, source, options):
    result = run("extract", flat / source, *options, "-o", "f.parquet", "-n", "--json")
    assert result.code == 0, result.err
    lines = result.err.splitlines()
    assert sum(line.startswith(f"{source}: ") for line in lines) == 1
    head = next(line.split() for line in lines if line.startswith("clip_id"))
    assert {"subject", "label", {"flat": "take", "own.csv": "Age"}[source]} <= {*head}
    first = json.loads(result.out)["first"]
    assert [row["clip_id"] for row in first] == sorted(row["clip_id"] for row in first)
    assert all(any(str(row["label"]) in line for line in lines) for row in first)
    assert source not in run("extract", flat / source, *options, "-o", "f.parquet", "-n", "-q").err


def test_the_table_has_what_was_understood_and_is_up_to_date_by_it(run, flat):
    words = ("extract", flat / "own.csv", "--features", "seed33", "-o", "f.parquet", "--json")
    first = run(*words, *COLUMNS)
    assert first.code == 0, first.err
    table = tables.read_features("f.parquet")
    assert set(table.keys["subject"]) == {"Zoë", "Jürgen"}
    assert table.keys["Age"].notna().all()
    assert not json.loads(first.out)["up_to_date"]
    assert json.loads(run(*words, *COLUMNS).out)["up_to_date"]
    other = run(*words, "--columns", "clip=path,mood=emotion,voice=accent")
    assert not json.loads(other.out)["up_to_date"]
    assert set(tables.read_features("f.parquet").keys["accent"]) == {"Zoë", "Jürgen"}


def test_a_manifest_of_other_words_gives_the_same_features_as_a_pattern(run, flat):
    for source, options in (("flat", PATTERN), ("own.csv", COLUMNS)):
        assert (
            run("extract", flat / source, *options, "--features", "seed33", "-o", f"{source}.parquet").code
            == 0
        )
    one, other = (tables.read_features(f"{source}.parquet") for source in ("flat", "own.csv"))
    assert one.keys["label"].tolist() == other.keys["label"].tolist()
    assert (one.x == other.x).all()


@pytest.mark.parametrize(("source", "options"), [("flat", PATTERN), ("own.csv", COLUMNS)])
def test_predictions_have_the_keys_and_the_other_columns(run, made, flat, source, options):
    result = run("predict", flat / source, *options, "--model", made / "svm.joblib", "-o", "p.parquet")
    assert result.code == 0, result.err
    table = tables.read_predictions("p.parquet")
    assert table.keys["subject"].nunique() == 2
    assert {"take", "Age"} & {*table.keys}


def test_names_can_be_tuned_by_again(run, flat):
    """Variants of features are extracted from the recordings again, by the names' own pattern."""
    assert run("extract", flat / "flat", *PATTERN, "--features", "logmel", "-o", "f.parquet").code == 0
    searched = ("--space", "features.n_mels=32,40", "--folds", "2", "--trials", "2")
    result = run("tune", "f.parquet", "--recordings", flat / "flat", *searched, "-o", "m.pt", "-n")
    assert result.code == 0, result.err
    other = run("tune", "f.parquet", "--recordings", flat / "own.csv", *searched, "-o", "m.pt", "-n")
    assert other.code != 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("flat",), 3, "{subject}_{label}_{take}"),
        (("flat", "--pattern", "{subject"), 2, "brace"),
        (("flat", "--pattern", "{subject}-{label}"), 3, "none of 32 names fits"),
        (("flat", *PATTERN, "--layout", "folder"), 2, "--layout folder"),
        (("flat", *PATTERN, *COLUMNS), 2, "--columns"),
        (("flat", "--layout", "pattern", *COLUMNS), 2, "takes no --columns"),
        (("own.csv",), 3, "--columns clip=path"),
        (("own.csv", "--columns", "clip"), 2, "COLUMN=KEY"),
        (("own.csv", "--columns", "klip=path"), 2, "Did you mean 'clip'"),
        (("own.csv", "--columns", "clip=path,Age=pred"), 3, "'pred'"),
        (("own.csv", "--columns", "clip=path,Age=zcr_mean"), 3, "'zcr_mean'"),
    ],
)
def test_what_cannot_be_understood(run, flat, words, code, message):
    result = run("extract", flat / words[0], *words[1:], "-o", "f.parquet", "-n")
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert len(result.err.splitlines()) <= 3
