"""Every file of a data set is opened once, in other processes, and a crash of one is a finding."""

import os
import shutil
import signal

import numpy as np
import pytest
import soundfile

from eavctl.datasets.manifest import find
from eavctl.evaluation.findings.files import EMPTY, MISSING, SILENT, UNREADABLE
from eavctl.extraction import executors, survey

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("calm", "sad"):
        (tmp_path / "d" / label).mkdir(parents=True)
        for take in range(20):
            noise = 0.1 * rng.normal(size=RATE // 4 + 10 * take)
            soundfile.write(tmp_path / f"d/{label}/{label}{take:02d}.wav", noise, RATE)
    return tmp_path / "d"


def by_path(folder, **options):
    return {each.path: each for each in survey.survey(find(folder), **options)["audio"]}


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_keep_the_order_of_the_rows(folder, jobs):
    manifest = find(folder)
    ticks = []
    found = survey.survey(manifest, jobs=jobs, on_file=lambda done, total, _: ticks.append((done, total)))
    assert list(found) == ["audio"]
    assert [each.path for each in found["audio"]] == manifest.table["audio_path"].to_pylist()
    assert all(each.header and not each.fault for each in found["audio"])
    assert ticks == [(n + 1, 40) for n in range(40)]
    assert survey.n_files(manifest) == 40


def test_equal_content_is_found_under_any_name_and_equal_sizes_are_not_enough(folder):
    shutil.copy(folder / "sad/sad03.wav", folder / "calm/other.wav")
    found = by_path(folder)
    assert found["sad/sad03.wav"].content == found["calm/other.wav"].content is not None
    assert found["calm/calm03.wav"].content not in (None, found["sad/sad03.wav"].content)  # of equal size


def test_faults_have_their_codes(folder):
    (folder / "calm/calm00.wav").write_bytes(b"")
    (folder / "calm/calm01.wav").write_text("this is no sound")
    soundfile.write(folder / "calm/calm02.wav", np.zeros(RATE), RATE)
    (folder / "calm/calm03.wav").unlink()
    (folder / "calm/calm03.wav").symlink_to("nowhere.wav")
    (folder / "calm/calm04.wav").unlink()
    (folder / "calm/calm04.wav").mkdir()
    (folder / "m.csv").write_text("path,label\n" + "".join(f"calm/calm0{n}.wav,calm\n" for n in range(6)))
    found = by_path(folder / "m.csv")
    expected = [EMPTY, UNREADABLE, SILENT, MISSING, UNREADABLE, None]
    assert [each.fault for each in found.values()] == expected
    assert "calm01" not in found["calm/calm01.wav"].reason  # it stands beside the path


def test_a_file_that_crashes_its_reader_is_a_fault_and_the_others_are_read(folder, monkeypatch):
    monkeypatch.setattr(executors, "_can_fork", lambda: True)
    read = survey.read_header

    def crash(path, modality):
        if path.name in ("calm05.wav", "sad07.wav"):
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, modality)

    monkeypatch.setattr(survey, "read_header", crash)
    found = by_path(folder, executor="fork")
    crashed = {path for path, each in found.items() if each.fault}
    assert crashed == {"calm/calm05.wav", "sad/sad07.wav"}
    assert {found[path].fault for path in crashed} == {UNREADABLE}


def test_films_without_sound_have_no_audio(shared_data, tmp_path):
    (tmp_path / "d/happy").mkdir(parents=True)
    shutil.copy(shared_data / "video/single_face.jpg", tmp_path / "d/happy/a.jpg")
    shutil.copy(shared_data / "video/no_face.mp4", tmp_path / "d/happy/b.mp4")
    found = survey.survey(find(tmp_path / "d", "folder"))
    assert set(found) == {"audio", "video"}
