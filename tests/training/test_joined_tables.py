"""Joining feature tables: by name and never by place, with an account of what is not in all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.storage import tables
from eavctl.storage.metadata import FeatureMeta
from eavctl.training.cross_validation import Evaluation, Fit
from eavctl.training.joined_tables import join_features, join_unlabelled, stream_names
from eavctl.training.train import Targets, train

AUDIO, EEG = Recipe("seed33"), Recipe("eeg-bands", {"channels": ["Fz", "Cz"]})
SAMPLES = [f"p{i % 4}/c{i:02d}" for i in range(24)]


def marked(samples: list[str], width: int, offset: float) -> np.ndarray:
    """Features from which the sample can be told: its number, and noise of its own."""
    numbers = np.array([SAMPLES.index(sample) for sample in samples])
    noise = np.random.default_rng(int(offset)).normal(size=(len(SAMPLES), width))[numbers]
    noise[:, 0] = numbers + offset
    return noise.astype(np.float32)


def keys_of(samples: list[str], **columns: Any) -> pd.DataFrame:
    facts = {
        "sample_id": samples,
        "clip_id": samples,
        "dataset": "d",
        "subject": [sample[:2] for sample in samples],
        "trial": [sample[4:] for sample in samples],
        "start": 0.0,
        "end": [float(SAMPLES.index(sample)) for sample in samples],
        "label": ["sad" if SAMPLES.index(sample) // 4 % 2 else "glad" for sample in samples],
        "fold": [int(sample[1]) for sample in samples],
    }
    return tables.key_frame(pd.DataFrame({**facts, **columns}))


def write(
    path: Path,
    samples: list[str],
    recipe: Recipe = AUDIO,
    offset: float = 0.0,
    classes: Any = None,
    **columns: Any,
) -> str:
    samples = sorted(samples)
    names = recipe.columns
    assert names is not None
    keys = keys_of(samples, **columns)
    found = sorted(set(keys["label"].dropna()))
    meta = {**recipe.meta(), "shape": [len(names)], "classes": classes or found}
    tables.write_features(
        tables.FeatureTable(keys, marked(samples, len(names), offset), tuple(names), meta), path
    )
    return str(path)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Sound of all but the first three samples, EEG of all but every fourth."""
    return [
        write(tmp_path / "audio.parquet", SAMPLES[3:]),
        write(tmp_path / "eeg.parquet", [s for i, s in enumerate(SAMPLES) if i % 4], EEG, 100),
    ]


def test_rows_meet_by_name(pair: list[str]) -> None:
    joined = join_features(pair, ["mlp", "mlp"])
    common = sorted(set(SAMPLES[3:]) & {s for i, s in enumerate(SAMPLES) if i % 4})
    table = joined.data.rows
    assert table.key_frame["sample_id"].tolist() == common
    numbers = [SAMPLES.index(sample) for sample in common]
    assert [array[:, 0].tolist() for array in table.streams.arrays] == [numbers, [100 + i for i in numbers]]
    assert table.streams.present.all()
    pd.testing.assert_frame_equal(table.key_frame, keys_of(common))
    assert joined.names == ("audio", "eeg")
    assert joined.data.facts.modalities == ("audio", "eeg")


def test_what_is_left_out_is_counted_and_said(pair: list[str]) -> None:
    joined = join_features(pair, ["mlp", "mlp"])
    assert joined.left_out == {"audio": 5, "eeg": 2}
    assert joined.data.facts.notes == (
        "5 rows of audio were left out: another table lacks them",
        "2 rows of eeg were left out: another table lacks them",
    )


