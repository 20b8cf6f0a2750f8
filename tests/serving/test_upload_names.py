"""Plain names of uploaded files."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eavctl.errors import UsageError
from eavctl.serving.names import distinct, plain_name

PIECES = [*string.ascii_letters, *"/\\.-~ \0\n:*?'\"äß情", ".wav", "..", "con", "情" * 100]
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
    assert len(f"audio_{plain}".encode()) <= 255
    assert plain_name(plain) == plain


@pytest.mark.parametrize("name", ["Anna 01 (b).wav", "03a01Fa.flac", "größe.mp4", "情.EDF", "a+b,c=d@e.OGG"])
def test_ordinary_names_stay(name):
    assert plain_name(name) == name


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "PARQUET", "vhdr", "fif", "FIF.gz", "py", "m3u8"])
def test_files_that_name_other_files_are_refused(ending):
    with pytest.raises(UsageError, match=r"\.wav"):
        plain_name(f"a.{ending}")


def test_equal_names_are_told_apart_by_their_fields():
    assert distinct(["a.wav", "A.wav"], ["audio", "video"]) == ["audio_a.wav", "video_A.wav"]
    assert distinct(["a.wav", "b.wav"], ["audio", "video"]) == ["a.wav", "b.wav"]
