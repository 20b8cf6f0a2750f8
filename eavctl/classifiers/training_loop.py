"""The training loop of every network: one member from its first epoch to its best."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from eavctl import ranks
from eavctl.classifiers import weighting
from eavctl.classifiers.epoch_order import epoch_order
from eavctl.classifiers.inner_folds import Fold
from eavctl.classifiers.input_statistics import fit_input
from eavctl.classifiers.network import Batch, StreamBatch, as_batch
from eavctl.classifiers.objective import Objective, Validation
from eavctl.classifiers.rows import Rows
from eavctl.errors import DataError, UsageError
from eavctl.jobs import rank_of_process
from eavctl.settings import MOST_SEED, Share, Within, checked

WARM_UP = 0.05
EPOCHS = 40  # by default
LEAST_STEPS = 600  # of the optimizer, where the number of epochs is chosen by that of the rows
FEW_ROWS = 200  # labelled rows below which none is kept for validation

Count = Annotated[int, Within(1, 1_000_000)]
Rate = Annotated[float, Within(1e-30, 10)]
Schedule = Callable[[int, int], float]  # of a step and the number of steps: the share of the learning rate


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained; with the data and the encoder, this determines the weights.

    Parameters
    ----------
    epochs : most passes over the training rows; also the length of the cosine schedule. None is 40, and for
        an encoder that `eavctl.classifiers.dnn.fit` trains on few rows what `for_rows` says.
    batch, lr, weight_decay, clip : of AdamW; ``clip`` is the largest norm of a gradient.
    dropout : of the embedding before the head.
    label_smoothing : share of every target spread over all classes.
    ema : decay, per step, of the running mean of the weights; the mean is validated and kept.
    members : networks whose probabilities are averaged; each has other validation speakers, so that together
        they train on all.
    validation : share of the training rows for early stopping and calibration.
    patience : epochs without a lower validation loss before training ends.
    freeze_epochs, freeze_lr : freeze the pretrained body for the first N epochs, and train the rest at this
        rate; then train all at ``lr``, with a new schedule. None is 0, and with public weights what
        `eavctl.classifiers.fine_tuning.FineTuning` says.
    seed : of weights, order, dropout and augmentation.
    device : ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where available.
    precision : of the matrix products in training: ``"float32"``, or ``"bfloat16"`` by torch's autocast, for
        which recent GPUs are fast; weights and validation stay in float32.
    compile : compile the loss by ``torch.compile``, which takes a minute and pays on a GPU.

    Raises
    ------
    UsageError : a value of another type, not finite or out of bounds; or a device that is not there.
    """

    epochs: Count | None = None
    batch: Count = 16
    lr: Rate = 1e-3
    weight_decay: Annotated[float, Within(0, 100)] = 1e-2
    clip: Annotated[float, Within(1e-9, 1e9)] = 1.0
    dropout: Share = 0.4
    label_smoothing: Share = 0.05
    ema: Annotated[float, Within(0, 0.9999)] = 0.97
    members: Annotated[int, Within(1, 100)] = 1
    validation: Annotated[float, Within(0, 0.5)] = 0.2
    patience: Count = 12
    freeze_epochs: Annotated[int, Within(0, 1_000_000)] | None = None
    freeze_lr: Rate = 5e-4
    seed: Annotated[int, Within(0, MOST_SEED)] = 42
    device: Literal["cpu", "cuda", "auto"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, annotation in get_type_hints(TrainSettings, include_extras=True).items():
            checked("training", name, getattr(self, name), annotation)
        if self.frozen_epochs > self.most_epochs:
            raise UsageError(f"{self.freeze_epochs} of {self.most_epochs} epochs cannot be frozen")
        if self.compile and rank_of_process() is not None:
            raise UsageError("--compile is for one process: leave it out, or start without torchrun")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("this machine has no CUDA device that torch can use; take --device cpu")

    @property
    def most_epochs(self) -> int:
        """The number of epochs, by default 40."""
        return EPOCHS if self.epochs is None else self.epochs

    @property
    def frozen_epochs(self) -> int:
        """The number of epochs in which the body is frozen, by default 0."""
        return self.freeze_epochs or 0

    def for_rows(self, n_rows: int, *, few: int = FEW_ROWS) -> TrainSettings:
        """The settings with a number of epochs, which is chosen by that of the rows where it is None.

        The weights depend on the number of steps rather than on that of epochs, and an epoch of few rows has
        few steps: then there are as many epochs as give `LEAST_STEPS`, and the patience grows with them. Of
        very few rows none is kept for validation, as they could not choose an epoch and would be missed in
        the training: the last epoch is kept, whose weights are a running mean at the end of the schedule.

        Parameters
        ----------
        n_rows : labelled rows, without copies.
        few : number of rows below which there is no validation.
        """
        if self.epochs is not None:
            return self
        validation = 0.0 if n_rows < few else self.validation
        n_batches = replace(self, validation=validation).n_batches(n_rows)
        epochs = max(EPOCHS, math.ceil(LEAST_STEPS / n_batches))
        patience = math.ceil(self.patience * epochs / EPOCHS)
        return replace(self, epochs=epochs, patience=patience, validation=validation)

    def n_batches(self, n_rows: int) -> int:
        """Steps of the optimizer in an epoch, of the number of labelled rows."""
        return max(1, math.ceil(n_rows * (1 - self.validation) / self.batch))

    def torch_device(self) -> torch.device:
        """The device to train on."""
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        if (automatic if self.device == "auto" else self.device) == "cpu":
            return torch.device("cpu")
        return torch.device("cuda", torch.cuda.current_device())  # by number: other threads have another one


@dataclass(frozen=True)
class Epoch:
    """How one epoch went, for a progress bar or a log.

    Parameters
    ----------
    lr : learning rate of its last step.
    loss : mean over the training rows.
    validation_loss, scores : as in `eavctl.classifiers.objective.Validation`; NaN without validation rows.
    monitored : as in `eavctl.classifiers.objective.Validation`.
    """

    member: int
    epoch: int
    lr: float
    loss: float
    validation_loss: float
    scores: Mapping[str, float]
    monitored: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        figures = {f"validation {name}": value for name, value in self.scores.items()}
        figures |= self.monitored
        known = {name: value for name, value in figures.items() if not math.isnan(value)}
        shown = "".join(f", {name} {value:.3f}" for name, value in known.items())
        return f"epoch {self.epoch}, loss {self.loss:.3f}{shown}"


class Training:
    """One member in training: network, running mean of its weights, optimizer, and the best epoch so far.

    Every epoch draws its randomness from (seed, member, epoch) alone, so that a resumed training needs no
    state of a random generator.

    Parameters
    ----------
    build : makes the network, a `eavctl.classifiers.network.Trainable`.
    objective : what is minimised, and how the network is validated.
    rows, fold : all rows, and the numbers of those to train on and of those to validate on.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        objective: Objective,
        rows: Rows,
        fold: Fold,
        settings: TrainSettings,
        member: int = 0,
    ) -> None:
        self.settings, self.member, self.epoch = settings, member, 0
        self.objective, self.rows = objective, rows
        self.train, self.validation = fold
        self.device = settings.torch_device()
        self.y = torch.from_numpy(rows.y[self.train]).to(self.device)
        weights = weighting.taken(rows.fit_weights, self.train)
        self.weights = (
            None if weights is None else torch.from_numpy(weights).to(self.device, torch.get_default_dtype())
        )
        with seeded(settings, member, 0, self.device):
            network: Any = build().to(self.device)
        if hasattr(network, "fit_input"):
            with torch.no_grad():
                fit_input(network, rows.x, self.train, self.device)
        self.network = network
        self.finite = _finite(network)  # some networks hold NaN in buffers for what is not known
        self.body: nn.Module | None = network.body if settings.frozen_epochs else None
        averaging = get_ema_multi_avg_fn(settings.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(network), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        self.shares = [share for share, _ in _shares(network)]
        self.schedule: Schedule = getattr(network, "schedule", cosine)
        self.best: dict[str, Any] = {"epoch": 0, "loss": math.inf}
        self._step_loss = _StepLoss(network)
        if settings.compile:
            torch._inductor.config.fallback_random = True  # the random numbers that it would have otherwise
            network.loss = torch.compile(network.loss)

    @property
    def ended(self) -> bool:
        """Whether the last epoch is done, or the validation loss has not improved for too long."""
        epochs, frozen = self.settings.most_epochs, self.settings.frozen_epochs
        since = max(
            self.best["epoch"], frozen if frozen < epochs else 0
        )  # patience starts anew when the body is unfrozen
        stale = self.epoch - since >= self.settings.patience
        return self.epoch >= epochs or (stale and len(self.validation) > 0)

    def run_epoch(self) -> Epoch:
        """Pass once over the training rows, then validate the mean weights."""
        self.epoch += 1
        lr, past, epochs = self._stage()
        with seeded(self.settings, self.member, self.epoch, self.device) as generator:
            order = epoch_order(self.rows.x, self.train, generator, self.device)
            # Batches of nearly equal size: batch norm cannot take a batch of one row.
            batches = order.tensor_split(math.ceil(len(order) / self.settings.batch))
            total = epochs * len(batches)
            losses = []
            for step, (batch, x) in enumerate(self._read(batches), start=past * len(batches)):
                self._set_rates(lr * self.schedule(step, total))
                if hasattr(self.network, "before_step"):
                    self.network.before_step(step / total)
                losses.append(self._step(batch, x, generator))
        # Read at the end: a GPU would wait for every step.
        sizes = map(len, batches)
        mean = sum(a * n for a, n in zip(torch.stack(losses).tolist(), sizes, strict=True)) / len(order)
        self._require("the loss is", math.isfinite(mean))
        ranks.require_same(mean)
        found = self._validate()
        lr = self.optimizer.param_groups[0]["lr"]
        return Epoch(self.member, self.epoch, lr, mean, found.loss, found.scores, found.monitored)

    def _set_rates(self, lr: float) -> None:
        """Set the learning rate of the groups of parameters that follow the schedule."""
        for share, group in zip(self.shares, self.optimizer.param_groups, strict=False):
            group["lr"] = share * lr

    def _require(self, what: str, is_finite: bool) -> None:
        if not is_finite:
            raise DataError(f"{what} not finite in epoch {self.epoch}; train with a lower --lr")

    def _stage(self) -> tuple[float, int, int]:
        """Learning rate of this epoch's stage, the number of the stage's epochs done, and of all of them."""
        frozen = self.epoch <= self.settings.frozen_epochs
        if self.body is not None:
            self.body.requires_grad_(not frozen)
        if frozen:
            return self.settings.freeze_lr, self.epoch - 1, self.settings.frozen_epochs
        past = self.epoch - 1 - self.settings.frozen_epochs
        return self.settings.lr, past, self.settings.most_epochs - self.settings.frozen_epochs

    def _read(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Batch]]:
        """Yield each batch of row numbers with its features, read a batch ahead where a GPU computes."""

        def read(batch: Tensor) -> Batch:
            # Rows are converted batch by batch: all of them as floats could be many times as large.
            return as_batch(self.rows.x[self.train[batch.cpu().numpy()]], self.device)

        if self.device.type == "cpu":
            yield from ((batch, read(batch)) for batch in batches)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead = deque([reader.submit(read, batches[0])])
            for batch, following in itertools.zip_longest(batches, batches[1:]):
                if following is not None:
                    ahead.append(reader.submit(read, following))
                yield batch, ahead.popleft().result()

    def _step(self, batch: Tensor, x: Batch, generator: torch.Generator) -> Tensor:
        """Take one step of the optimizer on a batch of row numbers and its features; return its loss."""
        self.network.train()
        if self.body is not None and self.epoch <= self.settings.frozen_epochs:
            self.body.eval()  # its batch norms keep their statistics
        x = self.network.augment(x, generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            loss = self._step_loss(self._objective(batch), x, self.y[batch])
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizer.step()
        self.network.after_step()
        self.average.update_parameters(self.network)
        return loss.detach()

    def _objective(self, batch: Tensor) -> Objective:
        """The objective for a batch of row numbers, which weighs its rows where they have weights."""
        weighing = getattr(self.objective, "weighing", None)
        if self.weights is None or weighing is None:
            return self.objective
        weighed: Objective = weighing(self.weights[batch])
        return weighed

    def _validate(self) -> Validation:
        """Validate the mean weights, which become the best where the loss is lowest."""
        network = self.average.module.eval()
        self._require("the weights are", self.finite <= _finite(network))
        # That of rank 0 for all: a difference in the last digit must not end the training of some of them.
        found = ranks.from_first(self.objective.validate(network, self.rows.taking(self.validation)))
        if not len(self.validation):
            self._keep(network, found)  # the last epoch is kept
            return found
        self._require("the validation loss is", math.isfinite(found.loss))
        if found.loss < self.best["loss"]:
            self._keep(network, found)
        return found

    def _keep(self, network: nn.Module, found: Validation) -> None:
        """Make this epoch the best."""
        self.best = {
            "epoch": self.epoch,
            "weights": {name: value.cpu().clone() for name, value in network.state_dict().items()},
            "fitted": dict(found.fitted),
            "loss": found.loss,
            "scores": dict(found.scores),
        }

    def result(self) -> dict[str, Any]:
        """The member as it is kept: weights, what was fitted on validation rows, and how it was trained."""
        best = self.best
        scores = {"loss": best["loss"], **{name.lower(): value for name, value in best["scores"].items()}}
        return {
            "weights": best["weights"],
            **best["fitted"],
            "epochs": self.epoch,
            "best_epoch": best["epoch"],
            "n_train": len(self.train),
            "n_validation": len(self.validation),
            **{f"validation_{name}": None if math.isnan(value) else value for name, value in scores.items()},
        }

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        return {"member": self.member, "epoch": self.epoch, "best": self.best, **parts}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`."""
        self.epoch, self.best = state["epoch"], state["best"]
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])