def test_partial_keeps_all_and_marks_what_is_absent(pair: list[str]) -> None:
    joined = join_features(pair, ["mlp", "mlp"], partial=True)
    table = joined.data.rows
    order = sorted(set(SAMPLES[3:]) | {s for i, s in enumerate(SAMPLES) if i % 4})
    assert table.key_frame["sample_id"].tolist() == order
    numbers = np.array([SAMPLES.index(sample) for sample in order])
    np.testing.assert_array_equal(table.streams.present, np.column_stack([numbers >= 3, numbers % 4 > 0]))
    for array, present, offset in zip(table.streams.arrays, table.streams.present.T, (0, 100), strict=True):
        np.testing.assert_array_equal(array[present, 0], numbers[present] + offset)
    pd.testing.assert_frame_equal(table.key_frame, keys_of(order))
    assert joined.left_out == {"audio": 0, "eeg": 0}
    assert joined.data.facts.notes == (
        "2 rows have no audio and are used without it",
        "5 rows have no eeg and are used without it",
    )
    assert joined.data.facts.content_hash != join_features(pair, ["mlp", "mlp"]).data.facts.content_hash


def test_rows_without_a_stream_do_not_pass_for_copies_of_each_other(pair: list[str], tmp_path: Path) -> None:
    """What stands in for the absent is the same in all, and on both sides of every split."""

    class Guess:
        kind, name, encoders = "fusion", "guess", ()
        describe = staticmethod(dict)
        check = check_table = staticmethod(lambda *_: None)
        classes_ = np.array(["glad", "sad"])

        def fit(self, rows: Rows, fit: Fit) -> Any:
            return self

        def with_checkpoints(self, path: Path) -> Any:
            return self

        def predict_proba(self, x: Any) -> np.ndarray:
            return np.full((len(x), 2), 0.5)

        def decide(self, proba: np.ndarray) -> np.ndarray:
            return proba.argmax(axis=1)

    data = join_features(pair, ["mlp", "mlp"], partial=True).data
    targets = Targets(None, tmp_path / "p.parquet")
    done = train(data, targets, Guess(), Evaluation("group-kfold", folds=2))  # type: ignore[arg-type]
    assert done.predictions is not None
    assert len(done.predictions) == len(data.rows)
    assert len(done.warnings) == 2
    x = data.rows.streams
    x.arrays[0][x.present[:, 0]] = 1.0
    with pytest.raises(LeakError, match="identical features"):
        train(data, targets, Guess(), Evaluation("group-kfold", folds=2), force=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(("column", "value"), [("label", "sad"), ("subject", "p9"), ("clip_id", "elsewhere")])
@pytest.mark.parametrize("partial", [False, True])
def test_contradictions_are_refused(tmp_path: Path, column: str, value: str, partial: bool) -> None:
    odd = keys_of(SAMPLES)[column].tolist()
    odd[5 if column != "label" else 1] = value
    order = sorted(range(24), key=lambda i: SAMPLES[i])
    paths = [
        write(tmp_path / "audio.parquet", SAMPLES),
        write(tmp_path / "eeg.parquet", SAMPLES, EEG, 100, **{column: [odd[i] for i in order]}),
    ]
    with pytest.raises(DataError) as caught:
        join_features(paths, ["mlp", "mlp"], partial=partial)
    sample = SAMPLES[1 if column == "label" else 5]
    for part in ("eeg.parquet", column, "1 samples", sample, repr(value)):
        assert part in str(caught.value)


def test_what_one_table_does_not_know_another_may(tmp_path: Path) -> None:
    order = sorted(SAMPLES)
    labels = [
        None if sample == "p1/c01" else name
        for sample, name in zip(order, keys_of(order)["label"], strict=True)
    ]
    paths = [
        write(tmp_path / "audio.parquet", SAMPLES, label=labels, subject=None),
        write(tmp_path / "eeg.parquet", SAMPLES, EEG, 100),
    ]
    keys = join_features(paths, ["mlp", "mlp"]).data.rows.key_frame
    pd.testing.assert_frame_equal(keys, keys_of(order))


def test_classes_are_those_of_all_tables_in_one_order(tmp_path: Path) -> None:
    half = [sample for i, sample in enumerate(SAMPLES) if i // 4 % 2]
    one = write(tmp_path / "a.parquet", half)
    other = write(tmp_path / "e.parquet", SAMPLES, EEG, 100)
    assert join_features([one, other], ["mlp", "mlp"], partial=True).data.rows.classes == ("glad", "sad")
    assert join_features([other, one], ["mlp", "mlp"], partial=True).data.rows.classes == ("glad", "sad")


def test_a_table_may_come_twice(pair: list[str]) -> None:
    joined = join_features([pair[0], pair[0], pair[1]], ["mlp", "scnn", "cnn-lstm"])
    assert len(set(joined.names)) == 3
    np.testing.assert_array_equal(joined.data.rows.streams.arrays[0], joined.data.rows.streams.arrays[1])
    assert [stream["modality"] for stream in joined.data.facts.features["streams"]] == [
        "audio",
        "audio",
        "eeg",
    ]
    assert [stream["name"] for stream in joined.data.facts.features["streams"]] == list(joined.names)
    assert joined.left_out == {joined.names[0]: 5, joined.names[1]: 5, joined.names[2]: 2}


@pytest.mark.parametrize(
    ("modalities", "encoders", "names"),
    [
        (["eeg", "audio"], ["mlp", "mlp"], ["eeg", "audio"]),
        (["audio", "audio"], ["scnn", "ast"], ["scnn", "ast"]),
        (["audio", "audio"], ["mlp", "mlp"], ["x.1", "y.2"]),
    ],
)
def test_streams_are_called_by_what_tells_them_apart(
    modalities: list[str], encoders: list[str], names: list[str]
) -> None:
    assert stream_names(modalities, encoders, ["in/x.parquet", "y.parquet"]) == tuple(names)


def test_facts_of_each_table_stand_in_its_stream(pair: list[str]) -> None:
    audio, eeg = join_features(pair, ["mlp", "mlp"]).data.facts.features["streams"]
    for stream, recipe in ((audio, AUDIO), (eeg, EEG)):
        assert Recipe.from_meta(FeatureMeta.from_json(stream, "t")).features == recipe.features
        assert stream["features_hash"] == recipe.meta()["features_hash"]
        assert tuple(stream["columns"]) == recipe.columns


def test_other_rows_other_hash(pair: list[str], tmp_path: Path) -> None:
    other = write(tmp_path / "other.parquet", SAMPLES[3:], offset=1)
    hashes = {
        join_features(paths, ["mlp", "mlp"]).data.facts.content_hash
        for paths in (pair, pair[::-1], [other, pair[1]])
    }
    assert len(hashes) == 3


def test_tables_that_cannot_be_joined_are_refused(pair: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two tables"):
        join_features(pair[:1], ["mlp"])
    one, other = (
        write(tmp_path / f"{i}.parquet", SAMPLES[i * 12 : i * 12 + 12], recipe)
        for i, recipe in enumerate((AUDIO, EEG))
    )
    for partial in (False, True):
        with pytest.raises(DataError, match=r"no sample_id in common \(for example p0/c00 and p0/c12\)"):
            join_features([one, other], ["mlp", "mlp"], partial=partial)


def test_rows_without_labels_are_joined_too(tmp_path: Path) -> None:
    unlabelled = {"label": [None] * len(SAMPLES)}
    paths = [
        write(tmp_path / "audio.parquet", SAMPLES[3:], label=[None] * (len(SAMPLES) - 3)),
        write(tmp_path / "eeg.parquet", SAMPLES, EEG, 100, **unlabelled),
    ]
    with pytest.raises(DataError, match="label"):
        join_features(paths, ["mlp", "mlp"])
    joined = join_unlabelled(paths)
    rows = joined.data.rows
    assert joined.names == ("audio", "eeg")
    assert joined.left_out == {"audio": 0, "eeg": 3}
    assert rows.classes == ()
    assert rows.key_frame["sample_id"].tolist() == sorted(SAMPLES[3:])
    assert rows.streams.present.all()
    assert (rows.streams.arrays[0][:, 0] + 100 == rows.streams.arrays[1][:, 0]).all()


def test_tables_of_one_modality_are_not_joined_to_align_them(pair: list[str]) -> None:
    with pytest.raises(UsageError, match="audio"):
        join_unlabelled([pair[0], *pair])
    with pytest.raises(UsageError):
        join_unlabelled(pair[:1])
