"""How a network is trained that starts from public weights, where the user did not say it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eavctl.classifiers.training_loop import FEW_ROWS, TrainSettings


@dataclass(frozen=True)
class FineTuning:
    """A rule that depends on the number of rows alone.

    The body is frozen for the first epochs, in which the head alone is trained, because the gradients of a
    random head distort pretrained features [1]_. Then all is trained, the body at a fraction of the learning
    rate [2]_; its batch norms keep their statistics [3]_. With few rows the body stays frozen.

    Parameters
    ----------
    few : labelled rows below which the body stays frozen.
    frozen : share of the epochs in which it is frozen with more.
    body_share : of the learning rate, for the body.

    References
    ----------
    .. [1] Kumar et al.: Fine-tuning can distort pretrained features and underperform out-of-distribution,
       ICLR 2022.
    .. [2] Howard, Ruder: Universal language model fine-tuning for text classification, ACL 2018.
    .. [3] He et al.: Deep residual learning for image recognition, CVPR 2016, appendix A.
    """

    few: int = FEW_ROWS
    frozen: float = 0.2
    body_share: float = 0.1

    def applied(self, settings: TrainSettings, n_rows: int) -> TrainSettings:
        """The settings of a training on a number of labelled rows, without copies."""
        epochs = settings.most_epochs
        return replace(settings, freeze_epochs=epochs if n_rows < self.few else round(self.frozen * epochs))

    @property
    def words(self) -> str:
        """What is done, for the output."""
        return (
            f"the body is frozen for the first {self.frozen:.0%} of the epochs, then trained at "
            f"{self.body_share:g} of the learning rate; with fewer than {self.few} rows it stays frozen"
        )


def fine_tuning(settings: TrainSettings, *, has_weights: bool) -> FineTuning | None:
    """The rule for a training; None without public weights, or where the user said how long to freeze."""
    return FineTuning() if has_weights and settings.freeze_epochs is None else None
