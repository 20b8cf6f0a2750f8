"""Worker processes: order, how far they are fed ahead, and what happens when one or their parent dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from eavctl import registry
from eavctl.errors import DataError, SignalError, UsageError
from eavctl.extraction import executors

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux alone")


def slow_for_even(number):
    time.sleep(0.02 * (number % 2 == 0))
    return number, os.getpid()


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


EXECUTORS = pytest.mark.parametrize("executor", ["fork", "loky"])


@pytest.fixture
def forks(monkeypatch):
    """Forks, although libraries that earlier tests used may have left idle threads in this process."""
    monkeypatch.setattr(executors, "_can_fork", lambda: True)


@pytest.mark.parametrize("executor", registry.names("executors"))
@pytest.mark.parametrize(("jobs", "n_calls"), [(1, 5), (2, 0), (2, 1), (2, 5)])
def test_every_executor_gives_all_results_in_order(executor, jobs, n_calls):
    found = list(executors.map_in_order(slow_for_even, ((n,) for n in range(n_calls)), jobs, executor))
    assert [number for number, _ in found] == list(range(n_calls))
    if min(jobs, n_calls) < 2:
        assert {process for _, process in found} <= {os.getpid()}


@pytest.mark.parametrize("executor", registry.names("executors"))
def test_every_executor_raises_the_error_of_a_call(executor):
    with pytest.raises(SignalError, match="broken"):
        list(executors.map_in_order(write_or_fail, [(None,)] * 3, 2, executor))


def test_an_executor_is_one_registered_function(monkeypatch):
    """One of another kind of workers needs no change of `map_in_order` or of what calls it."""

    class Threads:
        def __init__(self, jobs):
            self.capacity, self.broken = jobs, ()
            self.pool = ThreadPoolExecutor(jobs)

        def submit(self, function, arguments):
            return self.pool.submit(function, *arguments)

        def close(self, *, abandon):
            self.pool.shutdown(cancel_futures=abandon)

    entry = registry.Entry("executors", "threads", Threads)
    monkeypatch.setitem(registry._entries["executors"], "threads", entry)
    assert list(executors.map_in_order(pow, [(n, 2) for n in range(9)], 3, "threads")) == [
        n * n for n in range(9)
    ]
    with pytest.raises(UsageError, match="'threads'"):
        next(executors.map_in_order(abs, [(1,)], 2, "thread"))


@EXECUTORS
def test_results_come_in_order_from_other_processes(executor):
    found = list(executors.map_in_order(slow_for_even, ((n,) for n in range(20)), 2, executor))
    assert [number for number, _ in found] == list(range(20))
    assert os.getpid() not in {process for _, process in found}


@EXECUTORS
def test_arguments_are_drawn_as_they_are_needed(executor):
    drawn = []
    results = executors.map_in_order(
        slow_for_even, ((drawn.append(n) or n,) for n in range(1000)), 2, executor
    )
    next(results)
    assert len(drawn) <= 2 * (1 + executors.AHEAD)
    results.close()


@EXECUTORS
def test_a_worker_that_dies_is_an_error_and_no_hang(executor):
    with pytest.raises(DataError, match="a worker process died"):
        list(executors.map_in_order(die, [(1,), (2,)], 2, executor))


@linux_only
def test_a_process_with_threads_is_not_forked(monkeypatch):
    def fork():
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", fork)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert list(executors.map_in_order(abs, [(-1,), (2,)], 2, "fork")) == [1, 2]
    finally:
        ended.set()
        thread.join()


@linux_only
def test_a_closed_terminal_ends_the_parent_and_leaves_its_forks_to_it(forks):
    for found in executors.map_in_order(ignored, [(signal.SIGHUP,), (signal.SIGINT,)], 2, "fork"):
        assert found


def ignored(number):
    return signal.getsignal(number) == signal.SIG_IGN


@linux_only
def test_workers_end_with_their_parent():
    script = """
import os, time
from eavctl.extraction import executors
for process in executors.map_in_order(os.getpid, [()] * 4, 2, "fork"):
    print(process, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not is_running(worker):
            break
        time.sleep(0.05)
    assert not is_running(worker)


def is_running(process):
    """Whether a process is there, and not one that has ended and waits to be seen."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def write_or_fail(place):
    if place is None:
        time.sleep(0.2)
        raise SignalError("broken")
    for number in range(1000):  # an end, so that a failure hangs nothing
        (place / str(number)).touch()
        time.sleep(0.01)


@linux_only
def test_nothing_is_written_after_an_error(tmp_path, forks):
    """The folder of parts is removed then: a worker that went on would leave some behind."""
    calls = [(None,), (tmp_path,), (None,)]
    with pytest.raises(SignalError):
        list(executors.map_in_order(write_or_fail, calls, 2, "fork"))
    there = set(tmp_path.iterdir())
    assert there
    time.sleep(0.1)
    assert set(tmp_path.iterdir()) == there


def die_for_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


@EXECUTORS
@pytest.mark.parametrize("jobs", [1, 2])
def test_calls_that_end_their_process_are_none_and_the_others_are_made(forks, executor, jobs):
    found = list(executors.map_surviving(die_for_three, ((n % 4,) for n in range(10)), jobs, executor))
    assert [each and each[0] for each in found] == [0, 1, 2, None, 0, 1, 2, None, 0, 1]
    assert os.getpid() not in {each[1] for each in found if each}
    assert list(executors.map_surviving(die_for_three, [], jobs, executor)) == []


@EXECUTORS
def test_errors_of_surviving_calls_are_raised(forks, executor):
    with pytest.raises(SignalError, match="broken"):
        list(executors.map_surviving(write_or_fail, [(None,)] * 3, 1, executor))


def slow_at_random(number, seconds):
    time.sleep(seconds)
    return number, os.getpid()


@EXECUTORS
def test_results_come_in_order_whatever_the_calls_take(executor, forks):
    import random

    chance = random.Random(1)
    calls = [(n, chance.random() * 0.03) for n in range(24)]
    found = list(executors.map_in_order(slow_at_random, calls, 2, executor, first_here=True))
    assert [number for number, _ in found] == list(range(24))
    assert found[0][1] == os.getpid()
    assert os.getpid() not in {process for _, process in found[1:]}


@pytest.mark.parametrize("executor", registry.names("executors"))
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_result_does_not_wait_for_an_argument_that_is_not_ready(executor, jobs, forks):
    """The next argument is known only after the result of the last, as an answer is before a question."""
    ready, drawn = [0], []

    def arguments():
        while ready[0] is not None:
            drawn.append(ready[0])
            yield (ready.pop(0), 0.0)
            if not ready:
                raise AssertionError("drawn although it was not ready")

    results = executors.map_in_order(
        slow_at_random, arguments(), jobs, executor, is_ready=lambda: bool(ready), first_here=True
    )
    for n in range(5):
        assert next(results)[0] == n
        assert drawn == list(range(n + 1))
        ready.append(n + 1 if n < 4 else None)
    assert next(results, None) is None
