"""A trained model to an ONNX file that gives the same answers, or to a file of weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eavctl.errors import DataError, UsageError
from eavctl.export import tensorrt
from eavctl.export.inputs import inputs_of
from eavctl.export.precision import FLOAT32, INT8, Converted, Wanted, convert, trained_on_note
from eavctl.export.precision import Exported as ExportedModel
from eavctl.export.quantised import DYNAMIC, require_rows
from eavctl.export.rows import CheckRows, check_rows
from eavctl.packaged.models import find
from eavctl.storage import artifacts, files, onnx_files, remote
from eavctl.storage.artifacts import Model
from eavctl.storage.ownership import Output, guard

if TYPE_CHECKING:
    import onnx

SAFETENSORS, ENGINE = ".safetensors", ".engine"
PACKAGES = ("onnx", "onnxruntime", "torch")  # whose versions the file names


class Form(NamedTuple):
    """The form of an exported model.

    Parameters
    ----------
    precision : ``float32``, ``float16`` or ``int8``.
    calibrate : feature tables, one a stream, on which int8 of convolutional networks is calibrated.
    tensorrt : major version of TensorRT to build an engine with; None for no engine.
    """

    precision: str = FLOAT32
    calibrate: Sequence[str | os.PathLike[str]] = ()
    tensorrt: int | None = None


AS_IT_IS = Form()


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
    converted : the form of another precision that was asked for, written or not, as
        `eavctl.export.precision.Converted.to_json` gives it; None where none was.
    engine : the TensorRT command, and whether it was run here; None where none was asked for.
    notes : sentences on what was declined, overridden or left out.
    """

    model: str
    kind: str
    size: int
    export: dict[str, Any] | None
    converted: dict[str, Any] | None = None
    engine: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def export_model(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    check: Sequence[str | os.PathLike[str]] = (),
    form: Form = AS_IT_IS,
    force: bool = False,
) -> Exported:
    """Write a model as an ONNX graph from features to calibrated probabilities, once it is checked.

    Parameters
    ----------
    model : a model file, or the name of a packaged model.
    out : file to write: .onnx, or .safetensors for the weights of a network.
    check : feature tables, one a stream, whose rows the exported model must judge like the original (see
        `eavctl.export.check.check`); by default 256 rows are made up.
    form : precision of the file, which stays float32 where int8 or float16 is not worth its change of the
        answers (see `eavctl.export.precision.convert`), and TensorRT.
    force : overwrite a file that eavctl did not write, and write the precision that was asked for anyway.

    Raises
    ------
    DataError : the model cannot be read or exported, or the exported one differs, of which nothing is
        written; or a package of the extra ``export`` is missing.
    SettingsError : a table of other features than the model's.
    UsageError : a model that takes no features, or is exported already; or an output that must not be
        overwritten, or of another ending.
    """
    stored, rows = _prepared(model, out, check, form, force)
    kind = stored.meta.kind
    if rows is None:
        from eavctl.export.weights_file import write_safetensors

        write_safetensors(stored, out)
        return Exported(str(model), kind, _size(out), None)
    calibration = check_rows(stored, form.calibrate, name=model).x if form.calibrate else None
    float32 = exported_in_float32(stored, rows, form)
    content, about, converted = float32.content(float32.proto, float32.about), float32.about, None
    notes: list[str] = []
    if form.precision != FLOAT32:
        if note := trained_on_note(stored.meta, rows.keys):
            notes.append(note)
        converted = convert(float32, Wanted(form.precision, calibration, form.tensorrt is not None))
        if calibration is not None and converted.about["way"] == DYNAMIC.name:
            notes.append("int8 of this network is dynamic: the rows of --calibrate were not needed")
        if converted.reasons:
            notes.append(_told(converted, force))
        if force or not converted.reasons:
            content, about = converted.content, dict(converted.about)
    files.write_bytes(out, content)
    engine = _engine(out, stored, about["precision"], form.tensorrt) if form.tensorrt else None
    told = converted and converted.to_json()
    return Exported(str(model), kind, len(content), about, told, engine, tuple(notes))


def plan(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    check: Sequence[str | os.PathLike[str]] = (),
    form: Form = AS_IT_IS,
    force: bool = False,
) -> Planned:
    """What `export_model` would do with the same parameters; nothing is written.

    The model is traced only where that tells whether int8 needs calibration rows, which are not given.

    Raises
    ------
    DataError, SettingsError, UsageError : where `export_model` raises them before it checks the graph.
    """
    stored, rows = _prepared(model, out, check, form, force)
    if form.calibrate:
        check_rows(stored, form.calibrate, name=model)
    elif form.precision == INT8:
        traced(stored, form)
    return Planned(str(model), stored.meta.kind, rows)


