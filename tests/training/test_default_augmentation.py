"""EEG epochs are not augmented by default: shifted, they would have another time than their event's."""

from __future__ import annotations

import numpy as np
import pytest

from eavctl.classifiers.rows import Rows
from eavctl.stages.train_dnn import EncoderChoice
from eavctl.training.dnn_fitter import DnnFitter
from eavctl.training.rows import TableFacts, TrainingSet

EEG = {
    "modality": "eeg",
    "features": "eeg-epochs",
    "shape": [4, 100],
    "settings": {"rate": 100, "low": 0.5, "high": 45.0},
}
EPOCH = {"epoch": [-0.2, 0.8]}
NO_ROWS = Rows(np.empty((0, 4, 100), np.float32), np.empty(0, np.int64), ())
COLUMNS = {"features": "eeg-bands", "columns": ["alpha_de_C3"], "shape": [1]}


@pytest.mark.parametrize(
    ("features", "names", "augmentation"),
    [
        (EEG, (), None),
        (EEG | EPOCH, (), ["none"]),
        (EEG | EPOCH | COLUMNS, (), None),
        (EEG | EPOCH, ("noise:0.3",), ["noise:share=0.3"]),
        (EEG, ("none",), ["none"]),
    ],
)
def test_rows_at_events_are_not_augmented_unless_it_is_asked_for(features, names, augmentation):
    facts = TableFacts("eeg", ("eeg",), features, "hash")
    fitter = EncoderChoice(augment=names).augmenting(DnnFitter("eegnet"), TrainingSet(NO_ROWS, facts))
    assert fitter.describe().get("augment") == augmentation
