"""Training in several processes, the ranks that torchrun starts: each computes its share of every batch.

All ranks hold the whole batch. What an encoder computes row by row is shared: a rank runs it on its rows, and
`share` gathers the outputs of all. What comes after (heads, the loss, queues) every rank computes for the
whole batch. So a training has the losses that it has with one rank, whatever its objective: a contrastive
loss sees all pairs, and a weighted mean has all weights. In a shared encoder batch norms take their moments
over the rows of all ranks, and dropout draws its mask for all rows and uses the part of its own.

A gradient is averaged over the ranks by ``torch.nn.parallel.DistributedDataParallel``. Behind `share` all
ranks have the same one, which is their average; in front of it each has that of its rows, whose sum over the
ranks is wanted, so `share` multiplies it by their number.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from eavctl.errors import DataError
from eavctl.jobs import Outputs, rank_of_process

T = TypeVar("T")
PATIENCE = datetime.timedelta(minutes=30)  # of a rank that waits for another, which may read a large table
LEAST_RUN = 2
SAME = 1e-4  # relative; losses of ranks that differ by more are of weights that have drifted apart


def size() -> int:
    """Number of ranks; 1 in a process on its own."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this rank, from 0."""
    return dist.get_rank() if size() > 1 else 0


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the ranks of torchrun's environment in a block; nothing happens in a process on its own.

    Parameters
    ----------
    device : ``"cpu"``, ``"cuda"`` or ``"auto"``; on CUDA a rank takes the device of its number.

    Raises
    ------
    DataError : the other ranks cannot be reached, or one of them has ended.
    """
    if rank_of_process() is None:
        yield
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    try:
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        Outputs.are_written = rank() == 0
        try:
            yield
        finally:
            Outputs.are_written = True
            gc.collect()  # what DDP leaves would end its threads after the interpreter
            dist.destroy_process_group()
    except (dist.DistError, RuntimeError) as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise DataError(
            "another rank of the training has ended, or cannot be reached; its own message says why.\n"
            "The same torchrun command resumes from the last checkpoint"
        ) from error


# --- values -----------------------------------------------------------------------------------------------


def from_first(value: T) -> T:
    """The value that rank 0 has, which can be pickled."""
    if size() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0, device=_device())
    return held[0]


def of_all(value: T) -> list[T]:
    """The values of all ranks, in their order."""
    if size() == 1:
        return [value]
    held: list[Any] = [None] * size()
    dist.all_gather_object(held, value)
    return held


def require_same(loss: float) -> None:
    """Check that all ranks have the same loss.

    Raises
    ------
    DataError : they differ, so that the ranks no longer train the same network.
    """
    found = of_all(loss)
    if not np.allclose(found, found[0], rtol=SAME, atol=0, equal_nan=True):
        shown = ", ".join(f"{each:.6g}" for each in found)
        raise DataError(f"the ranks have different losses ({shown}): are their machines and packages alike?")


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


# --- rows of a batch --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """The part of some rows, in their order, that this rank has.

    Parameters
    ----------
    counts : rows of each rank, shape (n_ranks,).
    """

    counts: tuple[int, ...]

    @classmethod
    def of(cls, n_rows: int) -> Part:
        """Nearly equal parts of so many rows."""
        edges = [n_rows * each // size() for each in range(size() + 1)]
        return cls(tuple(end - start for start, end in itertools.pairwise(edges)))

    @property
    def start(self) -> int:
        """Number of the first row."""
        return sum(self.counts[: rank()])

    @property
    def n_rows(self) -> int:
        """Number of rows; 0 where there are fewer rows than ranks."""
        return self.counts[rank()]

    @property
    def n_run(self) -> int:
        """Rows that a shared function runs on: with fewer than two, some are added that do not count.

        All ranks compute the same layers then, and the order of a row's dimensions in memory is known.
        """
        return max(self.n_rows, min(self.total, LEAST_RUN))

    @property
    def rows(self) -> slice:
        """The rows."""
        return slice(self.start, self.start + self.n_rows)

    @property
    def total(self) -> int:
        """Rows of all ranks."""
        return sum(self.counts)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the rows of all ranks, from the means over the rows of each."""
        total: Tensor = _Sum.apply(values * (self.n_rows / self.total))  # type: ignore[no-untyped-call]
        return total

    def gathered(self, values: Tensor) -> Tensor:
        """Values of the rows of all ranks (total, ...), from those of this rank's rows (n_rows, ...)."""
        found: Tensor = _Gather.apply(values, self)  # type: ignore[no-untyped-call]
        return found


