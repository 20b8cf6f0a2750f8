"""Keeping freed memory is a wish: no training fails where the C library has no such option."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eavctl.memory import keep_freed_memory, return_freed_memory


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
    return_freed_memory()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells the memory of a process on Linux")
def test_freed_memory_among_what_stays_is_returned() -> None:
    code = textwrap.dedent(
        """
        import numpy as np
        from eavctl.memory import keep_freed_memory, return_freed_memory

        def resident() -> int:
            return int(open("/proc/self/statm").read().split()[1]) * 4096

        keep_freed_memory()
        arrays = [np.ones(1 << 17) for _ in range(100)]  # 1 MiB each
        kept = arrays[::10]
        del arrays
        before = resident()
        return_freed_memory()
        print(before - resident())
        """
    )
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("another C library than glibc")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 50 << 20
