"""Checkpoints: a killed training resumes, and ends with the weights of an uninterrupted one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from eavctl import ranks
from eavctl.classifiers.training_loop import Training
from eavctl.errors import DataError, UsageError
from eavctl.storage import files

CHECKPOINT_EPOCHS = 5
LAYOUT = 3  # of the state; goes into the fingerprint, so that files of another layout are not resumed


class Checkpoint:
    """The state file of one training: finished members, and the one in training."""

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint
        state = self._read(path) if path is not None and ranks.rank() == 0 and path.exists() else {}
        state = ranks.from_first(state)  # only rank 0 needs the disk
        self.finished: list[dict[str, Any]] = state.get("finished", [])
        self._running: dict[str, Any] | None = state.get("running")

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            same = state["fingerprint"] == self.fingerprint and {"finished", "running"} <= state.keys()
        except (OSError, MemoryError):
            raise
        except Exception as error:  # torch.load fails in many ways on other files
            raise DataError(f"{path}: not a checkpoint, or damaged; remove it to train afresh") from error
        if not same:
            raise UsageError(
                f"{path}: a checkpoint of other data or settings; remove it, or use another file"
            )
        return state

    def resume(self, run: Training) -> None:
        """Load the state of a member, if the checkpoint has it."""
        if self._running is not None and self._running["member"] == run.member:
            run.load(self._running)

    def save(self, run: Training) -> None:
        """Write the state, every few epochs."""
        if run.epoch % CHECKPOINT_EPOCHS == 0:
            self._write(run.state())

    def finish(self, run: Training) -> None:
        """Add a member whose training has ended to the finished ones."""
        self.finished.append(run.result())
        self._write(None)

    def _write(self, running: dict[str, Any] | None) -> None:
        if self.path is not None and ranks.rank() == 0:
            with files.atomic_write(self.path) as handle:
                content = {"fingerprint": self.fingerprint, "finished": self.finished, "running": running}
                torch.save(content, handle)
