"""Scores of predictions and of class probabilities, with numpy only.

Confusion matrices have true classes in rows and predicted classes in columns. All their functions accept
stacks, shape (..., n_classes, n_classes), so that a jackknife scores thousands at once. Means of recall and
F1 leave out classes without true rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eavctl.errors import DataError

CALIBRATION_BINS = 15  # of equal width, as in the papers that the errors are from
SMALLEST = float(np.finfo(np.float64).eps)  # smaller probabilities are clipped before the logarithm


@dataclass(frozen=True)
class Scores:
    """Scores of predictions and probabilities against labels.

    Parameters
    ----------
    classes : names of the classes, in the order of all arrays; labels unknown to the predictions come last.
    confusion : int array, shape (n_classes, n_classes), true classes in rows, predicted ones in columns.
    precision, recall, f1 : shape (n_classes,); 0 if the class was not predicted, or has no rows.
    support : int, shape (n_classes,), number of rows of each true class.
    mean_proba : shape (n_classes,), mean probability of each class over all rows; close to the share of the
        class if probabilities are calibrated.
    uar : unweighted average recall: mean recall of the classes present.
    macro_f1, weighted_f1 : mean F1 of the classes present, unweighted and weighted by support.
    accuracy : share of correct rows.
    chance : UAR of guessing, 1 / number of classes present.
    chance_accuracy : accuracy of always predicting the most frequent class.
    log_loss : mean of -ln p(true class), in nats.
    brier : mean over rows of the sum over classes of squared errors, 0 to 2.
    calibration_error : expected calibration error of the most probable class, 15 bins of equal width.
    classwise_calibration_error : mean over classes of the calibration error of each class's probability.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    mean_proba: np.ndarray
    uar: float
    macro_f1: float
    weighted_f1: float
    accuracy: float
    chance: float
    chance_accuracy: float
    log_loss: float
    brier: float
    calibration_error: float
    classwise_calibration_error: float

    @property
    def n_rows(self) -> int:
        """Number of rows scored."""
        return int(self.support.sum())


def score(
    labels: Sequence[str] | np.ndarray, pred: np.ndarray, proba: np.ndarray, classes: Sequence[str]
) -> Scores:
    """Score predictions and probabilities against labels.

    Parameters
    ----------
    labels : true classes, shape (n_rows,), none missing.
    pred : predicted classes, names in ``classes``, shape (n_rows,).
    proba : probabilities, shape (n_rows, n_classes); each row sums to 1.
    classes : names of the columns of ``proba``.

    Raises
    ------
    DataError : there are no rows.
    """
    if not len(labels):
        raise DataError("there are no labelled rows to score")
    names = all_classes(labels, classes)
    truth = indices(labels, names)
    padded = of_classes(proba, len(names))
    confusion = confusion_matrix(truth, indices(pred, names), len(names))
    support = confusion.sum(axis=1)
    f1 = f1_of_classes(confusion)
    return Scores(
        classes=names,
        confusion=confusion,
        precision=_ratio(np.diagonal(confusion), confusion.sum(axis=0)),
        recall=_ratio(np.diagonal(confusion), support),
        f1=f1,
        support=support,
        mean_proba=padded.mean(axis=0),
        uar=float(uar(confusion)),
        macro_f1=float(macro_f1(confusion)),
        weighted_f1=float((f1 * support).sum() / support.sum()),
        accuracy=float(accuracy(confusion)),
        chance=1 / int((support > 0).sum()),
        chance_accuracy=float(support.max() / support.sum()),
        log_loss=log_loss(truth, padded),
        brier=brier(truth, padded),
        calibration_error=calibration_error(truth, padded),
        classwise_calibration_error=classwise_calibration_error(truth, padded),
    )


