"""Sizes are settings that the encoder takes; every feature set of tensors has an encoder."""

from __future__ import annotations

import pytest

from eavctl import registry
from eavctl.encoders.choice import default_encoder, settings_of_size
from eavctl.errors import UsageError

SIZED = [name for name in registry.names("encoders") if registry.get("encoders", name).facts.get("sizes")]


@pytest.mark.parametrize("name", SIZED)
def test_sizes_are_settings_of_the_encoder_and_base_is_the_default_but_for_eegnet(name: str) -> None:
    entry = registry.get("encoders", name)
    assert set(entry.facts["sizes"]) == {"base", "tiny"}
    base, tiny, default = (
        entry.with_defaults(settings)
        for settings in (settings_of_size(name, "base"), settings_of_size(name, "tiny"), {})
    )
    assert (base == default) == (name != "eegnet")
    assert tiny not in (base, default)


def test_what_an_encoder_changes_in_a_fusion_network_are_settings_of_it() -> None:
    for name in registry.names("encoders"):
        entry = registry.get("encoders", name)
        entry.with_defaults(entry.facts.get("fused", {}))
    assert registry.get("encoders", "shallow-transformer").facts["fused"] == {"layers": 4}


def test_the_settings_of_a_size_are_the_callers_own() -> None:
    settings_of_size("shallow-transformer", "tiny").clear()
    assert settings_of_size("shallow-transformer", "tiny")


def test_an_unknown_size_and_an_encoder_without_sizes_are_named() -> None:
    with pytest.raises(UsageError, match="sizes base and tiny, not 'huge'"):
        settings_of_size("ast", "huge")
    with pytest.raises(UsageError, match="'scnn' has one size only.*shallow-transformer"):
        settings_of_size("scnn", "tiny")


@pytest.mark.parametrize(
    ("features", "columns", "alone", "by_layers"),
    [
        ("logmel", False, "cnn-lstm", None),
        ("means180", True, "scnn", None),
        ("fbank", False, "ast", "ast"),
        ("eeg-epochs", False, "eegnet", "shallow-transformer"),
        ("faces", False, "efficientnet-b0", "vit"),
        ("images", False, "convnet", "vit"),
        ("functionals", True, "mlp", None),
        ("eeg-bands", True, "mlp", None),
    ],
)
def test_a_feature_set_has_its_encoder(
    features: str, columns: bool, alone: str, by_layers: str | None
) -> None:
    assert features in registry.names("features")
    assert default_encoder(features, columns, tokens=False) == alone
    if by_layers:
        assert default_encoder(features, columns, tokens=True) == by_layers
        return
    with pytest.raises(
        UsageError, match=r"ast \(fbank\), shallow-transformer \(eeg-epochs\), vit \(faces, images\)"
    ):
        default_encoder(features, columns, tokens=True)


def test_an_error_about_a_feature_set_without_encoder_lists_those_with_one() -> None:
    with pytest.raises(UsageError, match=r"'spikes'.*cnn-lstm \(logmel\)"):
        default_encoder("spikes", False, tokens=False)
