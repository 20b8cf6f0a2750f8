"""Finished fits of a probe, kept in a folder, so that an interrupted probe goes on, and others share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.storage import files
from eavctl.storage.provenance import hash_json


class Fits:
    """Predictions of test rows by fits, each in a file that is named by what they depend on.

    Parameters
    ----------
    folder : that exists; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def checkpoint(self, facts: Mapping[str, Any]) -> Path | None:
        """A name for the state of a fit that depends on these facts."""
        return self._folder / f"{hash_json(facts)}.state" if self._folder else None

    def read(self, facts: Mapping[str, Any], n_rows: int) -> np.ndarray | None:
        """The class numbers that such a fit predicted, shape (n_rows,); None where it is not kept."""
        if self._folder is None:
            return None
        try:
            found = json.loads(self._file(facts).read_text())
            return np.array(found, np.int64).reshape(n_rows)
        except (OSError, ValueError, TypeError):  # not there, or damaged: fitted again
            return None

    def write(self, facts: Mapping[str, Any], answers: np.ndarray) -> None:
        """Keep the class numbers that a fit predicted, and remove its state.

        Raises
        ------
        DataError : the folder cannot be written.
        """
        if self._folder is None:
            return
        files.write_bytes(self._file(facts), json.dumps(answers.tolist()).encode())
        for state in self._folder.glob(f"{hash_json(facts)}.state*"):
            state.unlink()

    def _file(self, facts: Mapping[str, Any]) -> Path:
        assert self._folder is not None
        return self._folder / f"{hash_json(facts)}.json"
