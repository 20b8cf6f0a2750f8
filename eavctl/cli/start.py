"""Where every command line begins and ends: exit codes, and a way round typer for the plainest prediction."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from eavctl.cli.console import Verbosity, begin, tell_error
from eavctl.errors import EavctlError
from eavctl.printable import printable

DONE, BUG, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

SETTINGS_FILE = Path("eavctl.toml")  # in the working folder
SETTINGS_PREFIX = "EAVCTL_"  # of environment variables


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    with contextlib.suppress(ValueError):  # not the main thread: the host program's signals are its own
        signal.signal(signal.SIGTERM, _interrupt)  # a killed command tidies up as an interrupted one does
    code = run(arguments)
    if threading.active_count() > 1:
        sys.exit(code)
    # To take the interpreter apart, module by module, takes a twentieth of a prediction.
    atexit._run_exitfuncs()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    begin(words)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except EavctlError as error:
        return _fail(f"error: {error}", error.exit_code)
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage, found by the parser
            return _fail(f"error: {error.format_message()}{_see_help(error)}", WRONG_USAGE)
        what = f"{type(error).__name__}: {printable(str(error))}"
        return _fail(f"bug: {what}\nRun again with -v -v for the traceback.", BUG)


def _dispatch(arguments: list[str]) -> int:
    plain = plain_prediction(arguments)
    if plain is None:
        from eavctl.cli.app import parse

        return parse(arguments)
    from eavctl.cli.judging import judge

    clip, model = plain
    judge([clip], model)
    return DONE


def plain_prediction(arguments: list[str]) -> tuple[str, Path | None] | None:
    """The recording and the model of ``eavctl predict CLIP [--model MODEL]``; None for anything else.

    Importing typer and telling it of all options takes a fifth of such a prediction, and here it has nothing
    to find out: no other options, and no settings that could stand in for them.
    """
    match arguments:
        case ["predict", clip]:
            model = ""
        case ["predict", clip, "--model", model] | ["predict", "--model", model, clip]:
            pass
        case _:
            return None
    is_option = any(word.startswith("-") and word != "-" for word in (clip, model))
    if is_option or SETTINGS_FILE.is_file() or any(name.startswith(SETTINGS_PREFIX) for name in os.environ):
        return None
    return clip, Path(model) if model else None


def _see_help(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f"\nSee '{context.command_path} --help'." if context else ""


def _fail(message: str, code: int) -> int:
    if Verbosity.level > 1:
        import traceback

        tell_error(traceback.format_exc().rstrip("\n"))
    tell_error(message)
    return code
