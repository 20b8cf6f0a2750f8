"""Predictors as torch modules that a graph is traced from: features in, calibrated probabilities out.

All arithmetic is float32, because some runtimes have no float64. So constants are computed in float64 and
means are subtracted as two float32 parts.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl.classifiers.calibration import Calibration
from eavctl.classifiers.network import StreamBatch
from eavctl.encoders.face_clips import Resized


class Calibrated(nn.Module):
    """Logits (batch, n_classes) to probabilities; see `Calibration`."""

    bias: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.scale = float(calibration.scale)
        self.register_buffer("bias", as_float32(calibration.bias))

    def forward(self, logits: Tensor) -> Tensor:
        """Probabilities (batch, n_classes)."""
        return torch.softmax(self.scale * logits + self.bias, dim=1)


class Standardised(nn.Module):
    """Columns (batch, n_columns) standardised and compressed as in `eavctl.classifiers.within_class`."""

    high: Tensor
    low: Tensor
    scale: Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray) -> None:
        super().__init__()
        high = mean.astype(np.float32)  # of a large mean a float32 alone would be off by many deviations
        self.register_buffer("high", as_float32(high))
        self.register_buffer("low", as_float32(mean - high))
        self.register_buffer("scale", as_float32(scale))

    def forward(self, x: Tensor) -> Tensor:
        """``asinh((x - mean) / scale)``."""
        return torch.asinh((x - self.high - self.low) / self.scale)


class LinearLogits(nn.Module):
    """Decision values of a `eavctl.classifiers.linear.LinearModel`."""

    mean: Tensor
    scale: Tensor
    columns: Tensor
    intercept: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        coef, mean = model.coef.astype(np.float64), model.mean.astype(np.float64)
        self.register_buffer("mean", as_float32(mean))
        self.register_buffer("scale", as_float32(model.scale))
        self.register_buffer("columns", as_float32((coef * model.scale).T))
        self.register_buffer("intercept", as_float32(model.intercept + coef @ mean))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, n_classes)."""
        return (x - self.mean) / self.scale @ self.columns + self.intercept


