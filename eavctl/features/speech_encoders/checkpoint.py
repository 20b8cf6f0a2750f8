"""A checkpoint as transformers writes it: its JSON files, and its tensors by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import DataError
from eavctl.features.speech_encoders.tensor_files import Tensor, pickled, safetensors

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
PROCESSOR, EXTRACTOR = "processor_config.json", "feature_extractor"  # the file, and its key for the latter
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
FILES = (CONFIG, PREPROCESSOR, PROCESSOR, SAFETENSORS, PICKLED)


class Tensors(Mapping[str, np.ndarray]):
    """The tensors of a checkpoint by name, float32; each is read, and checked, when it is asked for.

    Parameters
    ----------
    source : the file, for errors.
    tensors : by name.
    """

    def __init__(self, source: Path, tensors: Mapping[str, Tensor]) -> None:
        self.source, self._tensors = source, tensors

    def __getitem__(self, name: str) -> np.ndarray:
        values = self._tensors[name].read()
        if not np.isfinite(values).all():
            raise DataError(f"{self.source}: {name} has values that are not finite; the file is damaged")
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, which is not read for it."""
        return self._tensors[name].shape

    def below(self, *prefixes: str) -> Tensors:
        """The tensors below the first prefix that any name has, named without it; all if there is none."""
        for prefix in prefixes:
            inner = {n.removeprefix(prefix): t for n, t in self._tensors.items() if n.startswith(prefix)}
            if inner:
                return Tensors(self.source, inner)
        return self


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Parameters
    ----------
    folder : where it is.
    config : content of config.json.
    preprocessor : content of `preprocessor_file`; empty where there is none.
    tensors : by the names in the file.
    """

    folder: Path
    config: Mapping[str, Any]
    preprocessor: Mapping[str, Any]
    tensors: Tensors

    @property
    def preprocessor_file(self) -> Path:
        """preprocessor_config.json, or processor_config.json, which newer checkpoints have in its place."""
        file = self.folder / PREPROCESSOR
        return file if file.is_file() else self.folder / PROCESSOR


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint's JSON, and the names and shapes of its tensors.

    Raises
    ------
    DataError : not a folder as ``save_pretrained`` writes it, or a damaged one.
    """
    config = _json(folder / CONFIG)
    return Checkpoint(folder, config, _preprocessor(folder), _tensors(folder))


def _preprocessor(folder: Path) -> dict[str, Any]:
    if (folder / PREPROCESSOR).is_file():
        return _json(folder / PREPROCESSOR)
    if not (folder / PROCESSOR).is_file():
        return {}
    found = _json(folder / PROCESSOR).get(EXTRACTOR, {})
    if not isinstance(found, dict):
        raise DataError(f"{folder / PROCESSOR}: {EXTRACTOR} is not a JSON object")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise DataError(
            f"{path.parent}: no readable {path.name}; --weights needs a folder written by save_pretrained"
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: is not a JSON object")
    return content


def _tensors(folder: Path) -> Tensors:
    for name, read in ((SAFETENSORS, safetensors), (PICKLED, pickled)):
        if (folder / name).is_file():
            return Tensors(folder / name, read(folder / name))
    raise DataError(f"{folder}: has neither {SAFETENSORS} nor {PICKLED}")
