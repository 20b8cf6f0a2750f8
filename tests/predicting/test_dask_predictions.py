"""Recordings that the workers of a Dask cluster describe: the same predictions as of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from eavctl.errors import DataError
from eavctl.extraction import dask_workers, executors
from eavctl.extraction.recipe import Recipe
from eavctl.predicting import describing
from eavctl.predicting.sources import Recording
from eavctl.stages.extract import extract
from eavctl.stages.predict import plan, predict
from eavctl.stages.train_svm import train_svm
from eavctl.storage.tables import write_predictions
from eavctl.synthetic.tones import synth_speech

pytestmark = pytest.mark.threads
MODEL = "svm.joblib"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, few_settings: Any) -> Path:
    """Clips of which some cannot be used, a manifest of them, and a model."""
    folder = tmp_path_factory.mktemp("clips")
    synth_speech(folder / "dataset", per_class=10, seed=0)
    extract(folder / "dataset", folder / "x.parquet", Recipe("seed33"))
    with few_settings():
        train_svm(folder / "x.parquet", folder / MODEL)
    (folder / "dataset/angry/bad.wav").write_text("no sound")
    soundfile.write(folder / "dataset/sad/silent.wav", np.zeros(16000), 16000)
    lines = [f"{path.relative_to(folder)},x" for path in sorted(folder.rglob("*.wav"))]
    (folder / "m.csv").write_text("\n".join(["path,label", *lines, "gone.wav,x"]))
    return folder


@pytest.mark.parametrize("source", ["dataset", "m.csv"])
def test_predictions_have_the_same_bytes(
    source: str, clips: Path, dask_cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips)  # the workers' folder is another
    found = [
        predict(source, MODEL, executor=executor)
        for executor in ("serial", f"dask:{dask_cluster.scheduler_address}")
    ]
    assert found[0].facts() == found[1].facts()
    assert len(found[0].rejected) == 2 + (source == "m.csv")
    for name, each in zip("ab", found, strict=True):
        write_predictions(each.to_table(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_worker_that_lacks_the_recordings_is_an_error(
    clips: Path, dask_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "sizes_of", lambda paths: dict.fromkeys(map(str, paths), 1))
    with pytest.raises(DataError, match="under the same paths"):
        predict(clips / "dataset", clips / MODEL, executor=f"dask:{dask_cluster.scheduler_address}")


def test_a_dry_run_asks_the_scheduler(
    clips: Path, dask_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = dask_cluster.scheduler_address
    assert plan(clips / "dataset", clips / MODEL, executor=f"dask:{address}").n_recordings == 42
    monkeypatch.setattr(dask_workers, "ANSWER_S", 0.3)
    with pytest.raises(DataError, match="no Dask scheduler answers"):
        plan(clips / "dataset", clips / MODEL, executor="dask:127.0.0.1:9")


def test_calls_elsewhere_grow_so_that_many_small_files_are_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files that take a millisecond, a call has hundreds; of those that take minutes, one."""
    sizes, seconds = [], 0.0

    def instead(function: Any, calls: Any, *_: Any, **__: Any) -> Any:
        for files, _sizes in calls:
            sizes.append(len(files))
            yield [describing._DescribedFile([], [], []) for _ in files], seconds * len(files)

    monkeypatch.setattr(describing, "map_in_order", instead)
    names = [str(n) for n in range(20_000)]
    recordings = [Recording(name, {"sample_id": name, "clip_id": name}, {}, "gone") for name in names]
    for each, expected in ((1e-3, range(20, 60)), (100.0, range(20_000, 20_001))):
        sizes, seconds = [], each
        found = list(describing.describe_recordings([recordings], [], 1, "dask:local:2"))
        assert [recording.name for recording in found] == names
        assert len(sizes) in expected


def test_the_executors_of_this_machine_are_not_elsewhere() -> None:
    assert [name for name in ("serial", "loky", "fork", "dask") if executors.is_elsewhere(name)] == ["dask"]
