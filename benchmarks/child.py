"""Run a command and print its seconds and peak memory as JSON; started by `benchmarks.measure`.

The peak memory of a process includes that of the process it was forked from, so this process must be small:
it imports almost nothing. No benchmark measures less than an empty interpreter.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the arguments of the command line as a command, and discard its standard output."""
    start = time.perf_counter()
    pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[QUIET])
    _, status, usage = os.wait4(pid, 0)
    taken = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"seconds": taken, "peak_mb": usage.ru_maxrss / 1024, "code": code}))


QUIET = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)

if __name__ == "__main__":
    main()
