"""Run ``eavctl predict`` and print its results; the options are elsewhere, so that this needs no typer."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import (
    can_show,
    emit,
    emit_result,
    say,
    say_plan,
    say_written,
    warn,
    warn_of_rejected,
)
from eavctl.errors import UsageError
from eavctl.evaluation.reliability import is_cross_corpus, measured_on
from eavctl.packaged import models as packaged
from eavctl.storage import files

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice
    from eavctl.extraction.interfaces import Whose
    from eavctl.predicting.names import ListedNames
    from eavctl.predicting.predicted import Predicted
    from eavctl.predicting.predictor import Predictor
    from eavctl.predicting.rows import AbsentStream, Row
    from eavctl.stages.plot import Drawn
    from eavctl.stages.predict import Planned

DEFAULT_MODEL = Path("svm.joblib")
BAR = 32  # characters for a probability of 1
BLOCK, ASCII_BLOCK = "█", "#"
UNSURE, WIDTH = "unsure", 80


def judge(
    sources: Sequence[str],
    model: Path | None = None,
    *,
    weights: Sequence[Path] = (),
    separate: Mapping[str, str] | None = None,
    files_from: str | None = None,
    out: str | None = None,
    choice: Choice | None = None,
    trial: int | None = None,
    segment: float | None = None,
    hop: float | None = None,
    abstain: float = 0.0,
    adapt: bool = False,
    who: Whose | None = None,
    plot: Path | None = None,
    rejected: Path | None = None,
    jobs: int = 1,
    executor: str = "fork",
    strict: bool = False,
    force: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Judge recordings and print the predictions; parameters are the options of ``eavctl predict``."""
    from eavctl.storage.ownership import Output, guard

    separate = separate or {}
    check_sources(sources, separate, files_from)
    found = find_model(model, weights)
    outputs = [Output(out, "predictions")] if out else []
    outputs += [Output(plot, "picture")] if plot else []
    outputs += [Output(rejected, "rejected")] if rejected else []
    read = [*sources, *separate.values(), found, *weights, *([who.model] if who else [])]
    guard(outputs, [*read, *([files_from] if files_from else [])], force=force)
    written = [output.path for output in outputs]
    options: dict[str, Any] = {
        "weights": weights,
        "separate": separate,
        "names": listed_names(files_from) or (),
        "choice": choice,
        "trial": trial,
        "segment": segment,
        "hop": hop,
        "abstain": abstain,
        "adapt": adapt,
        "who": who,
        "executor": executor,
        "strict": strict,
    }
    drawn = _drawn(sources, found, options) if plot else None
    if dry_run:
        _print_plan(sources, found, options, written, is_named=model is not None, as_json=as_json)
        return
    from eavctl.stages.predict import predict as run

    result = run(sources, found, jobs=jobs, rejected=rejected, **options)
    if plot and drawn:
        drawn.draw(plot, _title(result))
        say(f"picture -> {plot}")
    introduce(found, is_named=model is not None)
    say_settings(result.predictor)
    _warn(result)
    if out:
        from eavctl.storage.tables import write_predictions

        write_predictions(result.to_table(), out)
        say_written(f"{len(result.rows)} rows, {len(result.rejected)} rejected", out)
    is_card = len(result.rows) == 1 and out is None and not as_json
    if result.is_fusion and not is_card:
        say(_used(result))
    if as_json:
        emit_result("predict", written, result.facts())
    elif out is None:
        emit(_card(result, result.rows[0]) if is_card else _lines(result))


def check_sources(sources: Sequence[str], separate: Mapping[str, str], *others: object) -> None:
    """Check that recordings are named in one way.

    Parameters
    ----------
    others : lists and folders of more recordings; None for those that are not given.

    Raises
    ------
    UsageError : there are none, or files of one recording beside others.
    """
    are_many = bool(sources) or any(other is not None for other in others)
    if are_many == bool(separate):
        raise UsageError(
            "give recordings, or the files of one recording with --eeg, --audio and --video"
            + (", not both" if are_many else "")
        )


