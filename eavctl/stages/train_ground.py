"""A grounding table to a network that finds phrases in pictures."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.inner_folds import Fold
from eavctl.classifiers.training_loop import Epoch, TrainSettings
from eavctl.encoders.pretrained import Size
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.evaluation.groups import units
from eavctl.evaluation.trained_on import TrainedOn
from eavctl.grounding.conditioning import Fusion
from eavctl.grounding.examples import Examples
from eavctl.grounding.fit import Design, fit, sorted_weights
from eavctl.grounding.model import GroundModel
from eavctl.grounding.objective import Grounding
from eavctl.grounding.scores import Scored
from eavctl.grounding.table import examples_of
from eavctl.progress import Tick, silent
from eavctl.storage import artifacts, files, ownership
from eavctl.storage.artifacts import GROUNDING
from eavctl.storage.grounding_tables import GroundingTable, read_grounding
from eavctl.storage.ownership import Output
from eavctl.storage.provenance import hash_folder, hash_json, versions

PACKAGES = ("numpy", "torch", "transformers")
TRAIN, VALIDATION, TEST = "train", "val", "test"
SHARES = {VALIDATION: 0.1, TEST: 0.1}  # of the pictures, where the data set names no split
FEATURE_KEYS = ("modality", "features", "features_version", "settings", "features_hash", "rate", "units")
# Found on the validation scenes of `eavctl synth --task grounding`; base by Su et al., CVPR 2023, but for the
# batch of 256.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"epochs": 20, "batch": 64, "lr": 2e-3, "weight_decay": 1e-4, "ema": 0.99, "patience": 20},
    "base": {"epochs": 90, "batch": 32, "lr": 4e-4, "weight_decay": 1e-4, "ema": 0.99, "patience": 90},
}


@dataclass(frozen=True)
class GroundingChoice:
    """What to train, and how.

    Parameters
    ----------
    fusion : how the phrase reaches the network, see `eavctl.grounding.network.GroundNet`.
    size : ``tiny``, trained from scratch in minutes, or ``base``, as published.
    weights : folders of public weights of a Vision Transformer or of BERT, told apart by their config.json.
    training : values of `eavctl.classifiers.training_loop.TrainSettings` in place of the size's defaults.
    """

    fusion: str = "law"
    size: str = "tiny"
    weights: Sequence[str | os.PathLike[str]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    def design(self) -> Design:
        """The network and its training.

        Raises
        ------
        UsageError : no such fusion, size or setting, or weights of neither kind.
        DataError : weights that cannot be read.
        """
        for name, value, known in (("fusion", self.fusion, Fusion), ("size", self.size, Size)):
            if value not in get_args(known):
                raise UsageError(f"--{name} must be {', '.join(get_args(known))}, not {value!r}")
        visual, language = sorted_weights([Path(path) for path in self.weights])
        settings = TrainSettings(**{**DEFAULTS[self.size], **self.training})
        fusion: Any = self.fusion
        size: Any = self.size
        return Design(settings, fusion, size, visual, language)


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Parameters
    ----------
    meta : of the model file; ``scores`` are those of the test pictures, where there are some.
    warnings : on the data.
    """

    meta: Mapping[str, Any]
    warnings: tuple[str, ...]
    up_to_date: bool = False


@dataclass(frozen=True)
class Planned:
    """What a training would do: on so many phrases of each part, by this design."""

    n_phrases: Mapping[str, int]
    design: Design
    warnings: tuple[str, ...]
    up_to_date: bool = False


def train_ground(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    choice: GroundingChoice | None = None,
    *,
    log_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_epoch: Tick = silent,
) -> Trained:
    """Train a network that finds phrases in pictures, and score it on the test pictures.

    The pictures of the split ``val`` choose the epoch; those of ``test`` are met once, at the end. Without
    splits a tenth of the pictures is drawn for each. An interrupted training resumes from its checkpoint,
    kept beside the output, to the same weights.

    Parameters
    ----------
    table : of ``eavctl extract`` from a data set with phrases.
    out : model file (.pt) to write.
    choice : by default the law, tiny.
    log_dir : folder for TensorBoard scalars.
    force : overwrite a file that eavctl did not write, and train even if up to date.
    on_epoch : called with the number of epochs done, of all, and the figures of the last.

    Raises
    ------
    LeakError : a picture is in several splits.
    DataError : a table that cannot be read or has nothing to train on, or weights that do not fit.
    UsageError : no such fusion, size or setting, an output that must not be overwritten, or whose name does
        not end in .pt.
    BusyError : another process is writing the output.
    """
    work = _prepared(table, out, choice or GroundingChoice(), force)
    if not force and (earlier := work.up_to_date()):
        files.touch(out)
        return earlier
    n_epochs = work.design.settings.most_epochs

    def report(epoch: Epoch) -> None:
        on_epoch(epoch.epoch, n_epochs, str(epoch))

    with files.keeping_parts(out) as parts:
        checkpoint = parts / work.training_hash if parts else None
        keeping = Keeping(checkpoint, Path(log_dir) if log_dir else None, report)
        model = fit(work.examples, work.fold, work.design, keeping)
        scores = score(model, work.data, work.examples, work.parts[TEST]) if len(work.parts[TEST]) else None
        meta = {**work.meta(), "scores": scores.summary() if scores else None}
        artifacts.save(out, model, meta)
    return Trained(meta, work.warnings)


def plan(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    choice: GroundingChoice | None = None,
    *,
    force: bool = False,
) -> Planned:
    """What `train_ground` would do of the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, UsageError : where `train_ground` raises them before it fits.
    """
    work = _prepared(table, out, choice or GroundingChoice(), force)
    up_to_date = not force and work.up_to_date() is not None
    counts = {name: len(rows) for name, rows in work.parts.items()}
    return Planned(counts, work.design, work.warnings, up_to_date)


