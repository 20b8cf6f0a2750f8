"""Arrow arrays made of their buffers are those that Arrow makes, and pandas is not imported for them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from eavctl.storage import arrow


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, "", "Ünïcode", "x" * 300] * 5, pa.string()),
        (["a"], pa.string()),
        (["same"] * 7, pa.string()),
        (["same"] * 2000, pa.string()),
        ([None, "same", "same"], pa.string()),
        ([None, None], pa.string()),
        ([], pa.string()),
        ([1.5, None, -0.0], pa.float64()),
        ([None] * 9 + [2**62], pa.int64()),
    ],
)
def test_columns_are_those_of_pyarrow(values, kind):
    found = arrow.column(values, kind)
    found.validate(full=True)
    assert found.equals(pa.array(values, kind))


def test_equal_texts_share_the_memory():
    one, other = (arrow.column(["angry"] * 1000, pa.string()) for _ in range(2))
    assert one.buffers()[2].address == other.buffers()[2].address


def test_numbers_share_the_memory():
    values = np.arange(5, dtype=np.float32)
    found = arrow.numbers(values)
    assert found.equals(pa.array(values))
    values[0] = 7
    assert found[0].as_py() == 7


def test_records_are_cleaned():
    kinds = {"label": pa.string(), "start": pa.float64(), "fold": pa.int64()}
    found = arrow.of_records([{"label": 3, "start": float("nan")}, {"label": "", "fold": "2"}], kinds)
    assert found.to_pylist() == [
        {"label": "3", "start": None, "fold": None},
        {"label": None, "start": None, "fold": 2},
    ]
    with pytest.raises(ValueError, match="noon"):
        arrow.of_records([{"start": "noon"}], kinds)


def test_an_extraction_imports_neither_pandas_nor_scipy(tmp_path):
    script = """
import sys
import numpy as np
import soundfile
from pathlib import Path
for name in "ab":
    Path(name).mkdir()
    soundfile.write(f"{name}/{name}.wav", np.random.default_rng(0).normal(size=16000), 16000)
from eavctl.cli.start import run
assert run(["extract", ".", "-o", "f.parquet"]) == 0
heavy = {"pandas", "scipy", "sklearn", "librosa", "torch", "numba"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
