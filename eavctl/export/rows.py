"""Rows on which an exported model is compared with its original: of feature tables, or made up."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl import registry
from eavctl.classifiers.streams import Streams
from eavctl.errors import DataError, SettingsError
from eavctl.export.inputs import Input, inputs_of
from eavctl.fusion.pooled import COLUMN_MODELS, PooledFusion, SingleModel
from eavctl.storage import artifacts
from eavctl.storage.keys import AGREEING_KEYS
from eavctl.storage.metadata import FeatureMeta, ModelMeta

if TYPE_CHECKING:
    import pandas as pd

    from eavctl.storage.tables import FeatureTable

MADE_UP = 256
MOST = 4096  # rows taken of tables
SPREADS = (0.3, 1.0, 3.0)  # of made-up rows, in standard deviations of the training rows
PADDED, SHARE_PRESENT = 0.25, 0.6  # shares of made-up rows, and of their streams
SEED = 0


@dataclass(frozen=True)
class CheckRows:
    """Rows to compare two forms of a model on.

    Parameters
    ----------
    x : features, an array (n_rows, *shape) or `Streams`.
    keys : of the rows, with labels where the tables have them; None of made-up rows.
    what : what they are, in words.
    made_up : they are drawn at random, and not of recordings.
    """

    x: np.ndarray | Streams
    keys: pd.DataFrame | None
    what: str
    made_up: bool


def check_rows(
    model: artifacts.Model,
    tables: Sequence[str | os.PathLike[str]] = (),
    *,
    name: str | os.PathLike[str] = "the model",
) -> CheckRows:
    """Rows of feature tables as a model takes them, at most 4096 of them, or 256 made-up rows.

    Tables of several streams are joined on ``sample_id``; a row can lack streams. Altered copies are left
    out. Features that the training normalised by speaker, data set or subject are normalised alike.

    Parameters
    ----------
    model : of a kind that takes features.
    tables : one for each stream, or for some of them; none to make rows up.
    name : of the model, for errors.

    Raises
    ------
    SettingsError : a table of other features than the model's.
    DataError : a table that cannot be read, or without rows; tables that contradict each other on a key of a
        sample, such as its label, or that both have a sample of a stream.
    UsageError : a model that takes no features.
    """
    inputs = inputs_of(model.meta)
    if not tables:
        x = _made_up(model, inputs)
        return CheckRows(x, None, f"{len(x)} made-up rows", True)
    read = [(os.fspath(path), _read(path)) for path in tables]
    takers = [_takers(model.meta, table, path, name) for path, table in read]
    keys = _keys(read)
    arrays, present = [], np.zeros((len(keys), len(inputs)), bool)
    for stream, own in enumerate(inputs):
        given = [each for each, streams in zip(read, takers, strict=True) if stream in streams]
        values, present[:, stream] = _values(given, keys["sample_id"], own)
        arrays.append(values)
    is_fusion = model.meta.kind == "fusion"
    x = Streams(tuple(arrays), present) if is_fusion else _standardised(arrays[0], keys, model.meta)
    names = ", ".join(dict.fromkeys(Path(path).name for path, _ in read))
    return CheckRows(x, keys, f"{len(keys)} rows of {names}", False)


def _read(path: str | os.PathLike[str]) -> FeatureTable:
    """A feature table without altered copies."""
    from eavctl.evaluation.groups import copies
    from eavctl.storage.tables import FeatureTable, read_features

    table = read_features(path)
    kept = np.flatnonzero(~copies(table.keys))
    if not len(kept):
        raise DataError(f"{path}: has no rows to check on")
    if len(kept) == len(table):
        return table
    return FeatureTable(
        table.keys.iloc[kept].reset_index(drop=True), table.x[kept], table.columns, table.meta
    )


def _takers(meta: ModelMeta, table: FeatureTable, path: str, name: str | os.PathLike[str]) -> tuple[int, ...]:
    """Numbers of the streams that take a table's features."""
    features = FeatureMeta.from_json(table.meta, path)
    if len(meta.inputs) == 1:
        artifacts.require_fit(meta.inputs[0], name, features, path)
    found = tuple(i for i, own in enumerate(meta.inputs) if own.features_hash == features.features_hash)
    if not found:
        wanted = "; ".join(own.words for own in meta.inputs)
        raise SettingsError(f"{path} has {features.words}, which no stream of {name} takes: {wanted}")
    return found


def _keys(tables: Sequence[tuple[str, FeatureTable]]) -> pd.DataFrame:
    """Keys of all samples, each of the first table that has it; of too many, evenly spaced ones.

    Raises
    ------
    DataError : tables contradict each other.
    """
    import pandas as pd

    together = pd.concat([table.keys for _, table in tables])
    _require_agreement(together.groupby("sample_id"), ", ".join(path for path, _ in tables))
    keys = together.drop_duplicates("sample_id").sort_values("sample_id")
    kept = np.linspace(0, len(keys) - 1, min(len(keys), MOST)).round().astype(int)
    return keys.iloc[kept].reset_index(drop=True)


