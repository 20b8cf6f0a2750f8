"""Base classes of the encoders built on public networks: sizes, the body, and loading a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from eavctl.encoders.public_names import Naming
from eavctl.encoders.state_dicts import COUNTERS, PREPROCESSOR, StateDict, tensors_file
from eavctl.errors import DataError, UsageError

Size = Literal["base", "tiny"]  # as published, or for training from scratch on a CPU

# Initial standard deviation of tokens and positions, 0.02 in public networks. A small network with few rows
# learns positions only if their scale equals that of the patch embeddings: at 0.02 `ast` stays at chance.
TOKEN_STD = {"base": 0.02, "tiny": 1.0}
TESTED = "transformers>=5.22,<5.25"  # other versions may name the parts of networks differently
HEADS = ("classifier.", "pooler.", "bert.pooler.", "cls.")  # parts that the encoders here lack


class PublicBody(nn.Module):
    """A network of `transformers`, the ``body``, which can load a public checkpoint.

    Subclasses set these class attributes:

    - ``name``: the name in errors;
    - ``architecture``: the fields of the checkpoint's config.json that must equal those of the body;
    - ``left_out``: options with which `transformers` builds the body without unused parts;
    - ``parts``: dotted names of parts of the body that the encoder calls, or that occur in model files;
    - ``namings``: those of state dicts that can be loaded.

    Parameters
    ----------
    size : name of the size of the body.
    body : the network, without pooler and head.

    Raises
    ------
    UsageError : this version of `transformers` has other names for the parts of the body.
    """

    name: ClassVar[str]
    architecture: ClassVar[tuple[str, ...]]
    left_out: ClassVar[Mapping[str, bool]] = {}
    parts: ClassVar[tuple[str, ...]]
    namings: ClassVar[tuple[Naming, ...]] = ()
    body: Any

    def __init__(self, size: str, body: nn.Module) -> None:
        super().__init__()
        for part in self.parts:
            reach(body, part, f"no {part} in its {type(body).__name__}")
        self.size = size
        self.body = body

    @classmethod
    def state_dict_of(cls, weights: Path) -> StateDict | None:
        """The state dict of public weights, recognised; None of a folder of `transformers`.

        Raises
        ------
        DataError : a file without a network that the encoder can load.
        """
        path = tensors_file(weights)
        if path is None:
            return None
        if not cls.namings:
            raise DataError(f"{path}: encoder {cls.name!r} needs a folder written by save_pretrained")
        return StateDict.read(path, cls.namings)

    def load_weights(self, weights: Path) -> None:
        """Load the body from a public checkpoint, without its classification head.

        Parameters
        ----------
        weights : folder written by `transformers`' ``save_pretrained``: config.json and model.safetensors or
            pytorch_model.bin; or file of a state dict whose names are among the ``namings``, or a folder of
            timm with one. Pickled files are read as tensors only, so that they cannot run code.

        Raises
        ------
        DataError : neither of them, another architecture or size, or missing weights.
        """
        found = self.state_dict_of(weights)
        if found is None:
            self._load_folder(weights)
        else:
            self._load_state_dict(found)

    def _load_folder(self, folder: Path) -> None:
        facts = self._checked_config(_json(folder, "config.json"), folder)
        state = self._read(facts, folder)
        self.body.load_state_dict(self._fitted(state, facts))

    def _load_state_dict(self, found: StateDict) -> None:
        networks = found.naming.networks.values()
        found.settings({name: getattr(self, name) for settings in networks for name in settings})
        self.body.load_state_dict(found.renamed(self.body, self.body.config, self._resized))

    def _resized(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor of a state dict, adapted to the shape of the body's tensor with that name."""
        return tensor

    def _checked_config(self, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Check that the config of a checkpoint fits the body; return it, completed by defaults."""
        config = self.body.config
        if facts.get("model_type") != config.model_type:
            raise DataError(
                f"{folder}: weights of model type {facts.get('model_type')!r}; "
                f"encoder {self.name!r} needs those of {config.model_type!r}"
            )
        facts = type(config)().to_dict() | facts
        for field in self.architecture:
            theirs, ours = _plain(facts[field]), _plain(getattr(config, field))
            if theirs != ours:
                raise DataError(
                    f"{folder}: weights with {field} {theirs}; encoder {self.name!r} of size {self.size!r} "
                    f"has {ours}. Use weights or a size that fit"
                )
        return facts

    def _read(self, facts: Mapping[str, Any], folder: Path) -> dict[str, Tensor]:
        """Read the tensors of the body from a checkpoint, by the names of the body."""
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
                f"{folder}: no readable weights in model.safetensors or pytorch_model.bin "
                f"({type(error).__name__}); save them with save_pretrained"
            ) from error
        mismatches = _mismatches(found)
        if mismatches:
            more = f", and {len(mismatches) - 1} more" if len(mismatches) > 1 else ""
            raise DataError(f"{folder}: the weights do not fit their config.json: {mismatches[0]}{more}")
        return dict(loaded.state_dict())

    def _stored_config(self, facts: Mapping[str, Any]) -> Any:
        """The config with which the tensors of the checkpoint have their stored shapes."""
        return self.body.config

    def _fitted(self, state: dict[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """The tensors of the checkpoint, adapted to the shapes of the body."""
        return state


class Pretrained(PublicBody):
    """An encoder around a `PublicBody`, with the mean and standard deviation of its input.

    Subclasses also set ``normalisation``: the keys of mean and standard deviation in the checkpoint's
    preprocessor_config.json, if it has one.

    Parameters
    ----------
    size, body : see `PublicBody`.
    embedding_dim : number of values of an embedding.
    mean, std : mean and standard deviation of the input, stored as buffers.
    """

    normalisation: ClassVar[tuple[str, str]]
    mean: Tensor
    std: Tensor

    def __init__(self, size: str, body: nn.Module, embedding_dim: int, mean: Tensor, std: Tensor) -> None:
        super().__init__(size, body)
        self.embedding_dim = embedding_dim
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def _load_folder(self, folder: Path) -> None:
        super()._load_folder(folder)
        self._take_normalisation(folder)

    def _load_state_dict(self, found: StateDict) -> None:
        super()._load_state_dict(found)
        usual = dict(zip(self.normalisation, found.colours(), strict=True))
        self._set_normalisation(usual, f"{found.path}: its config.json")
        self._take_normalisation(found.path.parent)

    def _take_normalisation(self, folder: Path) -> None:
        """Take mean and deviation of the input from preprocessor_config.json, if there is one."""
        if (folder / PREPROCESSOR).is_file():
            self._set_normalisation(_json(folder, PREPROCESSOR), f"{folder}: {PREPROCESSOR}")

    def _set_normalisation(self, facts: Mapping[str, Any], source: str) -> None:
        for buffer, key in zip((self.mean, self.std), self.normalisation, strict=True):
            if key not in facts:
                continue
            try:
                buffer.copy_(torch.tensor(facts[key], dtype=torch.float32).reshape(buffer.shape))
            except (TypeError, ValueError, RuntimeError) as error:
                raise DataError(f"{source} has an invalid {key}: {facts[key]}") from error


def model_type(folder: Path) -> str:
    """The ``model_type`` in the config.json of a folder of public weights.

    Raises
    ------
    DataError : no such file, or one that names none.
    """
    return str(_json(folder, "config.json").get("model_type"))


def public(config: str, network: str) -> tuple[Any, Any]:
    """Two classes of `transformers`, a config and a network, by name.

    Raises
    ------
    UsageError : `transformers` is not installed, or this version has no such class.
    """
    try:
        import transformers
    except ImportError as error:
        raise UsageError(f"transformers cannot be imported ({error}): pip install '{TESTED}'") from error
    return reach(transformers, config, f"no {config}"), reach(transformers, network, f"no {network}")


def reach(whole: Any, name: str, missing: str) -> Any:
    """The attribute with a dotted name.

    Raises
    ------
    UsageError : this version of `transformers` lacks it, which ``missing`` describes.
    """
    try:
        return attrgetter(name)(whole)
    except (AttributeError, ImportError) as error:
        from transformers import __version__ as version

        raise UsageError(f"transformers {version} has {missing}: pip install '{TESTED}'") from error


def sized(sizes: Mapping[str, Any], size: str) -> Any:
    """The value for a size.

    Raises
    ------
    UsageError : no such size.
    """
    if size not in sizes:
        raise UsageError(f"size must be {' or '.join(map(repr, sizes))}, not {size!r}")
    return sizes[size]


def named_sizes(sizes: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of each size, for an encoder with a keyword ``size``."""
    return {size: {"size": size} for size in sizes}


def draw_tokens(size: str, *tokens: nn.Parameter) -> None:
    """Initialise learned tokens and positions of a transformer: normal, truncated at two deviations."""
    std = TOKEN_STD[size]
    for token in tokens:
        nn.init.trunc_normal_(token, std=std, a=-2 * std, b=2 * std)


def _mismatches(found: Mapping[str, Any]) -> list[str]:
    """The keys that transformers reports as missing, unexpected or mismatched, without heads and counters."""
    missing = (key for key in found["missing_keys"] if not key.endswith(COUNTERS))
    unexpected = (key for key in found["unexpected_keys"] if not key.startswith(HEADS))
    return [
        *sorted(f"{key} is missing" for key in missing),
        *sorted(f"{key} is not part of this network" for key in unexpected),
        *sorted(f"{key} has the shape {tuple(theirs)}" for key, theirs, _ in found["mismatched_keys"]),
    ]


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        facts = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: no readable {name}; --weights needs a folder written by save_pretrained"
        ) from error
    if not isinstance(facts, dict):
        raise DataError(f"{folder}: {name} is not a JSON object")
    return facts


def _plain(value: Any) -> Any:
    """A setting as JSON returns it: tuples as lists."""
    return list(value) if isinstance(value, tuple) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages and progress bars of transformers."""
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
