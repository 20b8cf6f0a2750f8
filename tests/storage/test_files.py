"""Outputs are whole or absent, wherever they go; what runs at the same time does not meet."""

import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from eavctl.errors import DataError, NoSpaceError, UsageError
from eavctl.storage import files


def python(script, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, **options
    )


def test_write_appears_whole(tmp_path):
    target = tmp_path / "a.bin"
    files.write_bytes(target, b"whole")
    assert target.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_failure_keeps_what_was_there(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="in the middle"), files.atomic_write(target) as handle:
        handle.write(b"half")
        raise RuntimeError("in the middle")
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    script = f"""
        import time
        from eavctl.storage import files
        with files.atomic_write({str(tmp_path / "a.bin")!r}) as handle:
            handle.write(b"half")
            handle.flush()
            print("written", flush=True)
            time.sleep(60)
    """
    with python(script) as process:
        process.stdout.readline()
        files.clear_leftovers(tmp_path, "a.bin")
        assert len(os.listdir(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "a.bin").exists()
    files.clear_leftovers(tmp_path, "another")
    assert len(os.listdir(tmp_path)) == 1
    files.clear_leftovers(tmp_path, "a.bin")
    assert os.listdir(tmp_path) == []


def test_files_of_others_that_look_temporary_stay(tmp_path):
    for name in (".a.bin.tmp", ".a.bin.12345678.TMP", "a.bin.12345678.tmp", ".12345678.tmp"):
        (tmp_path / name).touch()
    files.clear_leftovers(tmp_path)
    assert len(os.listdir(tmp_path)) == 4


def test_a_link_stays_one_and_the_file_behind_it_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "real" / "a.bin")
    for content in (b"new", b"again"):
        files.write_bytes(link, content)
        assert link.is_symlink()
        assert (tmp_path / "real" / "a.bin").read_bytes() == content
    assert os.listdir(tmp_path / "real") == ["a.bin"]


def test_permissions_stay(tmp_path):
    target = tmp_path / "a.bin"
    files.write_bytes(target, b"one")
    target.chmod(0o600)
    files.write_bytes(target, b"two")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_pipe_gets_the_bytes(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    files.write_bytes(pipe, b"content")
    reader.join(10)
    assert found == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_devices_are_written_and_never_replaced():
    files.write_bytes("/dev/null", b"gone")
    with pytest.raises(DataError, match="/dev/full"):
        files.write_bytes("/dev/full", b"content")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"])
def test_stdout_by_any_of_its_names(tmp_path, name):
    script = f"from eavctl.storage import files; files.write_bytes({name!r}, b'content')"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=20, check=True)
    assert done.stdout == b"content"
    with open(tmp_path / "a.bin", "wb") as handle:
        subprocess.run([sys.executable, "-c", script], stdout=handle, timeout=20, check=True)
    assert (tmp_path / "a.bin").read_bytes() == b"content"


def test_a_limit_of_space_is_reported_and_leaves_no_file(tmp_path):
    """However the writer in between reports it: numpy's archives end otherwise than plain bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DataError, match=r"a\.bin: cannot be written"):
            files.write_bytes(tmp_path / "a.bin", b"x" * 5000)
        import numpy as np

        with (
            pytest.raises(DataError, match=r"a\.npz: cannot be written"),
            files.atomic_write(tmp_path / "a.npz") as handle,
        ):
            np.savez(handle, x=np.ones(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no/a"):
        files.write_bytes(tmp_path / "no" / "a.bin", b"")


def test_stdin_can_be_read_twice(monkeypatch, tmp_path):
    with open(tmp_path / "in", "w+b") as handle:
        handle.write(b"content")
        handle.seek(0)
        monkeypatch.setattr("sys.stdin", os.fdopen(os.dup(handle.fileno())))
        assert files.opened("-").read() == files.opened("-").read() == b"content"


@pytest.mark.parametrize("name", ["none", ".", "a\0b"])
def test_what_cannot_be_opened_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=name.replace(".", r"\.").replace("\0", ".")):
        files.opened(name)


# --- parts ------------------------------------------------------------------------------------------------


def test_parts_stay_after_an_error_and_go_in_the_end(tmp_path):
    target = tmp_path / "t.parquet"
    with pytest.raises(UsageError), files.keeping_parts(target) as parts:
        (parts / "one").write_bytes(b"1")
        raise UsageError("something")
    with files.keeping_parts(target) as parts:
        assert (parts / "one").read_bytes() == b"1"
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError), files.keeping_parts(target):
        raise UsageError("before there was anything to keep")
    assert os.listdir(tmp_path) == []


def test_parts_go_when_the_disk_is_full_or_when_all_is_to_be_done_again(tmp_path):
    target = tmp_path / "t.parquet"
    with pytest.raises(NoSpaceError, match=r"/t\.parquet"), files.keeping_parts(target) as parts:
        (parts / "one").write_bytes(b"1")
        raise NoSpaceError(f"{parts / 'two'}: full")
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError), files.keeping_parts(target) as parts:
        (parts / "one").write_bytes(b"1")
        raise UsageError("something")
    with files.keeping_parts(target, afresh=True) as parts:
        assert not (parts / "one").exists()


def test_a_file_that_is_up_to_date_drops_its_own_parts_and_keeps_those_of_another_run(tmp_path):
    target = tmp_path / "t.parquet"
    with pytest.raises(UsageError), files.keeping_parts(target) as parts:
        (parts / "one").write_bytes(b"1")
        raise UsageError("killed before the table was written")
    target.write_bytes(b"a table of another run")
    os.utime(target, (1e9, 1e9))
    files.touch(target)
    assert (parts / "one").exists()
    os.utime(parts / "one", (1e9, 1e9))  # the table was written after it
    files.touch(target)
    assert os.listdir(tmp_path) == ["t.parquet"]
    assert target.stat().st_mtime > 1e9


def test_parts_in_use_stay(tmp_path):
    target = tmp_path / "t.parquet"
    with files.keeping_parts(target) as parts:
        (parts / "one").write_bytes(b"1")
        target.write_bytes(b"a table")
        files.touch(target)
        assert (parts / "one").exists()


def test_a_stream_has_no_parts():
    with files.keeping_parts("-") as parts:
        assert parts is None


def test_one_target_has_one_writer(tmp_path):
    target = tmp_path / "t.parquet"
    script = f"""
        import time
        from eavctl.storage import files
        with files.keeping_parts({str(target)!r}) as parts:
            (parts / "one").touch()
            print("there", flush=True)
            time.sleep(60)
    """
    with python(script) as process:
        process.stdout.readline()
        with pytest.raises(DataError, match="another"), files.keeping_parts(target):
            pass
        assert (tmp_path / ".t.parquet.parts" / "one").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with files.keeping_parts(target) as parts:
        assert isinstance(parts, Path)
        assert (parts / "one").exists()
