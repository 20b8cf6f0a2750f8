"""Weights of networks as a safetensors file: tensors by name, and the meta of the model in the header."""

from __future__ import annotations

import os

from eavctl.errors import DataError, UsageError
from eavctl.storage import artifacts, files
from eavctl.storage.metadata import NOT_EXPORTED
from eavctl.storage.provenance import canonical_json

META = "eavctl"  # the only key of the header's metadata: of several, safetensors writes them in any order


def write_safetensors(model: artifacts.Model, path: str | os.PathLike[str]) -> None:
    """Write the weights of a network, whole or absent; equal models give equal bytes.

    Each tensor has the name that it has in the network's ``state_dict``, with the number of its member in
    front. The header's metadata have one key, ``eavctl``: the JSON of the model's meta, by whose part
    ``model`` the network is built (``from_parts`` of `eavctl.classifiers.dnn.DnnModel` and
    `eavctl.fusion.pooled.PooledFusion`).

    Raises
    ------
    UsageError : the model is no network of a ``.pt`` file.
    DataError : safetensors is not installed, or the file cannot be written.
    """
    if model.meta.kind not in artifacts.TORCH_KINDS or model.meta.export:
        what = "an exported model" if model.meta.export else f"a model of kind {model.meta.kind!r}"
        raise UsageError(f"{path}: safetensors files hold the weights of networks (.pt); this is {what}")
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise DataError(
            f"{path}: needs safetensors, which cannot be imported ({error}).\n"
            "Install it: pip install 'eavctl[export]'"
        ) from error
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    tensors = {name: each.clone().contiguous() for name, each in model.predictor.state_dict().items()}
    meta = {key: value for key, value in model.meta.json.items() if key not in NOT_EXPORTED}
    files.write_bytes(path, save(tensors, {META: canonical_json(meta)}))