def all_classes(labels: Sequence[str] | np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes, followed by the labels that are not among them, sorted."""
    return (*classes, *sorted({str(label) for label in labels} - set(classes)))


def of_classes(proba: np.ndarray, n_classes: int) -> np.ndarray:
    """Probabilities (n_rows, n_classes): those of the last classes, which the predictions lack, are 0."""
    lacking = n_classes - proba.shape[1]
    return np.pad(proba, [(0, 0), (0, lacking)]) if lacking else proba


def indices(labels: Sequence[str] | np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """The index of each label among the classes, int, shape (n_rows,)."""
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[str(label)] for label in labels], dtype=np.intp)


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count rows by true and predicted class, int, shape (n_classes, n_classes)."""
    cells = np.bincount(truth * n_classes + predicted, minlength=n_classes * n_classes)
    return cells.reshape(n_classes, n_classes)


def uar(confusion: np.ndarray) -> np.ndarray:
    """Unweighted average recall of each confusion matrix of a stack."""
    support = confusion.sum(axis=-1)
    return _mean_present(_ratio(_diagonal(confusion), support), support)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes present, of each confusion matrix of a stack."""
    return _mean_present(f1_of_classes(confusion), confusion.sum(axis=-1))


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of rows on the diagonal, of each confusion matrix of a stack."""
    return _ratio(_diagonal(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def f1_of_classes(confusion: np.ndarray) -> np.ndarray:
    """F1 of each class, 2 TP / (2 TP + FP + FN), shape (..., n_classes)."""
    return _ratio(2 * _diagonal(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


def log_loss(truth: np.ndarray, proba: np.ndarray) -> float:
    """Mean of -ln p(true class); ``truth`` holds column indices of ``proba``."""
    true_proba = proba[np.arange(len(truth)), truth]
    return float(0.0 - np.log(np.clip(true_proba, SMALLEST, 1.0)).mean())  # 0 - 0 is 0, and -0 is -0


def brier(truth: np.ndarray, proba: np.ndarray) -> float:
    """Brier score in its original multi-class form [1]_.

    References
    ----------
    .. [1] Brier: Verification of forecasts expressed in terms of probability, 1950.
    """
    errors = proba.copy()
    errors[np.arange(len(truth)), truth] -= 1.0
    return float(np.square(errors, out=errors).sum(axis=1).mean())


def calibration_error(truth: np.ndarray, proba: np.ndarray) -> float:
    """Expected calibration error: |accuracy - confidence| over bins of confidence, weighted by rows [1]_.

    Confidence is the largest probability; bins are 15 of equal width. Bins of equal numbers of rows [2]_ give
    values about as high; most papers state these.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks, 2017.
    .. [2] Nguyen, O'Connor: Posterior calibration and exploratory analysis for natural language processing
       models, EMNLP 2015.
    """
    return _binned_error(proba.max(axis=1), proba.argmax(axis=1) == truth)


def classwise_calibration_error(truth: np.ndarray, proba: np.ndarray) -> float:
    """Mean over classes of |share of the class - its mean probability| over bins of that probability [1]_.

    The probability of the most probable class can be calibrated while that of a rare class is not.

    References
    ----------
    .. [1] Kull et al.: Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
       Dirichlet calibration, NeurIPS 2019.
    """
    return float(np.mean([_binned_error(shares, truth == i) for i, shares in enumerate(proba.T)]))


def _binned_error(proba: np.ndarray, occurred: np.ndarray) -> float:
    """|Observed frequency - mean probability| in bins of equal width, weighted by their rows."""
    gaps = np.bincount(bin_of(proba), weights=occurred - proba, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(proba))


def bin_of(proba: np.ndarray) -> np.ndarray:
    """The bin of each probability, int, 0 to `CALIBRATION_BINS` - 1, shape (n_rows,)."""
    return np.asarray(np.minimum((proba * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1))


def _diagonal(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _mean_present(values: np.ndarray, support: np.ndarray) -> np.ndarray:
    present = support > 0
    return _ratio((values * present).sum(axis=-1), present.sum(axis=-1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, or 0 if the whole is 0."""
    return np.asarray(part / np.where(whole == 0, 1, whole))