def listed_names(files_from: str | None) -> ListedNames | None:
    """The names in a list; ``-`` is stdin, which is read as it is written."""
    if files_from is None:
        return None
    from eavctl.predicting.names import ListedNames

    return ListedNames(sys.stdin.buffer if files_from == files.STDIO else files.opened(files_from))


def _print_plan(
    sources: Sequence[str],
    model: str | os.PathLike[str],
    options: Mapping[str, Any],
    outputs: Sequence[Any],
    *,
    is_named: bool,
    as_json: bool,
) -> None:
    """Print what would be judged."""
    from eavctl.stages.predict import plan

    planned = plan(sources, model, **options)
    introduce(model, is_named=is_named)
    _warn(planned)
    say_plan(f"judge {planned.n_recordings} recordings by {model}", outputs)
    if as_json:
        facts = {
            "model": str(model),
            "recordings": planned.n_recordings,
            "classes": list(planned.classes),
            "rejected": list(planned.rejected),
        }
        emit_result("predict", outputs, facts, dry_run=True)


def say_settings(predictor: Predictor) -> None:
    """Print what the settings of a model do to recordings, in one line each."""
    for stream in predictor.streams:
        for line in stream.recipe.told():
            say(line)


def _warn(found: Predicted | Planned) -> None:
    for note in found.notes:
        warn(note)
    warn_of_rejected(found.rejected)


def _drawn(sources: Sequence[str], model: str | os.PathLike[str], options: Mapping[str, Any]) -> Drawn:
    """The one recording that ``--plot`` draws."""
    from eavctl.stages.plot import find_drawn

    judged_by = ("separate", "weights", "choice", "trial", "segment", "hop", "who")
    return find_drawn(sources, model, **{name: options[name] for name in judged_by})


def _title(result: Predicted) -> str:
    """The title of a picture: the answer, or how many segments have each."""
    if len(result.rows) > 1:
        counts = Counter(UNSURE if row.unsure else row.pred for row in result.rows)
        return f"{len(result.rows)} segments: " + ", ".join(f"{name} {n}" for name, n in counts.most_common())
    (row,) = result.rows
    right, answer = result.right(row), f"{row.pred} {row.proba[result.classes.index(row.pred)]:.0%}"
    known = f", right {right['right']:.0%} on {measured_on(right['measured_on'])}" if right else ""
    return f"{UNSURE} (likeliest: {answer})" if row.unsure else answer + known


def find_model(model: Path | None, weights: Sequence[Path]) -> str | os.PathLike[str]:
    """The model that is named, that of the working folder, or the better packaged one."""
    if model is not None:
        return packaged.find(model)
    return DEFAULT_MODEL if DEFAULT_MODEL.is_file() else packaged.best(with_weights=bool(weights))


def introduce(model: str | os.PathLike[str], *, is_named: bool) -> None:
    """Say what a packaged model is for; called after the judgement, so that an error stands alone."""
    if not isinstance(model, packaged.PackagedModel):
        return
    say(
        f"packaged model {model}: {', '.join(model.languages)} speech; {', '.join(model.classes)}; "
        f"{model.licence}, for research only"
    )
    if not is_named:
        _say_what_is_better(model)


def _say_what_is_better(model: packaged.PackagedModel) -> None:
    """How to have a better answer than that of a packaged model that the user did not choose."""
    own = "for other classes or recordings: eavctl train-linear one.parquet other.parquet -o own.joblib"
    if model.name != packaged.NAMES[0]:
        from eavctl.features.speech_encoders.packaged import FILE

        own = f"for the better model {packaged.NAMES[0]}: {FILE.install}; {own}"
    say(own)


def _used(result: Predicted) -> str:
    """How many recordings were judged by which streams."""
    return "used: " + ", ".join(f"{' + '.join(names)} {count}" for names, count in result.used.items())


def _lines(result: Predicted) -> list[str]:
    width = max(len(name) for name in (*result.classes, *map(_answer, result.rows)))
    is_cut = len({row.recording for row in result.rows}) < len(result.rows)
    return [line_of(result.predictor, row, width, is_cut=is_cut) for row in result.rows]


