"""Alignment of real EEG, left or right, where the electrodes of each run have other gains: PhysioNet."""

import shutil

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from eavctl.cli import start
from eavctl.features.covariances import columns_of, geometric_mean, log, matrices_of, power
from eavctl.features.eeg_cov import band_covariances
from eavctl.features.normalize import normalization_of
from eavctl.storage import tables

BANDS = [[8, 13]]
N_MOTOR = 21  # the first channels, FC5 to CP6


@pytest.fixture(scope="module")
def epochs(shared_data, tmp_path_factory):
    """Epochs (n_rows, n_chans, n_times), their rate, classes and runs."""
    folder = tmp_path_factory.mktemp("runs")
    for run in (3, 4, 7, 8):
        shutil.copy(shared_data / "eeg" / f"S001R0{run}.edf", folder)
    line = f"extract {folder} --features eeg-epochs --events T1=left,T2=right -o {folder}/t.parquet"
    assert start.run(line.split()) == 0
    table = tables.read_features(folder / "t.parquet")
    rate, keys = table.meta["settings"]["rate"], table.keys
    return table.x[:, :N_MOTOR], rate, keys["label"].to_numpy(str), keys["recording"].to_numpy(str)


def left_out_in_turn(x, y, runs):
    """Mean recall of a linear model in the tangent space of the other runs."""
    c, found = matrices_of(x, 1), []
    for run in np.unique(runs):
        train = runs != run
        white = power(geometric_mean(c[train]), -0.5)
        features = columns_of(log(white @ c @ white))
        right = LogisticRegression(max_iter=2000).fit(features[train], y[train]).predict(features) == y
        found += [right[~train & (y == name)].mean() for name in np.unique(y)]
    return np.mean(found)


def test_alignment_restores_what_other_gains_of_the_electrodes_take_away(epochs):
    x, rate, y, runs = epochs
    normalize = normalization_of("eeg-cov", "subject", {"bands": BANDS})
    found = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        gains = {run: np.exp(0.3 * rng.normal(size=(x.shape[1], 1))) for run in np.unique(runs)}
        mixed = [gains[run] * row for run, row in zip(runs, x, strict=True)]
        rows = np.stack([columns_of(band_covariances(row, rate, BANDS)) for row in mixed])
        found.append(
            [left_out_in_turn(each, y, runs) for each in (rows, normalize(rows.astype(np.float32), runs))]
        )
    plain, aligned = np.mean(found, axis=0)
    assert aligned > 0.65
    assert aligned > plain + 0.05
