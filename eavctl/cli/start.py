"""Start and end of every command line: settings of the process, exit codes, and plain predictions."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn, TextIO

from eavctl.cli.console import Verbosity, begin, tell_error
from eavctl.cli.exit_codes import BAD_DATA, BUG, DONE, INTERRUPTED, WRONG_USAGE
from eavctl.cli.settings_places import has_settings
from eavctl.errors import EavctlError
from eavctl.jobs import rank_of_process
from eavctl.printable import printable
from eavctl.storage.remote import UrlPath

ENDING_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # of Ctrl-C, of kill, and of a terminal that is closed
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}  # no bug of ours


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    _set_up_process()
    code = run(words)
    if plain_prediction(words) and threading.active_count() == 1:
        # Tearing down the interpreter, module by module, takes a twentieth of a prediction.
        atexit._run_exitfuncs()
        os._exit(code)
    sys.exit(code)


def _set_up_process() -> None:
    """Change settings of the whole process, which only the command line may do, never the library."""
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:  # closed by the caller: the next file opened would get its number
            setattr(sys, stream, open(os.devnull, mode))  # noqa: SIM115
    # Arrow reads it when it is imported. Its own allocator keeps what it once took: 30 MB of an extraction.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if rank_of_process() is not None:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of what DDP is told to look for
    for name in ENDING_SIGNALS:
        number = getattr(signal, name, None)
        with contextlib.suppress(ValueError):  # not the main thread: the host program's signals are its own
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
                signal.signal(number, _interrupt)  # a killed command tidies up as an interrupted one does


class _Signals:
    """Whether one came: a library can turn a KeyboardInterrupt during its import into another error."""

    came = False


def _interrupt(*_: Any) -> NoReturn:
    _Signals.came = True
    raise KeyboardInterrupt


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code, once all output is written."""
    words = sys.argv[1:] if arguments is None else arguments
    begin(words)
    _Signals.came = False
    code = _outcome(words)
    error = _flush(sys.stdout)
    if error and code == DONE and not isinstance(error, BrokenPipeError):
        code = _fail(f"error: stdout: {error.strerror}", BAD_DATA)
    _flush(sys.stderr)
    return code


def _outcome(arguments: list[str]) -> int:
    """Run the command line, print the error, if any, and return the exit code."""
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:
        if _Signals.came:
            return _fail("interrupted", INTERRUPTED)
        if isinstance(error, BrokenPipeError):  # the reader of the pipe has closed it
            return DONE
        if isinstance(error, EavctlError):
            return _fail(f"error: {error}", error.exit_code)
        if hasattr(error, "format_message"):  # wrong usage, found by the parser
            return _fail(f"error: {error.format_message()}{_see_help(error)}", WRONG_USAGE)
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            return _fail(f"error: {error.filename or 'the output'}: {error.strerror}", BAD_DATA)
        if isinstance(error, ModuleNotFoundError):
            from eavctl.cli.missing import advice

            if missing := advice(error):
                return _fail(f"error: {missing}", BAD_DATA)
        what = f"{type(error).__name__}: {printable(str(error))}"
        return _fail(f"bug: {what}\nRun again with -v -v for the traceback.", BUG)


def _flush(stream: TextIO) -> OSError | None:
    """Flush a stream; where that fails, drop its content and return the error."""
    try:
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _dispatch(arguments: list[str]) -> int:
    plain = plain_prediction(arguments)
    if plain is None:
        from eavctl.cli.app import parse

        return parse(arguments)
    # OpenBLAS starts threads when numpy is imported: an eighth of a prediction, which does not use them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from eavctl.cli.judging import judge

    clip, model = plain
    judge([clip], model)
    return DONE


def plain_prediction(arguments: list[str]) -> tuple[str, Path | None] | None:
    """The recording and the model of ``eavctl predict CLIP [--model MODEL]``; None for anything else.

    Importing typer and declaring all options takes a fifth of such a prediction, and is not needed here:
    there are no other options, and none is set elsewhere.
    """
    match arguments:
        case ["predict", clip]:
            model = ""
        case ["predict", clip, "--model", model] | ["predict", "--model", model, clip]:
            pass
        case _:
            return None
    is_option = any(word.startswith("-") and word != "-" for word in (clip, model))
    if is_option or "" in arguments or has_settings():
        return None
    return clip, UrlPath(model) if model else None


def _see_help(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f"\nSee '{context.command_path} --help'." if context else ""


def _fail(message: str, code: int) -> int:
    if Verbosity.level > 1:
        import traceback

        tell_error(traceback.format_exc().rstrip("\n"))
    with contextlib.suppress(OSError):  # the exit code says it too
        tell_error(message)
    return code
