"""What a user names: a single path is one, an empty name is none, and what is not there is told first."""

from pathlib import Path

import pytest

from eavctl.errors import DataError, UsageError
from eavctl.storage.paths import named


def test_one_path_is_one_and_several_keep_their_order(tmp_path):
    one, other = tmp_path / "b.wav", tmp_path / "a.wav"
    one.touch()
    other.touch()
    assert named(str(one)) == named(one) == [str(one)]
    assert named([one, str(other), "-"]) == [str(one), str(other), "-"]
    assert named(path for path in (one,)) == [str(one)]
    assert named([]) == []


@pytest.mark.parametrize("paths", ["", [""], ["a.wav", ""], [None], [3], [b"a.wav"]])
def test_what_is_no_name_is_wrong_usage(paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.wav").touch()
    with pytest.raises(UsageError, match="not the name of a file"):
        named(paths)


@pytest.mark.parametrize("name", ["absent.wav", "absent/", "dangling.wav", "a\0b"])
def test_what_is_not_there_is_bad_data_and_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dangling.wav").symlink_to("nowhere.wav")
    Path("there.wav").touch()
    with pytest.raises(DataError, match=r"no such file or folder") as caught:
        named(["there.wav", name])
    assert str(caught.value).startswith(name)