class _State:
    """Whether batches are shared just now, and the part in which a shared function runs."""

    shares = False
    part: Part | None = None
    of_streams: Mapping[int, Part] = {}


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Let `share` share rows in a block, a training step; elsewhere it calls its function as it is."""
    _State.shares = size() > 1
    try:
        yield
    finally:
        _State.shares = False


def is_sharing() -> bool:
    """Whether rows are shared just now."""
    return _State.shares


def share(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """``function(*rows)``, of which each rank computes a part in a training step.

    Parameters
    ----------
    function : computes each row (but for batch norms) by itself: (n_rows, ...) to (n_rows, ...).
    rows : its arguments, of equal numbers of rows, one at least; all ranks have the same.
    """
    if not _State.shares:
        return function(*rows)
    part = Part.of(len(rows[0]))
    added = part.n_run - part.n_rows
    mine = [each[part.rows] for each in rows]
    if added:
        mine = [torch.cat([own, each[:added]]) for own, each in zip(mine, rows, strict=True)]
    with inside(part):
        found = function(*mine)
    return part.gathered(found[: part.n_rows])


@contextlib.contextmanager
def inside(part: Part | None) -> Iterator[None]:
    """Run what is computed of a part of the rows: batch norms and dropout are of the rows of all ranks."""
    before, _State.part = _State.part, part
    try:
        with _OfAllRanks() if part is not None and before is None else nullcontext():
            yield
    finally:
        _State.part = before


def current() -> Part | None:
    """The part in which a shared function runs; None outside of one."""
    return _State.part


@contextlib.contextmanager
def streams(parts: Mapping[int, Part]) -> Iterator[None]:
    """Run a function of several streams, whose rows a rank has in parts of their own; see `stream`."""
    _State.of_streams = parts
    try:
        yield
    finally:
        _State.of_streams = {}


def stream(number: int) -> AbstractContextManager[None]:
    """Run what is computed of one stream in a block of `streams`; elsewhere nothing changes."""
    return inside(_State.of_streams[number]) if number in _State.of_streams else nullcontext()


class _Sum(torch.autograd.Function):
    """Sum over the ranks; so is the gradient."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


class _Gather(torch.autograd.Function):
    """Rows of all ranks, one after the other; the gradient is that of the own rows, times the ranks."""

    @staticmethod
    def forward(context: Any, values: Tensor, part: Part) -> Tensor:
        context.rows = part.rows
        padded = values.new_zeros(max(part.counts), *values.shape[1:])
        padded[: len(values)] = values
        found = [torch.empty_like(padded) for _ in part.counts]
        dist.all_gather(found, padded)
        return torch.cat([each[:n] for each, n in zip(found, part.counts, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][context.rows] * size(), None


# --- layers that depend on more than their row ------------------------------------------------------------


class _OfAllRanks(TorchFunctionMode):
    """Replaces batch normalisation and dropout by those over the rows of all ranks."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        part, named = _State.part, kwargs or {}
        if part is not None and func is F.batch_norm and named.get("training", False):
            return _batch_norm(part, *args, **named)
        if part is not None and func is F.dropout and named.get("training", True):
            return _dropout(part, *args, **named)
        if func is F.scaled_dot_product_attention and named.get("dropout_p", 0.0):
            raise NotImplementedError("dropout of attention weights cannot be shared by ranks")
        return func(*args, **named)


def _batch_norm(
    part: Part,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """``F.batch_norm`` in training, with mean and variance over the rows of all ranks."""
    over = [0, *range(2, x.ndim)]
    n_values = x.numel() // x.shape[1] // part.n_run * part.total
    if n_values == 1:  # has no variance: torch says so
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    like = [1, -1, *[1] * (x.ndim - 2)]
    values = x if running_mean is None else x.to(running_mean.dtype)
    counted = slice(len(x) // part.n_run * part.n_rows or None)
    mean = part.mean(values[counted].mean(dim=over))
    centred = values - mean.view(like)
    variance = part.mean(centred[counted].square().mean(dim=over))
    normal = centred * torch.rsqrt(variance + eps).view(like)
    if weight is not None and bias is not None:
        normal = normal * weight.view(like) + bias.view(like)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (n_values / (n_values - 1)), momentum)
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format  # as torch's: see `_dropout`
    return normal.to(x.dtype).contiguous(memory_format=layout)


def _dropout(part: Part, x: Tensor, p: float = 0.5, *, training: bool, inplace: bool = False) -> Tensor:
    """``F.dropout`` in training, with this rank's part of the mask of all rows."""
    if not 0 < p < 1:
        return F.dropout(x, p, training)
    per_row = len(x) // part.n_run
    # torch fills a mask in the order of its memory, which is that of the values.
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda dim: -strides[dim])
    shape = [per_row * part.total, *x.shape[1:]]
    mask = torch.empty([shape[dim] for dim in order], dtype=x.dtype, device=x.device)
    mask = mask.permute([order.index(dim) for dim in range(x.ndim)]).bernoulli_(1 - p)
    own = mask[per_row * part.start :][: per_row * part.n_rows]
    added = mask[: len(x) - len(own)]  # rows that do not count take any mask
    return x * torch.cat([own, added]).div_(1 - p)
