"""A trained model to an ONNX file that gives the same answers, or to a file of weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from eavctl.errors import DataError, UsageError
from eavctl.export.inputs import inputs_of
from eavctl.export.rows import CheckRows, check_rows
from eavctl.packaged.models import find
from eavctl.storage import artifacts, files, onnx_files
from eavctl.storage.artifacts import Model
from eavctl.storage.ownership import Output, guard

SAFETENSORS = ".safetensors"
PACKAGES = ("onnx", "onnxruntime", "torch")  # whose versions the file names


class Planned(NamedTuple):
    """What an export would write.

    Parameters
    ----------
    model : its file or name.
    kind : of the model.
    rows : to check on; None of weights, which are not converted.
    """

    model: str
    kind: str
    rows: CheckRows | None


class Exported(NamedTuple):
    """What an export wrote.

    Parameters
    ----------
    model, kind : as in `Planned`.
    size : bytes of the file.
    export : what the file says of the export; None of weights.
    """

    model: str
    kind: str
    size: int
    export: dict[str, Any] | None


def export(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    check: Sequence[str | os.PathLike[str]] = (),
    force: bool = False,
) -> Exported:
    """Write a model as an ONNX graph from features to calibrated probabilities, once it is checked.

    Parameters
    ----------
    model : a model file, or the name of a packaged model.
    out : file to write: .onnx, or .safetensors for the weights of a network.
    check : feature tables, one a stream, whose rows the exported model must judge like the original (see
        `eavctl.export.check.check`); by default 256 rows are made up.
    force : overwrite a file that eavctl did not write.

    Raises
    ------
    DataError : the model cannot be read or exported, or the exported one differs, of which nothing is
        written; or a package of the extra ``export`` is missing.
    SettingsError : a table of other features than the model's.
    UsageError : a model that takes no features, or is exported already; or an output that must not be
        overwritten, or of another ending.
    """
    stored, rows = _prepared(model, out, check, force)
    kind = stored.meta.kind
    if rows is None:
        from eavctl.export.weights_file import write_safetensors

        write_safetensors(stored, out)
        return Exported(str(model), kind, _size(out), None)
    content, about = exported_bytes(stored, rows)
    files.write_bytes(out, content)
    return Exported(str(model), kind, len(content), about)


def plan(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    check: Sequence[str | os.PathLike[str]] = (),
    force: bool = False,
) -> Planned:
    """What `export` would do with the same parameters; nothing is traced or written.

    Raises
    ------
    DataError, SettingsError, UsageError : where `export` raises them before it traces the model.
    """
    stored, rows = _prepared(model, out, check, force)
    return Planned(str(model), stored.meta.kind, rows)


def exported_bytes(stored: Model, rows: CheckRows) -> tuple[bytes, dict[str, Any]]:
    """The content of an ONNX file whose answers were checked on rows, and what it says of the export.

    Raises
    ------
    DataError : the model cannot be exported, or the exported one differs; or a package is missing.
    """
    _require_packages()
    from eavctl.classifiers.onnx_model import OnnxModel
    from eavctl.export.check import check
    from eavctl.export.graph import to_proto

    proto = to_proto(stored)
    about: dict[str, Any] = {
        "opset": next(each.version for each in proto.opset_import if not each.domain),
        "precision": "float32",
        "free_time": any(each.free_axis is not None for each in inputs_of(stored.meta)),
        "source": stored.meta.training_hash,
        "versions": {name: version(name) for name in PACKAGES},
    }
    unchecked = onnx_files.serialise(proto, {**stored.meta.json, "export": about})
    about["check"] = check(stored, OnnxModel.from_bytes(unchecked, stored.meta.json), rows)
    return onnx_files.serialise(proto, {**stored.meta.json, "export": about}), about


def _prepared(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    check: Sequence[str | os.PathLike[str]],
    force: bool,
) -> tuple[Model, CheckRows | None]:
    """The model, and the rows to check on; None where weights alone are written."""
    path = find(model)
    is_weights = Path(out).suffix == SAFETENSORS
    if not is_weights and Path(out).suffix != ".onnx":
        raise UsageError(f"{out}: name the output .onnx, or .safetensors for the weights of a network")
    guard([Output(out, "weights" if is_weights else "model")], [path, *check], force=force)
    stored = artifacts.load(path)
    if stored.meta.export:
        raise UsageError(f"{model}: is an exported model already; name the model that it was exported from")
    if is_weights:
        if check:
            raise UsageError("--check is for .onnx files; weights are written as they are")
        if stored.meta.kind not in artifacts.TORCH_KINDS:
            raise UsageError(
                f"{out}: holds weights of networks (.pt); {model} is of kind {stored.meta.kind!r}"
            )
        return stored, None
    return stored, check_rows(stored, check, name=model)


def _require_packages() -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise DataError(
            f"export needs the packages of its extra ({error}): pip install 'eavctl[export]'"
        ) from None
    del onnx, onnxruntime, onnxscript


def _size(path: str | os.PathLike[str]) -> int:
    return os.stat(path).st_size
