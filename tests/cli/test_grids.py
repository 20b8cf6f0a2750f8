"""Aligned cells, and a confusion matrix that fits a terminal, whatever its classes are called."""

import numpy as np
import pytest
from rich.cells import cell_len

from eavctl.cli.grids import WIDTH, confusion_grid, grid


def cells(lines):
    return [line.split() for line in lines]


def test_columns_are_aligned_by_what_a_terminal_shows():
    lines = grid([["", "one"], ["ä漢", "1"], ["x", "1000"]])
    assert len({cell_len(line) for line in lines}) == 1
    assert lines[1].endswith(" 1")
    assert lines[2].startswith("x ")


def test_a_cell_has_the_share_of_its_true_class_and_the_count():
    head, calm, joy = cells(confusion_grid([[3, 1], [0, 0]], ["calm", "joy"]))
    assert head == ["calm", "joy"]
    assert calm == ["calm", "75%", "3", "25%", "1"]
    assert joy == ["joy", "-", "0", "-", "0"]


@pytest.mark.parametrize("n", [1, 2, 7, 9, 13])
@pytest.mark.parametrize("prefix", ["", "emotion of the speaker no ", "感情的な", "a\nb\x1b"])
@pytest.mark.parametrize("count", [0, 7, 4321])
def test_it_fits_and_no_two_columns_have_one_name(n, prefix, count):
    confusion = np.full((n, n), count) + 2 * np.eye(n, dtype=int)
    lines = confusion_grid(confusion.tolist(), [f"{prefix}{k}" for k in range(n)])
    assert all(line.isprintable() for line in lines)
    assert max(map(cell_len, lines)) <= WIDTH + 3  # a number before each name
    head = lines[0].split()
    assert len(set(head)) == n
    shown = {word for line in lines[1:] for word in line.replace("%", "% ").split() if word.isdecimal()}
    assert {str(each) for each in confusion.ravel().tolist()} <= shown


def test_numbers_stand_for_names_that_begin_alike():
    lines = confusion_grid([[1, 0], [0, 1]], ["emotion_one", "emotion_two"])
    assert lines[0].split() == ["1", "2"]
    assert [line.split()[:2] for line in lines[1:]] == [["1", "emotion_one"], ["2", "emotion_two"]]
