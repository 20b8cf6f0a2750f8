"""``eavctl fuse``: prediction tables to one, or feature tables to a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, progress, say, say_plan, warn
from eavctl.cli.options import (
    Batch,
    Device,
    DryRun,
    Epochs,
    Folds,
    Force,
    FreezeRate,
    Group,
    Json,
    Members,
    Protocol,
    Rate,
    Seed,
    TensorBoard,
    Threads,
    check_stdout,
)
from eavctl.cli.training import summary, tell_plan, tell_scores, torch_threads, train_settings
from eavctl.cli.values import read_settings
from eavctl.errors import UsageError
from eavctl.evaluation import formatting

if TYPE_CHECKING:
    from eavctl.classifiers.training_loop import TrainSettings
    from eavctl.stages.train_fusion import FusionPlan
    from eavctl.training.cross_validation import Evaluation, Planned, Targets

LATE, EARLY = "weighted", "attention"  # the methods if none is given
ALIGNMENT_EPOCHS = 100
STARTED_EPOCHS, STARTED_RATE = 10, 5e-4  # of a fusion that starts from trained models
MODEL_ENDINGS = (".pt", ".joblib")


@command(
    "fuse",
    "eavctl fuse svm_preds.parquet dnn_preds.parquet -o fused.parquet",
    "eavctl fuse svm_preds.parquet dnn_preds.parquet -o fused.parquet --method stacking --save fuse.joblib",
    "eavctl fuse new_svm.parquet new_dnn.parquet -o new.parquet --use fuse.joblib",
    "eavctl fuse eeg.parquet fbank.parquet faces.parquet --method ambt-mean --size tiny -o ambt.parquet "
    "--save ambt.pt",
    "eavctl fuse eeg.parquet fbank.parquet faces.parquet --method ambt-mean --init eeg.pt audio.pt video.pt "
    "-o ambt.parquet --save ambt.pt",
    "eavctl fuse eeg.parquet fbank.parquet faces.parquet --size tiny --zero-shot Calmness -o zero.parquet",
)
def fuse(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Prediction tables, or feature tables (.parquet), two or more."),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", help="Write this prediction table (.parquet), or -; or a model file (.pt)."
        ),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            help="Fuse by this method. Prediction tables: weighted, mean, product, max, vote, stacking. "
            "Feature tables: attention, channel-attention, ambt-mean, ambt-concat.",
            show_default="weighted; attention",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write the fuser (.joblib), or the network (.pt).")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Write this prediction table (.parquet), where -o names the model file."),
    ] = None,
    use: Annotated[
        Path | None,
        typer.Option(help="Prediction tables: apply the fuser in this file; some inputs may be missing."),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option(
            help="Feature tables: take encoders from these models of train-dnn --keep-folds; several may "
            "follow each other. Then --epochs is 10 and --lr 0.0005 if not given."
        ),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="Feature tables: train this encoder, one a table in their order; repeatable.",
            show_default="by the tables' feature sets",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Take this size of encoders from scratch: base (as published) or tiny.", show_default="base"
        ),
    ] = None,
    contrastive: Annotated[
        float,
        typer.Option(min=0, help="Weight of a contrastive loss between a sample's embeddings, such as 0.1."),
    ] = 0.0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set the network's KEY=VALUE, such as modality_dropout=0.5; repeatable."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Feature tables: also train on samples with a missing modality."),
    ] = False,
    zero_shot: Annotated[
        str | None,
        typer.Option(
            help="Hold this class out of all training (or all, each in turn), and recognize it by the other "
            "tables' embeddings, to which the first table's are aligned."
        ),
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    lr: Rate = None,
    freeze_epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Freeze all encoders for the first N epochs, such as 2.", show_default="0"),
    ] = None,
    freeze_lr: FreezeRate = None,
    members: Members = None,
    device: Device = "auto",
    tensorboard: TensorBoard = None,
    protocol: Protocol = "auto",
    folds: Folds = 5,
    group: Group = None,
    jobs: Threads = None,
    seed: Seed = 42,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fuse the predictions of several models, or train one network on the features of several modalities.

    Tables are joined on sample_id. Fusers and networks are fitted on training rows only. The result is
    compared with the best of its inputs, subject by subject, and scored for every subset of them.
    """
    check_stdout(as_json, out, predictions)
    sources, starts = _sorted(inputs, init)
    if not _is_for_networks(sources, method):
        if starts or encoder or size or zero_shot or partial or set_ or contrastive:
            raise UsageError(
                "--init, --encoder, --size, --contrastive, --set, --partial and --zero-shot are for feature "
                "tables"
            )
        if use and save:
            raise UsageError("--use applies a fuser that is there; --save keeps a new one: give one of them")
        late = _Late(sources, out, method or LATE, save, use, force)
        _tell_late_plan(late, as_json) if dry_run else _fuse_predictions(late, jobs, as_json)
        return

    if use:
        raise UsageError("--use applies a fuser to prediction tables; a network is applied by predict")
    if zero_shot and (save or predictions or tensorboard or out.endswith(MODEL_ENDINGS)):
        raise UsageError("--zero-shot writes predictions by -o, and keeps no model")
    from eavctl.classifiers.memory import keep_freed_memory
    from eavctl.stages.train_fusion import FusionPlan, Inputs
    from eavctl.training.cross_validation import Evaluation, Targets

    if starts:
        epochs, lr = epochs or STARTED_EPOCHS, lr or STARTED_RATE
    settings = train_settings(
        epochs=epochs, batch=batch, lr=lr, members=members, freeze_epochs=freeze_epochs, freeze_lr=freeze_lr,
        seed=seed, device=device,
    )  # fmt: skip
    network = read_settings(set_ or []) | ({"contrastive": contrastive} if contrastive else {})
    planned = FusionPlan(Inputs(sources, encoder or (), size, starts, partial), method or EARLY, network)
    evaluation = Evaluation(protocol, folds, group, None, seed)
    switches = _Switches(force, dry_run, as_json)
    keep_freed_memory()
    with torch_threads(jobs):
        if zero_shot:
            epochs = min(epochs or ALIGNMENT_EPOCHS, ALIGNMENT_EPOCHS)
            _zero_shot(planned, out, zero_shot, settings, epochs, evaluation, switches)
        else:
            targets = Targets(*_targets(out, save, predictions))
            _fuse_features(planned, targets, settings, evaluation, tensorboard, switches)