def line_of(predictor: Predictor, row: Row, width: int = 0, *, is_cut: bool = False) -> str:
    """A row in one line: the answer, its probability, how often such answers were right, and the name.

    Parameters
    ----------
    width : of the answer; by default that of the longest class.
    is_cut : also the times of the row.
    """
    width = width or max(map(len, predictor.classes))
    when = f"{row.start:8.2f} - {row.end:7.2f} s  " if is_cut else ""
    proba, right = row.proba[predictor.classes.index(row.pred)], _right(predictor.confidence.right(row))
    why = f"  ({'; '.join(row.unsure)})" if row.unsure else ""
    return f"{when}{_answer(row):<{width}}  {proba:.2f}  {right}  {row.recording}{why}"


def _answer(row: Row) -> str:
    return f"{UNSURE} ({row.pred})" if row.unsure else row.pred


def _right(part: dict[str, Any] | None) -> str:
    """A column: how often such answers were right out of fold."""
    if part is None:
        return f"{'right: not known':27}"
    return f"right {part['right']:.2f} [{part['low']:.2f}, {part['high']:.2f}] of {part['n_rows']:<3}"


def _card(result: Predicted, row: Row) -> list[str]:
    """One recording in detail: the answer, a bar for every probability, and the confidence."""
    width = max(len(name) for name in result.classes)
    order = sorted(range(len(result.classes)), key=lambda i: -row.proba[i])
    block = BLOCK if can_show(BLOCK, sys.stdout) else ASCII_BLOCK
    answer = f"{UNSURE} (likeliest: {row.pred})" if row.unsure else row.pred
    lines = [f"{row.recording}: {answer}", ""]
    lines += [
        f"  {result.classes[i]:<{width}}  {row.proba[i]:5.1%}  {block * round(row.proba[i] * BAR)}".rstrip()
        for i in order
    ]
    if row.pred != result.classes[order[0]]:
        lines += ["", f"  {_why_not_likeliest(result, row)}"]
    for reason in row.unsure:
        lines += ["", *_wrapped(f"Unsure: {reason}.")]
    right = result.right(row)
    if right is not None:
        lines += [
            "",
            f"  Of {right['n_rows']} out-of-fold answers {row.pred!r} of about this probability,",
            f"  {right['right']:.0%} [{right['low']:.0%}, {right['high']:.0%}] were right, measured on",
            f"  {measured_on(right['measured_on'])}.",
        ]
        if not is_cross_corpus(right["measured_on"]):
            lines.append("  The figure holds for such recordings only; on others fewer may be right.")
    if result.is_fusion:
        lines += ["", f"  {_streams(row)}"]
        expected = result.predictor.confidence.expected_uar(row)
        if row.absent and expected is not None:
            lines.append(f"  With these alone, the UAR of training's out-of-fold test was {expected:.3f}.")
    return lines


def _wrapped(text: str) -> list[str]:
    """A sentence as indented lines."""
    import textwrap  # most answers need none

    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _why_not_likeliest(result: Predicted, row: Row) -> str:
    """Why the answer is not the likeliest class."""
    answer, likeliest = result.classes.index(row.pred), int(row.proba.argmax())
    mine, other = (row.proba[i] / result.predictor.model.priors[i] for i in (answer, likeliest))
    return (
        "The answer is the class with the highest probability relative to its share of the training rows: "
        f"{mine:.1f} times for {row.pred}, {other:.1f} times for {result.classes[likeliest]}."
    )


def _streams(row: Row) -> str:
    """The streams that judged one recording, with their weights, and the absent ones."""
    used = ", ".join(
        name if weight is None else f"{name} {weight:.2f}" for name, weight in row.weights.items()
    )
    absent = ", ".join(_absent(each) for each in row.absent)
    return f"used: {used}" + (f"; absent: {absent}" if absent else "")


def _absent(stream: AbsentStream) -> str:
    share = f" in {stream.share:.0%} of it" if stream.share < 1 else ""
    reason = f" ({stream.reason})" if stream.reason else ""
    return f"{stream.name}{share}{reason}"