class _StepLoss:
    """The loss of a training batch; of several ranks, each computes its share, and gradients are averaged."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._trainable: list[bool] = []
        self._reducing: nn.Module | None = None

    def __call__(self, objective: Objective, x: Any, y: Tensor) -> Tensor:
        if ranks.size() == 1:
            return objective.loss(self._network, x, y)
        trainable = [each.requires_grad for each in self._network.parameters()]
        if trainable != self._trainable:  # DDP reduces the gradients of those that it has met as trainable
            self._trainable, self._reducing = trainable, None
            can_skip = isinstance(x, StreamBatch)  # the layers of a stream that no row of a batch has
            self._reducing = DistributedDataParallel(
                _AsModule(self._network), find_unused_parameters=can_skip
            )
        assert self._reducing is not None
        with ranks.sharing():
            loss: Tensor = self._reducing(objective, x, y)
        return loss


class _AsModule(nn.Module):
    """The loss of a network as the output of a module, which is what DDP takes.

    It has the parameters but not the buffers, which are the same on all ranks: DDP would copy them each time.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.weights = nn.ParameterList(network.parameters())
        self._network = (network,)  # in a tuple it is no submodule

    def forward(self, objective: Objective, x: Any, y: Tensor) -> Tensor:
        """See `Objective`."""
        return objective.loss(self._network[0], x, y)


