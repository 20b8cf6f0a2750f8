"""Pretrain encoders on rows without labels: `fit` builds a method, trains it, and keeps its encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from eavctl import registry
from eavctl.classifiers.fitting import Keeping, fit_members
from eavctl.classifiers.input_statistics import fit_input
from eavctl.classifiers.network import CPU, Augmentation, as_batch
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams, present_rows
from eavctl.classifiers.training_loop import EPOCHS, TrainSettings, seeded
from eavctl.errors import DataError
from eavctl.pretraining.base import Method
from eavctl.pretraining.encoder_model import EncoderModel, StreamEncoder
from eavctl.pretraining.monitor import FINAL_ROWS, Figures, Monitor
from eavctl.pretraining.objective import SelfSupervision
from eavctl.pretraining.retrieval import Retrieval

FEWEST_ROWS = 8
PROBED_ROWS = 64  # that show which buffers hold input statistics
# One network, every row in training, and the weights as they are after the last step.
ALL_ROWS: Mapping[str, Any] = {"members": 1, "validation": 0, "ema": 0, "dropout": 0, "label_smoothing": 0}


@dataclass(frozen=True)
class Design:
    """A pretraining without its rows and weights.

    Parameters
    ----------
    method, method_settings : name among the pretraining methods, and keywords of its class.
    encoders : the encoders to train: one, or one for each stream of the rows.
    settings : of the training, as `train_settings` makes them.
    trains : False keeps the encoder with random weights, and fits its input statistics alone.
    make_view : the augmentations that make the views; None for those of the encoder.
    """

    method: str
    method_settings: Mapping[str, Any]
    encoders: tuple[StreamEncoder, ...]
    settings: TrainSettings
    trains: bool = True
    make_view: Augmentation | None = None

    def build(self) -> Method:
        """The method with new encoders.

        Raises
        ------
        UsageError : no such method, encoder or setting.
        """
        entry = registry.get("pretraining methods", self.method)
        encoders = [each.build() for each in self.encoders]
        method: Method = entry.build(*encoders, **self.method_settings)
        if self.make_view is not None:
            method.view_by(self.make_view)
        return method

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, one an encoder."""
        return tuple(each.stream for each in self.encoders)

    def describe(self) -> dict[str, Any]:
        """JSON-able: with the rows, all that the weights depend on."""
        return {
            "method": self.method,
            "method_settings": dict(self.method_settings),
            "encoders": [
                {"name": each.name, "settings": dict(each.settings), "shape": list(each.shape)}
                for each in self.encoders
            ],
            "settings": {**asdict(self.settings), **({} if self.trains else {"epochs": 0})},
            "augment": self.make_view.describe() if self.make_view else [],
        }


def train_settings(method: str, **given: Any) -> TrainSettings:
    """Settings of a method's training: those given, but for `ALL_ROWS` and the patience, and its defaults.

    Raises
    ------
    UsageError : no such method, or a value out of bounds.
    """
    defaults = registry.get("pretraining methods", method).facts.get("defaults", {})
    chosen = {"epochs": EPOCHS, **defaults, **given, **ALL_ROWS}
    return TrainSettings(**{**chosen, "patience": chosen["epochs"]})


def fit(
    rows: Rows,
    design: Design,
    *,
    labels: np.ndarray | None = None,
    held_out: Rows | None = None,
    keeping: Keeping | None = None,
) -> EncoderModel:
    """Train encoders by a method of self-supervision, and keep the weights of the last epoch.

    On a CPU the same rows, design and number of threads give the same weights.

    Parameters
    ----------
    rows : of one table, or streams; their classes are not used. No two rows of a unit are neighbours in the
        kNN score.
    labels : class numbers, shape (n_rows,), -1 for rows without a label; for the kNN score alone.
    held_out : rows of streams that are not trained on, for a measure of retrieval besides.
    keeping : checkpoint and callbacks.

    Returns
    -------
    The encoders on the CPU, with the facts of their pretraining.

    Raises
    ------
    DataError : too few rows, values that are not finite, or a loss, weights or an embedding that become not
        finite.
    UsageError : no such method, encoder or setting; a checkpoint of another training; TensorBoard is asked
        for and not installed.
    """
    if len(rows) < FEWEST_ROWS:
        raise DataError(f"{len(rows)} rows are too few to pretrain on; {FEWEST_ROWS} at least are needed")
    y = np.full(len(rows), -1) if labels is None else labels
    if design.trains:
        method, loss = _trained(rows, y, design, keeping or Keeping())
    else:
        method, loss = _random(rows, design), None
    encoders: list[Any] = list(method.encoders)
    monitors = _monitors(rows, y, design, n_rows=FINAL_ROWS)
    figures = {
        stream: monitor(encoder.to(monitor.device).eval())
        for (stream, monitor), encoder in zip(monitors.items(), encoders, strict=True)
    }
    kept = [
        replace(each, statistics=_statistics(each, x[numbers[:PROBED_ROWS]]))
        for each, (x, numbers) in zip(design.encoders, present_rows(rows.x), strict=True)
    ]
    facts = _facts(design, figures, loss)
    if isinstance(rows.x, Streams):
        facts["retrieval"] = _retrieved(method, rows, design)
        if held_out is not None and len(held_out) > 1:
            facts["retrieval_held_out"] = _retrieved(method, held_out, design, intervals=True)
    return EncoderModel(kept, [encoder.cpu() for encoder in encoders], facts)


