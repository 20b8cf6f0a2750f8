"""Plain names of uploaded files."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eavctl.errors import UsageError
from eavctl.serving.names import ENDINGS, LONGEST, distinct, plain_name

PIECES = [*string.ascii_letters, *"/\\.-~ \0\n:*?'\"äß情", ".wav", "..", "con", "." * 300]
AWKWARD = st.lists(st.sampled_from(PIECES)).map("".join)


@given(AWKWARD)
def test_a_name_leads_nowhere_and_is_stable(name):
    try:
        plain = plain_name(name)
    except UsageError:
        return
    assert not set(plain) & set('/\\\0\n:*?"~')
    assert plain
    assert plain[0] not in ".-"
    assert len(plain) <= LONGEST + max(map(len, ENDINGS))
    assert plain_name(plain) == plain


@pytest.mark.parametrize(
    "name", ["Anna 01 (b).wav", "03a01Fa.flac", "größe.mp4", "情.fif.gz", "a+b,c=d@e.OGG"]
)
def test_ordinary_names_stay(name):
    assert plain_name(name) == name


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.PARQUET", "a.vhdr", "a.py", "a.m3u8"])
def test_files_that_name_other_files_are_refused(name):
    with pytest.raises(UsageError, match=r"\.wav"):
        plain_name(name)


def test_equal_names_are_told_apart_by_their_fields():
    assert distinct(["a.wav", "A.wav"], ["audio", "video"]) == ["audio_a.wav", "video_A.wav"]
    assert distinct(["a.wav", "b.wav"], ["audio", "video"]) == ["a.wav", "b.wav"]