def _require_agreement(samples: Any, paths: str) -> None:
    """Raise a DataError where rows of one sample (grouped) have several values of a key."""
    for key in AGREEING_KEYS:
        odd = (counts := samples[key].nunique()).index[counts > 1]
        if len(odd):
            raise DataError(f"{paths}: contradict each other on the {key} of {len(odd)} samples, as {odd[0]}")


def _values(
    tables: Sequence[tuple[str, FeatureTable]], samples: pd.Series, own: Input
) -> tuple[np.ndarray, np.ndarray]:
    """A stream's values of samples, (n_rows, *shape), 0 where no table has one; and which have one."""
    import pandas as pd

    values, present = np.zeros((len(samples), *own.shape), own.dtype), np.zeros(len(samples), bool)
    for path, table in tables:
        if table.x.shape[1:] != own.shape:
            raise SettingsError(
                f"{path} has rows of shape {table.x.shape[1:]}, and the model takes {own.shape}.\n"
                "Extract again with the --segment of the training."
            )
        rows = pd.Index(table.keys["sample_id"]).get_indexer(pd.Index(samples))
        here = rows >= 0
        if (present & here).any():
            twice = samples[present & here].iloc[0]
            raise DataError(f"{path}: another table has the sample {twice} too; give one of them")
        values[here] = table.x[rows[here]]
        present |= here
    return values, present


def _standardised(x: np.ndarray, keys: pd.DataFrame, meta: ModelMeta) -> np.ndarray:
    """Features normalised by speaker, data set or subject, where the training did so."""
    if meta.protocol.normalize is None:
        return x
    from eavctl.evaluation.groups import identify
    from eavctl.features.normalize import NORMALIZATIONS, normalization_of

    groups = identify(keys, NORMALIZATIONS[meta.protocol.normalize])
    if any(group is None for group in groups):
        raise DataError(
            f"the model was trained with --normalize {meta.protocol.normalize}, and some rows do not name "
            f"their {NORMALIZATIONS[meta.protocol.normalize]}"
        )
    own = meta.inputs[0]
    normalize = normalization_of(own.features, meta.protocol.normalize, own.settings)
    return np.asarray(normalize(x, groups.astype(str)))


# --- made-up rows -----------------------------------------------------------------------------------------


def _made_up(model: artifacts.Model, inputs: Sequence[Input]) -> np.ndarray | Streams:
    """Rows around the mean of the training rows, some of them padded; of a fusion, with random streams."""
    rng = np.random.default_rng(SEED)
    statistics = _statistics(model, len(inputs))
    arrays = tuple(
        _drawn(own, features, mean, std, rng)
        for own, features, (mean, std) in zip(inputs, model.meta.inputs, statistics, strict=True)
    )
    if model.meta.kind != "fusion":
        return arrays[0]
    present = rng.random((MADE_UP, len(inputs))) < SHARE_PRESENT
    present[np.arange(MADE_UP), rng.integers(len(inputs), size=MADE_UP)] = True
    return Streams(arrays, present)


def _statistics(model: artifacts.Model, n_inputs: int) -> Iterator[tuple[Any, Any]]:
    """Mean and deviation of the training rows for each input, as far as the model has them."""
    predictor = model.predictor
    if isinstance(predictor, PooledFusion):
        yield from map(_of_single, predictor.singles, predictor.network.members[0][0].encoders)
        return
    if not hasattr(predictor, "members"):
        yield from [(getattr(predictor, "mean", 0.0), getattr(predictor, "scale", 1.0))] * n_inputs
        return
    network = predictor.members[0][0]
    yield from map(_of_encoder, network.encoders if hasattr(network, "encoders") else [network.encoder])


def _of_single(single: SingleModel | None, encoder: Any) -> tuple[Any, Any]:
    """Mean and deviation of the training rows of a stream, as far as its single model or encoder has them."""
    if single is None or single.kind not in COLUMN_MODELS:
        return _of_encoder(encoder)
    return getattr(single.model, "mean", 0.0), getattr(single.model, "scale", 1.0)


def _of_encoder(encoder: Any) -> tuple[Any, Any]:
    mean, std = getattr(encoder, "mean", None), getattr(encoder, "std", None)
    return 0.0 if mean is None else mean.double().numpy(), 1.0 if std is None else std.double().numpy()


def _drawn(own: Input, features: FeatureMeta, mean: Any, std: Any, rng: np.random.Generator) -> np.ndarray:
    shape = (MADE_UP, *own.shape)
    if own.dtype == np.uint8:
        return np.asarray(rng.integers(256, size=shape, dtype=np.uint8))
    spread = rng.choice(SPREADS, size=(MADE_UP, *[1] * len(own.shape)))
    x = np.asarray(mean + std * spread * rng.standard_normal(shape), np.float32)
    facts = registry.get("features", features.features).facts
    if len(own.shape) == 2 and facts.get("padding") is not None:
        _pad(np.moveaxis(x, 1 + facts["band_axis"], 1), facts["padding"], rng)
    return x


def _pad(x: np.ndarray, padding: float, rng: np.random.Generator) -> None:
    """Pad some rows (n_bands, n_frames) from a random frame on, in place."""
    for row in np.flatnonzero(rng.random(len(x)) < PADDED):
        x[row, :, rng.integers(1, x.shape[2]) :] = padding
