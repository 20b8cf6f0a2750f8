"""Aligned columns of text, and a confusion matrix as a grid, for terminals of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from eavctl.printable import printable

WIDTH = 76  # of a terminal of 80, beside the indentation
LONGEST_NAME, SHORTEST_NAME, SHARE, GAP = 16, 8, 4, 2  # cells of the terminal


def grid(rows: Sequence[Sequence[str]], gap: int = GAP) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * gap)
        .join(
            _padded(cell, width, to_left=number == 0)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in rows
    ]


def confusion_grid(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    """A confusion matrix: rows are true classes, columns predicted ones.

    A cell has the per cent of its row and the count; where a terminal does not hold that, the count stands
    below. Names above the columns are cut to the cells' width; where the cut ones would be equal, numbers
    stand for them.

    Parameters
    ----------
    confusion : counts, shape (n_classes, n_classes).
    """
    width = max((len(str(count)) for row in confusion for count in row), default=1)
    names = [_cut(printable(name), LONGEST_NAME) for name in classes]
    left = max(map(_width, names), default=0)
    is_one_line = left + len(names) * (GAP + SHARE + 1 + width) <= WIDTH
    gap, cell = (GAP, SHARE + 1 + width) if is_one_line else (1, max(SHARE, width))
    heads = [_cut(name, cell) for name in names]
    if len(set(heads)) < len(heads):
        heads = [str(number) for number in range(1, len(names) + 1)]
        names = [f"{number} {name}" for number, name in zip(heads, names, strict=True)]
    if not is_one_line:
        room = max(WIDTH - len(names) * (gap + cell), SHORTEST_NAME)
        names = [_cut(name, room) for name in names]
    rows = [["", *heads]]
    for name, counts in zip(names, confusion, strict=True):
        shares = [_share(count, sum(counts)) for count in counts]
        if is_one_line:
            rows.append([name, *(f"{a} {b:>{width}}" for a, b in zip(shares, counts, strict=True))])
        else:
            rows += [[name, *shares], ["", *map(str, counts)]]
    return grid(rows, gap)


def _share(count: int, total: int) -> str:
    """Per cent of a row, four characters; a dash where the row is empty."""
    return f"{100 * count / total:3.0f}%" if total else "   -"


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, width: int, *, to_left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if to_left else space + text


def _cut(text: str, width: int) -> str:
    """The text, or its beginning and a full stop."""
    from rich.cells import set_cell_size

    return text if _width(text) <= width else set_cell_size(text, width - 1).rstrip() + "."
