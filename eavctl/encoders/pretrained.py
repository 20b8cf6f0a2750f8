"""What the encoders built on public networks share: sizes, the body, and reading a checkpoint into it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from eavctl.errors import DataError, UsageError

Size = Literal["base", "tiny"]  # as published, or one that learns from scratch on a CPU

# Of tokens and positions before training. Public networks start at 0.02. A small one on few rows never learns
# where a patch lies unless its position weighs as much as what it shows: at 0.02 `ast` stays at chance.
TOKEN_STD = {"base": 0.02, "tiny": 1.0}
TESTED = "transformers>=5.22,<5.25"  # before and after these, parts of its networks may have other names
HEADS = ("classifier.", "pooler.")  # parts of a checkpoint that no encoder here has
COUNTERS = "num_batches_tracked"  # of batch norms with a momentum: of no effect, and not in every checkpoint


class Pretrained(nn.Module):
    """An encoder around a network of `transformers`, its ``body``, which a public checkpoint may fill.

    A subclass sets ``name``, the registered one, and ``architecture``: the fields of the checkpoint's
    config.json that must agree with the body's. Numbers called ``normalisation`` are the checkpoint's too:
    the keys of mean and standard deviation in its preprocessor_config.json, where there is one. ``left_out``
    are the options with which `transformers` builds the body without parts of no use here. ``parts`` are
    the dotted names of the body's own parts that the encoder calls, or that its weights in a model file bear.

    Parameters
    ----------
    size : of the body, as its settings name it.
    body : the network, without pooler and head.
    embedding_dim : values of an embedding.
    mean, std : of the input, kept as buffers.

    Raises
    ------
    UsageError : this version of `transformers` has other names for the body's parts.
    """

    name: ClassVar[str]
    architecture: ClassVar[tuple[str, ...]]
    normalisation: ClassVar[tuple[str, str]]
    left_out: ClassVar[Mapping[str, bool]] = {}
    parts: ClassVar[tuple[str, ...]]
    mean: Tensor
    std: Tensor
    body: Any

    def __init__(self, size: str, body: nn.Module, embedding_dim: int, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        for part in self.parts:
            _reach(body, part, f"no {part} in its {type(body).__name__}")
        self.size = size
        self.body = body
        self.embedding_dim = embedding_dim
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def load_weights(self, folder: Path) -> None:
        """Fill the body from a public checkpoint; its classification head, if any, is left out.

        Parameters
        ----------
        folder : as `transformers`' ``save_pretrained`` leaves it: config.json and model.safetensors or
            pytorch_model.bin; preprocessor_config.json is heeded for the input's mean and deviation.
            Pickled files are read as tensors only, so that none can run code.

        Raises
        ------
        DataError : not such a folder, another architecture or size, or weights that lack a part.
        """
        facts = self._agreeing(_json(folder, "config.json"), folder)
        state = self._read(facts, folder)
        self.body.load_state_dict(self._fitted(state, facts))
        self._take_normalisation(folder)

    def _agreeing(self, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The checkpoint's config with defaults for what it leaves out, once it is known to agree."""
        config = self.body.config
        if facts.get("model_type") != config.model_type:
            raise DataError(
                f"{folder}: weights of model type {facts.get('model_type')!r}; "
                f"encoder {self.name!r} takes those of {config.model_type!r}"
            )
        facts = type(config)().to_dict() | facts
        for field in self.architecture:
            theirs, ours = _plain(facts[field]), _plain(getattr(config, field))
            if theirs != ours:
                raise DataError(
                    f"{folder}: weights with {field} {theirs}; encoder {self.name!r} of size {self.size!r} "
                    f"has {ours}. Take weights or a size that fit"
                )
        return facts

    def _read(self, facts: Mapping[str, Any], folder: Path) -> dict[str, Tensor]:
        """The body's tensors out of a checkpoint's, under the body's names."""
        try:
            with _quiet():
                loaded, found = type(self.body).from_pretrained(
                    folder,
                    config=self._stored_config(facts),
                    local_files_only=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,
                    **self.left_out,
                )
        except (
            Exception
        ) as error:  # zip, pickle, safetensors, torch and transformers have errors of their own
            raise DataError(
                f"{folder}: no weights that can be read in model.safetensors or pytorch_model.bin "
                f"({type(error).__name__}); save them with save_pretrained"
            ) from error
        misfits = _misfits(found)
        if misfits:
            more = f", and {len(misfits) - 1} more" if len(misfits) > 1 else ""
            raise DataError(f"{folder}: weights that do not fit their config.json: {misfits[0]}{more}")
        return dict(loaded.state_dict())

    def _stored_config(self, facts: Mapping[str, Any]) -> Any:
        """The config under which the checkpoint's tensors have their stored shapes."""
        return self.body.config

    def _fitted(self, state: dict[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """The checkpoint's tensors, fitted to the body's shapes."""
        return state

    def _take_normalisation(self, folder: Path) -> None:
        if not (folder / "preprocessor_config.json").is_file():
            return
        facts = _json(folder, "preprocessor_config.json")
        for buffer, key in zip((self.mean, self.std), self.normalisation, strict=True):
            if key not in facts:
                continue
            try:
                buffer.copy_(torch.tensor(facts[key], dtype=torch.float32).reshape(buffer.shape))
            except (TypeError, ValueError, RuntimeError) as error:
                raise DataError(
                    f"{folder}: preprocessor_config.json has an odd {key}: {facts[key]}"
                ) from error


def public(config: str, network: str) -> tuple[Any, Any]:
    """Two classes of `transformers`, by name.

    Raises
    ------
    UsageError : it is not installed, or this version has no such class.
    """
    try:
        import transformers
    except ImportError as error:
        raise UsageError(f"transformers cannot be imported ({error}): pip install '{TESTED}'") from error
    return _reach(transformers, config, f"no {config}"), _reach(transformers, network, f"no {network}")


def _reach(whole: Any, name: str, lack: str) -> Any:
    """What is under a dotted name, which not every version of `transformers` has."""
    try:
        return attrgetter(name)(whole)
    except (AttributeError, ImportError) as error:
        from transformers import __version__ as version

        raise UsageError(f"transformers {version} has {lack}: pip install '{TESTED}'") from error


def sized(sizes: Mapping[str, Any], size: str) -> Any:
    """What belongs to a size.

    Raises
    ------
    UsageError : no such size.
    """
    if size not in sizes:
        raise UsageError(f"size is {' or '.join(map(repr, sizes))}, not {size!r}")
    return sizes[size]


def named_sizes(sizes: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of each size of an encoder whose keyword ``size`` takes its name."""
    return {size: {"size": size} for size in sizes}


def draw_tokens(size: str, *tokens: nn.Parameter) -> None:
    """Draw a transformer's learned tokens and positions: normal, cut at two deviations."""
    std = TOKEN_STD[size]
    for token in tokens:
        nn.init.trunc_normal_(token, std=std, a=-2 * std, b=2 * std)


def _misfits(found: Mapping[str, Any]) -> list[str]:
    """What transformers reports of a checkpoint's keys, but for heads and counters, in words."""
    missing = (key for key in found["missing_keys"] if not key.endswith(COUNTERS))
    unexpected = (key for key in found["unexpected_keys"] if not key.startswith(HEADS))
    return [
        *sorted(f"{key} is missing" for key in missing),
        *sorted(f"{key} is not of this network" for key in unexpected),
        *sorted(f"{key} has the shape {tuple(theirs)}" for key, theirs, _ in found["mismatched_keys"]),
    ]


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        facts = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: no {name} that can be read; --weights takes a folder written by save_pretrained"
        ) from error
    if not isinstance(facts, dict):
        raise DataError(f"{folder}: {name} is no JSON object")
    return facts


def _plain(value: Any) -> Any:
    """A setting as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting and from drawing progress bars meanwhile."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
