"""Processes are as many as are asked for, and no more than there are processors."""

import multiprocessing
import os
import sys
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from eavctl import jobs
from eavctl.errors import UsageError
from eavctl.extraction import executors

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux alone")


@pytest.mark.parametrize(("asked", "processors", "expected"), [(1, 8, 1), (8, 8, 8), (1000, 8, 8), (2, 1, 1)])
def test_no_more_than_processors(asked, processors, expected, monkeypatch):
    monkeypatch.setattr(jobs, "_processors", lambda: processors)
    assert jobs.useful(asked) == expected


def test_this_machine_has_processors():
    assert 1 <= jobs.useful(10**6) <= (os.cpu_count() or 1)


@pytest.mark.parametrize("asked", [0, -1])
def test_none_is_wrong_usage(asked):
    with pytest.raises(UsageError, match="1 or more"):
        jobs.useful(asked)


def test_one_thread_is_for_the_block_also_in_libraries_imported_later():
    """As many threads as there were run after it."""
    import sklearn.utils.extmath  # noqa: F401  # loads an OpenMP of its own

    with threadpool_limits(2):
        before = [each["num_threads"] for each in threadpool_info()]
        with jobs.one_thread():
            assert {each["num_threads"] for each in threadpool_info()} == {1}
        assert [each["num_threads"] for each in threadpool_info()] == before


def test_libraries_are_looked_for_again_only_after_imports(monkeypatch):
    with jobs.one_thread():
        pass
    monkeypatch.setattr("threadpoolctl.ThreadpoolController", lambda: pytest.fail("looked for again"))
    with jobs.one_thread():
        pass
    monkeypatch.setitem(sys.modules, "a_new_module", sys)
    with pytest.raises(pytest.fail.Exception), jobs.one_thread():
        pass


def slowly(number):
    time.sleep(0.01)
    return number


@linux_only
def test_many_jobs_start_few_workers(monkeypatch):
    monkeypatch.setattr("threading.active_count", lambda: 1)
    most, found = 0, []
    for number in executors.map_in_order(slowly, ((n,) for n in range(12)), 40):
        most = max(most, len(multiprocessing.active_children()))
        found.append(number)
    assert found == list(range(12))
    assert most <= len(os.sched_getaffinity(0))
