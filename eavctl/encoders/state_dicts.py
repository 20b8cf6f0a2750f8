"""State dicts of public networks: read without running code, recognised by their names, and renamed."""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eavctl.encoders.public_names import HEADS, Naming
from eavctl.errors import DataError
from eavctl.storage.provenance import hash_file, hash_folder, hash_json

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
COUNTERS = "num_batches_tracked"  # of batch norms with a momentum: no effect, and not in every checkpoint

Fit = Callable[[str, Tensor], Tensor]  # of a name of the body and a tensor of a file


@dataclass(frozen=True)
class StateDict:
    """The tensors of a file, with the naming that they have.

    Parameters
    ----------
    path : of the file.
    naming : of the network.
    tensors : by their names in the naming: without names of what wraps the network, such as ``module.``.
    about : config.json beside the file, as timm publishes it; empty if there is none.
    """

    path: Path
    naming: Naming
    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, namings: Sequence[Naming]) -> StateDict:
        """Read a file and recognise the network.

        Raises
        ------
        DataError : not a file of tensors, or none or several networks with these namings are in it.
        """
        flat = dict(_flat(_loaded(path)))
        found = [
            (naming, key.removesuffix(naming.mark))
            for naming in namings
            for key in flat
            if f".{key}".endswith(f".{naming.mark}")
        ]
        if not found:
            known = ", ".join(dict.fromkeys(naming.words for naming in namings))
            first = f", but {min(flat)!r}" if flat else ""
            raise DataError(
                f"{path}: has no tensors with the names of {known}{first}; of transformers, name the folder "
                "that save_pretrained wrote"
            )
        if len(found) > 1:
            places = " and ".join(repr(prefix) for _, prefix in found)
            raise DataError(f"{path}: holds several networks, named {places}: save the state dict of one")
        (naming, prefix), *_ = found
        own = {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}
        return cls(path, naming, own, _facts(path.with_name(CONFIG)))

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the encoder with which its body computes what the published network computes.

        Parameters
        ----------
        given : settings that the user chose.

        Raises
        ------
        DataError : the network has others than those given; or several networks have these names, and
            neither the config.json beside the file nor its name says which.
        """
        networks = self.naming.networks
        if len(networks) == 1:
            (certain,) = networks.values()
            for name, value in certain.items():
                if given.get(name, value) != value:
                    raise DataError(
                        f"{self.path}: is {self.naming.words}, which has {name}={value}, not {given[name]}"
                    )
            return dict(certain)
        if all(given.keys() >= settings.keys() for settings in networks.values()):
            return {}
        hints = (str(self.about.get("architecture", "")), self.path.name)
        for hint in hints:
            named = [network for network in networks if network in hint]
            if named:
                return dict(networks[max(named, key=len)])
        ways = " or ".join(
            f"--set {name}={value} for {network}"
            for network, settings in networks.items()
            for name, value in settings.items()
        )
        raise DataError(f"{self.path}: {self.naming.words} has these names, computed differently: add {ways}")

    def words(self, settings: Mapping[str, Any]) -> str:
        """Name and library of the network that an encoder with these settings computes."""
        fits = (name for name, own in self.naming.networks.items() if own.items() <= settings.items())
        return f"{next(fits)} of {self.naming.library}"

    def colours(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and deviation of each colour: those beside the file, else those usual for the network."""
        about = self.about.get("pretrained_cfg", self.about)
        if not isinstance(about, Mapping):
            about = {}
        return about.get("mean", self.naming.mean), about.get("std", self.naming.std)

    def renamed(self, body: nn.Module, config: Any, fit: Fit) -> dict[str, Tensor]:
        """The tensors of the body in float32, by the names of the body.

        Parameters
        ----------
        config : of the body.
        fit : adapts a tensor of the file to the shape of the body.

        Raises
        ------
        DataError : tensors are missing, of another shape, not finite, or not part of the network.
        """
        names, wanted = self.naming.names(config), body.state_dict()
        sharing = defaultdict(list)
        for key in wanted:
            if not key.endswith(COUNTERS):
                sharing[_named(key, names)].append(key)
        found: dict[str, Tensor] = {}
        faults = []
        for name, keys in sharing.items():
            if name not in self.tensors:
                faults.append(f"{name} is missing")
                continue
            stored = self.tensors[name]
            parts = stored.tensor_split(len(keys)) if stored.ndim else (stored,) * len(keys)
            found |= {key: fit(key, part.float()) for key, part in zip(keys, parts, strict=True)}
            if any(found[key].shape != wanted[key].shape for key in keys):
                faults.append(f"{name} has the shape {tuple(stored.shape)}")
            elif not all(bool(found[key].isfinite().all()) for key in keys):
                faults.append(f"{name} has values that are not finite")
        faults += [
            f"{name} is not part of the network"
            for name in self.tensors
            if name not in sharing and not name.startswith(HEADS) and not name.endswith(COUNTERS)
        ]
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise DataError(f"{self.path}: is not {self.naming.words}: {faults[0]}{more}")
        return {**wanted, **found}


def tensors_file(weights: Path) -> Path | None:
    """The file of a state dict: a file, or that in a folder as timm publishes it; None: of transformers.

    Raises
    ------
    DataError : no such file or folder.
    """
    if not weights.exists():
        raise DataError(f"{weights}: no such file of tensors, nor a folder with {CONFIG} and weights")
    if not weights.is_dir():
        return weights
    if "architecture" not in _facts(weights / CONFIG):
        return None
    return next(
        (weights / name for name in IN_FOLDERS if (weights / name).is_file()), weights / IN_FOLDERS[0]
    )


def hash_weights(weights: Path) -> str:
    """Hash of public weights: of a folder, or of a file and what beside it says how pictures are prepared."""
    if weights.is_dir():
        return hash_folder(weights)
    files = (weights, *(weights.with_name(name) for name in (CONFIG, PREPROCESSOR)))
    return hash_json({path.name: hash_file(path) for path in files if path.is_file()})


def _named(key: str, names: Mapping[str, str]) -> str:
    """The name in the file of a tensor of the body."""
    if key in names:
        return names[key]
    module, _, leaf = key.rpartition(".")
    name = names[module]
    return f"{name}{leaf}" if name.endswith("_") else f"{name}.{leaf}"


def _loaded(path: Path) -> Any:
    """The content of a file of tensors; a pickled one is read as tensors only, so that it runs no code."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: holds Python objects, such as a whole network, and not only tensors, or is damaged. "
            "Where it can be loaded and is trusted, save its state dict: "
            "torch.save(torch.load('FILE', weights_only=False).state_dict(), 'state.pt')"
        ) from error
    except Exception as error:  # zip, safetensors and torch have errors of their own
        raise DataError(f"{path}: no readable tensors ({type(error).__name__})") from error


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested mappings, by their keys joined with dots."""
    if isinstance(content, Tensor):
        yield prefix.removesuffix("."), content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}{key}.")


def _facts(path: Path) -> dict[str, Any]:
    """A JSON object of a file; empty if there is none."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
