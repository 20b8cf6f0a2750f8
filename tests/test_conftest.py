"""No test is skipped without a word, and none for want of recordings where they are required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import os
import pytest

@pytest.mark.parametrize("number", range(3))
def test_recordings(shared_data, number):
    assert shared_data.is_dir()

@pytest.mark.skip(reason="another reason")
def test_other():
    pass

def test_settings_of_the_tests_are_none_of_the_command_line():
    assert not any(name.startswith("EAVCTL_") for name in os.environ)
"""


@pytest.fixture
def outcome(tmp_path):
    """Counts and last lines of a test run, with or without recordings, that are required or not."""
    (tmp_path / "tests").mkdir()
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path / "tests")
    (tmp_path / "tests/test_it.py").write_text(TESTS)

    def run(**variables):
        variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # importing plugins takes longer than the tests
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EAVCTL_")}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
        done = subprocess.run(command, cwd=tmp_path, env=kept | variables, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    return run


def test_skipped_tests_are_counted_with_their_folder_or_reason(outcome, tmp_path):
    code, lines = outcome(EAVCTL_TEST_DATA=str(tmp_path / "absent"))
    assert code == 0
    (told,) = [line for line in lines if str(tmp_path / "absent") in line]
    assert told.startswith("3 ")
    assert any("another reason" in line and line.startswith("1 ") for line in lines)
    assert "1 passed, 4 skipped" in lines[-1]


def test_where_recordings_are_required_their_want_is_an_error(outcome, tmp_path):
    code, lines = outcome(EAVCTL_TEST_DATA=str(tmp_path / "absent"), EAVCTL_REQUIRE_DATA="1")
    assert code == 1
    assert "1 passed, 1 skipped, 3 errors" in lines[-1]
    code, lines = outcome(EAVCTL_TEST_DATA=str(tmp_path), EAVCTL_REQUIRE_DATA="1")
    assert code == 0
    assert "4 passed, 1 skipped" in lines[-1]


def test_names_of_test_files_are_unique():
    """Of two of one name pytest imports the first alone, and runs no test at all."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
