"""Feature tables in which it is known which columns carry the class."""

import numpy as np
import pandas as pd

from eavctl.extraction.recipe import Recipe
from eavctl.storage import tables

MFCC, CHROMA, MEL = slice(0, 40), slice(40, 52), slice(52, 180)  # the families of means180
CLASSES = ("calm", "loud", "sad")


def keys_of(n_people=8, each=6, classes=CLASSES, prefix="p"):
    """Key table of people, each with as many rows of every class."""
    rows = [
        {
            "sample_id": f"{prefix}{person}_{name}_{take}",
            "clip_id": f"{prefix}{person}_{name}_{take}",
            "dataset": "made",
            "subject": f"{prefix}{person}",
            "label": name,
        }
        for person in range(n_people)
        for name in classes
        for take in range(each)
    ]
    frame = tables.key_frame(pd.DataFrame(rows))
    return frame.sort_values("sample_id").reset_index(drop=True)


def signal_of(keys, rng, noise=0.25):
    """For each row a value for each class, 1 of its own, (n_rows, n_classes), with noise."""
    classes = sorted(set(keys["label"]))
    numbers = [classes.index(name) for name in keys["label"]]
    return np.eye(len(classes))[numbers] + noise * rng.normal(size=(len(keys), len(classes)))


def write(path, keys, x, features="means180", **settings):
    """Write a feature table of a registered set."""
    recipe = Recipe(features, settings) if settings else Recipe(features)
    meta = {**recipe.meta(), "shape": list(x.shape[1:]), "classes": sorted(set(keys["label"]))}
    columns = recipe.columns if x.ndim == 2 else None
    tables.write_features(tables.FeatureTable(keys, x.astype(np.float32), columns, meta), path)
    return path


def vectors(keys, seed=0, carriers=("mfcc",)):
    """Rows of means180; the first 12 columns of some families carry the class, the same information."""
    mixing, rng = np.random.default_rng(7).normal(size=(3, 12)), np.random.default_rng(seed)
    x, informative = rng.normal(size=(len(keys), 180)), signal_of(keys, rng)
    for name, family in (("mfcc", MFCC), ("chroma", CHROMA), ("mel", MEL)):
        if name in carriers:
            own = slice(family.start, family.start + 12)
            x[:, own] = 0.2 * x[:, own] + informative @ mixing
    return x
