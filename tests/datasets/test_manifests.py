"""Manifests as people have them: what their columns mean, where their recordings are, what is kept."""

import csv
import re
import tracemalloc
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eavctl.datasets.choice import Choice
from eavctl.datasets.column_names import SYNONYMS, folded, is_table, key_of, understand
from eavctl.datasets.manifest import find
from eavctl.errors import DataError, RecordingWarning, UsageError
from eavctl.storage.keys import MANIFEST_COLUMNS, extras

quick = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def write(path, text, encoding="utf-8"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(text.encode(encoding))
    return Path(path)


def rows_of(path, **settings):
    return list(find(path, **settings).records())


# --- what columns mean ------------------------------------------------------------------------------------


def test_no_name_stands_for_two_keys():
    names = [name for names in SYNONYMS.values() for name in names.split()]
    assert len(names) == len(set(names))
    assert not set(names) & {folded(key) for key in (*MANIFEST_COLUMNS, *SYNONYMS)}
    assert all(name == folded(name) for name in names)


def test_the_table_of_the_page_is_that_of_the_code():
    page = (Path(__file__).parents[2] / "data" / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert {key: {folded(name.strip()) for name in names.split(",")} for key, names in rows} == {
        key: set(names.split()) for key, names in SYNONYMS.items()
    }


@quick
@given(st.sampled_from(sorted(SYNONYMS)), st.data())
def test_names_count_in_any_case_and_spacing(key, data):
    name = data.draw(st.sampled_from([key, *SYNONYMS[key].split()]))
    written = "".join(
        data.draw(st.sampled_from([c.upper(), c, f"{c} ", f"{c}_", f"{c}-"])) for c in name.replace("_", "")
    )
    assert key_of(written.strip()) == key


@pytest.mark.parametrize(
    ("header", "meaning"),
    [
        ("File Name,Emotion,Speaker-ID,Age", "path label subject -"),
        ("wav,class,participant_id", "audio_path label subject"),
        ("video,audio,target,actor", "video_path audio_path label subject"),
        ("path,start (s),End [sec]", "path start end"),
        ("path,onset,offset", "path start end"),
        ("path,onset,duration", "path start duration"),
        ("path,duration", "path -"),
        ("path,start,end,duration", "path start end -"),
        ("path,startle,classic", "path - -"),
        ("path,corpus,partition", "path dataset split"),
    ],
)
def test_usual_names(header, meaning):
    names = header.split(",")
    found = understand(names, {}, "m.csv")
    assert [found.keys.get(i, "-") for i in range(len(names))] == meaning.split()
    assert list(found.extra.values()) == [name for i, name in enumerate(names) if i not in found.keys]


def test_columns_say_the_rest(tmp_path):
    file = write(tmp_path / "m.csv", "clip file,mood,speaker,pred\na.wav,joy,7,x\n")
    found = find(file, columns={"Clip-File": "path", "mood": "emotion", "speaker": "rater", "pred": "old"})
    (row,) = found.records()
    assert (row["audio_path"], row["label"], row["rater"], row["old"]) == ("a.wav", "joy", "7", "x")
    assert "subject" not in row
    assert extras(found.table.column_names) == ["rater", "old"]


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        ("path,speaker,actor", {}, "'speaker' and 'actor'.*--columns speaker=subject"),
        ("path,file", {}, "'path' and 'file'.*--columns"),
        ("path,emotion,Emotion ", {}, "'emotion' and 'Emotion'"),
        ("path,label,label", {}, "two columns are named 'label'"),
        ("offset,duration,path", {}, "--columns offset=start"),
        ("name,label", {}, "no column names the recordings.*\n.*--columns name=path"),
        ("s01/a.wav,joy", {}, "names no columns"),
        ("path,pred", {}, "--columns pred="),
        ("path,proba_joy", {}, "--columns proba_joy="),
        ("path,unsure", {}, "unsure"),
        ("path,x", {}, "'x'"),
        ("path,recording", {}, "recording"),
        ("path,right_low", {}, "right_low"),
        ("path,a b", {"mood": "label"}, "no column 'mood'"),
        ("path,mood", {"modd": "label"}, "Did you mean 'mood'"),
        ("path,a,b", {"a": "label", "b": "class"}, "two columns"),
        ("path,a,b", {"a": "b"}, "'b'"),
    ],
)
def test_what_is_not_clear_is_asked(tmp_path, header, columns, message):
    file = write(tmp_path / "m.csv", header + "\n" + ",".join("a.wav" for _ in header.split(",")) + "\n")
    with pytest.raises((DataError, UsageError), match=f"(?s){message}"):
        find(file, columns=columns)


