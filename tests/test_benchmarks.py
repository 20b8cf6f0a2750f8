"""The benchmarks run: a step of each thing that is measured, and no time is judged."""

import pytest
import torch

from benchmarks import fusion


@pytest.mark.parametrize("name", fusion.STEPS)
def test_a_training_step_of_each_runs(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        step = fusion.STEPS[name]()
        step()


def test_all_three_modalities_are_in_the_batch():
    x, y = fusion.rows()
    assert x.present.all()
    assert len(x.tensors) == len(fusion.STREAMS) == 3
    assert len(x) == len(y) == fusion.BATCH
