"""Extraction on the workers of a Dask cluster: the same bytes, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from eavctl.errors import DataError, UsageError
from eavctl.extraction import dask_workers, executors, input_hash
from eavctl.extraction.batch import Batch, write_part
from eavctl.extraction.batches import _write_batch, _written
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import extract, plan
from eavctl.storage import files
from eavctl.synthetic.tones import synth_speech

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.threads


def started(n_workers, **options):
    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        silence_logs=100,
        **options,
    )


@pytest.fixture
def address(dask_cluster):
    return f"dask:{dask_cluster.scheduler_address}"


@pytest.fixture(scope="module")
def recordings_made(tmp_path_factory):
    """80 drawn clips, and their table by one process."""
    folder = tmp_path_factory.mktemp("drawn")
    synth_speech(folder / "dataset", per_class=20, seed=0)
    extract(folder / "dataset", folder / "one.parquet", Recipe("seed33"))
    return folder


def table_of(recordings_made):
    return (recordings_made / "one.parquet").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up as Linux has them")
def test_the_table_has_the_same_bytes_and_nothing_is_forked(recordings_made, address, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked, with the threads of Dask"))
    monkeypatch.chdir(recordings_made)  # paths are relative to this process's folder, not to the workers'
    seen = []
    result = extract(
        "dataset",
        tmp_path / "x.parquet",
        Recipe("seed33"),
        executor=address,
        on_clip=lambda *_: seen.append(_[:2]),
    )
    assert result.n_rows == 80
    assert (tmp_path / "x.parquet").read_bytes() == table_of(recordings_made)
    assert seen == [(n, 80) for n in range(8, 81, 8)]
    assert os.listdir(tmp_path) == ["x.parquet"]


def test_real_recordings_bad_ones_among_them(shared_data, address, tmp_path):
    (tmp_path / "d").mkdir()
    for folder in ("hostile", "ravdess-native", "ravdess-video"):
        (tmp_path / "d" / folder).symlink_to(shared_data / folder)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    first = extract(tmp_path / "d", one, Recipe("functionals"))
    second = extract(tmp_path / "d", two, Recipe("functionals"), executor=address)
    assert first.rejected == second.rejected != ()
    assert first.notes == second.notes
    assert one.read_bytes() == two.read_bytes()


def test_a_worker_that_is_killed_loses_nothing(recordings_made, dask_cluster, address, tmp_path):
    with distributed.Client(dask_cluster, set_as_default=False) as client:
        before = client.run(os.getpid)
        killed = []

        def kill(*_):
            busy = [worker for worker, calls in client.processing().items() if calls]
            if busy and not killed:
                killed.append(before[busy[0]])
                os.kill(killed[0], signal.SIGKILL)

        extract(
            recordings_made / "dataset",
            tmp_path / "x.parquet",
            Recipe("seed33"),
            executor=address,
            on_clip=kill,
        )
        assert killed
        client.wait_for_workers(2)  # Dask starts another
        assert killed[0] not in client.run(os.getpid).values()
    assert (tmp_path / "x.parquet").read_bytes() == table_of(recordings_made)


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_call_that_kills_every_worker_is_an_error(dask_cluster, address, monkeypatch):
    monkeypatch.setattr(dask_cluster.scheduler, "allowed_failures", 1)
    with pytest.raises(executors.DeadlyCallError, match="2 workers died"):
        list(executors.map_in_order(die, [(1,)], 1, address))
    assert list(executors.map_in_order(abs, [(-1,), (2,)], 1, address)) == [1, 2]


@pytest.mark.slow
def test_when_all_workers_are_lost_the_parts_stay_and_the_next_run_resumes(
    recordings_made, address, tmp_path, monkeypatch
):
    monkeypatch.setattr(dask_workers, "PATIENCE_S", 1.0)
    out, parts = tmp_path / "x.parquet", tmp_path / ".x.parquet.parts"
    data, recipe = recordings_made / "dataset", Recipe("seed33")
    with started(1) as lonely, pytest.raises(DataError, match="no workers"):
        extract(
            data,
            out,
            recipe,
            executor=f"dask:{lonely.scheduler_address}",
            on_clip=lambda *_: lonely.scale(0),
        )
    assert not out.exists()
    kept = {part: part.stat().st_mtime_ns for part in parts.glob("*.npz")}
    assert 1 <= len(kept) < 10
    taken = []

    def notice(*_):
        taken.append({part: part.stat().st_mtime_ns for part in kept})

    extract(data, out, recipe, executor=address, on_clip=notice)
    assert taken[0] == taken[-1] == kept  # none was computed again
    assert out.read_bytes() == table_of(recordings_made)


@pytest.mark.slow
def test_a_scheduler_that_is_killed_is_an_error_and_no_hang(recordings_made, tmp_path):
    script = """
