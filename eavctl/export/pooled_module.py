"""An early fusion pooled with its single models as a torch module that a graph is traced from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eavctl.classifiers.projection import Projected
from eavctl.errors import DataError
from eavctl.export.modules import (
    ColumnsGraph,
    FusionGraph,
    LinearLogits,
    NetworkGraph,
    SvmLogits,
    as_float32,
)
from eavctl.fusion.pool import DOUBT
from eavctl.fusion.pooled import COLUMN_MODELS, PooledFusion, SingleModel

LOGITS = {"svm": SvmLogits, "linear": LinearLogits}  # modules by kind of model
TINY = 1e-30  # in float32


class PooledGraph(nn.Module):
    """The single models of a fusion, its network, and the pool of both: see `PooledFusion`.

    Parameters
    ----------
    fusion : to be exported.

    Raises
    ------
    DataError : a single model that cannot be exported.
    """

    singles: Tensor
    there: Tensor

    def __init__(self, fusion: PooledFusion) -> None:
        super().__init__()
        classes = fusion.classes_.tolist()
        self.models = nn.ModuleDict(
            {str(i): SingleGraph(each, classes) for i, each in enumerate(fusion.singles) if each}
        )
        self.network, self.balanced = FusionGraph(*fusion.network.members), Doubted(fusion.priors)
        self.columns = frozenset(i for i, name in enumerate(fusion.encoders) if name in COLUMN_MODELS)
        self.weight, self.scale = fusion.pool.network, fusion.pool.scale
        self.register_buffer("singles", as_float32(fusion.pool.singles))
        self.register_buffer("there", torch.tensor([each is not None for each in fusion.singles]))

    def forward(self, tensors: tuple[Tensor, ...], present: Tensor) -> tuple[Tensor, ...]:
        """Probabilities (batch, n_classes) and weights (batch, n_streams); see `PooledFusion`."""
        judged = present & self.there
        said, inputs = [], []
        for stream, x in enumerate(tensors):
            proba = self._said(stream, x, present[:, stream : stream + 1])
            said.append(proba)
            inputs.append(_centred(proba) if stream in self.columns else x)
        each, alone = torch.stack(said, dim=1), ~judged.any(dim=1, keepdim=True)
        answers, of_network = self.network(tuple(inputs), present)
        answers = self.balanced(answers)
        weight = torch.where(alone, torch.ones_like(answers[:, :1]), self.weight)
        shares = self.singles * judged + TINY * judged
        shares = (shares / shares.sum(dim=1, keepdim=True).clamp(min=TINY))[:, :, None]
        arithmetic = torch.where(alone, torch.ones_like(answers), (shares * each).sum(dim=1))
        late = ((shares * each.log()).sum(dim=1) + arithmetic.log()) / 2
        logs = self.scale * (late + weight * answers.log())
        sizes = shares[:, :, 0] * _sizes(each) + of_network * weight * _sizes(answers)[:, None]
        sizes = sizes + TINY * present
        return self.balanced.undone(logs), sizes / sizes.sum(dim=1, keepdim=True)

    def _said(self, stream: int, x: Tensor, mask: Tensor) -> Tensor:
        """What the single model of a stream says, all probabilities equal where there is none."""
        equal = torch.full((1, self.balanced.n_classes), 1 / self.balanced.n_classes)
        if str(stream) not in self.models:
            return equal.expand(mask.shape[0], -1)
        clean = torch.where(mask.reshape(-1, *[1] * (x.dim() - 1)), x, torch.zeros_like(x[:1]))
        return torch.where(mask, self.models[str(stream)](clean), equal)


class SingleGraph(nn.Module):
    """What a single model says of rows: see `SingleModel.said`."""

    def __init__(self, single: SingleModel, classes: list[str]) -> None:
        super().__init__()
        model: Any = single.model
        if isinstance(model, Projected):
            raise DataError(
                f"a fusion with a model of covariances ({model.step.name}) cannot be exported: ONNX has no "
                "operator for their eigenvalues; predict with the model itself"
            )
        own = model.classes_.tolist()
        self.order = [own.index(name) if name in own else len(own) for name in classes]
        if single.kind in LOGITS:
            self.model: nn.Module = ColumnsGraph(LOGITS[single.kind](model), model.calibration, None)
        else:
            self.model = NetworkGraph(*model.members)
        self.balanced = Doubted(model.priors)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities (batch, n_classes)."""
        (proba,) = self.model(x)
        said = self.balanced(proba)
        unknown = torch.full_like(said[:, :1], 1 / len(self.order))
        found = torch.cat([said, unknown], dim=1)[:, self.order]
        return found / found.sum(dim=1, keepdim=True)


class Doubted(nn.Module):
    """`eavctl.fusion.pool.doubted`, and the priors put back."""

    ratios: Tensor
    logs: Tensor

    def __init__(self, priors: np.ndarray) -> None:
        super().__init__()
        self.n_classes = len(priors)
        with np.errstate(divide="ignore"):
            self.register_buffer("logs", as_float32(np.maximum(np.log(priors), np.log(TINY))))
        self.register_buffer(
            "ratios", as_float32(np.divide(1, priors, np.zeros(len(priors)), where=priors > 0))
        )

    def forward(self, proba: Tensor) -> Tensor:
        """Probabilities (batch, n_classes) for classes of equal frequency, with doubt."""
        ratios = proba * self.ratios
        balanced = ratios / ratios.sum(dim=1, keepdim=True).clamp(min=TINY)
        return (1 - DOUBT) * balanced + DOUBT / self.n_classes

    def undone(self, logs: Tensor) -> Tensor:
        """Probabilities for the classes' own frequencies, (batch, n_classes)."""
        return torch.softmax(logs + self.logs, dim=1)


def _centred(proba: Tensor) -> Tensor:
    logs = proba.log()
    return logs - logs.mean(dim=-1, keepdim=True)


def _sizes(proba: Tensor) -> Tensor:
    return _centred(proba).square().sum(dim=-1).sqrt()