def _trained(rows: Rows, y: np.ndarray, design: Design, keeping: Keeping) -> tuple[Method, float]:
    """The method after its training, and the loss of the last epoch."""
    objective = SelfSupervision(_monitors(rows, y, design), _retrieval(rows, design))
    (result,) = fit_members(
        lambda member: design.build(),
        rows,
        design.settings,
        design.describe(),
        keeping,
        folds=[(np.arange(len(rows)), np.arange(0))],
        objective=lambda rows, train: objective,
    )
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        method = design.build()
    method.load_state_dict(result["weights"])
    return method, result["loss"]


def _monitors(rows: Rows, y: np.ndarray, design: Design, n_rows: int | None = None) -> dict[str, Monitor]:
    """A monitor for each encoder, by the name of its stream."""
    device, seed = design.settings.torch_device(), design.settings.seed
    return {
        each.stream: Monitor.of(x, numbers, y, rows.units, device, n_rows=n_rows, seed=seed)
        for each, (x, numbers) in zip(design.encoders, present_rows(rows.x), strict=True)
    }


def _retrieval(rows: Rows, design: Design) -> Retrieval | None:
    """What measures how well a method has aligned several streams; None for other methods."""
    if not isinstance(rows.x, Streams):
        return None
    return Retrieval.of(rows, design.streams, design.settings.torch_device(), seed=design.settings.seed)


def _retrieved(method: Any, rows: Rows, design: Design, *, intervals: bool = False) -> list[dict[str, Any]]:
    """Retrieval between the streams of rows after the training, as the file keeps it."""
    device, seed = design.settings.torch_device(), design.settings.seed
    retrieval = Retrieval.of(rows, design.streams, device, intervals=intervals, seed=seed)
    return [each.to_meta() for each in retrieval(method.to(device).eval())]


def _random(rows: Rows, design: Design) -> Method:
    """The method as its training would begin: random weights, and fitted input statistics."""
    device = design.settings.torch_device()
    with seeded(design.settings, 0, 0, device):
        method = design.build().to(device)
    with torch.no_grad():
        fit_input(method, rows.x, np.arange(len(rows)), device)
    return method


def _statistics(encoder: StreamEncoder, x: np.ndarray) -> tuple[str, ...]:
    """Names of the buffers that ``fit_input`` writes: those that it changes on a few rows."""
    with torch.random.fork_rng(devices=[]):
        fresh = encoder.build()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with torch.no_grad():
        fresh.fit_input(as_batch(x, CPU))
    after = fresh.state_dict()
    return tuple(name for name, value in before.items() if not torch.equal(value, after[name]))


def _facts(design: Design, figures: Mapping[str, Figures], loss: float | None) -> dict[str, Any]:
    """What the file says of the pretraining; of several encoders, the figures of the one least spread."""
    about = design.describe()
    worst = min(figures.values(), key=lambda each: each.relative_spread)
    streams = {name: each.to_meta() for name, each in figures.items()} if len(figures) > 1 else {}
    return {
        **{key: about[key] for key in ("method", "method_settings", "settings", "augment")},
        "epochs": about["settings"]["epochs"],
        "loss": loss,
        **worst.to_meta(),
        "collapsed": any(each.collapsed for each in figures.values()),
        **({"streams": streams} if streams else {}),
    }