import distributed, time
options = {"dashboard_address": "127.0.0.1:0", "silence_logs": 100}
cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, **options)
print(cluster.scheduler_address, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    address, out = process.stdout.readline().strip(), tmp_path / "x.parquet"
    with pytest.raises(DataError, match="connection to the Dask scheduler is lost"):
        extract(
            recordings_made / "dataset",
            out,
            Recipe("seed33"),
            executor=f"dask:{address}",
            on_clip=lambda *_: process.kill(),
        )
    process.wait()
    assert not out.exists()
    assert list((tmp_path / ".x.parquet.parts").glob("*.npz"))


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch, tmp_path, recordings_made):
    monkeypatch.setattr(dask_workers, "ANSWER_S", 0.5)
    began = time.monotonic()
    for nobody in ("tcp://127.0.0.1:9", "127.0.0.1:9"):
        with pytest.raises(DataError, match="no Dask scheduler answers"):
            plan(
                recordings_made / "dataset",
                tmp_path / "x.parquet",
                Recipe("seed33"),
                executor=f"dask:{nobody}",
            )
    assert time.monotonic() - began < 20
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "wrong", ["local:0", "local:x", "local", "host", "foo://host:1", "tcp://host", ":::"]
)
def test_what_is_no_address_is_wrong_usage(wrong):
    with pytest.raises(UsageError, match="is no Dask scheduler"):
        executors.probe(f"dask:{wrong}")


def test_only_executors_of_other_machines_take_an_address():
    executors.probe("fork")
    with pytest.raises(UsageError, match="takes no address"):
        list(executors.map_in_order(abs, [(1,)], 1, "fork:host:1"))


def test_a_probe_asks_a_scheduler_that_is_there(address):
    executors.probe(address)
    executors.probe("dask:local:4")  # which starts nothing


def test_workers_with_other_versions_are_refused_by_both(address, monkeypatch):
    there = dask_workers.versions(*dask_workers.COMPARED)
    monkeypatch.setattr(dask_workers, "versions", lambda *_: {**there, "numpy": "1.0.0"})
    with pytest.raises(DataError, match=rf"has numpy {there['numpy']}, and this process 1\.0\.0"):
        list(executors.map_in_order(abs, [(1,)], 1, address))
    monkeypatch.setattr(dask_workers, "_check_workers", lambda client: None)  # as of one that came later
    with pytest.raises(DataError, match=r"1\.0\.0"):
        list(executors.map_in_order(abs, [(1,)], 1, address))
    monkeypatch.setattr(dask_workers, "versions", lambda *_: {**there, "a-package-of-ours": "1"})
    assert list(executors.map_in_order(abs, [(-1,)], 1, address)) == [1]  # not every one is needed there


@pytest.mark.slow
def test_workers_with_several_threads_are_refused():
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            dashboard_address="127.0.0.1:0",
            silence_logs=100,
        ) as wide,
        pytest.raises(DataError, match="2 threads.*--nthreads 1"),
    ):
        executors.probe(f"dask:{wide.scheduler_address}")


def test_a_worker_that_lacks_the_recordings_is_an_error_not_a_table_of_rejections(
    recordings_made, address, tmp_path, monkeypatch
):
    """As seen from here the files are larger: the workers then see other files, as on another machine."""
    stamp = input_hash._stamp
    monkeypatch.setattr(input_hash, "_stamp", lambda file: [stamp(file)[0] + 1, *stamp(file)[1:]])
    with pytest.raises(DataError, match="under the same paths"):
        extract(recordings_made / "dataset", tmp_path / "x.parquet", Recipe("seed33"), executor=address)
    assert not (tmp_path / "x.parquet").exists()


def test_a_worker_that_does_not_see_the_parts_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(DataError, match="under the same paths"):
            _write_batch(Recipe("seed33"), tmp_path, [], folder, None, True)
    (tmp_path / "empty" / files.LOCK).touch()
    assert _write_batch(Recipe("seed33"), tmp_path, [], tmp_path / "empty", None, True).endswith(".npz")


def test_a_part_that_is_seen_late_is_waited_for_and_one_that_never_is_an_error(tmp_path):
    batch, late = Batch(3, notes=["a note"]), tmp_path / "late.npz"
    writing = threading.Timer(0.3, write_part, (late, batch))
    writing.start()
    assert _written(late, 20.0).notes == ["a note"]
    with pytest.raises(DataError, match="under the same paths"):
        _written(tmp_path / "never.npz", 0.3)
    with pytest.raises(DataError, match="run again"):
        _written(tmp_path / "never.npz", 0.0)  # of a worker of this machine
    writing.join()


def test_a_table_to_stdout_has_no_place_for_parts(recordings_made, address):
    for function in (extract, plan):
        with pytest.raises(UsageError, match="name a file"):
            function(recordings_made / "dataset", "-", Recipe("seed33"), executor=address)


def test_without_dask_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DataError, match=r"eavctl\[dask\]"):
        executors.probe("dask:tcp://host:8786")


def test_errors_come_back_as_they_were_raised(address):
    with pytest.raises(DataError) as raised:
        list(executors.map_in_order(fail, [("no such thing",)], 1, address))
    assert str(raised.value) == "no such thing"
    with pytest.raises(ZeroDivisionError) as raised:
        list(executors.map_in_order(divmod, [(1, 0)], 1, address))
    assert "Traceback" in raised.value.__notes__[0]  # that of the worker
    with pytest.raises(RecursionError):  # whose own traceback Dask does not deliver
        list(executors.map_in_order(without_end, [(1,)], 1, address))
    with pytest.raises(RuntimeError, match="OddError: .*lock"):
        list(executors.map_in_order(fail_oddly, [()], 1, address))
    with pytest.raises(DataError, match="lacks a package: .*nothing_so_named"):
        list(executors.map_in_order(__import__, [("nothing_so_named",)], 1, address))


def fail(text):
    raise DataError(text)


def without_end(number):
    return without_end(number + 1)


def fail_oddly():
    class OddError(Exception):
        pass

    raise OddError("lock", threading.Lock())
