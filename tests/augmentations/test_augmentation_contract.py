"""What holds for every registered augmentation. A new one is picked up by its registration:

``of`` are the kinds of rows, ``order`` is its place in a chain, and ``default`` whether it is applied unless
others are named; ``needs`` (optional) is a field of `Kind` without which it cannot be applied.
"""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch
from augmented_rows import KINDS, N_PADDED, PADDING, alter, rows

from eavctl import registry
from eavctl.augmentations.kind import EEG, IMAGES, SPECTROGRAMS, Kind

NAMES = registry.names("augmentations")
CASES = [(name, kind) for name in NAMES for kind in registry.get("augmentations", name).facts["of"]]
MIXING = {"background"}


def sure(name: str) -> dict[str, float]:
    """Settings by which every row is altered."""
    return {"p": 1} if "p" in registry.get("augmentations", name).settings else {}


@pytest.mark.parametrize("name", NAMES)
def test_registration_states_kinds_order_and_needs(name: str) -> None:
    facts = registry.get("augmentations", name).facts
    assert set(facts["of"]) <= {IMAGES, SPECTROGRAMS, EEG}
    assert isinstance(facts["order"], int)
    assert isinstance(facts["default"], bool)
    assert facts.get("needs") in (None, *(field.name for field in dataclasses.fields(Kind)))
    assert "Parameters" in (inspect.getdoc(registry.get("augmentations", name).thing) or "")


@pytest.mark.parametrize("kind", [IMAGES, SPECTROGRAMS, EEG])
def test_no_two_of_a_kind_have_the_same_place(kind: str) -> None:
    places = [registry.get("augmentations", name).facts["order"] for name, of in CASES if of == kind]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_rows_keep_their_shape_and_are_finite_floats(name: str, kind: str) -> None:
    x = rows(kind)
    found = alter(name, kind, x)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_randomness_comes_from_the_generator_only(name: str, kind: str) -> None:
    x, state = rows(kind), torch.get_rng_state()
    first = alter(name, kind, x)
    torch.rand(3)
    assert torch.equal(first, alter(name, kind, x))
    assert not torch.equal(first, alter(name, kind, x, seed=1))
    torch.set_rng_state(state)
    alter(name, kind, x)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_input_is_left_as_it_is(name: str, kind: str) -> None:
    x = rows(kind)
    kept = x.clone()
    alter(name, kind, x, **sure(name))
    assert torch.equal(x, kept)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_each_row_draws_its_own_numbers(name: str, kind: str) -> None:
    x = rows(kind, n=2)[1:].repeat(16, *[1] * (rows(kind).ndim - 1))
    if name in MIXING:
        x = torch.cat([x, rows(kind)[:1]])  # equal rows mixed with each other differ in level alone
    found = {row.numpy().tobytes() for row in alter(name, kind, x)}
    either = registry.get("augmentations", name).settings.keys() == {"p"}  # a row is altered, or not
    assert len(found) > (1 if either else 4)


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case[0] not in MIXING])
def test_a_row_does_not_depend_on_the_others(name: str, kind: str) -> None:
    x = rows(kind)
    other = torch.cat([x[:1], x[1:].flip(0) * 0.5])
    torch.testing.assert_close(alter(name, kind, x)[:1], alter(name, kind, other)[:1])


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case[1] == IMAGES])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_stay_within_their_range_and_frames_are_altered_alike(
    name: str, kind: str, channels: int
) -> None:
    x = rows(kind, channels=channels).expand(-1, 3, -1, -1, -1)
    for extreme in (x, (x > 127) * 255.0):
        found = alter(name, kind, extreme, **sure(name))
        assert found.min() >= -1e-3
        assert found.max() <= 255 + 1e-3
        torch.testing.assert_close(found[:, 0], found[:, 1])


@pytest.mark.parametrize("name", [name for name, kind in CASES if kind == SPECTROGRAMS])
def test_padding_stays_padding(name: str) -> None:
    x = rows(SPECTROGRAMS)
    found = alter(name, SPECTROGRAMS, x, **({"share": 0.0} if name == "tempo" else sure(name)))
    assert (found[::2, :, -N_PADDED:] == PADDING).all()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_batches_of_one_row_and_rows_that_are_constant_are_taken(name: str, kind: str) -> None:
    constant = torch.zeros_like(rows(kind)[:1])
    for x in (rows(kind)[:1], constant, constant + KINDS[kind].padding):
        assert alter(name, kind, x, **sure(name)).isfinite().all()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_view_that_is_not_contiguous_gives_the_same(name: str, kind: str) -> None:
    x = rows(kind)
    strided = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    torch.testing.assert_close(alter(name, kind, strided), alter(name, kind, x))