@contextmanager
def seeded(
    settings: TrainSettings, member: int, epoch: int, device: torch.device
) -> Iterator[torch.Generator]:
    """Seed torch for one epoch, and restore its state afterwards; yields a generator on the device.

    Epoch 0 draws the initial weights.
    """
    streams = np.random.SeedSequence([settings.seed, member, epoch]).generate_state(2)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(int(streams[0]))
        if device.type == "cuda":
            torch.cuda.manual_seed(int(streams[0]))
        yield torch.Generator(device).manual_seed(int(streams[1]))


def _parameter_groups(network: Any) -> list[dict[str, Any]]:
    """The parameters that follow the schedule, by their share of its rate, then those of a constant rate."""
    constant = list(network.constant_rate()) if hasattr(network, "constant_rate") else []
    apart = {id(each) for each in constant}
    scheduled = [[each for each in some if id(each) not in apart] for _, some in _shares(network)]
    return [{"params": some} for some in (*scheduled, *([constant] if constant else []))]


def _shares(network: Any) -> list[tuple[float, list[nn.Parameter]]]:
    """Shares of the learning rate, each with the parameters that have it; all of them by default."""
    slower = [(share, list(some)) for share, some in getattr(network, "slower", list)()]
    apart = {id(each) for _, some in slower for each in some}
    return [(1.0, [each for each in network.parameters() if id(each) not in apart]), *slower]


def _finite(network: nn.Module) -> set[str]:
    """Names of the weights and buffers whose values are all finite."""
    return {name for name, value in network.state_dict().items() if bool(value.isfinite().all())}


def cosine(step: int, total: int) -> float:
    """Share of the learning rate at a step: a short linear warm-up under half a cosine."""
    decay = 0.5 * (1 + math.cos(math.pi * step / total))
    return min((step + 1) / max(1.0, WARM_UP * total), decay)
