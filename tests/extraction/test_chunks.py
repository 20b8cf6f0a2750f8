"""How an extraction is cut into batches: alike in every run, few for many recordings, none too long."""

import random

import pytest

from eavctl.extraction.chunks import BATCH, BATCH_BYTES, LARGEST_BATCH, PICTURES_BATCH, chunks


def records(sizes, name="{}.wav"):
    return [{"path": name.format(n), "stamp": [size, n]} for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("n_records", "most", "n_chunks"),
    [
        (0, 8, 0),
        (7, 8, 1),
        (16_000, 8, 2000),
        (100_000, 48, 2084),
        (1_000_000, 488, 2050),
        (4_000_000, 512, 7813),
    ],
)
def test_a_million_recordings_are_two_thousand_batches(n_records, most, n_chunks):
    one = {"path": "a.wav", "stamp": None}  # the same for all, so that a million are quickly made
    found = [len(chunk) for chunk in chunks((one for _ in range(n_records)), n_records)]
    assert sum(found) == n_records
    assert len(found) == n_chunks
    assert max(found, default=most) <= most


def test_batches_of_large_files_are_small_and_never_below_the_least():
    rng = random.Random(0)
    made = records([rng.choice([1 << 10, 1 << 20, 40 << 20]) for _ in range(5000)])
    found = list(chunks(made, 1_000_000))
    assert [record for chunk in found for record in chunk] == made
    assert found == list(chunks(iter(made), 1_000_000))
    for chunk in found[:-1]:
        assert BATCH <= len(chunk) <= LARGEST_BATCH
        assert len(chunk) == BATCH or sum(each["stamp"][0] for each in chunk[:-1]) <= BATCH_BYTES
        assert len(chunk) == LARGEST_BATCH or sum(each["stamp"][0] for each in chunk) > BATCH_BYTES


def test_trials_of_one_file_count_it_once():
    made = [{"path": "a.mat", "stamp": [BATCH_BYTES, 0]}] * 300
    assert [len(chunk) for chunk in chunks(made, 1 << 20)] == [300]
    larger = [{"path": "a.vhdr", "stamp": [1, 0, BATCH_BYTES, 0]}] * 20  # with the file that is read with it
    assert [len(chunk) for chunk in chunks(larger, 1 << 20)] == [8, 8, 4]


def test_pictures_of_one_file_stay_as_they_are():
    made = [{"path": "train-images-idx3-ubyte.gz", "stamp": [BATCH_BYTES * 2, 0]}] * 1000
    assert [len(chunk) for chunk in chunks(made, 1000)] == [PICTURES_BATCH, 1000 - PICTURES_BATCH]