def traced(stored: Model, form: Form = AS_IT_IS) -> onnx.ModelProto:
    """The ONNX graph of a model, which can be converted into a form.

    Raises
    ------
    DataError : the model cannot be exported, or a package is missing.
    UsageError : it cannot be converted, or not without calibration rows.
    """
    _require_packages()
    from eavctl.export.graph import to_proto

    proto = to_proto(stored)
    if form.precision == INT8 and not form.calibrate:
        require_rows(proto, tensorrt=form.tensorrt is not None)
    return proto


def exported_in_float32(stored: Model, rows: CheckRows, form: Form = AS_IT_IS) -> ExportedModel:
    """The ONNX form of a model, whose answers were checked on rows.

    Raises
    ------
    DataError : as `traced`; also the exported model differs from the original.
    UsageError : as `traced`.
    """
    proto = traced(stored, form)
    from eavctl.classifiers.onnx_model import OnnxModel
    from eavctl.export.check import check

    about: dict[str, Any] = {
        "opset": next(each.version for each in proto.opset_import if not each.domain),
        "precision": "float32",
        "free_time": any(each.free_axis is not None for each in inputs_of(stored.meta)),
        "source": stored.meta.training_hash,
        "versions": {name: version(name) for name in PACKAGES},
    }
    unchecked = onnx_files.serialise(proto, {**stored.meta.json, "export": about})
    about["check"] = check(stored, OnnxModel.from_bytes(unchecked, stored.meta.json), rows)
    return ExportedModel(proto, {**stored.meta.json, "export": about}, rows.x, rows.keys)


def _told(converted: Converted, force: bool) -> str:
    """A sentence on a form that is not worth its change of the answers."""
    done = "written all the same, with --force" if force else "the file stays float32; --force overrides this"
    about = converted.about
    return f"{about['precision']} ({about['way']}): {' and '.join(converted.reasons)}: {done}"


def _engine(out: str | os.PathLike[str], stored: Model, precision: str, version: int) -> dict[str, Any]:
    """Build a TensorRT engine where TensorRT is installed, and say by which command."""
    words = tensorrt.command(version, out, _engine_file(out), tensorrt.shapes_of(stored.meta), precision)
    is_installed = tensorrt.check_version(version)
    if is_installed:
        tensorrt.build(words)
    return {"version": version, "command": words, "built": is_installed}


def _engine_file(out: str | os.PathLike[str]) -> Path:
    return Path(out).with_suffix(ENGINE)


def _prepared(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    check: Sequence[str | os.PathLike[str]],
    form: Form,
    force: bool,
) -> tuple[Model, CheckRows | None]:
    """The model, and the rows to check on; None where weights alone are written."""
    path = find(model)
    is_weights = Path(out).suffix == SAFETENSORS
    if not is_weights and Path(out).suffix != ".onnx":
        raise UsageError(f"{out}: name the output .onnx, or .safetensors for the weights of a network")
    if form.tensorrt is not None:
        tensorrt.check_version(form.tensorrt)
        if remote.is_url(out):
            raise UsageError(f"{out}: TensorRT builds its engine beside a local file; name one")
        if _engine_file(out).exists() and not force:
            raise UsageError(f"{_engine_file(out)}: exists; use --force to overwrite it")
    guard([Output(out, "weights" if is_weights else "model")], [path, *check, *form.calibrate], force=force)
    stored = artifacts.load(path)
    if stored.meta.export:
        raise UsageError(f"{model}: is an exported model already; name the model that it was exported from")
    if is_weights:
        if check or form.calibrate or form.tensorrt or form.precision != FLOAT32:
            raise UsageError("weights are written as they are: only .onnx files are checked or converted")
        if stored.meta.kind not in artifacts.TORCH_KINDS:
            raise UsageError(
                f"{out}: holds weights of networks (.pt); {model} is of kind {stored.meta.kind!r}"
            )
        return stored, None
    return stored, check_rows(stored, check, name=model)


def _require_packages() -> None:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as `eavctl.classifiers.onnx_model` does
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
    return os.stat(remote.local(path)).st_size
