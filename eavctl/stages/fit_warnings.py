"""What fits warn of on the way, for the warnings of the training that they are part of."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from eavctl.errors import TrainingWarning


class FitWarnings:
    """Collects the `TrainingWarning` of each fit; what else is warned of goes its way."""

    def __init__(self) -> None:
        self._fits: list[str] = []
        self._by_text: dict[str, dict[str, None]] = {}  # to the names of fits, each once and in order

    @contextlib.contextmanager
    def of(self, fit: str) -> Iterator[None]:
        """Collect what the block warns of, under the name of the fit."""
        self._fits.append(fit)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TrainingWarning)
            yield
        for warning in caught:
            if issubclass(warning.category, TrainingWarning):
                self._by_text.setdefault(str(warning.message), {})[fit] = None
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

    def sentences(self) -> tuple[str, ...]:
        """Each warning once, with the fits that it is of."""
        return tuple(
            f"in {len(names)} of {len(self._fits)} fits ({', '.join(names)}): {text}"
            for text, names in self._by_text.items()
        )
