"""Keeping freed memory is a wish: no training fails where the C library has no such option."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from eavctl.memory import keep_freed_memory


def test_glibc_is_told_both_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=told.__setitem__))
    keep_freed_memory()
    assert set(told) == {-1, -3}  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    assert all(0 < size < 2**31 for size in told.values())  # they are C ints


@pytest.mark.parametrize("error", [OSError, TypeError, None])
def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def library(name: None) -> SimpleNamespace:
        if error:
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(ctypes, "CDLL", library)
    keep_freed_memory()
