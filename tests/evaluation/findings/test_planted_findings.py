"""A made-up data set has no finding; with one planted fault, it has the code of this fault and no other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from eavctl.evaluation.findings.codes import CODES
from eavctl.evaluation.findings.dataset import DataSet, check
from eavctl.evaluation.findings.files import FileFacts
from eavctl.signals.headers import Header
from eavctl.storage.tables import key_frame

CLASSES, PEOPLE, TAKES = ("calm", "happy", "sad"), ("anna", "ben", "carl", "dora"), 5


class Made:
    """A data set as lists that can be changed."""

    def __init__(self, modality="audio"):
        self.modality = modality
        self.rows = [
            {
                "sample_id": f"{person}_{label}_{take}",
                "clip_id": f"{person}_{label}_{take}",
                "dataset": "made",
                "subject": person,
                "label": label,
                "recording": f"file {person}{label}{take}",
            }
            for person in PEOPLE
            for label in CLASSES
            for take in range(TAKES)
        ]
        lengths = np.random.default_rng(0).uniform(1.5, 3.0, len(self.rows))
        channels = ("1",) if modality == "audio" else ("Cz", "Pz")
        self.files = [
            FileFacts(f"{row['clip_id']}.wav", modality, ".wav", Header(float(s), 16000.0, channels))
            for row, s in zip(self.rows, lengths, strict=True)
        ]
        self.rejected, self.copies, self.more = [], [], {}

    def check(self, **options):
        keys = key_frame(pd.DataFrame(self.rows))
        files = {self.modality: self.files, **self.more}
        return check(DataSet(keys, files, self.rejected, self.copies, **options))

    def header(self, which, **facts):
        for i, row in enumerate(self.rows):
            if which(row):
                self.files[i] = replace(self.files[i], header=replace(self.files[i].header, **facts))

    def fault(self, code):
        self.files[3] = replace(self.files[3], header=None, fault=code, reason="odd")

    def set(self, which, **values):
        for i, row in enumerate(self.rows):
            if which(i, row):
                row.update(values)

    def keep(self, which):
        kept = [i for i, row in enumerate(self.rows) if which(i, row)]
        self.rows, self.files = [self.rows[i] for i in kept], [self.files[i] for i in kept]


def codes(report):
    return {each.code for each in report.findings}


PLANTED = {}


def planted(code, modality="audio"):
    def wrap(function):
        PLANTED[code] = (function, modality)
        return function

    return wrap


for code in ("EAV010", "EAV011", "EAV012", "EAV013"):
    planted(code)(lambda made, code=code: made.fault(code))
planted("EAV014")(lambda made: made.header(lambda row: row["clip_id"] == "ben_sad_1", is_clipped=True))


@planted("EAV015")
def _damaged(made):
    made.files[3] = replace(made.files[3], reason="its end is missing")


planted("EAV016")(lambda made: made.rejected.append({"path": "a.wav", "reason": "another has the same name"}))


@planted("EAV017")
def _without_video(made):
    films = [replace(each, modality="video", header=Header(2.0)) for each in made.files]
    made.more = {"video": [None, *films[1:]]}


planted("EAV020")(lambda made: made.set(lambda i, row: True, label=None))
planted("EAV021")(lambda made: made.set(lambda i, row: i == 4, label=None))
planted("EAV022")(lambda made: made.set(lambda i, row: row["label"] == "sad" and i % 2, label="Sad"))
planted("EAV023")(lambda made: made.keep(lambda i, row: row["label"] == "sad"))


@planted("EAV024")
def _few(made):
    made.keep(lambda i, row: row["label"] != "sad" or row["clip_id"].endswith("_0"))


@planted("EAV025")
def _imbalanced(made):
    extra = [{**row, "clip_id": f"{row['clip_id']}{n}", "sample_id": f"{row['sample_id']}{n}"}
             for n in range(5) for row in made.rows if row["label"] == "sad"]  # fmt: skip
    for row in extra:
        row["recording"] = row["clip_id"]
        made.files.append(replace(made.files[0], path=row["clip_id"]))
    made.rows += extra
    rng = np.random.default_rng(0)
    made.files = [replace(f, header=replace(f.header, seconds=float(rng.uniform(1, 3)))) for f in made.files]


@planted("EAV026")
def _speakers(made):
    for label, name in zip(CLASSES, ("spk1", "spk2", "spk3"), strict=True):
        made.set(lambda i, row, label=label: row["label"] == label, label=name)


planted("EAV028")(lambda made: made.set(lambda i, row: row["label"] == "sad", label="NA"))
planted("EAV030")(lambda made: made.set(lambda i, row: True, subject=None))
planted("EAV031")(lambda made: made.set(lambda i, row: i == 7, subject=None))
planted("EAV032")(lambda made: made.set(lambda i, row: row["subject"] == "ben" and i % 2, subject="Ben"))


@planted("EAV034")
def _one_class_each(made):
    for row in made.rows:
        row["subject"] = f"{row['label']} {row['subject']}"


planted("EAV035")(lambda made: made.set(lambda i, row: True, subject="anna"))


@planted("EAV036")
def _of_one(made):
    made.keep(lambda i, row: row["label"] != "sad" or row["subject"] == "anna")


planted("EAV037")(lambda made: made.keep(lambda i, row: row["subject"] in ("anna", "ben")))
planted("EAV038")(lambda made: made.set(lambda i, row: row["subject"] == "ben", subject="nan"))
planted("EAV040")(lambda made: made.header(lambda row: row["clip_id"] == "ben_sad_1", seconds=0.1))
planted("EAV041")(lambda made: made.header(lambda row: row["clip_id"] == "ben_sad_1", seconds=300.0))
planted("EAV042")(lambda made: made.header(lambda row: row["subject"] == "ben", rate=8000.0))
planted("EAV043")(lambda made: made.header(lambda row: row["subject"] == "ben", channels=("2",)))
planted("EAV044", "eeg")(lambda made: made.header(lambda row: row["subject"] == "ben", channels=("Cz", "Oz")))


@planted("EAV045")
def _file_type(made):
    kinds = {"calm": ".wav", "happy": ".mp3", "sad": ".wav"}
    pairs = zip(made.files, made.rows, strict=True)
    made.files = [replace(each, ending=kinds[row["label"]]) for each, row in pairs]


@planted("EAV048")
def _length(made):
    for label, factor in zip(CLASSES, (1.0, 2.0, 4.0), strict=True):
        for i, row in enumerate(made.rows):
            if row["label"] == label:
                header = made.files[i].header
                made.files[i] = replace(
                    made.files[i], header=replace(header, seconds=header.seconds * factor)
                )


def _copy(made, one, other):
    made.rows[other]["recording"] = made.rows[one]["recording"]


planted("EAV050")(lambda made: _copy(made, 0, 1))
planted("EAV051")(lambda made: _copy(made, 0, TAKES))
planted("EAV052")(lambda made: _copy(made, 0, TAKES * len(CLASSES)))


@planted("EAV053")
def _overlap(made, other=1):
    made.rows[0].update(start=0.0, end=2.0)
    made.rows[other].update(start=1.0, end=3.0, recording=made.rows[0]["recording"])


planted("EAV054")(lambda made: _overlap(made, TAKES))


@planted("EAV061")
def _divided_clip(made):
    for row in made.rows:
        row["split"] = "test" if row["subject"] in ("anna", "ben") else "train"
    made.rows[0]["clip_id"] = made.rows[-1]["clip_id"]


planted("EAV062")(lambda made: made.set(lambda i, row: True, split="train"))
ACCOMPANIED = {  # faults that imply others
    "EAV031": {"EAV031", "EAV063"},
    "EAV033": {"EAV033", "EAV064"},
    "EAV036": {"EAV036", "EAV064"},
    "EAV064": {"EAV064", "EAV036"},
}


@planted("EAV033")
def _class_is_person(made):
    made.keep(lambda i, row: (row["label"], row["subject"]) in zip(CLASSES, PEOPLE, strict=False))


planted("EAV046")(lambda made: made.header(lambda row: row["label"] == "sad", rate=8000.0))
planted("EAV047")(lambda made: made.header(lambda row: row["label"] == "sad", channels=("2",)))
planted("EAV060")(lambda made: made.set(lambda i, row: i % 5 == 0, split="test"))


@planted("EAV027")
def _lacking(made):
    for name in ("anna", "ben"):
        made.set(lambda i, row, name=name: row["subject"] == name, dataset=f"of {name}")
    made.keep(lambda i, row: row["subject"] != "anna" or row["label"] != "sad")


@planted("EAV063")
def _one_recording(made):
    made.set(lambda i, row: True, clip_id="one")


planted("EAV064")(_of_one)


@pytest.mark.parametrize("modality", ["audio", "eeg", "video"])
def test_a_clean_data_set_has_no_finding(modality):
    assert codes(Made(modality).check()) == set()


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_planted_fault_has_its_code_and_no_other(code):
    plant, modality = PLANTED[code]
    made = Made(modality)
    plant(made)
    found = codes(made.check())
    assert found == ACCOMPANIED.get(code, {code})
