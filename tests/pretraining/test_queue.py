"""The order and the capacity of a queue."""

from __future__ import annotations

import torch

from eavctl.pretraining.queue import Queue


def pushed(queue: Queue, *values: int) -> list[float]:
    queue.push(torch.tensor(values, dtype=torch.float32)[:, None])
    return queue.rows[:, 0].tolist()


def test_a_queue_holds_the_latest_rows_in_order() -> None:
    queue = Queue(5, 1)
    assert len(queue.rows) == 0
    assert pushed(queue, 1, 2) == [1, 2]
    assert pushed(queue, 3, 4) == [1, 2, 3, 4]
    assert pushed(queue, 5, 6, 7) == [3, 4, 5, 6, 7]
    assert pushed(queue, 8) == [4, 5, 6, 7, 8]
    assert pushed(queue) == [4, 5, 6, 7, 8]


def test_of_a_batch_longer_than_the_queue_the_last_rows_stay() -> None:
    queue = Queue(3, 1)
    assert pushed(queue, 1, 2, 3, 4, 5) == [3, 4, 5]
    assert pushed(queue, 6, 7, 8, 9) == [7, 8, 9]


def test_a_queue_without_capacity_stays_empty() -> None:
    assert pushed(Queue(0, 1), 1, 2) == []


def test_a_queue_lives_in_the_state() -> None:
    queue, other = Queue(4, 1), Queue(4, 1)
    pushed(queue, 1, 2, 3)
    other.load_state_dict(queue.state_dict())
    assert pushed(other, 4, 5) == pushed(queue, 4, 5) == [2, 3, 4, 5]