def score(model: GroundModel, data: GroundingTable, examples: Examples, rows: np.ndarray) -> Scored:
    """How well a model answers some phrases of a table, by their numbers."""
    device = model.network.visual.mean.device
    found = examples.rows(model.network.vocabulary).taking(rows)
    fits = Grounding(device).fits(model.network, found)
    keys = data.keys.iloc[rows].reset_index(drop=True)
    return Scored.of(fits, np.asarray(data.has_mask)[rows], keys, [data.kinds[row] for row in rows])


@dataclass(frozen=True)
class _Work:
    """A training that has been checked.

    Parameters
    ----------
    parts : numbers of the phrases of each split.
    """

    data: GroundingTable
    examples: Examples
    parts: Mapping[str, np.ndarray]
    design: Design
    out: str | os.PathLike[str]
    warnings: tuple[str, ...]

    @property
    def fold(self) -> Fold:
        return self.parts[TRAIN], self.parts[VALIDATION]

    @property
    def training_hash(self) -> str:
        """A hash of all that the result depends on."""
        design = self.design
        folders = (design.visual_weights, design.language_weights)
        known = {
            "kind": GROUNDING,
            "table": self.data.meta["content_hash"],
            "parts": {name: rows.tolist() for name, rows in self.parts.items()},
            "design": [design.fusion, design.size, asdict(design.settings)],
            "weights": [folder and hash_folder(folder) for folder in folders],
            "versions": versions(*PACKAGES),
        }
        return hash_json(known)

    def meta(self) -> dict[str, Any]:
        """What the file says of the table and of the training."""
        keys = self.data.keys.iloc[self.parts[TRAIN]]
        content = self.data.meta["content_hash"]
        return {
            "kind": GROUNDING,
            **{name: self.data.meta[name] for name in FEATURE_KEYS},
            "shape": [self.examples.side, self.examples.side, 3],
            "seed": self.design.settings.seed,
            "protocol": {"name": "given", "warnings": list(self.warnings)},
            "trained_on": {"table": content, **TrainedOn.of_keys(keys.reset_index(drop=True)).to_meta()},
            "n_phrases": {name: len(rows) for name, rows in self.parts.items()},
            "training_hash": self.training_hash,
            "versions": versions(*PACKAGES),
        }

    def up_to_date(self) -> Trained | None:
        """The result of an earlier run of the same training, if its file is there."""
        if not files.is_file(self.out):
            return None
        try:
            meta = artifacts.read_meta(self.out)
        except DataError:
            return None
        if meta.training_hash != self.training_hash:
            return None
        return Trained(meta.json, self.warnings, up_to_date=True)


def _prepared(
    table: str | os.PathLike[str], out: str | os.PathLike[str], choice: GroundingChoice, force: bool
) -> _Work:
    """Check the outputs and the choices, and read the table."""
    design = choice.design()
    ownership.guard([Output(out, "model")], [table, *choice.weights], force=force)
    artifacts.check_name(out, GROUNDING)
    data = read_grounding(table)
    examples = replace(examples_of(data), clips=units(data.keys))
    parts, warnings = _parts(data.keys, examples, design.settings.seed, table)
    return _Work(data, examples, parts, design, out, warnings)


def _parts(
    keys: pd.DataFrame, examples: Examples, seed: int, table: str | os.PathLike[str]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Numbers of the phrases of each split, and what is odd about them."""
    pictures = np.asarray(examples.clips, str)
    split = keys["split"].fillna("").to_numpy(str)
    warnings, drawn = [], ""
    if not (split != "").any():
        split = _drawn(pictures, np.full(len(pictures), TRAIN), SHARES, seed)
        drawn = "the table names no splits: a tenth of the pictures was drawn for each of val and test"
    else:
        if left := int((~np.isin(split, [TRAIN, VALIDATION, TEST])).sum()):
            warnings.append(f"{left} phrases are in none of the splits train, val and test, and are left out")
        if not (split == VALIDATION).any():
            split = _drawn(pictures, split, {VALIDATION: SHARES[VALIDATION]}, seed)
            drawn = "the table has no pictures of the split val: a tenth of train was drawn for it"
    if not (split == VALIDATION).any():
        drawn = "too few pictures to draw some for the split val: the last epoch is kept"
    if drawn:
        warnings.append(drawn)
    if not (split == TEST).any():
        warnings.append("the table has no pictures of the split test: the model is not scored")
    parts = {name: np.flatnonzero(split == name) for name in (TRAIN, VALIDATION, TEST)}
    if not len(parts[TRAIN]):
        raise DataError(f"{table}: no phrase is in the split train, so there is nothing to train on")
    for one, other in itertools.combinations(parts, 2):
        both = np.intersect1d(pictures[parts[one]], pictures[parts[other]])
        if len(both):
            row = int(np.flatnonzero(pictures == both[0])[0])
            name = keys["clip_id"].iloc[row]
            raise LeakError(f"{table}: the picture {name} is in {one} and, perhaps as a copy, in {other}")
    return parts, tuple(warnings)


def _drawn(pictures: np.ndarray, split: np.ndarray, shares: Mapping[str, float], seed: int) -> np.ndarray:
    """The splits, with shares of the training pictures drawn for others; every picture stays whole."""
    split = split.astype(object)
    names = np.unique(pictures[split == TRAIN])
    order = np.random.default_rng(seed).permutation(names)
    start = 0
    for other, share in shares.items():
        count = max(1, round(share * len(names))) if len(names) > len(shares) else 0
        split[np.isin(pictures, order[start : start + count]) & (split == TRAIN)] = other
        start += count
    return split.astype(str)
