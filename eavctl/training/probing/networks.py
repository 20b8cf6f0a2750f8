"""How networks are trained with few labelled rows, and with many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eavctl.classifiers.training_loop import TrainSettings

FEW = 500  # labelled rows below which none is spared for validation
FINE_RATE = 5e-4  # of an encoder that has learned already, as in `eavctl.stages.train_fusion`
HEAD_SHARE = 0.2  # of the epochs, in which the head alone is trained


def settings_for(n_rows: int, *, pretrained: bool, seed: int, given: Mapping[str, Any]) -> TrainSettings:
    """The settings of a training on labelled rows, by a rule that knows their number and nothing else.

    From 500 rows the settings are those of ``train-dnn``: 40 epochs at most, of which validation rows choose
    one. A fifth of fewer rows could not choose an epoch and would be missed in the training: then all rows
    are trained on, for as many epochs as give 600 steps (40 at least), and the last epoch is kept, whose
    weights are a running mean at the end of the cosine schedule.

    A pretrained encoder is frozen for the first fifth of the epochs, so that a random head does not spoil it
    [1]_; then all is trained, at half the rate. All these numbers were fixed before any score was seen.

    Parameters
    ----------
    n_rows : labelled rows, without copies.
    pretrained : the encoder is.
    given : settings that the user has set, which hold for all.

    References
    ----------
    .. [1] Kumar et al.: Fine-tuning can distort pretrained features and underperform out-of-distribution,
       ICLR 2022.
    """
    settings = replace(TrainSettings(seed=seed), **given).for_rows(n_rows, few=FEW)
    if n_rows < FEW:
        settings = replace(settings, patience=settings.most_epochs, validation=0)
    if not pretrained:
        return settings
    frozen = round(HEAD_SHARE * settings.most_epochs)
    return replace(
        settings, lr=given.get("lr") or FINE_RATE, freeze_epochs=frozen, freeze_lr=TrainSettings.freeze_lr * 2
    )
