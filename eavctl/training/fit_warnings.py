"""What fits warn of on the way, for the warnings of the training that they are part of."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from eavctl.errors import TrainingWarning


class FitWarnings:
    """Collects each `TrainingWarning` of several fits; other warnings are shown as ever."""

    def __init__(self) -> None:
        self._fits: list[str] = []
        self._by_text: dict[str, dict[str, None]] = {}  # to the names of fits, each once and in order

    @contextlib.contextmanager
    def of(self, fit: str) -> Iterator[None]:
        """Collect what the block warns of, under the name of the fit."""
        self._fits.append(fit)
        with warnings.catch_warnings():  # which gives `showwarning` back, too
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
        """Each warning once, with the fits that it is of."""
        return tuple(
            f"in {len(names)} of {len(self._fits)} fits ({', '.join(names)}): {text}"
            for text, names in self._by_text.items()
        )
