"""The law beside late fusion, FiLM and no language on made-up scenes: the same network, budget and seeds.

    eavctl synth --task grounding --scenes 12000 --seed 1 -o scenes
    eavctl extract scenes -o scenes.parquet
    python -m benchmarks.grounding_scores scenes.parquet --out runs

What is done already is not done again, so that several processes can share the work: each with another of
--seeds or --fusions; without any fusion it prints what is there. Scores are of the test pictures, with
intervals over pictures; a difference is between the means of the seeds on the same phrases.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from eavctl.evaluation import formatting
from eavctl.evaluation.groups import units
from eavctl.evaluation.intervals import clusters_of
from eavctl.evaluation.row_means import mean_difference, mean_interval
from eavctl.grounding.conditioning import Fusion
from eavctl.grounding.fit import fit
from eavctl.grounding.scores import Scored
from eavctl.grounding.table import examples_of
from eavctl.stages.train_ground import GroundingChoice, score
from eavctl.storage import files
from eavctl.storage.grounding_tables import GroundingTable, read_grounding

FUSIONS: tuple[str, ...] = get_args(Fusion)
MEASURES = ("P@0.5", "mIoU")
RIVALS = ("late", "film")


def main() -> None:
    """Train what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", help="table of phrases on pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for the answers of each network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--fusions", nargs="*", default=list(FUSIONS))
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(exist_ok=True)
    data = read_grounding(options.table)
    test = np.flatnonzero(data.keys["split"] == "test")
    for seed in options.seeds:
        for fusion in options.fusions:
            path = options.out / f"{fusion}-{seed}.npz"
            if not path.exists():
                scored = _trained(data, test, fusion, seed, options.epochs)
                parts = {"there": scored.is_right, "boxes": scored.boxes, "masks": scored.masks}
                with files.atomic_write(path) as handle:
                    np.savez(handle, **parts)
    found = {fusion: _answers(options.out, data, test, fusion, options.seeds) for fusion in FUSIONS}
    _print({fusion: seeds for fusion, seeds in found.items() if seeds})


def _trained(data: GroundingTable, test: np.ndarray, fusion: str, seed: int, epochs: int) -> Scored:
    """The answers of a network to the test phrases."""
    examples = replace(examples_of(data), clips=units(data.keys))
    split = data.keys["split"].to_numpy(str)
    fold = np.flatnonzero(split == "train"), np.flatnonzero(split == "val")
    training = {"seed": seed, "epochs": epochs, "device": "cpu"}
    model = fit(examples, fold, GroundingChoice(fusion, training=training).design())
    return score(model, data, examples, test)


def _answers(
    folder: Path, data: GroundingTable, test: np.ndarray, fusion: str, seeds: list[int]
) -> list[Scored]:
    """What the networks of a fusion answered, one a seed."""
    keys = data.keys.iloc[test].reset_index(drop=True)
    kinds = np.array(data.kinds, object)[test]
    found = []
    for path in (folder / f"{fusion}-{seed}.npz" for seed in seeds):
        if path.exists():
            with np.load(path) as parts:
                found.append(Scored(keys, kinds, data.there[test], *(parts[name] for name in parts.files)))
    return found


def _print(found: dict[str, list[Scored]]) -> None:
    """Scores of each fusion and differences of the law, of all phrases, each part and each kind."""
    first = next(iter(found.values()))[0]
    tasks = first.keys["task"].to_numpy(str)
    some = {"all": np.ones(len(first), bool)}
    some |= {str(task): tasks == task for task in np.unique(tasks)}
    some |= {str(kind): first.kinds == kind for kind in sorted(set(first.kinds))}
    for name, rows in some.items():
        for measure in MEASURES:
            values = {fusion: _values(seeds, measure) for fusion, seeds in found.items()}
            known = np.flatnonzero(rows & ~np.isnan(values["law"][0]))
            if not len(known):
                continue
            clusters = clusters_of(first.keys.iloc[known].reset_index(drop=True))
            for fusion, each in values.items():
                interval = mean_interval(clusters, each[:, known])
                text = f"{name:10} {measure:6} {fusion:5} {formatting.score(interval.to_json())}"
                text += f" ({' '.join(f'{value:.3f}' for value in each[:, known].mean(axis=1))})"
                if fusion in RIVALS:
                    gain = mean_difference(clusters, values["law"][:, known], each[:, known])
                    text += f"; law {formatting.difference(gain.interval.to_json())} p {gain.p_value:.4f}"
                print(text)
    for fusion, seeds in found.items():
        recalls = [
            np.mean([each.is_right[each.there == kind].mean() for kind in (True, False)]) for each in seeds
        ]
        print(f"there {fusion:5} {np.mean(recalls):.3f} ({' '.join(f'{value:.3f}' for value in recalls)})")


def _values(seeds: list[Scored], measure: str) -> np.ndarray:
    """A measure of each phrase by each seed, (n_seeds, n_phrases); NaN where there is none."""
    return np.stack([each.hits if measure == "P@0.5" else each.masks for each in seeds]).astype(float)


if __name__ == "__main__":
    main()
