"""Feature set ``embedding``: embeddings by an encoder that ``eavctl pretrain`` wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eavctl.errors import DataError, SignalError, UsageError
from eavctl.registry import register
from eavctl.storage import artifacts
from eavctl.storage.metadata import FeatureMeta, ModelMeta
from eavctl.storage.provenance import canonical_json, hash_bytes

HASH_DIGITS = 16
IDENTITY = re.compile(rf"(.+)-(\d+)-([0-9a-f]{{{HASH_DIGITS}}})")
INPUT = ("modality", "features", "features_version", "settings", "rate", "units")  # what identifies features
FILES_KEPT = 4  # in memory: of a fusion of several
WITHOUT_FILE = "'embedding' needs an encoder: name its file, such as --weights encoder.pt"


class EncoderFile(NamedTuple):
    """An encoder in a file that ``eavctl pretrain`` wrote.

    Parameters
    ----------
    path : the file.
    identity : see `identify`.
    stream : which encoder of the file; None where it has one.
    stamp : size and time of the file when it was identified.
    """

    path: Path
    identity: str
    stream: str | None
    stamp: tuple[int, int]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the feature set that the file determines."""
        return {"weights": self.identity, "of": _identity(self._features)}

    @property
    def segment(self) -> Mapping[str, float] | None:
        """How recordings were cut for the pretraining, ``{"seconds", "hop"}``; None where they were not."""
        return self._features.segment

    @property
    def trained_on(self) -> Mapping[str, Any]:
        """The persons, clips and recordings of the pretraining; see `eavctl.evaluation.trained_on`."""
        return _read(self.path, self.stamp).meta.trained_on

    def load(self) -> Embed:
        """The encoder; it is kept for the next call.

        Raises
        ------
        DataError : the file has changed, or is damaged.
        """
        return Embed(_read(self.path, self.stamp).model, self.stream)

    @property
    def _features(self) -> FeatureMeta:
        return _read(self.path, self.stamp).features(self.stream)


class _Content(NamedTuple):
    """What a file holds: its metadata, and a `eavctl.pretraining.encoder_model.EncoderModel`."""

    meta: ModelMeta
    model: Any

    @property
    def streams(self) -> tuple[str | None, ...]:
        """Names of its encoders; None of the only one."""
        return tuple(each.name for each in self.meta.streams) or (None,)

    def features(self, stream: str | None) -> FeatureMeta:
        """The features that one of its encoders takes."""
        (found,) = (each for name, each in zip(self.streams, self.meta.inputs, strict=True) if name == stream)
        return found


class Embed(NamedTuple):
    """An encoder in memory.

    Parameters
    ----------
    model : a `eavctl.pretraining.encoder_model.EncoderModel`.
    stream : which of its encoders; None where it has one.
    """

    model: Any
    stream: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features that it takes."""
        return tuple(self.model.shape(self.stream))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The embedding of one sample's features: float32 (embedding_dim,) of (*shape)."""
        with _one_thread():
            return np.asarray(self.model.embed(x[None], self.stream)[0])


def find(given: Sequence[str | os.PathLike[str]], settings: Mapping[str, Any]) -> EncoderFile:
    """Find an encoder among files.

    Parameters
    ----------
    given : files that ``eavctl pretrain`` wrote; folders, which hold the weights of others, are ignored.
    settings : of the feature set: ``weights`` is the identity of the encoder that is wanted, None for any;
        ``stream`` that of the file's encoders, None where it has one.

    Raises
    ------
    UsageError : no file is given and none is known by its identity; or a file of several encoders, and the
        settings do not say which.
    DataError : none of the files has the encoder, or one is no encoder.
    """
    wanted, stream = settings["weights"], settings["stream"]
    files = [Path(path) for path in given if not Path(path).is_dir()] or [Path(path) for path in given]
    if not files and wanted is None:
        raise UsageError(WITHOUT_FILE)
    found = [each for path in files for each in _encoders_of(path, stream, is_known=wanted is not None)]
    fitting = [each for each in found if wanted in (None, each.identity)]
    if fitting:
        return fitting[0]
    if not files:
        raise DataError(f"the features need the encoder {wanted}: name its file with --weights")
    ours = ", ".join(f"{each.path} has {each.identity}" for each in found) or f"{files[0]} has others"
    raise DataError(f"the features need the encoder {wanted}; {ours}. Name its file with --weights")


