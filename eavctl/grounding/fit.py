"""Train a grounding network on examples in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.classifiers.fitting import Keeping, fit_members
from eavctl.classifiers.inner_folds import Fold
from eavctl.classifiers.training_loop import TrainSettings
from eavctl.encoders.pretrained import Size, model_type
from eavctl.errors import DataError, LeakError, UsageError
from eavctl.grounding.conditioning import Fusion
from eavctl.grounding.examples import Examples
from eavctl.grounding.model import GroundModel
from eavctl.grounding.network import GroundNet, build_network
from eavctl.grounding.objective import Grounding
from eavctl.grounding.vocabulary import Vocabulary, WordPieces
from eavctl.storage.provenance import hash_folder

VISUAL, LANGUAGE = "vit", "bert"  # model types of public weights


@dataclass(frozen=True)
class Design:
    """A grounding network and its training, without data.

    Parameters
    ----------
    settings : of the training loop, with one member.
    fusion, size : see `GroundNet`.
    visual_weights, language_weights : folders of public weights of a Vision Transformer and of BERT, whose
        word pieces are then the vocabulary; None: from scratch, with the words of the training phrases.
    """

    settings: TrainSettings
    fusion: Fusion = "law"
    size: Size = "tiny"
    visual_weights: Path | None = None
    language_weights: Path | None = None


def sorted_weights(folders: Sequence[Path]) -> tuple[Path | None, Path | None]:
    """Folders of public weights as those of a Vision Transformer and those of BERT, by their config.json.

    Raises
    ------
    UsageError : two of a kind.
    DataError : of neither kind, or no such folder.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        kind = model_type(folder)
        if kind not in (VISUAL, LANGUAGE):
            raise DataError(
                f"{folder}: weights of model type {kind!r}; those of {VISUAL!r} or {LANGUAGE!r} are needed"
            )
        if kind in found:
            raise UsageError(f"{folder}: weights of {kind!r} were named already, {found[kind]}; name one")
        found[kind] = folder
    return found.get(VISUAL), found.get(LANGUAGE)


def fit(examples: Examples, fold: Fold, design: Design, keeping: Keeping | None = None) -> GroundModel:
    """Train a network, and keep its weights of the epoch with the lowest validation loss.

    On a CPU the same examples, design and number of threads give the same weights.

    Parameters
    ----------
    fold : numbers of the examples to train on and to validate on; without any of the latter the last epoch
        is kept.
    keeping : checkpoint and callbacks.

    Raises
    ------
    DataError : no examples to train on, parts that do not fit each other, or a loss or weights that become
        not finite.
    LeakError : a picture is on both sides.
    UsageError : no such size or fusion; more than one member; a checkpoint of another training.
    """
    train, _ = fold
    if not len(train):
        raise DataError("no phrases to train on")
    if design.settings.members != 1:
        raise UsageError(f"a grounding network has one member, not {design.settings.members}")
    _check_leaks(examples, fold)
    vocabulary = _vocabulary(examples, train, design)
    rows = examples.rows(vocabulary)
    facts = _facts(vocabulary, examples, design)

    def build(member: int) -> GroundNet:
        network = build_network(facts)
        network.load_weights(design.visual_weights, design.language_weights)
        if design.settings.freeze_epochs and network.body is None:
            raise UsageError("nothing to freeze: the network has no public weights")
        return network

    device = design.settings.torch_device()
    (result,) = fit_members(
        build,
        rows,
        design.settings,
        {**facts, "fold": [np.asarray(part).tolist() for part in fold]},
        keeping or Keeping(),
        folds=[fold],
        objective=lambda rows, train: Grounding(device),
    )
    return GroundModel.from_parts(result.pop("weights"), {**facts, **result})


def _vocabulary(examples: Examples, train: np.ndarray, design: Design) -> Vocabulary:
    """BERT's word pieces, or the words of the training phrases alone."""
    if design.language_weights is not None:
        return WordPieces.read(design.language_weights)
    return Vocabulary.of([examples.phrases[number] for number in train])


def _facts(vocabulary: Vocabulary, examples: Examples, design: Design) -> dict[str, Any]:
    """With examples and fold, all that the weights depend on."""
    folders = {"visual": design.visual_weights, "language": design.language_weights}
    return {
        "size": design.size,
        "side": examples.side,
        "fusion": design.fusion,
        "vocabulary": vocabulary.to_meta(),
        "public_weights": {name: folder and hash_folder(folder) for name, folder in folders.items()},
        "settings": asdict(design.settings),
    }


def _check_leaks(examples: Examples, fold: Fold) -> None:
    train, validation = fold
    names = np.arange(len(examples.phrases)) if examples.clips is None else np.asarray(examples.clips)
    both = np.intersect1d(names[train], names[validation])
    if len(both):
        raise LeakError(f"picture {both[0]} is in training and in validation; keep its phrases together")
