"""Files named by a URL: read whole, written whole, and found again under any spelling."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eavctl.errors import DataError, UsageError
from eavctl.storage import files, ownership, remote, remote_tree
from eavctl.storage.ownership import Output, guard
from eavctl.storage.paths import named


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/a.wav", "s3://bucket/a.wav"),
        ("s3:/bucket/a.wav", "s3://bucket/a.wav"),  # as pathlib spells it
        ("s3://bucket/a//b.wav", "s3://bucket/a//b.wav"),
        ("memory://a", "memory://a"),
        ("file:///tmp/a", "file:///tmp/a"),
        ("file:/tmp/a", "file:///tmp/a"),
    ],
)
def test_a_url_is_one_with_one_slash_or_two(path, url):
    assert remote.is_url(path)
    assert remote.url_of(path) == url
    assert remote.url_of(Path(url.replace("a//b", "b"))) == url.replace("a//b", "b")
    assert str(remote.UrlPath(url.replace("a//b", "b"))) == url.replace("a//b", "b")


@pytest.mark.parametrize("path", ["a.wav", "/tmp/a:/b", "c:/b", "a b://c", "-", "./s3://b", "lsl:eeg"])
def test_other_paths_are_no_urls(path):
    assert not remote.is_url(path)


def test_a_folder_of_this_machine_with_the_name_of_a_scheme_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    assert not remote.is_url("s3:/bucket/a.wav")
    assert remote.is_url("s3://bucket/a.wav")


def test_what_is_written_is_read(bucket):
    url = f"{bucket.url}/deep/er/ä b.bin"
    files.write_bytes(url, b"one")
    assert bucket.read("deep/er/ä b.bin") == b"one"
    for _ in range(2):
        with files.opened(url) as handle:
            assert handle.read() == b"one"
    assert len(bucket.fetched) == 1  # the copy of this process is used again
    files.write_bytes(url, b"other")
    with files.opened(Path(url)) as handle:
        assert handle.read() == b"other"


def test_a_write_that_fails_leaves_what_was_there(bucket):
    url = bucket.write("a.bin", b"before")
    with pytest.raises(RuntimeError), files.atomic_write(url) as handle:
        handle.write(b"half")
        raise RuntimeError("in the middle")
    assert bucket.read("a.bin") == b"before"
    bucket.is_read_only = True
    with pytest.raises(DataError, match="Access Denied"):
        files.write_bytes(url, b"after")
    assert bucket.read("a.bin") == b"before"


def test_files_of_others_are_kept(bucket):
    url = bucket.write("out.parquet", b"a table of another program")
    with pytest.raises(UsageError, match="--force"):
        guard([Output(url, "features")])
    guard([Output(url, "features")], force=True)
    files.write_bytes(f"{bucket.url}/p.html", ownership.HTML_START)
    guard([Output(f"{bucket.url}/p.html", "report")])
    with pytest.raises(UsageError, match="input"):
        guard([Output(url, "features")], [Path(url)], force=True)


@pytest.mark.parametrize("name", ["", "none.bin", "folder"])
def test_what_is_no_file_is_named(bucket, name):
    bucket.write("folder/a.bin", b"")
    url = f"{bucket.url}/{name}".rstrip("/")
    with pytest.raises(DataError, match=url):
        files.opened(url)


def test_a_path_that_is_not_there_is_named(bucket):
    url = bucket.write("a b/ü.wav", b"x")
    assert named([url, bucket.url]) == [url, bucket.url]
    with pytest.raises(DataError, match="none"):
        named([f"{bucket.url}/none"])


def test_a_network_that_is_gone_is_one_line(bucket):
    url = bucket.write("a.bin", b"x")
    bucket.broken_after = 0
    with pytest.raises(DataError) as raised:
        files.opened(url)
    assert "\n" not in str(raised.value)
    assert "network is gone" in str(raised.value)
    bucket.broken_after = None
    with files.opened(url) as handle:  # nothing half is left
        assert handle.read() == b"x"


@pytest.mark.parametrize("name", ["..", "a/..", "n" * 300])
def test_a_name_that_no_file_can_have_is_refused(bucket, name):
    bucket.write(name, b"x")
    with pytest.raises(DataError):
        remote_tree.placed_alone(f"{bucket.url}/{name}", ())


def test_parts_of_a_url_are_kept_on_this_machine_until_it_is_written(bucket):
    url = f"{bucket.url}/t.parquet"
    with pytest.raises(RuntimeError), files.keeping_parts(url) as parts:
        (parts / "part").write_text("done")
        raise RuntimeError("in the middle")
    with files.keeping_parts(url) as again, files.keeping_parts(f"{bucket.url}/u.parquet") as other:
        assert (again / "part").read_text() == "done"
        assert other != again
    assert not again.exists()


def test_schemes_without_a_package_name_it():
    with pytest.raises(DataError, match="no files of the scheme foo"):
        remote.exists("foo://a/b")
    missing = "import sys; sys.modules[{0!r}] = None; from eavctl.storage import remote; remote.exists({1!r})"
    for module, url, wanted in (
        ("fsspec", "s3://a/b", "eavctl[remote]"),
        ("s3fs", "s3://a/b", "eavctl[remote]"),
        ("gcsfs", "gs://a/b", "pip install gcsfs"),
    ):
        call = [sys.executable, "-c", missing.format(module, url)]
        error = subprocess.run(call, capture_output=True, text=True, check=False).stderr
        assert wanted in error.splitlines()[-1], error


def test_nothing_is_left_when_a_process_ends(bucket, tmp_path):
    script = (
        "import os, sys; from eavctl.storage import remote; print(remote.scratch()); sys.stdout.flush(); "
        "os.kill(os.getpid(), int(sys.argv[1])) if len(sys.argv) > 1 else None"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    for how in ([], ["9"], []):
        call = [sys.executable, "-c", script, *how]
        subprocess.run(call, env=environment, capture_output=True, check=False)
        assert len(os.listdir(tmp_path)) == (1 if how else 0)  # the killed one's, until the next begins


def test_a_table_at_a_url_is_the_table(bucket, made_table):
    from eavctl.storage import tables

    url = bucket.write("t.parquet", made_table.read_bytes())
    assert tables.read_meta(url) == tables.read_meta(made_table)
    assert json.dumps(tables.read_meta(url))
    tables.verify(url)


@pytest.fixture
def made_table(tmp_path):
    import numpy as np

    from eavctl.storage import tables

    path = tmp_path / "t.parquet"
    with tables.FeatureWriter(path, ("a", "b"), (2,), np.dtype(np.float32)) as writer:
        keys = [{"sample_id": name, "clip_id": name, "label": name} for name in "xyz"]
        writer.write(tables.key_table(keys), np.arange(6, dtype=np.float32).reshape(3, 2))
        writer.close({"kind": "features", "features": "functionals", "modality": "audio", "classes": ["x"]})
    return path
