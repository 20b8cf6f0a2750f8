"""Random tables and manifests with leaks planted in them; `make check-statistics` tries many more."""

from __future__ import annotations

from benchmarks.planted_leaks import CASES, run


def test_every_planted_leak_is_found_and_nothing_clean_is_refused() -> None:
    outcomes = run(3 * len(CASES), seed=1)
    assert {each.kind for each in outcomes} == set(CASES)
    assert [each for each in outcomes if each.right < each.n] == []
