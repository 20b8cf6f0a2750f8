"""The memory of a training on a table much larger than everything else."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eavctl.extraction.recipe import Recipe
from eavctl.storage.tables import FeatureWriter, key_frame, key_table

N_ROWS, N_COLUMNS, BATCH = 12_000, 3000, 1000


def write(path: Path, n_rows: int, n_speakers: int = 8) -> Path:
    """A table of noise, written a few rows at a time."""
    rng = np.random.default_rng(list(path.stem.encode()))
    classes = ["happy", "sad"]
    meta = {**Recipe("seed33").meta(), "shape": [N_COLUMNS], "classes": classes}
    columns = [f"x{i}" for i in range(N_COLUMNS)]
    with FeatureWriter(path, columns, [N_COLUMNS]) as writer:
        for start in range(0, n_rows, BATCH):
            rows = range(start, min(start + BATCH, n_rows))
            names = [f"{path.stem}{row:06d}" for row in rows]
            speakers = [f"{path.stem}{row % n_speakers}" for row in rows]
            labels = [classes[row // n_speakers % 2] for row in rows]
            frame = {"sample_id": names, "clip_id": names, "subject": speakers, "label": labels}
            keys = key_table(key_frame(pd.DataFrame({**frame, "dataset": "d"})))
            writer.write(keys, rng.standard_normal((len(rows), N_COLUMNS), np.float32))
        writer.close(meta)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read as Linux gives it")
def test_a_linear_model_holds_its_tables_once(tmp_path: Path) -> None:
    """Stacking, folds and inner folds copy a few rows at a time."""
    large = [str(write(tmp_path / f"{name}.parquet", N_ROWS // 2)) for name in "ab"]
    small = str(write(tmp_path / "small.parquet", 800))
    script = f"""
        import re
        from eavctl.classifiers import linear, logistic
        from eavctl.stages.train_linear import train_linear
        from eavctl.training.cross_validation import Evaluation

        def peak():  # unlike ru_maxrss, without the process that started this one
            with open("/proc/self/status") as file:
                return int(re.search("VmHWM:\\\\s*(\\\\d+) kB", file.read())[1]) * 1024

        logistic.KEPT_BYTES, logistic.SAMPLE_ROWS = 0, 64  # as of a larger table; and less work
        logistic.MOST_STEPS, linear.fit.__kwdefaults__["penalties"] = 1, [1e-3]
        train_linear({small!r}, None, predictions={str(tmp_path / "p.parquet")!r})
        before = peak()
        train_linear({large!r}, {str(tmp_path / "m.joblib")!r}, evaluation=Evaluation("group-kfold", 2))
        print(peak() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 1.5 * 4 * N_ROWS * N_COLUMNS