def identify(model: Any, features: FeatureMeta, stream: str | None = None) -> str:
    """Name an encoder by what it computes: its kind, its size, and a hash of all that changes its embeddings.

    The hash is of the encoder's name and settings, of the features that it takes with their shape, and of
    its weights and input statistics. Where it was pretrained and on what makes no difference.

    Parameters
    ----------
    model, stream : as in `Embed`.
    features : that the encoder takes.

    Returns
    -------
    Such as ``eegnet-16-0123456789abcdef``: name, embedding_dim, 16 hex digits.
    """
    name, tensors = model.encoder_name(stream), model.state(stream)
    facts = [name, model.encoder_settings(stream), list(model.shape(stream)), _identity(features)]

    def parts() -> Iterator[bytes | memoryview]:
        yield canonical_json(facts).encode()
        for key in sorted(tensors):
            array = np.ascontiguousarray(tensors[key].numpy())
            yield canonical_json([key, str(array.dtype), array.shape]).encode()
            yield array.reshape(-1).view(np.uint8).data

    size = model.encoder(stream).embedding_dim
    return f"{name}-{size}-{hash_bytes(parts())[:HASH_DIGITS]}"


def names(weights: str | None = None, stream: str | None = None, of: Any = None) -> tuple[str, ...]:
    """Names of the columns; none without the encoder."""
    match = IDENTITY.fullmatch(weights or "")
    return tuple(f"embedding_{i}" for i in range(int(match[2]) if match else 0))


def check(weights: str | None, stream: str | None, of: Any) -> None:
    """Check that the settings which the encoder's file determines come from one.

    Raises
    ------
    UsageError : they do not.
    """
    if weights is None and of is None:
        return
    if not IDENTITY.fullmatch(weights or "") or not isinstance(of, Mapping):
        raise UsageError(
            "'embedding': weights and of are read from the encoder's file: name it with --weights"
        )


@register(
    "features",
    "embedding",
    modality=None,  # that of the features in `of`, as is the rate
    version=1,
    rate=None,
    columns=names,
    units="embedding",
    check=check,
    weights=find,
    base="of",
)
def embedding(
    x: np.ndarray,
    rate: float,
    encoder: Embed,
    *,
    weights: str | None = None,
    stream: str | None = None,
    of: Any = None,
) -> np.ndarray:
    """Embed the features of a sample by a pretrained encoder.

    The features that the encoder was pretrained on are computed first, with the settings of its file.

    Parameters
    ----------
    x : features in ``of``, shape (*shape).
    rate : of the signal that they are of; not used.
    encoder : loaded from the file.
    weights : identity of the encoder, such as ``eegnet-16-0123456789abcdef``; filled in from the file.
    stream : which encoder of a file with several, such as ``eeg``.
    of : the features that the encoder takes: modality, name, version, settings, rate and units; filled in
        from the file.

    Returns
    -------
    float32, shape (embedding_dim,).

    Raises
    ------
    SignalError : features of another shape than the encoder takes, as those of a longer segment can be.
    """
    if x.shape != encoder.shape:
        raise SignalError(f"its features have shape {x.shape}, and the encoder takes {encoder.shape}")
    return encoder(x)


def _encoders_of(path: Path, stream: str | None, *, is_known: bool) -> Iterator[EncoderFile]:
    """The encoders of a file that are named so.

    Parameters
    ----------
    is_known : the encoder is wanted by its identity, so that a file without the stream is another one.

    Raises
    ------
    UsageError : the file has no such stream, or several and none is named, unless ``is_known``.
    """
    stamp = _stamp(path)
    content = _read(path, stamp)
    if stream in content.streams:
        identity = identify(content.model, content.features(stream), stream)
        yield EncoderFile(path.absolute(), identity, stream, stamp)
    elif not is_known:
        names = [each for each in content.streams if each]
        has = f"has encoders of {', '.join(names)}" if names else "has one encoder"
        raise UsageError(
            f"{path} {has}; {f'choose with --set stream={names[0]}' if names else 'omit stream'}"
        )


def _identity(features: FeatureMeta) -> dict[str, Any]:
    """What must be equal for an encoder to take features."""
    return {name: getattr(features, name) for name in INPUT}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:  # reading it will report what is wrong
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _read(path: Path, stamp: tuple[int, int]) -> _Content:
    """The content of a file; it is kept for the next call.

    Raises
    ------
    DataError : no encoder, damaged, or the file has changed since it had this stamp.
    """
    return _kept(path.absolute(), stamp)


@lru_cache(maxsize=FILES_KEPT)
def _kept(path: Path, stamp: tuple[int, int]) -> _Content:
    if _stamp(path) != stamp:
        raise DataError(f"{path}: the file changed while it was used; run again")
    return _Content(*artifacts.load_encoder(path))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread in a block, so that sums are the same in every process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
