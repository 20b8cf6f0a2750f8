"""Collect the warnings of several fits for the warnings of the whole training."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from eavctl.errors import TrainingWarning


class FitWarnings:
    """Collects each `TrainingWarning` of several fits; other warnings are shown as usual."""

    def __init__(self) -> None:
        self._fits: list[str] = []
        self._by_text: dict[str, dict[str, None]] = {}  # to the names of fits, each once and in order
        self._suffix = ""

    def suffixed(self, suffix: str) -> FitWarnings:
        """A collector into the same account, which adds a suffix to the names of its fits."""
        other = FitWarnings()
        other._fits, other._by_text, other._suffix = self._fits, self._by_text, f" {suffix}"
        return other

    @contextlib.contextmanager
    def of(self, fit: str) -> Iterator[None]:
        """Collect the warnings of the block under the name of the fit."""
        fit += self._suffix
        self._fits.append(fit)
        with warnings.catch_warnings():  # restores `showwarning`, too
            warnings.simplefilter("always", TrainingWarning)
            show = warnings.showwarning

            def collect(message: Warning | str, category: type[Warning], *where: Any) -> None:
                if issubclass(category, TrainingWarning):
                    self._by_text.setdefault(str(message), {})[fit] = None
                else:
                    show(message, category, *where)

            warnings.showwarning = collect  # type: ignore[assignment]
            yield

    def sentences(self) -> tuple[str, ...]:
        """Each warning once, with the names of the fits that raised it."""
        return tuple(
            f"in {len(names)} of {len(self._fits)} fits ({', '.join(names)}): {text}"
            for text, names in self._by_text.items()
        )
