"""The root command: shared behaviour of all subcommands, and settings from eavctl.toml."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from eavctl.cli.console import Verbosity
from eavctl.cli.options import Quiet, Verbose, Version
from eavctl.cli.start import DONE, INTERRUPTED, SETTINGS_FILE, WRONG_USAGE
from eavctl.errors import UsageError

EXAMPLES: dict[str, tuple[str, ...]] = {}

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
        "Settings may also stand in the environment (EAVCTL_EXTRACT_FEATURES) or in eavctl.toml.",
    ),
)
def root(context: typer.Context, version: Version = False) -> None:
    """The options of ``eavctl`` itself; without a command it prints its help."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(WRONG_USAGE)  # a script whose variable is empty has asked for nothing


def command(name: str, *examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a subcommand: its help opens with ``examples``; it takes ``-q``, ``-v`` and ``--version``."""

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, quiet: bool, verbose: int, version: bool, **options: Any) -> None:
            Verbosity.quiet, Verbosity.level = quiet, verbose
            function(**options)

        keyword = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.signature(function, eval_str=True)  # typer wants types, not their names
        shared = [
            inspect.Parameter("quiet", keyword, default=False, annotation=Quiet),
            inspect.Parameter("verbose", keyword, default=0, annotation=Verbose),
            inspect.Parameter("version", keyword, default=False, annotation=Version),
        ]
        parameters = [p.replace(kind=keyword) for p in signature.parameters.values()]
        run.__signature__ = signature.replace(parameters=[*parameters, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = function.__annotations__ | {each.name: each.annotation for each in shared}
        summary, _, rest = inspect.cleandoc(function.__doc__ or "").partition("\n")
        EXAMPLES[name] = examples
        app.command(name, help=_help(summary, examples, rest.strip()))(run)
        return function

    return wrap


def _register_commands(arguments: list[str]) -> None:
    """Import the module of the command that is asked for; all where help or settings name the others too."""
    modules = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    asked = arguments[0].replace("-", "_") if arguments else ""
    alone = asked in modules and not SETTINGS_FILE.is_file()
    for name in [asked] if alone else modules:
        importlib.import_module(f"eavctl.cli.{name}")


def _settings(options: dict[str, set[str]]) -> dict[str, dict[str, Any]]:
    """Values that stand in for options not given: the environment first, then ``eavctl.toml``.

    ``EAVCTL_JOBS`` and a top-level ``jobs`` hold for every command that has the option;
    ``EAVCTL_EXTRACT_JOBS`` and ``jobs`` in the table ``[extract]`` for that command alone.
    """
    found: dict[str, dict[str, Any]] = {}
    shared, tables = _settings_file(options)
    for name, known in options.items():
        prefix = f"EAVCTL_{name.upper().replace('-', '_')}_"
        values = {key: shared[key] for key in known & shared.keys()} | tables.get(name, {})
        for start in ("EAVCTL_", prefix):
            values |= {
                key: os.environ[start + key.upper()] for key in known if start + key.upper() in os.environ
            }
        found[name] = values
    return found


def _settings_file(options: dict[str, set[str]]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings of ``eavctl.toml`` for all commands and for single ones; a name nobody knows is an error."""
    if not SETTINGS_FILE.is_file():
        return {}, {}
    import tomllib

    try:
        content = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{SETTINGS_FILE}: {error}") from error
    shared: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            tables[name] = {key.replace("-", "_"): each for key, each in value.items()}
        else:
            shared[name.replace("-", "_")] = value
    strangers = [f"[{name}]" for name in tables.keys() - options.keys()]
    strangers += sorted(shared.keys() - set().union(*options.values()))
    strangers += [
        f"{key} in [{name}]"
        for name in tables.keys() & options.keys()
        for key in tables[name].keys() - options[name]
    ]
    if strangers:
        raise UsageError(f"{SETTINGS_FILE}: no command or option is named {strangers[0]}")
    return shared, tables


def parse(arguments: list[str]) -> int:
    """Find the command that is asked for and run it; return its exit code.

    Raises
    ------
    Whatever the command raises; typer's exceptions, which have ``format_message``, where it is used wrongly.
    """
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    _register_commands(arguments)
    group: Any = typer.main.get_command(app)
    # --version acts at once, which the variable EAVCTL_VERSION of somebody's script should not.
    options = {name: {p.name for p in each.params if not p.is_eager} for name, each in group.commands.items()}
    try:
        code = group.main(
            arguments, prog_name="eavctl", standalone_mode=False, default_map=_settings(options)
        )
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == INTERRUPTED:  # what newer typers make of a KeyboardInterrupt
        raise KeyboardInterrupt
    return int(code or DONE)
