"""Rest against movement, PhysioNet EEGMMIDB: the mu rhythm over C3 and C4 is weaker in movement."""

import shutil

import numpy as np

from eavctl.classifiers.patterns import standard_patterns
from eavctl.cli import start
from eavctl.features.families import families_of, sites_of
from eavctl.storage import artifacts, tables


def test_the_pattern_of_movement_is_the_suppressed_mu_rhythm(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for run in (3, 4, 7, 8):
        shutil.copy(shared_data / "eeg" / f"S001R0{run}.edf", tmp_path / "runs")
    events = "T0=rest,T1=move,T2=move"
    for line in (
        f"extract runs --features eeg-bands --events {events} -o t.parquet",
        "train-linear t.parquet -o m.joblib --folds 2",
    ):
        assert start.run(line.split()) == 0
    model, table = artifacts.load("m.joblib"), tables.read_features("t.parquet")
    pattern = standard_patterns(table.x, model.predictor.decision_function(table.x))
    of_move = pattern[:, list(model.classes_).index("move")]
    sites = sites_of(families_of("eeg-bands", table.columns))
    entropy = {channel: of_move[own[0]] for (band, channel), own in sites.items() if band == "alpha"}
    over_motor = np.mean([entropy[name] for name in ("C3", "C4", "CP3", "CP4")])
    assert over_motor < -0.05
    assert over_motor < np.mean([entropy[name] for name in ("O1", "O2", "PO7", "PO8")])