class SvmLogits(nn.Module):
    """Decision values of a `eavctl.classifiers.svm.SvmModel`."""

    directions: Tensor
    shortening: Tensor
    support: Tensor
    squares: Tensor
    dual: Tensor
    intercept: Tensor
    votes: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        normalizer = model.normalizer
        self.standardised = Standardised(normalizer.mean, normalizer.scale)
        self.gamma = float(model.gamma)
        support = normalizer(model.support)
        n_classes = len(model.classes_)
        dual, votes = _pairs(model.dual, model.n_support, n_classes)
        self.register_buffer("directions", as_float32(normalizer.directions))
        self.register_buffer("shortening", as_float32(normalizer.shortening))
        self.register_buffer("support", as_float32(support.T))
        self.register_buffer("squares", as_float32(np.square(support).sum(axis=1)))
        self.register_buffer("dual", as_float32(dual))
        self.register_buffer("intercept", as_float32(model.intercept))
        self.register_buffer("votes", as_float32(votes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, n_classes)."""
        rows = self.standardised(x)
        rows = rows - (rows @ self.directions.T * self.shortening) @ self.directions
        distances = rows.square().sum(dim=1, keepdim=True) - 2 * (rows @ self.support) + self.squares
        kernel = torch.exp(-self.gamma * distances.clamp(min=0))
        # The coefficients of a pair sum to 0, so a constant in the kernel has no effect; without it sums are
        # of small terms, and rounding is ten times smaller.
        centred = kernel - kernel.mean(dim=1, keepdim=True)
        return torch.tanh(centred @ self.dual + self.intercept) @ self.votes


class Distance(nn.Module):
    """The distance of a `eavctl.classifiers.novelty.Novelty`."""

    directions: Tensor

    def __init__(self, novelty: Any) -> None:
        super().__init__()
        self.standardised = Standardised(novelty.mean.astype(np.float64), novelty.scale)
        self.energy = float(novelty.energy)
        directions = novelty.directions.astype(np.float64) / novelty.lengths[:, None]
        self.register_buffer("directions", as_float32(directions.T))

    def forward(self, x: Tensor) -> Tensor:
        """Distances (batch,)."""
        rows = self.standardised(x)
        outside = rows.square().sum(dim=1) - (rows @ self.directions).square().sum(dim=1)
        return torch.sqrt(outside.clamp(min=0) / self.energy)


class ColumnsGraph(nn.Module):
    """A classifier of columns, its calibration, and the novelty's distance if there is one."""

    def __init__(self, logits: nn.Module, calibration: Calibration, novelty: Any) -> None:
        super().__init__()
        self.logits, self.calibrated = logits, Calibrated(calibration)
        self.distance = None if novelty is None else Distance(novelty)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Probabilities and distances of rows (batch, n_columns)."""
        proba = self.calibrated(self.logits(x))
        return (proba,) if self.distance is None else (proba, self.distance(x))


class NetworkGraph(nn.Module):
    """Members of a network, whose calibrated probabilities are averaged."""

    def __init__(self, networks: Sequence[nn.Module], calibrations: Sequence[Calibration]) -> None:
        super().__init__()
        self.networks = exportable(networks)
        self.calibrated = nn.ModuleList(map(Calibrated, calibrations))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Probabilities of rows (batch, *shape)."""
        members = zip(self.networks, self.calibrated, strict=True)
        return (mean([calibrated(network(x)) for network, calibrated in members]),)


class FusionGraph(nn.Module):
    """Members of a fusion network, whose calibrated probabilities and weights are averaged."""

    def __init__(self, networks: Sequence[nn.Module], calibrations: Sequence[Calibration]) -> None:
        super().__init__()
        self.networks = exportable(networks)
        self.calibrated = nn.ModuleList(map(Calibrated, calibrations))

    def forward(self, tensors: tuple[Tensor, ...], present: Tensor) -> tuple[Tensor, ...]:
        """Probabilities (batch, n_classes) and weights (batch, n_streams); see `StreamBatch`."""
        outputs = [network.fuse(StreamBatch(tensors, present)) for network in self.networks]  # type: ignore[operator]
        pairs = zip(outputs, self.calibrated, strict=True)
        proba = mean([calibrated(output.logits) for output, calibrated in pairs])
        return proba, mean([output.weights for output in outputs])


class BidirectionalLstm(nn.Module):
    """A bidirectional LSTM of one layer as ONNX's own operator, which takes sequences of any length.

    The exporter would take each step of the example apart, which lasts minutes. The operator's order of the
    gates is input, output, forget, cell; torch's is input, forget, cell, output.
    """

    weights: Tensor
    recurrent: Tensor
    biases: Tensor

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.hidden_size = lstm.hidden_size
        state = lstm.state_dict()

        def both(kind: str) -> Tensor:
            return torch.stack([_onnx_gates(state[f"{kind}_l0{end}"]) for end in ("", "_reverse")])

        self.register_buffer("weights", both("weight_ih"))
        self.register_buffer("recurrent", both("weight_hh"))
        self.register_buffer("biases", torch.cat([both("bias_ih"), both("bias_hh")], dim=1))

    def forward(self, steps: Tensor) -> tuple[Tensor, None]:
        """States of both directions, (batch, n_steps, 2 * hidden_size), of (batch, n_steps, n_inputs)."""
        n_rows, n_steps, _ = steps.shape
        states = torch.onnx.ops.symbolic(
            "LSTM",
            (steps.transpose(0, 1), self.weights, self.recurrent, self.biases),
            {"direction": "bidirectional", "hidden_size": self.hidden_size},
            dtype=steps.dtype,
            shape=(n_steps, 2, n_rows, self.hidden_size),
        )
        return states.permute(2, 0, 1, 3).flatten(2), None


def _onnx_gates(weights: Tensor) -> Tensor:
    inputs, forget, cell, output = weights.chunk(4)
    return torch.cat([inputs, output, forget, cell])


class ResizedByProducts(nn.Module):
    """What `Resized` computes, as products with a matrix for each axis: TensorRT has no antialiased resizing.

    The products are ONNX's Einsum, not MatMul, whose constants would be converted to int8.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, resized: Resized) -> None:
        super().__init__()
        self.side = resized.side
        for name, length in zip(("rows", "columns"), resized.shape, strict=True):
            impulses = torch.eye(length)[None, None]
            size = (self.side, length)
            found = F.interpolate(impulses, size, mode="bilinear", align_corners=False, antialias=True)
            self.register_buffer(name, found[0, 0])

    def forward(self, pictures: Tensor) -> Tensor:
        """Squares (n, 3, side, side) of pictures (n, 3, height, width)."""
        n, colours, height, _ = pictures.shape
        across = _einsum("nchw,sw->nchs", pictures, self.columns, (n, colours, height, self.side))
        return _einsum("nchw,sh->ncsw", across, self.rows, (n, colours, self.side, self.side))


def _einsum(equation: str, one: Tensor, other: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.onnx.ops.symbolic(
        "Einsum", (one, other), {"equation": equation}, dtype=one.dtype, shape=shape
    )


def exportable(networks: Sequence[nn.Module]) -> nn.ModuleList:
    """Copies of networks in which what cannot be exported is replaced by what computes the same."""
    copies = nn.ModuleList(copy.deepcopy(network) for network in networks)
    for module in list(copies.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.LSTM) and _is_replaced(part):
                setattr(module, name, BidirectionalLstm(part))
            elif isinstance(part, Resized) and part.shape != (part.side, part.side):
                setattr(module, name, ResizedByProducts(part))
    return copies.eval()


def _is_replaced(lstm: nn.LSTM) -> bool:
    return bool(lstm.bidirectional and lstm.batch_first and lstm.bias and lstm.num_layers == 1)


def mean(values: Sequence[Tensor]) -> Tensor:
    """Mean over the members of a model."""
    return values[0] if len(values) == 1 else torch.stack(list(values)).mean(dim=0)


def as_float32(values: Any) -> Tensor:
    """A constant of a graph."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _pairs(dual: np.ndarray, n_support: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (n_support, n_pairs) of each pair's decision, and votes (n_pairs, n_classes).

    ``dual`` is ordered as libsvm orders it: row ``j - 1`` has the coefficients of class ``i`` against ``j``.
    """
    pairs = list(itertools.combinations(range(n_classes), 2))
    of_class = np.repeat(np.arange(n_classes), n_support)
    coefficients, votes = np.zeros((len(of_class), len(pairs))), np.zeros((len(pairs), n_classes))
    for number, (i, j) in enumerate(pairs):
        coefficients[:, number] = np.where(of_class == i, dual[j - 1], np.where(of_class == j, dual[i], 0))
        votes[number, [i, j]] = (-1, 1) if n_classes == 2 else (1, -1)
    return coefficients, votes