def test_a_key_that_is_given_to_one_column_is_taken_from_no_other(tmp_path):
    file = write(tmp_path / "m.csv", "path,speaker,actor\na.wav,s1,a1\n")
    (row,) = rows_of(file, columns={"actor": "subject"})
    assert (row["subject"], row["speaker"]) == ("a1", "s1")


def test_columns_are_for_manifests(tmp_path):
    write(tmp_path / "joy/a.wav", "")
    with pytest.raises(UsageError, match="--columns"):
        find(tmp_path, columns={"a": "path"})


def test_a_name_that_is_nearly_a_key_is_kept_and_doubted(tmp_path):
    file = write(tmp_path / "m.csv", "path,sujbect\na.wav,s1\n")
    with pytest.warns(RecordingWarning, match="sujbect=subject"):
        assert rows_of(file)[0]["sujbect"] == "s1"


# --- what rows hold ---------------------------------------------------------------------------------------


def test_a_german_table_of_excel(tmp_path):
    text = (
        "Nr;File;Emotion;Start;Stop;Größe\r\n1;a.wav;Ärger;0,5;1,25;1,80\r\n;;;;;\r\n2;b.wav;Freude;;;;\r\n"
    )
    found = find(write(tmp_path / "m.csv", text, "cp1252"))
    first, second = found.records()
    assert (first["label"], first["start"], first["end"]) == ("Ärger", 0.5, 1.25)
    assert first["Größe"] == "1,80"  # what is kept is kept as it stands
    assert "start" not in second
    assert found.understood.startswith(
        "m.csv: 2 rows; cp1252, ';'; File = path, Emotion = label, Start = start"
    )


def test_a_decimal_comma_is_none_where_commas_separate(tmp_path):
    file = write(tmp_path / "m.csv", 'path,start\na.wav,"0,5"\n')
    with pytest.raises(DataError, match="line 2: start"):
        find(file)


@pytest.mark.parametrize(
    ("text", "message"), [("1.5", "whole"), ("x", "whole"), ("nan", "whole"), ("3.0", "")]
)
def test_whole_numbers_may_have_a_point(tmp_path, text, message):
    file = write(tmp_path / "m.csv", f"path,fold\na.wav,{text}\n")
    if message:
        with pytest.raises(DataError, match=message):
            find(file)
    else:
        assert rows_of(file)[0]["fold"] == 3


def test_an_index_of_pandas_is_left_out_and_other_columns_need_names(tmp_path):
    frame = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["joy", "sad"]})
    frame.to_csv(tmp_path / "m.csv")
    found = find(tmp_path / "m.csv")
    assert extras(found.table.column_names) == []
    assert found.rows["label"].tolist() == ["joy", "sad"]
    with pytest.raises(DataError, match="line 3: column 2"):
        find(write(tmp_path / "n.csv", "path,,label\na.wav,,joy\nb.wav,x,sad\n"))


def test_onset_and_duration_are_a_segment(tmp_path):
    file = write(tmp_path / "m.tsv", "onset\tduration\tpath\n1.5\t2\ta.wav\n4\t\ta.wav\n")
    assert [(row["start"], row.get("end")) for row in rows_of(file)] == [(1.5, 3.5), (4.0, None)]


