"""Packaged models outside their corpora: clean, in noise and through a telephone, each corpus left out.

Run as ``python -m benchmarks.elsewhere EMODB NEMO RAVDESS`` after ``make model``, with the folders of the
corpora: the training tables are those of ``model/``. The test clips are altered here, by white noise 20 dB
below the speech and by a telephone's band (300 to 3400 Hz), and no copy of them is trained on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import soundfile

from eavctl.classifiers.adaptation import Origin, adapt
from eavctl.classifiers.calibration import uar
from eavctl.datasets.choice import Choice
from eavctl.extraction.recipe import Recipe
from eavctl.signals import alterations
from eavctl.storage.metadata import FeatureMeta
from eavctl.storage.tables import read_meta
from eavctl.training.cross_validation import Evaluation, FoldResult, cross_validate
from eavctl.training.linear_fitter import LinearFitter
from eavctl.training.rows import read_training_set

CORPORA = ("emodb", "nemo", "ravdess")
LABELS = {"anger": "angry", "happiness": "happy", "sadness": "sad", "fearful": "fear"}
ANSWERS = ("angry", "happy", "neutral", "sad")
MODELS = {"small": True, "encoder": False}  # whether data sets are centred: see the Makefile
TELEPHONE_HZ = (300.0, 3400.0)
NOISE_DB = 20.0
WAYS = ("plain", "by data set", "by speaker")

Alter = Callable[[np.ndarray, int, int], np.ndarray]


def _noise(signal: np.ndarray, rate: int, number: int) -> np.ndarray:
    noise = np.random.default_rng(number).standard_normal(len(signal)).astype(np.float32)
    return alterations.add_noise(signal, rate, noise, NOISE_DB)


CONDITIONS: dict[str, Alter] = {
    "clean": lambda signal, rate, number: signal,
    "white noise, 20 dB": _noise,
    "telephone": lambda signal, rate, number: alterations.band_limited(signal, rate, *TELEPHONE_HZ),
}


def evaluate(name: str, folders: Sequence[str]) -> pd.DataFrame:
    """UAR of each corpus left out, by condition and by how the test clips are adapted."""
    tables = [f"model/{name}-{corpus}.parquet" for corpus in CORPORA]
    rows = read_training_set(tables, labels=LABELS, answers=ANSWERS).rows
    recipe = Recipe.from_meta(FeatureMeta.from_json(read_meta(tables[0]), tables[0])).with_weights()
    files = {corpus: _files(folder) for corpus, folder in zip(CORPORA, folders, strict=True)}
    found: list[dict[str, object]] = []

    def judge(fold: FoldResult) -> None:
        keys = fold.test.key_frame
        corpus = str(keys["dataset"].iloc[0])
        clips = [files[corpus][clip] for clip in keys["clip_id"]]
        origin = Origin(*(keys[key].to_numpy(str) for key in ("dataset", "subject", "clip_id")))
        y = np.searchsorted(fold.predictor.classes_, fold.test.labels)
        for condition in CONDITIONS:
            x = _features(recipe, clips, condition)
            probas = [fold.predictor.predict_proba(x)]
            probas += [adapt(x, each, fold.predictor).proba for each in (origin.without_speakers(), origin)]
            scores = [uar(fold.predictor.decide(proba), y) for proba in probas]
            found.extend(
                {"model": name, "condition": condition, "way": way, "corpus": corpus, "uar": score}
                for way, score in zip(WAYS, scores, strict=True)
            )

    cross_validate(rows, LinearFitter(centred=MODELS[name]), Evaluation("lodo"), callbacks=[judge])
    return pd.DataFrame(found)


def _features(recipe: Recipe, clips: Sequence[Path], condition: str) -> np.ndarray:
    """Features of altered clips, (n_clips, n_columns)."""

    def described(number: int) -> np.ndarray:
        signal, rate = soundfile.read(clips[number], dtype="float32")
        return recipe.compute(CONDITIONS[condition](signal, rate, number), rate)

    return np.stack(
        joblib.Parallel(n_jobs=-1, batch_size=32)(map(joblib.delayed(described), range(len(clips))))
    )


def _files(folder: str) -> dict[str, Path]:
    """The sound file of each clip of a corpus."""
    manifest = Choice().of(folder)
    return {record["clip_id"]: manifest.root / record["audio_path"] for record in manifest.records()}


def main(folders: Sequence[str]) -> None:
    """Print a table of all models, conditions and ways."""
    if len(folders) != len(CORPORA):
        sys.exit("usage: python -m benchmarks.elsewhere EMODB NEMO RAVDESS (folders), after make model")
    found = pd.concat([evaluate(name, folders) for name in MODELS])
    table = found.pivot_table(index=["model", "condition", "way"], columns="corpus", values="uar", sort=False)
    print(table.assign(mean=table.mean(axis=1)).round(3).to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
