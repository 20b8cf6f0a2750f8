"""What the file of an encoder says of its pretraining, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eavctl.evaluation import formatting


def words(facts: Mapping[str, Any]) -> list[str]:
    """Lines on a pretraining: its method, the figures of its embedding, and whether this collapsed.

    Parameters
    ----------
    facts : as `eavctl.pretraining.fit.fit` puts them together.
    """
    epochs = facts["epochs"]
    views = " ".join(facts["augment"]) or "the encoder's own augmentation"
    lines = ["random weights, not pretrained"]
    if epochs:
        method = f"pretrained by {facts['method']}, {epochs} epochs, loss {facts['loss']:.3f}"
        lines = [f"{method}; views by {views}"]
    streams = facts.get("streams") or {"": facts}
    lines += [f"{name} {figures(each)}".strip() for name, each in streams.items()]
    lines += _retrieval("training rows", facts.get("retrieval"))
    lines += _retrieval("rows that were left out", facts.get("retrieval_held_out"))
    if facts["collapsed"] and epochs:
        lines.append("the embedding has collapsed: the encoder is of no use")
    return lines


def _retrieval(where: str, pairs: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """A line on each pair of modalities: how often a sample finds its partner among the rows."""
    return [
        f"retrieval on {pair['n_rows']} {where}, recall at 1: "
        + ", ".join(f"{way} {formatting.score(found)}" for way, found in pair["recall_at_1"].items())
        + f"; chance {formatting.number(pair['chance'])}"
        for pair in pairs or ()
    ]


def figures(facts: Mapping[str, Any]) -> str:
    """The figures of one embedding in a line."""
    dim, times = facts["embedding_dim"], facts["spread"] / facts["spread_of_chance"]
    knn = "" if facts["knn"] is None else f"; kNN recall on training rows {facts['knn']:.3f}"
    return (
        f"embedding of {dim} dimensions: spread {facts['spread']:.4f}, {times:.2f} times 1/sqrt({dim}); "
        f"effective rank {facts['effective_rank']:.1f}{knn}"
    )
