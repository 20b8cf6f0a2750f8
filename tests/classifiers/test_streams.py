"""Rows of several streams: cut, narrowed, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eavctl.classifiers.network import StreamBatch, as_batch
from eavctl.classifiers.rows import Rows
from eavctl.classifiers.streams import Streams, present_rows
from eavctl.errors import DataError

CPU = torch.device("cpu")


def streams() -> Streams:
    present = np.array([[True, True], [True, False], [False, True], [True, True]])
    pictures = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
    return Streams((np.arange(20, dtype=np.float32).reshape(4, 5), pictures), present)


def test_rows_are_cut_from_all_streams_alike() -> None:
    x = streams()
    for rows in (np.array([3, 0]), slice(1, 3), np.array([True, False, False, True]), np.array([], int)):
        cut = x[rows]
        assert len(cut) == len(x.present[rows])
        np.testing.assert_array_equal(cut.present, x.present[rows])
        for one, other in zip(cut.arrays, x.arrays, strict=True):
            np.testing.assert_array_equal(one, other[rows])
    assert x.shapes == ((5,), (2, 3))


def test_only_narrows_what_is_present_and_touches_nothing() -> None:
    x = streams()
    assert x.only([1]).present.tolist() == [[False, True], [False, False], [False, True], [False, True]]
    np.testing.assert_array_equal(x.only([0, 1]).present, x.present)
    assert not x.only([]).present.any()
    assert x.only([0]).only([1]).present.sum() == 0
    assert x.present.sum() == 6
    assert x.only([0]).arrays[1] is x.arrays[1]


def test_what_is_held_leaves_out_the_rows_that_a_stream_lacks() -> None:
    x = streams()
    assert [rows.tolist() for _, rows in present_rows(x)] == [[0, 1, 3], [0, 2, 3]]
    assert [array is mine for (array, _), mine in zip(present_rows(x), x.arrays, strict=True)] == [True, True]
    ((array, rows),) = present_rows(x.arrays[0])
    assert array is x.arrays[0]
    assert rows.tolist() == [0, 1, 2, 3]


def test_a_batch_keeps_pictures_as_bytes_and_owns_its_values() -> None:
    x = streams()
    made = as_batch(x[np.array([0, 2])], CPU)
    assert isinstance(made, StreamBatch)
    assert [tensor.dtype for tensor in made.tensors] == [torch.float32, torch.uint8]
    assert (len(made), made.present.dtype) == (2, torch.bool)
    made.tensors[0].zero_()
    assert x.arrays[0][0, 1] == 1
    assert as_batch(x.arrays[0].astype(np.float64), CPU).dtype == torch.float32


def test_values_that_are_not_finite_count_only_where_a_stream_is_present() -> None:
    x = streams()
    x.arrays[0][2] = np.nan
    rows = Rows.of(x, ["a", "b", "a", "b"])
    assert rows.classes == ("a", "b")
    assert rows.y.tolist() == [0, 1, 0, 1]
    x.arrays[0][1, 3] = np.inf
    with pytest.raises(DataError, match="not finite"):
        Rows.of(x, ["a", "b", "a", "b"])


def test_rows_and_labels_must_be_equally_many() -> None:
    with pytest.raises(DataError, match="4 rows, 3 labels"):
        Rows.of(streams(), ["a", "b", "a"])
    with pytest.raises(DataError, match="equally many"):
        Rows.of(streams(), ["a", "b", "a", "b"], groups=["x"])
