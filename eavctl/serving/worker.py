"""A worker process of the service: it loads a model, and answers requests until its parent closes the line.

Started as ``python -m eavctl.serving.worker DESCRIPTOR``, with a socket of that number, in a folder of its
own. The first message has the model; the reply says what the model is, or why it cannot be loaded.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from eavctl.errors import EavctlError, UsageError
from eavctl.jobs import end_with_parent
from eavctl.memory import keep_freed_memory
from eavctl.serving.messages import Message, read

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # of a terminal or a service manager: the parent ends its workers
Answer = Callable[[Message], Message]


def main() -> None:
    """Serve the socket whose descriptor the command line has."""
    for name in SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    end_with_parent()
    _be_killed_first()
    keep_freed_memory()
    with socket.socket(fileno=int(sys.argv[1])) as channel, channel.makefile("rwb") as stream:
        serve(cast(IO[bytes], stream))


def serve(stream: IO[bytes]) -> None:
    """Load the model that the first message names, and answer the others, one by one."""
    first = read(stream)
    if first is None:
        return
    try:
        from eavctl.serving.answers import Answers

        answers = Answers.load(**first.header)
        answers.predictor.warm_up()
    except Exception as error:
        _send(stream, _refusal(error))
        return
    _send(stream, Message({"about": answers.about()}))
    while (request := read(stream)) is not None:
        _send(stream, _reply(answers.answer, request))


def _reply(answer: Answer, request: Message) -> Message:
    try:
        reply = answer(request)
    except Exception as error:
        reply = _refusal(error)
    return reply._replace(header={**reply.header, "resident_bytes": _resident_bytes()})


def _refusal(error: Exception) -> Message:
    """What went wrong: the recording's fault, or the caller's, in a sentence; else a bug's name."""
    if isinstance(error, EavctlError):
        status = 400 if isinstance(error, UsageError) else 422
        return Message({"status": status, "error": str(error)})
    traceback.print_exc()
    return Message({"status": 500, "error": f"a bug: {type(error).__name__}: {error}"})


def _send(stream: IO[bytes], message: Message) -> None:
    stream.write(message.to_bytes())
    stream.flush()


def _be_killed_first() -> None:
    """Where memory is short, let the kernel end this process, not the service."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _resident_bytes() -> int:
    """Memory of this process; 0 where unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        import resource

        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


if __name__ == "__main__":
    main()
