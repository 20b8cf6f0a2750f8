"""Names of recordings that come one by one."""

import io
import os
import threading

import pytest

from eavctl.predicting.names import ListedNames


def names(content):
    return [*ListedNames(io.BytesIO(content))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"a.wav", ["a.wav"]),
        (b"a.wav\nb c.wav\n", ["a.wav", "b c.wav"]),
        (b"a.wav\r\n\r\n  b.wav \r\n", ["a.wav", "  b.wav "]),
        (b"a\nb.wav\0c\r\0\0d", ["a\nb.wav", "c\r", "d"]),
        ("ż ó.wav\n🎭".encode(), ["ż ó.wav", "🎭"]),
        (b"\xff.wav\n", ["\udcff.wav"]),
    ],
)
def test_lists_are_split_at_lines_or_at_null_bytes(content, expected):
    assert names(content) == expected


def test_the_size_of_reads_does_not_matter(monkeypatch):
    for content in (b"a.wav\nbcd.wav\r\n\n\xff\xfe", b"a\nb\0cd\0e"):
        whole = names(content)
        for size in range(4, len(content) + 1):
            monkeypatch.setattr("eavctl.predicting.names.AT_ONCE", size)
            assert names(content) == whole


def test_a_pipe_is_read_as_it_is_written():
    reading, writing = os.pipe()
    with open(reading, "rb") as handle, open(writing, "wb", buffering=0) as out:
        listed = ListedNames(handle)
        found = iter(listed)
        assert not listed.is_ready()
        out.write(b"a.wav\nb.")
        assert listed.is_ready()
        assert next(found) == "a.wav"
        assert not listed.is_ready()  # half a name
        late = threading.Timer(0.05, out.write, [b"wav\n"])
        late.start()
        assert next(found) == "b.wav"
        late.join()
        assert not listed.is_ready()
        out.close()
        assert listed.is_ready()  # for the end
        assert next(found, None) is None
