"""The scores of a probe as ``eavctl probe`` prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eavctl.evaluation import formatting

TITLES = {
    "probe": "the probe",
    "finetuned": "fine-tuning",
    "random": "random weights",
    "raw": "the raw features",
    "scratch": "training from scratch",
}


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """A table of arms by shares of labels, the comparisons, and how well people are told apart."""
    yield from _table(facts)
    yield f"mean UAR of {facts['settings']['draws']} draws; {_intervals(facts)}"
    yield ""
    for versus in facts["comparisons"]:
        yield verdict(versus)
    yield ""
    yield persons_line(facts["persons"])


def _intervals(facts: Mapping[str, Any]) -> str:
    first = next(iter(facts["shares"][0]["scores"].values()))
    over = formatting.intervals_over(facts, first)
    draws = "" if first["low"] is None else " and draws"
    return f"{over}{draws}; chance {formatting.number(facts['chance'])}"


def _table(facts: Mapping[str, Any]) -> Iterator[str]:
    arms = facts["settings"]["arms"]
    rows = [["labels", *arms]]
    rows += [
        [share["labels"], *(formatting.score(share["scores"][arm]) for arm in arms)]
        for share in facts["shares"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(arms) + 1)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def verdict(versus: Mapping[str, Any]) -> str:
    """Whether the probe, or fine-tuning, is better than another arm, in one line."""
    difference = versus["difference"]
    why = f" ({formatting.no_interval(versus)})" if difference["low"] is None else ""
    what = f"labels {versus['labels']}: {TITLES[versus['first']]} against {TITLES[versus['second']]}"
    found = f"{formatting.difference(difference)}{why}, {formatting.relation(versus)}"
    return f"{what}: {found}, {formatting.p_value(versus)}"


def persons_line(persons: Mapping[str, Any] | None) -> str:
    """How well embeddings tell people apart, beside a random encoder's."""
    if persons is None:
        return "people: not measured, as the table does not name two people with two clips"
    probe, random = (formatting.score(persons["scores"][arm]) for arm in ("probe", "random"))
    return (
        f"people: the embedding tells {persons['n_people']} apart with UAR {probe}, random weights {random}; "
        f"chance {formatting.number(persons['chance'])}; difference "
        f"{formatting.difference(persons['difference'])}"
    )
