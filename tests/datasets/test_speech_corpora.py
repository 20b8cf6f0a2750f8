"""Layouts of speech corpora, on the names that their documentation gives, and none stealing from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from eavctl import registry
from eavctl.datasets import manifest
from eavctl.errors import DataError

TURN = "[6.2901 - 8.2357]\t{turn}\t{label}\t[2.5000, 3.0000, 4.5000]\n"
EVALUATION = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
MELD_COLUMNS = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)
FILES = {  # by layout: files of a tree
    "savee": ("AudioData/DC/a01.wav", "AudioData/DC/sa15.wav", "AudioData/KL/n30.wav", "x/JE/su02.wav"),
    "crema-d": ("AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1040_ITH_SAD_X.wav", "x/1091_IEO_HAP_HI.wav"),
    "tess": ("OAF_angry/OAF_back_angry.wav", "OAF_neutral/OA_bite_neutral.wav", "YAF_ps/YAF_youth_ps.wav"),
    "iemocap": (
        "Session1/dialog/avi/DivX/Ses01F_impro01.avi",
        "Session1/dialog/wav/Ses01F_impro01.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav",
        "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F012.wav",
        "Session3/sentences/wav/Ses03M_impro05a/Ses03M_impro05a_MXX0.wav",
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
        "Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt",
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e1_cat.txt",
    ),
    "meld": (
        "train/train_splits/dia0_utt0.mp4",
        "train/train_splits/dia0_utt1.mp4",
        "dev_splits_complete/dia0_utt0.mp4",
        "output_repeated_splits_test/dia0_utt0.mp4",
        "train/train_sent_emo.csv",
        "dev_sent_emo.csv",
        "test_sent_emo.csv",
    ),
    "cafe": ("Colère/Faible/01-C-1-1.wav", "Neutre/12-N-1-6.wav", "Peur/Fort/07-P-2-3.wav"),
    "mesd": ("Anger_C_A_abajo.wav", "Neutral_M_B_hola.wav"),
    "emovo": ("f1/dis-f1-b1.wav", "m3/tri-m3-n5.wav", "m2/gio-m2-d1.wav"),
    "jl-corpus": ("JL(wav+txt)/female1_angry_10a_1.wav", "JL(wav+txt)/male2_encouraging_6b_2.wav"),
    "aesdd": ("anger/a01 (1).wav", "sadness/s20 (6).wav"),
    "urdu": ("Angry/SM1_F10_A010.wav", "Sad/SF3_F2_S07.wav"),
    "ravdess": ("Actor_01/03-01-05-01-01-01-01.wav",),
    "emodb": ("wav/03a01Fa.wav",),
    "nemo": ("EB0_anger_12.flac",),
    "eeg": ("S001R03.edf",),
    "bids": ("sub-01/eeg/sub-01_task-rest_eeg.edf",),
}  # fmt: skip


def tree(root: Path, layout: str) -> Path:
    """The files of a layout; those of labels have the labels of its recordings."""
    for name in FILES[layout]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    if layout == "iemocap":
        first = root / "Session1/dialog/EmoEvaluation"
        (first / "Ses01F_impro01.txt").write_text(
            EVALUATION
            + TURN.format(turn="Ses01F_impro01_F000", label="neu")
            + "C-E2:\tNeutral;\t()\n\n"
            + TURN.format(turn="Ses01F_impro01_M001", label="xxx")
        )
        (first / "Categorical/Ses01F_impro01_e1_cat.txt").write_text("Ses01F_impro01_F000 :Anger; ()\n")
        fifth = root / "Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt"
        fifth.write_text(EVALUATION + TURN.format(turn="Ses05M_script01_1b_F012", label="exc"))
    if layout == "meld":
        rows = {
            "train/train_sent_emo.csv": (
                '1,"Oh, no.",Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"',
                "2,What?,Monica,surprise,negative,0,1,4,7,0,1",
                "3,Lost,Monica,joy,positive,125,3,4,7,0,1",
            ),
            "dev_sent_emo.csv": ("1,Hi,Joey,neutral,neutral,0,0,1,1,0,1",),
            "test_sent_emo.csv": ("1,Caf\u00e9,Mark,joy,positive,0,0,3,19,0,1",),
        }
        for name, lines in rows.items():
            (root / name).write_text("\n".join((MELD_COLUMNS, *lines)), encoding="utf-8")
    return root


NAMED = {  # by layout: subject and label of its clips, in the order of their names
    "savee": [("DC", "anger"), ("DC", "sadness"), ("JE", "surprise"), ("KL", "neutral")],
    "crema-d": [("1001", "anger"), ("1040", "sad"), ("1091", "happy")],
    "tess": [("OAF", "angry"), ("OAF", "neutral"), ("YAF", "pleasant surprise")],
    "iemocap": [("Ses01_F", "neutral"), ("Ses05_F", "excited")],
    "meld": [("Joey", "neutral"), ("Mark", "joy"), ("Phoebe", "sadness"), ("Monica", "surprise")],
    "cafe": [("01", "anger"), ("07", "fear"), ("12", "neutral")],
    "mesd": [(None, "anger"), (None, "neutral")],
    "emovo": [("f1", "disgust"), ("m2", "joy"), ("m3", "sadness")],
    "jl-corpus": [("female1", "angry"), ("male2", "encouraging")],
    "aesdd": [("1", "anger"), ("6", "sadness")],
    "urdu": [("SF3", "sad"), ("SM1", "angry")],
}


@pytest.mark.parametrize("layout", NAMED)
def test_speaker_and_emotion_are_read_from_the_documented_names(tmp_path: Path, layout: str) -> None:
    found = manifest.find(tree(tmp_path, layout))
    assert found.layout == layout
    rows = found.rows
    assert list(zip(rows["subject"], rows["label"], strict=True)) == NAMED[layout]
    assert set(rows["dataset"]) == {layout}
    assert all((tmp_path / path).is_file() for path in rows["audio_path"])
    assert set(rows["label"]) == set(found.classes)


@pytest.mark.parametrize("layout", FILES)
def test_no_recogniser_steals_from_another(tmp_path: Path, layout: str) -> None:
    root = tree(tmp_path / layout, layout)
    anything = {"folder", "pictures", layout}  # what takes folders of any names comes after all others
    took = [
        name
        for name in registry.names("layouts")
        if name not in anything and registry.get("layouts", name).facts["recognise"](root)
    ]
    assert took == []
    assert manifest.layout_of(root).name == layout


@pytest.mark.parametrize("layout", sorted(FILES.keys() - {"bids"}))  # which looks into folders of subjects
def test_one_recording_with_another_name_is_enough_to_be_no_corpus(tmp_path: Path, layout: str) -> None:
    root = tree(tmp_path / layout, layout)
    (root / "0").mkdir()
    (root / "0/anna_01.wav").touch()
    assert manifest.layout_of(root).name == "folder"


@pytest.mark.parametrize(
    "names",
    [
        ("angry/anna_01.wav", "happy/ben_02.wav"),
        ("angry/a01.wav", "happy/h01.wav"),  # SAVEE's names in other folders
        ("DC/interview.wav", "KL/interview.wav"),
        ("calm/a01 (1).wav", "tense/a01 (2).wav"),  # copies, as Windows names them
        ("a/OAF_angry.wav", "b/YAF_happy.wav"),
        ("x/1001_DFA_ANG.wav", "x/2001_DFA_ANG_XX.wav"),
        ("x/01-A-1-1.wav", "x/13-C-1-1.wav"),
        ("x/dia0_utt0.mp4", "x/dia0_utt1.mp4"),  # no table
        ("x/male1_calm_1a_1.wav", "x/male3_angry_1a_1.wav"),
        ("x/dis-f4-b1.wav", "x/Ses06F_impro01_F000.wav"),
        ("x/SM1_F10_X010.wav", "x/anger_c_a_abajo.wav"),
    ],
)
def test_names_that_only_resemble_a_corpus_are_the_users_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert manifest.layout_of(tmp_path).name == "folder"


def test_savee_in_one_folder_has_the_names_of_savee_in_folders(tmp_path: Path) -> None:
    (tmp_path / "ALL").mkdir()
    for name in ("DC_a01", "DC_sa15", "JE_su02", "KL_n30"):
        (tmp_path / f"ALL/{name}.wav").touch()
    flat = manifest.find(tmp_path / "ALL").rows
    deep = manifest.find(tree(tmp_path / "deep", "savee")).rows
    for column in ("clip_id", "subject", "label", "sentence"):
        assert flat[column].tolist() == deep[column].tolist()


def test_one_speakers_folder_is_recognised_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "savee")
    monkeypatch.chdir(tmp_path / "AudioData/DC")
    found = manifest.find(".")
    assert (found.layout, found.rows["clip_id"].tolist()) == ("savee", ["DC_a01", "DC_sa15"])


def test_files_of_one_name_are_one_recording_without_loss_if_possible(tmp_path: Path) -> None:
    name = "1001_DFA_ANG_XX"
    for file in (f"AudioMP3/{name}.mp3", f"AudioWAV/{name}.wav", f"VideoMP4/{name}.mp4", f"copy/{name}.wav"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    found = manifest.find(tmp_path)
    (row,) = found.rows.to_dict("records")
    assert (row["audio_path"], row["video_path"]) == (f"AudioWAV/{name}.wav", f"VideoMP4/{name}.mp4")
    assert row["intensity"] == "XX"
    assert [bad["path"] for bad in found.rejected] == [f"copy/{name}.wav"]


def test_iemocap_rejects_turns_without_a_label_of_the_majority(tmp_path: Path) -> None:
    found = manifest.find(tree(tmp_path, "iemocap"))
    reasons = {bad["clip_id"]: bad["reason"] for bad in found.rejected}
    assert set(reasons) == {"Ses01F_impro01_M001", "Ses03M_impro05a_MXX0"}
    assert "xxx" in reasons["Ses01F_impro01_M001"]
    first, last = found.rows.to_dict("records")
    assert (first["session"], first["task"], first["dialogue"]) == ("Ses01", "improvised", "Ses01F_impro01")
    assert (last["session"], last["task"]) == ("Ses05", "scripted")
    assert [first[name] for name in ("valence", "activation", "dominance")] == ["2.5000", "3.0000", "4.5000"]


def test_iemocap_without_its_labels_says_where_they_are_expected(tmp_path: Path) -> None:
    root = tree(tmp_path, "iemocap")
    with pytest.raises(DataError, match="EmoEvaluation"):
        manifest.find(root / "Session1/sentences")


def test_meld_keeps_splits_apart_and_other_columns(tmp_path: Path) -> None:
    found = manifest.find(tree(tmp_path, "meld"))
    rows = found.rows
    assert rows["clip_id"].tolist() == [
        "dev/dia0_utt0",
        "test/dia0_utt0",
        "train/dia0_utt0",
        "train/dia0_utt1",
    ]
    assert rows["split"].tolist() == ["val", "test", "train", "train"]
    assert rows["session"].tolist() == ["dev/dia0", "test/dia0", "train/dia0", "train/dia0"]
    assert rows["Utterance"].tolist() == ["Hi", "Caf\u00e9", "Oh, no.", "What?"]
    assert rows["Sentiment"].tolist() == ["neutral", "positive", "negative", "negative"]
    assert rows["video_path"].tolist() == rows["audio_path"].tolist()
    assert [(bad["clip_id"], bad["reason"]) for bad in found.rejected] == [
        ("train/dia125_utt3", "no such file")
    ]


def test_meld_of_one_split_misses_no_other_and_takes_audio_files(tmp_path: Path) -> None:
    tree(tmp_path, "meld")
    (tmp_path / "dev_splits_complete/dia0_utt0.wav").touch()
    (tmp_path / "dev_splits_complete/dia9_utt9.mp4").touch()
    for name in ("train/train_splits/dia0_utt0.mp4", "train/train_splits/dia0_utt1.mp4",
                 "output_repeated_splits_test/dia0_utt0.mp4"):  # fmt: skip
        (tmp_path / name).unlink()
    found = manifest.find(tmp_path)
    (row,) = found.rows.to_dict("records")
    assert row["audio_path"] == "dev_splits_complete/dia0_utt0.wav"
    assert row["video_path"] == "dev_splits_complete/dia0_utt0.mp4"
    assert [bad["clip_id"] for bad in found.rejected] == ["dev/dia9_utt9"]


@pytest.mark.parametrize(
    "text", ["", "Speaker,Emotion\nJoey,joy\n", f"{MELD_COLUMNS}\n1,Hi,,joy,x,0,0,1,1,0,1\n"]
)
def test_meld_tables_that_lack_something_are_errors_that_name_them(tmp_path: Path, text: str) -> None:
    tree(tmp_path, "meld")
    (tmp_path / "dev_sent_emo.csv").write_text(text)
    if text:
        with pytest.raises(DataError, match=r"dev_sent_emo\.csv: row 1 has no"):
            manifest.find(tmp_path)
    else:
        assert "no row" in manifest.find(tmp_path).rejected[0]["reason"]
