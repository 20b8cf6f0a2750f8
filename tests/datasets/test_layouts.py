"""Layouts: contract tests over the registry, and what each makes of its folders."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eavctl import registry
from eavctl.datasets import folder, manifest
from eavctl.errors import DataError, UsageError
from eavctl.storage.keys import MANIFEST_COLUMNS


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
    assert found.rows["clip_id"].tolist() == ["happy/a", "sad/b", "sad/deep/c", "top"]
    assert found.rows["label"].tolist() == ["happy", "sad", "sad", None]
    assert found.rows["video_path"].tolist() == ["happy/a.mp4", None, None, None]
    assert tuple(found.rows.columns) == MANIFEST_COLUMNS
    assert found.classes == ("happy", "sad")


def test_two_recordings_of_one_name_are_not_silently_one(tmp_path):
    touch(tmp_path, "sad/b.flac", "sad/b.wav")
    found = manifest.find(tmp_path)
    assert len(found) == 1
    assert [bad["path"] for bad in found.rejected] == ["sad/b.wav"]


def test_clips_come_by_name_and_files_of_one_name_are_one_clip(tmp_path):
    names = ["a.wav", "a-b.wav", "a.b.wav", "a.edf", "a!.wav", "A.wav", "a b.wav", "a.b.edf", "a.wav.edf"]
    (tmp_path / "happy").mkdir()
    for name in names:
        (tmp_path / "happy" / name).touch()
    found = {stem for name in names for stem in [name.rpartition(".")[0]]}
    clips = list(folder.clips(tmp_path))
    assert [clip for clip, _ in clips] == sorted(f"happy/{stem}" for stem in found)
    paths = dict(clips)
    assert paths["happy/a"] == {"audio_path": "happy/a.wav", "eeg_path": "happy/a.edf"}
    assert paths["happy/a.b"] == {"audio_path": "happy/a.b.wav", "eeg_path": "happy/a.b.edf"}


@pytest.mark.parametrize("layout", ["eeg", "folder", "csv"])
def test_packed_fif_is_found_by_every_layout_and_named_without_its_whole_ending(tmp_path, layout):
    name = "S001R03"
    touch(tmp_path, f"in/rest/{name}.fif.gz", "in/rest/notes.gz", "in/rest/brain.nii.gz")
    (tmp_path / "in/table.csv").write_text(f"path\nrest/{name}.fif.gz\n")
    source = {"eeg": "in/rest", "folder": "in", "csv": "in/table.csv"}[layout]
    found = manifest.find(tmp_path / source, None if layout != "folder" else layout)
    assert found.layout == layout
    (row,) = found.rows.to_dict("records")
    assert row["clip_id"] == (name if layout == "eeg" else f"rest/{name}")
    assert (found.root / row["eeg_path"]).is_file()
    assert row["audio_path"] is None
    assert layout != "eeg" or row["subject"] == "S001"
    single = manifest.find(tmp_path / f"in/rest/{name}.fif.gz")
    assert single.rows["clip_id"].tolist() == [name]


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
        ("label\nsad\n", "--columns label=path"),
        ("path,label\n,sad\n", "line 2"),
        ("path\nnotes.pdf\n", "line 2"),
        ("path\n", "no recordings"),
        ("", "empty"),
        ("path\n\0.wav\n", "line 2"),
        ("path,eeg_index\nx.mat,99999999999999999999\n", "line 2: eeg_index"),
        ("path,fold\nx.wav,1e30\n", "line 2: fold"),
    ],
)
def test_csv_errors_say_where(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        manifest.find(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("path", "\0.wav"),
        ("path", b"x.wav"),
        ("fold", 2**62),
        ("fold", 1.5),
        ("fold", float("inf")),
        ("eeg_index", True),
        ("start", pd.Timestamp("2020-01-01")),
        ("end", pd.Timedelta("1s")),
        ("label", {"a": 1}),
    ],
)
def test_a_value_of_another_kind_is_an_error_and_never_a_missing_one(tmp_path, column, value):
    table = pd.DataFrame({"audio_path": ["x.wav", "y.wav"], column: pd.Series([None, value], dtype=object)})
    table.to_parquet(tmp_path / "m.parquet")
    with pytest.raises(DataError, match=f"line 3: (audio_)?{column}"):
        manifest.find(tmp_path / "m.parquet")


def test_of_two_columns_of_one_name_none_is_taken(tmp_path):
    columns = [pa.array(["x.wav"]), pa.array(["y.wav"])]
    pq.write_table(pa.table(columns, names=["path", "path"]), tmp_path / "m.parquet")
    with pytest.raises(DataError, match="'path'"):
        manifest.find(tmp_path / "m.parquet")


def test_a_folder_in_the_place_of_a_recording_has_a_name(tmp_path):
    (tmp_path / "m.csv").write_text("audio_path\n.\nsub/x.tar.wav\n")
    assert manifest.find(tmp_path / "m.csv").rows["clip_id"].tolist() == [".", "sub/x.tar"]


def test_unknown_names_list_the_known_and_the_nearest():
    with pytest.raises(UsageError, match=r"csv, .*folder.*ravdess.*Did you mean 'ravdess'"):
        registry.get("layouts", "ravdes")


def test_a_large_folder_is_looked_through_once_however_many_layouts_there_are(tmp_path, monkeypatch):
    touch(tmp_path, "sad/a.wav", "happy/b.wav")
    looked, files = [], manifest.media_files
    monkeypatch.setattr(
        manifest, "media_files", lambda root, *more: looked.append(root) or files(root, *more)
    )
    for n_scans in (1, 2):  # nothing is remembered for the next time
        assert manifest.layout_of(tmp_path).name == "folder"
        assert looked.count(tmp_path) == n_scans


def test_nothing_recognised_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="--layout"):
        manifest.find(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        manifest.find(tmp_path / "absent")


def test_links_in_circles_end(tmp_path):
    touch(tmp_path, "sad/a.wav")
    (tmp_path / "sad" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(manifest.find(tmp_path)) == 1


def parts(found):
    return list(zip(found.rows["clip_id"], found.rows["sample_id"], found.rows["label"], strict=True))


def test_parts_of_one_recording_are_clips_with_their_times(tmp_path):
    (tmp_path / "m.csv").write_text(
        "path,start,end,label\nx.wav,0,2,joy\nx.wav,2,4.5,sad\nx.wav,4.5,,joy\ny.wav,1,2,joy\n"
    )
    found = manifest.find(tmp_path / "m.csv")
    names = ["x:00000.000-00002.000", "x:00002.000-00004.500", "x:00004.500-", "y"]
    assert parts(found) == [
        (name, name, label) for name, label in zip(names, ["joy", "sad", "joy", "joy"], strict=True)
    ]
    assert found.rejected == ()


def test_parts_that_are_given_one_clip_are_its_samples(tmp_path):
    (tmp_path / "m.csv").write_text("path,clip_id,start,end,label\nx.wav,talk,0,2,joy\nx.wav,talk,2,4,sad\n")
    found = manifest.find(tmp_path / "m.csv")
    assert found.rows["clip_id"].tolist() == ["talk", "talk"]
    assert found.rows["sample_id"].tolist() == ["talk:00000.000-00002.000", "talk:00002.000-00004.000"]


def test_trials_of_one_file_have_their_numbers(tmp_path):
    (tmp_path / "m.csv").write_text("path,eeg_index,label\nx.mat,0,joy\nx.mat,1,sad\n")
    assert manifest.find(tmp_path / "m.csv").rows["clip_id"].tolist() == ["x/001", "x/002"]


def test_one_file_by_two_paths_is_one_recording(tmp_path):
    (tmp_path / "x.wav").touch()
    (tmp_path / "link.wav").symlink_to("x.wav")
    (tmp_path / "sub").mkdir()
    (tmp_path / "m.csv").write_text("path,label\nx.wav,joy\n./x.wav,joy\nsub/../x.wav,joy\nlink.wav,joy\n")
    found = manifest.find(tmp_path / "m.csv")
    assert found.rows["clip_id"].tolist() == ["x"]
    assert len(found.rejected) == 3
    assert all("the same recording as line" in bad["reason"] for bad in found.rejected)


def test_labels_that_contradict_each_other_leave_no_row(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\nx.wav,joy\n./x.wav,sad\ny.wav,sad\n")
    found = manifest.find(tmp_path / "m.csv")
    assert found.rows["clip_id"].tolist() == ["y"]
    assert [("joy, sad" in bad["reason"], bad["path"]) for bad in found.rejected] == [
        (True, "x.wav"),
        (True, "./x.wav"),
    ]


def test_keys_are_trimmed_and_paths_are_not(tmp_path):
    (tmp_path / "m.csv").write_text("path,subject,label\nx .wav, s1 ,joy\ny.wav,s1,\tjoy \n")
    rows = manifest.find(tmp_path / "m.csv").rows
    assert set(rows["subject"]) == {"s1"}
    assert set(rows["label"]) == {"joy"}
    assert "x .wav" in set(rows["audio_path"])


@pytest.mark.parametrize("times", ["-1,2", "2,2", "3,2", "nan,inf"])
def test_impossible_segments_are_named_by_their_line(tmp_path, times):
    (tmp_path / "m.csv").write_text(f"path,start,end\nx.wav,0,1\ny.wav,{times}\n")
    with pytest.raises(DataError, match="line 3"):
        manifest.find(tmp_path / "m.csv")


def test_emodb_reads_speaker_and_emotion_from_the_name(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/11a07Ld.wav")
    found = manifest.find(tmp_path)
    assert found.layout == "emodb"
    assert found.rows["clip_id"].tolist() == ["03a01Fa", "11a07Ld", "16b10Wb"]
    assert found.rows["subject"].tolist() == ["03", "11", "16"]
    assert found.rows["label"].tolist() == ["happiness", "boredom", "anger"]
    assert set(found.rows["dataset"]) == {"emodb"}


def test_nemo_reads_speaker_and_emotion_from_the_name(tmp_path):
    touch(tmp_path, "EB0_anger_12.flac", "WR0_surprised_3.flac")
    found = manifest.find(tmp_path)
    assert found.layout == "nemo"
    assert found.rows["subject"].tolist() == ["EB0", "WR0"]
    assert found.rows["label"].tolist() == ["anger", "surprised"]
    assert set(found.rows["dataset"]) == {"nemo"}


@pytest.mark.parametrize("stranger", ["04a01Fa.wav", "03a03Fa.wav", "EB0_calm_12.flac", "notes.wav"])
def test_other_names_are_neither_emodb_nor_nemo(tmp_path, stranger):
    touch(tmp_path, stranger)
    for layout in ("emodb", "nemo"):
        assert not registry.get("layouts", layout).facts["recognise"](tmp_path)


@pytest.mark.parametrize(
    ("layout", "n_clips", "n_speakers", "n_classes"), [("emodb", 535, 10, 7), ("nemo", 1493, 9, 6)]
)
def test_published_corpora_are_read_whole(shared_data, layout, n_clips, n_speakers, n_classes):
    found = manifest.find(shared_data / layout)
    assert (found.layout, len(found), found.rejected) == (layout, n_clips, ())
    assert found.rows["subject"].nunique() == n_speakers
    assert len(found.classes) == found.rows["label"].nunique() == n_classes