extra_values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@quick
@given(st.lists(st.tuples(extra_values, extra_values), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_extra_columns_are_kept_in_their_order_without_spaces_around(tmp_path, rows, separator):
    with open(tmp_path / "m.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter=separator)
        writer.writerow(["hand", "path", "Age (years)"])
        writer.writerows([a, f"{i:03d}.wav", b] for i, (a, b) in enumerate(rows))
    found = find(tmp_path / "m.csv")
    assert extras(found.table.column_names) == ["hand", "Age (years)"]
    kept = list(zip(*(found.table[name].to_pylist() for name in ("hand", "Age (years)")), strict=True))
    assert kept == [(a.strip() or None, b.strip() or None) for a, b in rows]


# --- where recordings are ---------------------------------------------------------------------------------


def test_paths_start_from_the_manifest_or_else_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lists/a.wav", "a.wav", "rec/b.wav"):
        write(tmp_path / name, "")
    file = write(tmp_path / "lists/m.csv", "path\na.wav\nrec\\b.wav\nrec/none.wav\n")
    found = find(file)
    assert found.rows["clip_id"].tolist() == ["a", "rec/b", "rec/none"]
    assert found.rows["audio_path"].tolist() == ["a.wav", "../rec/b.wav", "rec/none.wav"]
    assert (found.root / found.rows["audio_path"][1]).is_file()
    assert "1 from the working folder" in found.understood
    assert not Path(found.rows["audio_path"][1]).is_absolute()


def test_backslashes_separate_folders_unless_a_file_has_them_in_its_name(tmp_path):
    for name in ("s01/a.wav", "s01\\b.wav"):
        write(tmp_path / name, "")
    file = write(tmp_path / "m.csv", "path\ns01\\a.wav\ns01\\b.wav\ns01\\c.wav\nC:\\x\\d.wav\n s01/a.wav\n")
    found = find(file)
    assert found.rows["audio_path"].tolist() == ["C:\\x\\d.wav", "s01/a.wav", "s01/c.wav", "s01\\b.wav"]
    assert [bad["reason"] for bad in found.rejected] == ["line 6 names the same recording as line 2"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_count_in_either_form(tmp_path, form):
    name = "Zoë/größe.wav"
    write(tmp_path / unicodedata.normalize(form, name), "")
    for i, other in enumerate(("NFC", "NFD")):
        file = write(tmp_path / f"{i}.csv", f"path\n{unicodedata.normalize(other, name)}\n")
        (row,) = rows_of(file)
        assert (tmp_path / row["audio_path"]).is_file()


def test_a_path_column_and_one_of_a_modality_are_one_recording(tmp_path):
    file = write(tmp_path / "m.csv", "file,audio\na.mp4,a.wav\nb.mp4,\n")
    first, second = rows_of(file)
    assert (first["video_path"], first["audio_path"]) == ("a.mp4", "a.wav")
    assert second["audio_path"] == second["video_path"] == "b.mp4"


@pytest.mark.parametrize("ending", ["csv", "tsv", "tab", "xlsx", "jsonl", "ndjson", "parquet", "CSV"])
def test_tables_are_recognised_by_their_ending(tmp_path, ending):
    assert is_table(write(tmp_path / f"m.{ending}", ""))
    assert not is_table(tmp_path / f"none.{ending}")
    assert not is_table(tmp_path)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("path\tlabel\na.wav\tjoy\n", True),
        ("\ufeffFile;Emotion\na.wav;joy\n", True),
        ("wav\na.wav\n", True),
        ("The file is here, and so on.\nMore.\n", False),
        ("a.wav\nb.wav\n", False),
        ("", False),
    ],
)
def test_a_text_is_a_table_if_its_first_line_names_a_path(tmp_path, text, is_one):
    file = write(tmp_path / "m.txt", text)
    assert is_table(file) is is_one
    if is_one:
        assert find(file).layout == "csv"


def test_the_command_line_is_told_once_what_was_understood(tmp_path):
    told = []
    file = write(tmp_path / "m.csv", "path,mood,age\na.wav,joy,3\nb.wav,sad,4\n")
    Choice(columns={"mood": "label"}, tell=told.append, where={"label": "joy"}).of(file)
    assert told == ["m.csv: 2 rows; UTF-8, ','; path, mood = label; kept: age"]


def test_a_large_manifest_is_not_held_twice(tmp_path):
    """The memory of Python's objects, at its highest, is a few times that of the rows that are kept."""
    n = 3000
    lines = [f"s{i % 9}/{i:06d}.wav,s{i % 9},{('joy', 'sad')[i % 2]},{i}" for i in range(n)]
    file = write(tmp_path / "m.csv", "path,subject,label,nr\n" + "\n".join(lines))
    tracemalloc.start()
    found = find(file)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == n
    assert most < 2500 * n  # bytes
