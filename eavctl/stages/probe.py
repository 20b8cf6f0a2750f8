"""A pretrained encoder, judged: a linear probe beside random, raw, from scratch and fine-tuned."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from eavctl.classifiers.training_loop import TrainSettings
from eavctl.errors import UsageError
from eavctl.evaluation import met
from eavctl.evaluation.plan import Plan
from eavctl.progress import Tick, silent
from eavctl.storage import files, ownership
from eavctl.storage.ownership import Output
from eavctl.storage.paths import Paths, listed
from eavctl.storage.provenance import hash_json, versions
from eavctl.storage.tables import read_feature_meta
from eavctl.training.cross_validation import Evaluation, grouped, plan_folds
from eavctl.training.encoder_start import EncoderStart
from eavctl.training.probing.arms import ARMS, Arm, make_arms
from eavctl.training.probing.draws import Share
from eavctl.training.probing.embedder import Embedder
from eavctl.training.probing.findings import findings
from eavctl.training.probing.fits import Fits
from eavctl.training.probing.persons import tell_persons
from eavctl.training.probing.probe import count_fits, predict_all
from eavctl.training.rows import TrainingSet, read_training_set
from eavctl.training.train import PACKAGES, evaluation_meta, protocol_meta

KIND, FORMAT_VERSION = "probe", 1
FEWEST_DRAWS = 3


@dataclass(frozen=True)
class ProbeChoice:
    """What to fit.

    Parameters
    ----------
    labels : shares of the training rows that are labelled: numbers of rows a class, percentages, ``all``.
    draws : of labels, for each share.
    arms : some of `eavctl.training.probing.arms.ARMS`.
    networks : settings of the trainings from scratch and from the encoder, such as ``{"epochs": 20}``, in
        place of those by the number of labels (see `eavctl.training.probing.networks`).
    jobs : threads of the linear arms; the result does not depend on them.

    Raises
    ------
    UsageError : no share, an unknown arm, fewer than three draws, or a setting out of bounds.
    """

    labels: Sequence[str] = ("5", "20", "all")
    draws: int = FEWEST_DRAWS
    arms: Sequence[str] = ARMS
    networks: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 1

    def __post_init__(self) -> None:
        if not self.labels:
            raise UsageError("--labels names no share of labels; name some, such as --labels 5,20,all")
        if self.draws < FEWEST_DRAWS:
            raise UsageError(f"--draws {self.draws}: {FEWEST_DRAWS} at least show how much draws differ")
        if not self.arms:
            raise UsageError(f"--arms names no arm; known: {', '.join(ARMS)}")
        if unknown := [name for name in self.arms if name not in ARMS]:
            raise UsageError(f"--arms {unknown[0]}: no such arm; known: {', '.join(ARMS)}")
        TrainSettings(**self.networks)  # raises where a value cannot be meant, and so do shares
        for text in self.labels:
            Share(text)

    @property
    def shares(self) -> list[Share]:
        """The shares of labels, each once."""
        return [Share(text) for text in dict.fromkeys(self.labels)]


@dataclass(frozen=True)
class Planned:
    """What a probe would do.

    Parameters
    ----------
    n_rows : labelled rows of the table.
    plan : the splits.
    n_fits : of all arms.
    warnings : on the data and the protocol.
    facts : JSON-able, what the result would say of encoder, table, protocol and settings.
    up_to_date : an earlier run has left the output.
    """

    n_rows: int
    plan: Plan
    n_fits: int
    warnings: tuple[str, ...]
    facts: Mapping[str, Any]
    up_to_date: bool = False


@dataclass(frozen=True)
class Probed:
    """The result of a probe.

    Parameters
    ----------
    facts : JSON-able, the content of the output.
    warnings : on the data and the protocol.
    """

    facts: Mapping[str, Any]
    warnings: tuple[str, ...]
    up_to_date: bool = False


def probe(
    encoder: str | os.PathLike[str],
    tables: Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    choice: ProbeChoice | None = None,
    evaluation: Evaluation | None = None,
    fits: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_fit: Tick = silent,
) -> Probed:
    """Judge an encoder by how well few labels suffice on its embeddings, beside what does without it.

    On the same folds and the same draws of labels are fitted: a linear probe on the frozen encoder's
    embeddings, one on those of the same encoder with random weights, one on the features themselves, the
    encoder's network from scratch, and from the encoder. An interrupted probe goes on from its finished fits.

    Parameters
    ----------
    encoder : file of kind ``encoder`` (.pt).
    tables : feature table with labels, or several, which are stacked.
    out : file to write (.json); None writes none.
    choice : shares of labels, draws and arms.
    evaluation : how rows are split, whom the encoder may have met, and the seed; draw k, from 0, has the
        seed ``seed + k``.
    fits : folder in which finished fits stay, for probes of other encoders on the same table.
    force : overwrite files that eavctl did not write, and fit even if up to date.
    on_fit : called with the number of fits done, of all, and what comes next.

    Raises
    ------
    LeakError : test rows that the encoder was pretrained on, and that are not named as shared; or a leak of
        the split itself.
    DataError, SettingsError : an unreadable file, or a table that does not fit the encoder or the protocol.
    UsageError : a choice that cannot be meant, or an output that must not be overwritten.
    """
    request = _Request.of(encoder, tables, out, choice, evaluation, force)
    planned = request.plan()
    if planned.up_to_date and out is not None and (earlier := request.earlier(planned.facts)):
        files.touch(out)
        return Probed(earlier, planned.warnings, up_to_date=True)
    choice, rows = request.choice, grouped(request.data.rows, planned.plan)
    seeds = request.seeds
    with _folder(fits, out) as folder:
        found = predict_all(
            rows, planned.plan, request.arms, choice.shares, seeds, request.basis, Fits(folder), on_fit
        )
    facts = {
        **planned.facts,
        **findings(found, [arm.name for arm in request.arms], choice.shares, planned.plan.group),
        "persons": tell_persons(rows, request.embedder, seeds),
        "versions": versions(*PACKAGES),
    }
    if out is not None:
        files.write_bytes(
            out, (json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        )
    return Probed(facts, planned.warnings)


def plan(
    encoder: str | os.PathLike[str],
    tables: Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    choice: ProbeChoice | None = None,
    evaluation: Evaluation | None = None,
    force: bool = False,
) -> Planned:
    """What `probe` would do with the same parameters; nothing is fitted or written.

    Raises
    ------
    LeakError, DataError, SettingsError, UsageError : where `probe` raises them before it fits.
    """
    return _Request.of(encoder, tables, out, choice, evaluation, force).plan()


@dataclass(frozen=True)
class _Request:
    """What a probe was asked for, once the files are read."""

    start: EncoderStart
    data: TrainingSet
    out: str | os.PathLike[str] | None
    choice: ProbeChoice
    evaluation: Evaluation
    force: bool
    embedder: Embedder
    arms: Sequence[Arm]

    @classmethod
    def of(
        cls,
        encoder: str | os.PathLike[str],
        tables: Paths,
        out: str | os.PathLike[str] | None,
        choice: ProbeChoice | None,
        evaluation: Evaluation | None,
        force: bool,
    ) -> _Request:
        """Check the choices and the output, and read the files."""
        paths, choice = listed(tables), choice or ProbeChoice()
        if out is not None:
            ownership.guard([Output(out, KIND)], [encoder, *paths], force=force)
        start = EncoderStart.read(encoder, read_feature_meta(paths[0]), paths[0])
        data = read_training_set(paths)
        evaluation = replace(evaluation or Evaluation(), distinct_names=data.facts.distinct_names)
        embedder = Embedder(start, data.rows.array, TrainSettings(**choice.networks).torch_device())
        arms = make_arms(choice.arms, start, embedder, choice.networks, choice.jobs)
        return cls(start, data, out, choice, evaluation, force, embedder, arms)

    @property
    def seeds(self) -> list[int]:
        """One for each draw."""
        return [self.evaluation.seed + number for number in range(self.choice.draws)]

    @property
    def basis(self) -> dict[str, Any]:
        """What rows and splits depend on: with the arm, the fold and the draw, a fit's result."""
        return {
            "table": self.data.facts.content_hash,
            "evaluation": evaluation_meta(replace(self.evaluation, shared=()), None),
            "versions": versions(*PACKAGES),
        }

    def plan(self) -> Planned:
        """The splits, checked, and what would be fitted."""
        rows = self.data.rows
        plan = plan_folds(rows, self.evaluation)
        encoders = [*self.data.facts.encoders, self.start.pretrained]
        known = met.check(encoders, rows.key_frame, plan, self.evaluation.shared)
        warnings = (*self.data.facts.notes, *plan.warnings, *known)
        facts = self._facts(plan, warnings)
        return Planned(
            len(rows.inner.own),
            plan,
            count_fits(plan, self.arms, self.choice.shares, self.choice.draws),
            warnings,
            facts,
            not self.force and self.earlier(facts) is not None,
        )

    def _facts(self, plan: Plan, warnings: Sequence[str]) -> dict[str, Any]:
        """What the output says before its scores; its mark comes first, and a hash of all the rest."""
        rows = self.data.rows
        counts = np.bincount(rows.y[rows.inner.own], minlength=len(rows.classes))
        about = {
            "encoder": {
                "hash": self.start.content_hash,
                "name": self.start.encoder,
                "settings": self.start.encoder_settings,
                "pretraining": dict(self.start.model.facts),
            },
            "table": {
                "features": self.data.facts.features["features"],
                "content_hash": self.data.facts.content_hash,
                "n_rows": len(rows.inner.own),
                "class_counts": dict(zip(rows.classes, counts.tolist(), strict=True)),
            },
            "protocol": protocol_meta(plan, None, warnings),
            "settings": {
                "labels": [share.text for share in self.choice.shares],
                "draws": self.choice.draws,
                "seeds": self.seeds,
                "arms": [arm.name for arm in self.arms],
                "networks": dict(self.choice.networks),
            },
        }
        return {
            "eavctl": KIND,
            "format_version": FORMAT_VERSION,
            "probe_hash": hash_json({**about, "basis": self.basis}),
            **about,
        }

    def earlier(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of an earlier run of the same probe, if the output holds it."""
        if self.out is None or not files.is_file(self.out):
            return None
        try:
            with files.opened(self.out) as handle:
                found = json.load(handle)
        except ValueError:
            return None
        is_same = isinstance(found, dict) and found.get("probe_hash") == facts["probe_hash"]
        return found if is_same and "comparisons" in found else None


@contextlib.contextmanager
def _folder(fits: str | os.PathLike[str] | None, out: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """Where finished fits are kept: in a folder of the user's, else beside the output until it is written."""
    if fits is not None:
        folder = Path(fits)
        files.make_folder(folder)
        yield folder
    elif out is not None:
        with files.keeping_parts(out) as parts:
            yield parts
    else:
        yield None
