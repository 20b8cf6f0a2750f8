"""Early beside late fusion on a twin of EAV: the same encoders, alone and fused, with several seeds.

    eavctl synth --layout eav --subjects 8 --trials 160 --seconds 10 --snr 3 --seed 11 [--interaction] -o twin
    eavctl extract twin --features eeg-epochs --segment 5 --where task=speaking -o eeg.parquet
    (and so on for fbank and faces)
    python -m benchmarks.twin_fusion eeg.parquet fbank.parquet faces.parquet --out runs

Subjects are divided into folds; no subject is tested by a network that has met them. What is done already is
not done again, so that several processes can share the work: each with another of --seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from eavctl.classifiers import dnn
from eavctl.classifiers.fitting import Keeping
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.encoders.choice import settings_of_size
from eavctl.evaluation import formatting
from eavctl.evaluation.intervals import clusters_of, paired_difference, score_intervals
from eavctl.evaluation.metrics import confusion_matrix, indices, uar
from eavctl.evaluation.plan import Split
from eavctl.evaluation.protocols import splits
from eavctl.fusion.networks.model import Design, StreamDesign
from eavctl.fusion.subsets import subsets_of
from eavctl.storage import files
from eavctl.training.cross_validation import Fit
from eavctl.training.joined_tables import join_features
from eavctl.training.pooled_fit import fit_pooled

# Chosen on a twin of another seed.
ALONE = {
    "eeg": ("shallow-transformer", TrainSettings(epochs=15, lr=0.003, dropout=0.1)),
    "audio": ("ast", TrainSettings(epochs=15, lr=0.002, dropout=0.1)),
    "video": ("vit", TrainSettings(epochs=15, lr=0.001, dropout=0.1)),
}
FUSED = TrainSettings(epochs=10, lr=0.0005)
METHODS = ("attention", "ambt-mean", "law")
FOLDS, FOLD_SEED = 2, 42
LATE = ("late mean", "late product")


def main() -> None:
    """Train what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs=3, help="feature tables eeg-epochs, fbank and faces")
    parser.add_argument("--out", type=Path, required=True, help="folder for what each fold said")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(exist_ok=True)
    rows = join_features(options.tables, [encoder for encoder, _ in ALONE.values()]).data.rows
    folds = splits(rows.key_frame, "group-kfold", folds=FOLDS, seed=FOLD_SEED).folds
    classes = rows.classes
    for seed in options.seeds:
        for split in folds:
            path = options.out / f"{seed}-{split.fold}.npz"
            if not path.exists():
                said = dict(_fold(rows.key_frame, rows.streams, split, seed, classes))
                with files.atomic_write(path) as handle:
                    np.savez(handle, **said)
    done = [
        seed for seed in options.seeds if all((options.out / f"{seed}-{f.fold}.npz").exists() for f in folds)
    ]
    _print(rows.key_frame, [_whole(options.out, seed, folds, len(rows)) for seed in done], classes)


def _fold(
    keys: pd.DataFrame, x: Streams, split: Split, seed: int, classes: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and probabilities on the fold's test rows of each model."""
    train, test = x[split.train], x[split.test]
    named = (keys[name].to_numpy(dtype=str)[split.train] for name in ("label", "subject", "clip_id"))
    labels, groups, units = named
    rows = Rows.of(train, labels, groups, classes, units=units)
    models, streams = [], []
    for (name, (encoder, settings)), x_train in zip(ALONE.items(), train.arrays, strict=True):
        chosen = settings_of_size(encoder, "tiny")
        models.append(
            dnn.fit(
                x_train, labels, groups=groups, encoder=encoder, encoder_settings=chosen, classes=classes,
                settings=replace(settings, seed=seed),
            )
        )  # fmt: skip
        streams.append(StreamDesign(name, encoder, chosen, x_train.shape[1:]))
    alone = [model.predict_proba(x_test) for model, x_test in zip(models, test.arrays, strict=True)]
    yield from zip(ALONE, alone, strict=True)
    yield "late mean", np.mean(alone, axis=0)
    powers = np.exp(np.mean(np.log(np.maximum(alone, 1e-12)), axis=0))
    yield "late product", powers / powers.sum(axis=1, keepdims=True)
    for method in METHODS:
        design = Design(method, tuple(streams))
        fit = Fit(f"fold {split.fold}", keys.iloc[split.test], shares=False)
        model = fit_pooled(rows, design, {}, models, replace(FUSED, seed=seed), Keeping(), fit)
        yield f"{method}:pool", np.array([[*model.pool.singles, model.pool.network, model.pool.scale]])
        for subset in subsets_of(range(len(streams))):
            name = "+".join(streams[i].name for i in subset)
            yield f"{method}:{name}", model.predict_proba(test.only(subset))


def _whole(folder: Path, seed: int, folds: Sequence[Split], n_rows: int) -> dict[str, np.ndarray]:
    """The predicted class of each row by each model of a seed, (n_rows,)."""
    said: dict[str, np.ndarray] = {}
    for split in folds:
        with np.load(folder / f"{seed}-{split.fold}.npz") as part:
            for name in part.files:
                if name.endswith(":pool"):
                    print(f"seed {seed}, fold {split.fold}, {name}: {part[name][0].round(3)}")
                    continue
                said.setdefault(name, np.zeros(n_rows, int))[split.test] = part[name].argmax(axis=1)
    return said


def _print(keys: pd.DataFrame, seeds: Sequence[dict[str, np.ndarray]], classes: Sequence[str]) -> None:
    """Scores over all seeds, intervals over subjects, each seed, and the differences to rivals."""
    truth = indices(keys["label"].to_numpy(dtype=object), classes)
    truths = np.tile(truth, len(seeds))
    clusters = clusters_of(pd.concat([keys] * len(seeds), ignore_index=True))
    joined = {name: np.concatenate([seed[name] for seed in seeds]) for name in seeds[0]}

    def score(predicted: np.ndarray, true: np.ndarray) -> float:
        return float(uar(confusion_matrix(true, predicted, len(classes))))

    best = max(ALONE, key=lambda name: score(joined[name], truths))
    full = "+".join(ALONE)
    for name, predicted in joined.items():
        interval = score_intervals(clusters, truths, predicted, len(classes))["uar"]
        each = " ".join(f"{score(seed[name], truth):.3f}" for seed in seeds)
        left = name.split(":")[1].split("+") if ":" in name else list(ALONE)
        rivals = [max(left, key=lambda one: score(joined[one], truths))] if ":" in name else [best]
        rivals += LATE if name.endswith(full) else []
        text = f"{name:28} {formatting.score(interval.to_json())} ({each})"
        for rival in rivals if name not in ALONE else []:
            found = paired_difference(clusters, truths, predicted, joined[rival], len(classes))
            text += f"; to {rival} {formatting.difference(found.interval.to_json())} p {found.p_value:.3f}"
        print(text)


if __name__ == "__main__":
    main()
