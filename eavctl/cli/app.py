"""The root command, and the parts that all subcommands share."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import math
import pkgutil
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import typer

from eavctl.cli.console import Verbosity, be_silent
from eavctl.cli.exit_codes import DONE, INTERRUPTED, WRONG_USAGE
from eavctl.cli.options import Quiet, Verbose, Version
from eavctl.cli.settings_places import has_settings
from eavctl.errors import UsageError
from eavctl.jobs import rank_of_process
from eavctl.storage.remote import UrlPath

EXAMPLES: dict[str, tuple[str, ...]] = {}
EMPTY_VALUE = re.compile(r"--[a-z][a-z-]*=")

app = typer.Typer(
    name="eavctl",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(summary: str, examples: tuple[str, ...], rest: str) -> str:
    """Help that opens with examples, each kept on its line by the backspace."""
    shown = "\n".join(f"  {example}" for example in examples)
    return f"{summary}\n\n\b\nExamples:\n{shown}\n\n{rest}"


@app.callback(
    invoke_without_command=True,
    help=_help(
        "Emotion recognition from EEG, audio and video, as commands that chain.",
        (
            "eavctl synth --per-class 50",
            "eavctl extract dataset/ -o feats.parquet",
            "eavctl train-svm feats.parquet -o svm.joblib --predictions preds.parquet",
            "eavctl report preds.parquet -o report.html",
            "eavctl predict clip.wav",
        ),
        "Options can also be set in the environment (EAVCTL_EXTRACT_FEATURES) or in eavctl.toml.",
    ),
)
def root(context: typer.Context, version: Version = False) -> None:
    """The options of ``eavctl`` itself; without a command it prints its help."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(WRONG_USAGE)  # an empty variable in a script must not pass for success


def command(
    name: str, *examples: str, by_ranks: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a subcommand: its help opens with ``examples``; it takes ``-q``, ``-v`` and ``--version``.

    With ``by_ranks`` torchrun may start it in several processes, of which rank 0 alone prints.
    """

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, quiet: bool, verbose: int, version: bool, **options: Any) -> None:
            Verbosity.quiet, Verbosity.level = quiet, verbose
            if rank := rank_of_process():
                be_silent(rank)
            if rank is not None and not by_ranks:
                raise UsageError(f"'eavctl {name}' runs in one process: start it without torchrun")
            refuse_not_finite(options)
            function(**options)

        keyword = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.signature(function, eval_str=True)  # typer wants types, not their names
        shared = [
            inspect.Parameter("quiet", keyword, default=False, annotation=Quiet),
            inspect.Parameter("verbose", keyword, default=0, annotation=Verbose),
            inspect.Parameter("version", keyword, default=False, annotation=Version),
        ]
        parameters = [p.replace(kind=keyword) for p in signature.parameters.values()]
        for each in parameters:
            _keep_urls(each.annotation)
        run.__signature__ = signature.replace(parameters=[*parameters, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = function.__annotations__ | {each.name: each.annotation for each in shared}
        summary, _, rest = inspect.cleandoc(function.__doc__ or "").partition("\n")
        EXAMPLES[name] = examples
        app.command(name, help=_help(summary, examples, rest.strip()))(run)
        return function

    return wrap


def _keep_urls(annotation: Any) -> None:
    """Let a path on the command line be a URL, of whose two slashes `Path` would leave one."""
    kind: Any
    kind, *about = get_args(annotation) or (annotation,)  # the kind may be Path, Path | None, or a list of it
    if Path in (kind, *get_args(kind), *(inner for each in get_args(kind) for inner in get_args(each))):
        for info in about:
            info.path_type = UrlPath


def _register_commands(arguments: list[str]) -> None:
    """Import the module of the command; all modules where help or settings need the other commands too."""
    modules = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    asked = arguments[0].replace("-", "_") if arguments else ""
    alone = asked in modules and not has_settings()
    for name in [asked] if alone else modules:
        importlib.import_module(f"eavctl.cli.{name}")


def refuse_empty(arguments: list[str]) -> None:
    """Refuse empty words, which unset shell variables leave: as paths they would mean this folder.

    Raises
    ------
    UsageError : a word is empty, or the value of an option.
    """
    for before, word in itertools.pairwise(["eavctl", *arguments]):
        if not word:
            raise UsageError(f"an empty word after {before!r}; is a variable not set?")
        if EMPTY_VALUE.fullmatch(word):
            raise UsageError(f"{word} has no value; is a variable not set?")


def refuse_not_finite(options: Mapping[str, Any]) -> None:
    """Refuse numbers that are not finite, which typer's ranges do not catch.

    Raises
    ------
    UsageError : the value of an option is one.
    """
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} must be a finite number, not {value}")


def parse(arguments: list[str]) -> int:
    """Find the command and run it; return its exit code.

    Raises
    ------
    Whatever the command raises; on wrong usage typer's exceptions, which have ``format_message``.
    """
    refuse_empty(arguments)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    _register_commands(arguments)
    group: Any = typer.main.get_command(app)
    stand_ins: Mapping[str, Any] = {}
    if has_settings():
        from eavctl.cli.stand_ins import stand_ins as found

        stand_ins = found(group.commands)
    try:
        code = group.main(arguments, prog_name="eavctl", standalone_mode=False, default_map=stand_ins)
    except typer.BadParameter as error:
        from eavctl.cli.stand_ins import stood_in

        if stood_in(error):
            error.message += " It is set in the environment or in eavctl.toml."
        raise
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer would end with 1
            raise error.__context__ from None
        raise
    if code == INTERRUPTED:  # what newer typers make of a KeyboardInterrupt
        raise KeyboardInterrupt
    return int(code or DONE)
