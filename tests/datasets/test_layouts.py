"""Layouts: contract tests over the registry, and what each makes of its folders."""

import pytest

from eavctl import registry
from eavctl.datasets import manifest
from eavctl.errors import DataError, UsageError
from eavctl.keys import MANIFEST_COLUMNS


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


@pytest.mark.parametrize("name", registry.names("layouts"))
def test_every_layout_says_what_it_must_and_refuses_an_empty_folder(name, tmp_path):
    entry = registry.get("layouts", name)
    assert isinstance(entry.facts["priority"], int)
    assert not entry.facts["recognise"](tmp_path)
    assert not entry.facts["recognise"](tmp_path / "absent")
    with pytest.raises(DataError):
        entry.thing(tmp_path)


def test_folder(tmp_path):
    touch(
        tmp_path, "sad/b.wav", "sad/deep/c.FLAC", "happy/a.mp4", "happy/notes.txt", "sad/._b.wav", "top.wav"
    )
    found = manifest.find(tmp_path)
    assert found.layout == "folder"
    assert found.rows["clip_id"].tolist() == ["happy/a", "sad/b", "sad/deep/c"]
    assert found.rows["label"].tolist() == ["happy", "sad", "sad"]
    assert found.rows["video_path"].tolist() == ["happy/a.mp4", None, None]
    assert tuple(found.rows.columns) == MANIFEST_COLUMNS
    assert found.classes == ("happy", "sad")


def test_two_recordings_of_one_name_are_not_silently_one(tmp_path):
    touch(tmp_path, "sad/b.flac", "sad/b.wav")
    found = manifest.find(tmp_path)
    assert len(found) == 1
    assert [bad["path"] for bad in found.rejected] == ["sad/b.wav"]


def test_ravdess_joins_sound_and_picture_of_one_take_and_prefers_the_sound_alone(tmp_path):
    touch(tmp_path, "a/03-01-05-01-01-01-07.wav", "v/01-01-05-01-01-01-07.mp4", "v/02-01-05-01-01-01-07.mp4",
          "v/01-02-06-01-01-01-08.mp4")  # fmt: skip
    found = manifest.find(tmp_path)
    assert found.layout == "ravdess"
    first, second = found.rows.to_dict("records")
    assert (first["label"], first["subject"], first["task"]) == ("angry", "actor07", "speech")
    assert (first["audio_path"], first["video_path"]) == (
        "a/03-01-05-01-01-01-07.wav",
        "v/02-01-05-01-01-01-07.mp4",
    )
    assert (second["label"], second["task"]) == ("fearful", "song")
    assert second["audio_path"] == second["video_path"] == "v/01-02-06-01-01-01-08.mp4"
    assert found.classes == ("angry", "fearful")


def test_ravdess_on_real_names(shared_data):
    found = manifest.find(shared_data / "ravdess-speech")
    assert found.layout == "ravdess"
    assert len(found) == 960
    per_subject = found.rows.groupby("subject").size()
    assert len(per_subject) == 16
    assert (per_subject == 60).all()
    assert found.rows["label"].value_counts().to_dict() == dict.fromkeys(found.classes, 128) | {"neutral": 64}


def test_csv_keeps_keys_and_takes_paths_by_their_ending(tmp_path):
    (tmp_path / "m.csv").write_text(
        "path,subject,label,start,end,split\nb/y.mp4,s2,sad,0.5,2,test\nx.wav,s1,joy,,,train\n"
    )
    found = manifest.find(tmp_path / "m.csv")
    assert found.rows["clip_id"].tolist() == ["b/y", "x"]
    assert found.rows["video_path"].tolist() == ["b/y.mp4", None]
    assert found.rows["start"].tolist()[0] == 0.5
    assert found.rows["split"].tolist() == ["test", "train"]
    assert found.root == tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,sujbect\na.wav,s1\n", "sujbect"),
        ("label\nsad\n", "no path"),
        ("path,label\n,sad\n", "line 2"),
        ("path\nnotes.txt\n", "line 2"),
        ("path\n", "no recordings"),
        ("", "not a CSV"),
    ],
)
def test_csv_errors_say_where(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        manifest.find(tmp_path / "m.csv")


def test_unknown_names_list_the_known_and_the_nearest():
    with pytest.raises(UsageError, match=r"csv, .*folder.*ravdess.*Did you mean 'ravdess'"):
        registry.get("layouts", "ravdes")


def test_nothing_recognised_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="--layout"):
        manifest.find(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        manifest.find(tmp_path / "absent")


def test_links_in_circles_end(tmp_path):
    touch(tmp_path, "sad/a.wav")
    (tmp_path / "sad" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(manifest.find(tmp_path)) == 1
