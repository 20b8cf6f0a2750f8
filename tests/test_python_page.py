"""docs/python.md runs from top to bottom, and `import eavctl` stays light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import eavctl

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
HEAVY = ("numpy", "scipy", "librosa", "sklearn", "torch", "pandas", "mne", "pyarrow", "typer")


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) >= 6
    names = {"__name__": "notebook"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert "angry_sample_1.wav" in capsys.readouterr().out
    assert (tmp_path / "svm.joblib").is_file()
    assert (tmp_path / "report.html").is_file()


def test_the_readme_in_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from eavctl.synthetic.tones import synth_speech

    synth_speech(Path("dataset"), per_class=6)
    (block,) = re.findall(r"```python\n(.*?)```", (PAGE.parents[1] / "README.md").read_text(), re.S)
    exec(compile(block, "README.md", "exec"), {"__name__": "notebook"})
    assert (tmp_path / "svm_preds.parquet").is_file()


def test_importing_the_package_imports_nothing_heavy():
    script = f"import eavctl, sys; dir(eavctl); print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(eavctl._HOMES))
def test_what_the_package_offers_is_there_and_documented(name):
    thing = getattr(eavctl, name)
    assert thing.__name__ == name
    assert thing.__module__ == f"eavctl.{eavctl._HOMES[name]}"
    assert thing.__doc__


def test_what_the_package_does_not_offer_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = eavctl.nonsense
