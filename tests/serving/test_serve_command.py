"""``eavctl serve`` on the command line: what it prints, refuses, and ends with."""

import json
import signal
import socket
import subprocess
import sys

import pytest

EAVCTL = [sys.executable, "-m", "eavctl", "serve"]


def run(*words, **options):
    return subprocess.run([*EAVCTL, *words], capture_output=True, text=True, timeout=60, **options)


def test_it_prints_its_address_and_ctrl_c_ends_it_as_any_command():
    words = [*EAVCTL, "--model", "speech-small", "--port", "0", "--jobs", "1", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stdout.readline, "}\n")
        told = json.loads("".join([*lines, "}"]))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert told["command"] == "serve"
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["classes"] == ["angry", "happy", "neutral", "sad"]


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = run("--model", "speech-small", "--port", port)
    assert (result.returncode, result.stdout) == (3, "")
    assert port in result.stderr


def test_a_model_that_cannot_be_loaded_ends_it(tmp_path):
    (tmp_path / "bad.joblib").write_bytes(b"no model")
    result = run("--model", "bad.joblib", "--port", "0", "--jobs", "1", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (3, "")
    assert "bad.joblib" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_dry_run_looks_at_the_model_and_starts_nothing():
    result = run("--model", "speech-small", "--dry-run", "--json")
    assert json.loads(result.stdout)["dry_run"] is True
    assert run("--model", "none.joblib", "--dry-run").returncode == 3


def test_without_the_extra_it_says_what_to_install():
    code = (
        "import sys; sys.modules['uvicorn'] = None; from eavctl.cli.start import main; "
        "main(['serve', '--model', 'speech-small', '--port', '0'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, len(result.stderr.splitlines())) == (3, 1)
    assert "eavctl[serve]" in result.stderr


@pytest.mark.parametrize("module", ["eavctl.serving.server"])
def test_the_service_itself_loads_no_decoder_and_no_model(module):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"torch", "av", "soundfile", "librosa", "sklearn", "scipy", "pandas", "pyarrow", "mne"}
    assert heavy.isdisjoint(loaded.split())