class _Switches(NamedTuple):
    """What the shared options say of a run."""

    force: bool
    dry_run: bool
    as_json: bool


def _sorted(inputs: list[str], init: list[str] | None) -> tuple[list[str], list[str]]:
    """Tables, and models to start from: those after the first one of --init count as arguments."""
    models = [name for name in inputs if name.endswith(MODEL_ENDINGS)]
    if models and not init:
        raise UsageError(f"{models[0]}: a model, where a table is needed; --init takes models to start from")
    return [name for name in inputs if name not in models], [*(init or []), *models]


def _is_for_networks(sources: list[str], method: str | None) -> bool:
    """Whether feature tables are fused: told by the method, or by the first table."""
    from eavctl import registry
    from eavctl.storage import tables

    if method in registry.names("fusers"):
        return False
    if method is None:
        return bool(sources) and tables.read_meta(sources[0]).get("kind") == "features"
    if method not in registry.names("fusion networks"):
        known = ", ".join([*registry.names("fusers"), *registry.names("fusion networks")])
        raise UsageError(f"no method {method!r} to fuse by; known: {known}")
    return True


def _targets(out: str, save: Path | None, predictions: Path | None) -> tuple[str | None, str | None]:
    """The files of the model and of the predictions, whichever of them -o names."""
    model, table = (str(path) if path else None for path in (save, predictions))
    if out.endswith(MODEL_ENDINGS):
        if model:
            raise UsageError(f"-o {out} and --save {model} both name the model's file: name one")
        return out, table
    if table:
        raise UsageError(f"-o {out} and --predictions {table} both name the prediction table: name one")
    return model, out


class _Late(NamedTuple):
    """A fusion of prediction tables, as `eavctl.stages.fuse.fuse` takes it."""

    sources: list[str]
    out: str
    method: str
    save: Path | None
    use: Path | None
    force: bool

    @property
    def options(self) -> dict[str, Any]:
        """The keywords."""
        return {"method": self.method, "save": self.save, "use": self.use, "force": self.force}

    @property
    def outputs(self) -> list[str | Path]:
        """The files to write."""
        return [self.out, *([self.save] if self.save else [])]


def _tell_late_plan(late: _Late, as_json: bool) -> None:
    from eavctl.stages.fuse import plan

    n_rows = plan(late.sources, late.out, **late.options)
    how = f"with {late.use}" if late.use else f"by {late.method}"
    say_plan(f"fuse {n_rows} rows of {len(late.sources)} prediction tables {how}", late.outputs)
    if as_json:
        emit_result("fuse", late.outputs, {"rows": n_rows}, dry_run=True)


