"""Training on drawn scenes: phrases decide where the network sees them; same seed, same bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from square_scenes import scenes

from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.network import INFERENCE_BATCH, as_batch
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.grounding.examples import question, truth
from eavctl.grounding.fit import Design, fit
from eavctl.grounding.losses import row_losses, weighted_sum
from eavctl.grounding.objective import Grounding

DATA = scenes(640)
FOLD = np.arange(512), np.arange(512, 640)
BRIEF = TrainSettings(epochs=2, batch=32, device="cpu", ema=0)
FEW = np.arange(32), np.arange(32, 48)


def weights(fitted):
    return {name: value.numpy().tobytes() for name, value in fitted.network.state_dict().items()}


@pytest.fixture(scope="module")
def brief():
    return fit(DATA, FEW, Design(BRIEF))


def test_the_same_seed_gives_the_same_bytes(brief):
    assert weights(fit(DATA, FEW, Design(BRIEF))) == weights(brief)
    assert weights(fit(DATA, FEW, Design(replace(BRIEF, seed=1)))) != weights(brief)


def test_a_killed_training_resumes_to_the_same_bytes(tmp_path):
    class Killed(Exception):  # noqa: N818
        pass

    def kill(epoch):
        if epoch.epoch == 6:
            raise Killed

    design = Design(replace(BRIEF, epochs=7))
    with pytest.raises(Killed):
        fit(DATA, FEW, design, Keeping(tmp_path / "state", on_epoch=kill))
    epochs = []
    resumed = fit(DATA, FEW, design, Keeping(tmp_path / "state", on_epoch=lambda e: epochs.append(e.epoch)))
    assert epochs == [6, 7]
    assert weights(resumed) == weights(fit(DATA, FEW, design))


def test_a_checkpoint_of_another_design_is_refused(tmp_path):
    fit(DATA, FEW, Design(BRIEF), Keeping(tmp_path / "state"))
    with pytest.raises(UsageError):
        fit(DATA, FEW, Design(BRIEF, fusion="film"), Keeping(tmp_path / "state"))


def test_words_come_from_training_phrases_alone(brief):
    phrases = list(DATA.phrases)
    phrases[40] = phrases[41] = "an unheard word unheard"
    fitted = fit(replace(DATA, phrases=phrases), FEW, Design(BRIEF))
    assert fitted.network.vocabulary.words == brief.network.vocabulary.words
    phrases[0] = "an unheard word unheard"
    fitted = fit(replace(DATA, phrases=phrases), FEW, Design(replace(BRIEF, epochs=1)))
    assert "unheard" in fitted.network.vocabulary.words


def test_facts_tell_the_training_and_its_scores(brief):
    assert brief.facts["fusion"] == "law"
    assert brief.facts["settings"]["epochs"] == 2
    assert 0 <= brief.facts["validation_miou"] <= 1
    assert brief.facts["public_weights"] == {"visual": None, "language": None}
    assert json.loads(json.dumps(brief.facts, allow_nan=False)) == brief.facts
    assert not brief.network.training


def test_the_validation_loss_does_not_depend_on_batches(brief):
    rows = DATA.rows(brief.network.vocabulary).taking(np.arange(INFERENCE_BATCH * 2 + 10))
    x = as_batch(rows.streams, torch.device("cpu"))
    with torch.inference_mode():
        expected = weighted_sum(row_losses(brief.network(*question(x)), truth(x))).item()
    assert Grounding(torch.device("cpu")).validate(brief.network, rows).loss == pytest.approx(
        expected, rel=1e-5
    )


def test_a_frozen_backbone_keeps_its_public_weights(brief, tmp_path):
    body = brief.network.visual.body
    body.save_pretrained(tmp_path)
    settings = replace(BRIEF, epochs=1, freeze_epochs=1, seed=3)
    fitted = fit(DATA, FEW, Design(settings, visual_weights=tmp_path))
    for name, value in fitted.network.visual.body.state_dict().items():
        assert torch.equal(value, body.state_dict()[name])
    assert fitted.facts["public_weights"]["visual"]
    assert fitted.network.changes.law.cores.any()


def test_without_validation_rows_the_last_epoch_is_kept():
    fitted = fit(DATA, (FEW[0], np.arange(0)), Design(BRIEF))
    assert fitted.facts["best_epoch"] == 2
    assert fitted.facts["validation_loss"] is None


@pytest.mark.parametrize("clips", [DATA.clips, None])
def test_no_picture_is_on_both_sides(clips):
    fold = np.arange(30), np.arange(30 if clips is not None else 29, 48)
    with pytest.raises(LeakError):
        fit(replace(DATA, clips=clips), fold, Design(BRIEF))


def test_nothing_to_train_on_or_to_freeze_is_refused():
    with pytest.raises(DataError):
        fit(DATA, (np.arange(0), FEW[1]), Design(BRIEF))
    with pytest.raises(UsageError):
        fit(DATA, FEW, Design(replace(BRIEF, freeze_epochs=1)))
    with pytest.raises(UsageError):
        fit(DATA, FEW, Design(replace(BRIEF, members=2)))


def test_by_the_law_phrases_decide_and_without_them_they_cannot():
    settings = TrainSettings(epochs=14, batch=32, lr=2e-3, weight_decay=1e-4, device="cpu", ema=0.9)
    law, none = (fit(DATA, FOLD, Design(settings, fusion=fusion)) for fusion in ("law", "none"))
    assert law.facts["validation_miou"] > none.facts["validation_miou"] + 0.15
    pictures = torch.from_numpy(DATA.pictures[FOLD[1]])
    centres = {}
    for name, fitted in (("law", law), ("none", none)):
        for phrase in ("the left square", "the right square"):
            tokens = torch.from_numpy(fitted.network.vocabulary.encode([phrase])).expand(len(pictures), -1)
            with torch.inference_mode():
                centres[name, phrase] = fitted.network(pictures, tokens, tokens != 0).boxes[:, 0]
    assert (centres["law", "the left square"] < centres["law", "the right square"]).double().mean() > 0.9
    assert torch.equal(centres["none", "the left square"], centres["none", "the right square"])


def test_parts_with_public_weights_learn_at_a_tenth_and_the_rate_drops_twice(brief, tmp_path, monkeypatch):
    brief.network.visual.body.save_pretrained(tmp_path)
    rates = []
    step = torch.optim.AdamW.step

    def spying(optimizer, *args, **kwargs):
        rates.append([group["lr"] for group in optimizer.param_groups])
        return step(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spying)
    settings = replace(BRIEF, epochs=9, batch=16, lr=0.1, clip=1e-9)
    fit(DATA, FEW, Design(settings, visual_weights=tmp_path))
    whole, public = np.array(rates).T
    np.testing.assert_allclose(public, whole / 10)
    np.testing.assert_allclose(whole, [0.1] * 2 + [0.01] * 10 + [0.001] * 6)
    rates.clear()
    fit(DATA, FEW, Design(replace(settings, epochs=2)))
    assert np.shape(rates) == (4, 1)  # from scratch: one rate, under a cosine
    assert rates[1][0] > rates[2][0] > rates[3][0] > 0
