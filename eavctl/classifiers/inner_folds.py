"""Inner folds of the training rows, for selection, early stopping and calibration.

They keep the groups of the protocol, such as people, whole; if that is not possible, clips and trials; else
they split single rows. Each such step is a `eavctl.errors.TrainingWarning`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eavctl.errors import DataError, TrainingWarning
from eavctl.evaluation.untested import follows

N_FOLDS = 4  # for selection and calibration

Fold = tuple[np.ndarray, np.ndarray]
Names = Sequence[str] | np.ndarray


class _Level(NamedTuple):
    """The groups that a split keeps whole, shape (n_rows,), and their name in singular and plural."""

    kept: np.ndarray
    one: str
    many: str


@dataclass(frozen=True)
class InnerRows:
    """Training rows to split; a fold is a pair of arrays of row indices (training part, test part).

    Parameters
    ----------
    y : class indices, int, shape (n_rows,).
    classes : names of the classes.
    groups : shape (n_rows,), groups of the protocol, such as people; None if unknown.
    units : shape (n_rows,), units that are not divided if possible, such as clips; None: single rows.
    copies : bool, shape (n_rows,), rows that no fold tests, such as altered copies: they are training rows
        where the other rows of their unit are, or, without units, of their group; those of a unit that has
        no other rows, where no row of their group is tested. None: there are none.
    """

    y: np.ndarray
    classes: Sequence[str]
    groups: Names | None = None
    units: Names | None = None
    copies: np.ndarray | None = None

    @property
    def own(self) -> np.ndarray:
        """Numbers of the rows that are not copies: those that `folds` tests, and that priors count."""
        return np.arange(len(self.y)) if self.copies is None else np.flatnonzero(~self.copies)

    def divided(self, weights: np.ndarray | None) -> np.ndarray | None:
        """Weights by which a unit counts as much with its copies as it would without them.

        Parameters
        ----------
        weights : of the rows, shape (n_rows,), a copy's as large as its clip's; None where all are equal.

        Returns
        -------
        float64, shape (n_rows,), mean 1; without copies, the weights as they are.
        """
        if self.copies is None:
            return weights
        unit_of_row = np.unique(self._followed, return_inverse=True)[1]
        n_rows, n_own = np.bincount(unit_of_row), np.bincount(unit_of_row, ~self.copies)
        shares = (np.maximum(n_own, 1) / n_rows)[unit_of_row]
        divided = shares if weights is None else shares * weights
        return np.asarray(divided / divided.mean())

    @property
    def _followed(self) -> np.ndarray:
        """What a copy shares with the rows that it follows into the parts of a fold, shape (n_rows,)."""
        names = self.units if self.units is not None else self.groups
        return np.arange(len(self.y)) if names is None else np.asarray(names)

    def _without_copies(self) -> InnerRows:
        own = self.own
        kept = (None if names is None else np.asarray(names)[own] for names in (self.groups, self.units))
        return InnerRows(self.y[own], self.classes, *kept)

    def _with_copies(self, fold: Fold) -> Fold:
        """A fold of the rows that are not copies, with the copies of its training rows."""
        own = self.own
        train, test = (own[part] for part in fold)
        groups = self._followed if self.groups is None else np.asarray(self.groups)
        copied = np.setdiff1d(np.arange(len(self.y)), own)
        joins = follows(copied, train, test, self._followed, groups)
        return np.sort(np.concatenate([train, copied[joins]])), test

    def folds(self, seed: int) -> list[Fold]:
        """Folds for selection and calibration, which test every row once, but for copies.

        Raises
        ------
        DataError : a class has a single row.
        """
        if self.copies is not None:
            return [self._with_copies(fold) for fold in self._without_copies().folds(seed)]
        if self._rows_of_class.min() < 2:
            raise DataError("a class has a single row in a training part; at least two are needed")
        folds, failed = self._cut(N_FOLDS, seed, lambda folds: sum(len(t) for _, t in folds) == len(self.y))
        self._warn("settings and calibration were chosen on inner folds", failed)
        return folds

    def validation(self, share: float, seed: int) -> list[Fold]:
        """Folds for early stopping and calibration.

        Parameters
        ----------
        share : share of validation rows, 0 to 0.5.
        seed : random seed.

        Returns
        -------
        At most 1 / share folds whose training parts have every class, with disjoint test parts; or, if the
        share is 0 or the rows cannot be split, a single fold with an empty test part.
        """
        if self.copies is not None:
            return [self._with_copies(fold) for fold in self._without_copies().validation(share, seed)]
        failed: list[_Level] = []
        if share:
            folds, failed = self._cut(round(1 / share), seed, bool)
            if folds:
                self._warn("early stopping and calibration used validation rows", failed)
                return folds
        why = f": {self._reason(failed[-1])}" if failed else ""
        warnings.warn(
            f"trained without validation, so the probabilities are not calibrated{why}",
            TrainingWarning,
            stacklevel=2,
        )
        return [(np.arange(len(self.y)), np.arange(0))]

    def holding(self, names: Collection[str]) -> Fold | None:
        """The fold that holds out the named groups; None if a part is empty or a class is not trained."""
        if self.groups is None:
            return None
        held = np.isin(np.asarray(self.groups), list(names))
        fold = np.flatnonzero(~held), np.intersect1d(np.flatnonzero(held), self.own)
        return fold if self._is_whole(fold) else None

    def groups_tested(self, fold: Fold) -> list[str]:
        """Sorted names of the groups whose rows are all in the test part."""
        if self.groups is None:
            return []
        groups = np.asarray(self.groups)
        return sorted({str(name) for name in groups[fold[1]]} - {str(name) for name in groups[fold[0]]})

    @property
    def _rows_of_class(self) -> np.ndarray:
        """Number of rows of each class that occurs."""
        return np.unique(self.y, return_counts=True)[1]

    def _levels(self) -> list[_Level]:
        """The levels at which to keep rows together, best first, without equivalent ones."""
        named = ((self.groups, "group", "groups (such as people)"), (self.units, "clip", "clips or trials"))
        levels = [_Level(np.asarray(kept), *nouns) for kept, *nouns in named if kept is not None]
        levels.append(_Level(np.arange(len(self.y)), "row", "rows"))
        sizes = [len(np.unique(level.kept)) for level in levels]
        return [level for i, level in enumerate(levels) if sizes[i] not in sizes[i + 1 :]]

    def _cut(
        self, n_folds: int, seed: int, enough: Callable[[list[Fold]], bool]
    ) -> tuple[list[Fold], list[_Level]]:
        """Folds of the first level that gives enough of them, or none, and the levels that failed."""
        levels = self._levels()
        for number, level in enumerate(levels):
            folds = self._folds(level.kept, n_folds, seed)
            if enough(folds):
                return folds, levels[:number]
        return [], levels

    def _folds(self, kept: np.ndarray, n_folds: int, seed: int) -> list[Fold]:
        """Up to ``n_folds`` folds, stratified by class, whose training parts have every class."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        n_kept = len(np.unique(kept))
        n_folds = min(n_folds, n_kept, int(self._rows_of_class.max()))
        if n_folds < 2:
            return []
        kind = StratifiedKFold if n_kept == len(kept) else StratifiedGroupKFold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # _is_whole handles classes rarer than folds
            folds = list(kind(n_folds, shuffle=True, random_state=seed).split(self.y, self.y, kept))
        return [fold for fold in folds if self._is_whole(fold)]

    def _is_whole(self, fold: Fold) -> bool:
        """Whether the training part has every class and the test part a row."""
        train, test = fold
        return len(test) > 0 and len(np.unique(self.y[train])) == len(self._rows_of_class)

    def _warn(self, what: str, failed: Sequence[_Level]) -> None:
        for level in failed:
            text = f"{what} that share {level.many} with the rows trained on: {self._reason(level)}"
            warnings.warn(text, TrainingWarning, stacklevel=3)

    def _reason(self, level: _Level) -> str:
        """Reason why the folds of a level are not enough."""
        from eavctl.evaluation.groups import short  # imports pandas, which prediction does not need

        def named(names: np.ndarray) -> str:
            return "" if names.dtype.kind == "i" else f" ({short(str(names[0]))})"

        kept, one, _ = level
        if len(np.unique(kept)) == 1:
            return f"there is only one {one}{named(kept)}"
        alone = [
            f"class {name!r} occurs in one {one} only{named(kept[self.y == number])}"
            for number, name in enumerate(self.classes)
            if len(np.unique(kept[self.y == number])) == 1
        ]
        if not alone:
            return f"no cut leaves every class a {one} to train on and one to test"
        return alone[0] + (f", and so do {len(alone) - 1} more classes" if alone[1:] else "")
