"""A feature table with altered copies: predict judges the recordings themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eavctl.extraction.augmentation import parse
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract
from eavctl.stages.predict import predict
from eavctl.stages.train_svm import train_svm
from eavctl.synthetic.tones import synth_speech
from eavctl.training.cross_validation import Evaluation


def test_a_model_of_a_table_with_copies_judges_recordings_and_either_table_alike(tmp_path: Path) -> None:
    clips, recipe = tmp_path / "clips", Recipe("seed33", segment=0.5)
    synth_speech(clips, per_class=4, seed=0)
    extract(clips, tmp_path / "plain.parquet", recipe)
    extract(clips, tmp_path / "copied.parquet", recipe, augmentation=parse("noise,gain", 2, 1))
    model = tmp_path / "svm.joblib"
    train_svm(tmp_path / "copied.parquet", model, evaluation=Evaluation(folds=2))
    found = [
        {row.keys["sample_id"]: row for row in predict(source, model).rows}
        for source in (tmp_path / "copied.parquet", tmp_path / "plain.parquet", clips)
    ]
    assert len(found[0]) == len(list(clips.rglob("*.wav")))
    for rows in found[1:]:
        assert rows.keys() == found[0].keys()
        for name, row in rows.items():
            assert np.allclose(row.proba, found[0][name].proba, atol=1e-6)
            assert row.end == found[0][name].end