def _fuse_predictions(late: _Late, jobs: int | None, as_json: bool) -> None:
    from threadpoolctl import threadpool_limits

    from eavctl.stages.fuse import fuse as run

    with threadpool_limits(jobs):
        result = run(late.sources, late.out, **late.options)
    meta = result.predictions.meta
    for text in meta["protocol"]["warnings"]:
        warn(text)
    _tell(meta["fusion"], result.scores)
    say(f"{len(result.predictions)} rows -> {late.out}")
    if as_json:
        facts = {"rows": len(result.predictions), "fusion": meta["fusion"], "scores": result.scores}
        emit_result("fuse", late.outputs, facts)


def _fuse_features(
    planned: FusionPlan,
    targets: Targets,
    settings: TrainSettings,
    evaluation: Evaluation,
    log_dir: Path | None,
    switches: _Switches,
) -> None:
    from eavctl.evaluation.names import class_line
    from eavctl.stages.train_fusion import fuse_network, plan

    if switches.dry_run:
        found = plan(planned, targets, settings, evaluation, force=switches.force)
        work = f"train {planned.method} on {len(found.table)} rows of {_streams_of(found)}"
        tell_plan("fuse", work, found, targets.files, switches.as_json)
        return
    with progress(f"fuse by {planned.method}") as tick:
        trained = fuse_network(
            planned, targets, settings, evaluation, log_dir=log_dir, force=switches.force, on_fold=tick
        )
    for text in trained.warnings:
        warn(text)
    say(class_line(trained.meta["class_counts"]))
    _tell(trained.meta["fusion"], trained.meta["out_of_fold"])
    done = "is up to date: " if trained.up_to_date else ""
    where = " and ".join(map(str, targets.files))
    say(f"{done}{trained.meta['out_of_fold']['n_rows']} out-of-fold rows -> {where}")
    if switches.as_json:
        facts = {**summary(trained.meta), "fusion": trained.meta["fusion"]}
        emit_result("fuse", targets.files, facts, up_to_date=trained.up_to_date)


def _zero_shot(
    planned: FusionPlan,
    out: str,
    held_out: str,
    settings: TrainSettings,
    epochs: int,
    evaluation: Evaluation,
    switches: _Switches,
) -> None:
    from eavctl.fusion.networks.alignment import AlignmentSettings
    from eavctl.stages import zero_shot

    alignment = AlignmentSettings(settings, epochs)
    if switches.dry_run:
        found = zero_shot.plan(planned, out, held_out, alignment, evaluation, force=switches.force)
        work = f"hold {held_out} out of {len(found.table)} rows of {_streams_of(found)}"
        tell_plan("fuse", work, found, [out], switches.as_json)
        return
    with progress("zero-shot") as tick:
        result = zero_shot.zero_shot(
            planned, out, held_out, alignment, evaluation, force=switches.force, on_fold=tick
        )
    for text in result.warnings:
        warn(text)
    for line in zero_shot.lines(result.scores):
        say(line)
    say(f"{'is up to date: ' if result.up_to_date else ''}{len(result.predictions)} rows -> {out}")
    if switches.as_json:
        emit_result("fuse", [out], {"zero_shot": result.scores}, up_to_date=result.up_to_date)


def _streams_of(found: Planned) -> str:
    return ", ".join(stream["name"] for stream in found.table.facts["streams"])


def _tell(fusion: dict[str, Any], scores: dict[str, Any] | None) -> None:
    """Weights, scores, what the fusion is worth, and what is left of it without some of its inputs."""
    from eavctl.fusion.subsets import complaints, lines

    if fusion["weights"]:
        say("weights: " + ", ".join(f"{name} {share:.2f}" for name, share in fusion["weights"].items()))
    used = fusion.get("used") or {}
    if len(used) > 1:
        say("used: " + ", ".join(f"{names} {n}" for names, n in used.items()))
    if scores:
        tell_scores(scores)
    for line in lines(fusion["subsets"]) if fusion.get("subsets") else []:
        say(line)
    for sentence in complaints(fusion.get("subsets") or []):
        warn(sentence)
    for versus in fusion.get("versus") or []:
        say(verdict(versus))


def verdict(versus: dict[str, Any]) -> str:
    """Whether the fusion is better than what it is compared with, in one line."""
    from eavctl.evaluation.summary import judge

    difference, name = versus["difference"], versus["name"]
    other = name if versus.get("late") else f"the best of its inputs, {name}"
    found = judge(versus)  # models of older versions were judged by the interval alone
    judged = "is better than" if found["better"] else "is not shown to be better than"
    if found["worse"]:
        judged = "is worse than"
    scores = [formatting.number(versus[each]) for each in ("first", "second")]
    why = f" ({formatting.no_interval(versus)})" if difference["low"] is None else ""
    return (
        f"fusion {judged} {other}: UAR {scores[0]} against {scores[1]}, "
        f"difference {formatting.difference(difference)}{why}, {formatting.p_value(versus)}"
    )
