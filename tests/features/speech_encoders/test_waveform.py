"""Encoders of waveforms on tiny checkpoints of random weights; transformers' own models are the reference."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eavctl.errors import DataError, UsageError
from eavctl.features.speech_encoder import speech_encoder
from eavctl.features.speech_encoders.base import SpeechEncoder, load_encoder
from eavctl.features.speech_encoders.checkpoint import read_checkpoint
from eavctl.features.speech_encoders.waveform import FIELDS, facts
from eavctl.features.speech_encoders.waveform_network import CLASSES
from eavctl.features.speech_encoders.weights import identify

TINY = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 12,
    "classifier_proj_size": 8,
    "num_codevectors_per_group": 4,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
}
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
KINDS = {
    "wav2vec2": ("wav2vec2", {}),
    "wav2vec2-large": ("wav2vec2", LARGE),
    "wav2vec2-adapters": ("wav2vec2", LARGE | {"adapter_attn_dim": 4}),
    "hubert": ("hubert", {"feat_proj_layer_norm": False}),
    "hubert-large": ("hubert", LARGE),
    "hubert-batch-norm": ("hubert", {"conv_pos_batch_norm": True}),
    "wavlm": ("wavlm", {"num_buckets": 32, "max_bucket_distance": 40}),
    "wavlm-large": ("wavlm", LARGE),
}
HEADS = {
    "wav2vec2": ("ForCTC", "ForPreTraining", "ForSequenceClassification", "ForXVector"),
    "hubert": ("ForCTC", "ForSequenceClassification"),
    "wavlm": ("ForCTC", "ForSequenceClassification", "ForAudioFrameClassification"),
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def public_model(kind: str, head: str = "Model", **changes: Any) -> Any:
    """transformers' own tiny model, all of its weights and statistics random."""
    import transformers

    model_type, settings = KINDS[kind]
    config, network = CLASSES[model_type]
    make = getattr(transformers, network.removesuffix("Model") + head)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = make(getattr(transformers, config)(**TINY | settings | changes)).eval()
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(random_like(value, is_scale=value.ndim == 1 and name.endswith(("weight", "var"))))
    return model


def random_like(value: torch.Tensor, is_scale: bool) -> torch.Tensor:
    """Random values with which each layer about keeps the variance of its input."""
    if is_scale:
        return torch.rand(value.shape) + 0.5
    fan_in = value[0].numel() if value.ndim > 1 else 10
    return torch.randn(value.shape) * (2 / fan_in) ** 0.5


def saved(folder: Path, kind: str, head: str = "Model", **changes: Any) -> Path:
    public_model(kind, head, **changes).save_pretrained(folder)
    return folder


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in bursts, with an offset, far from mean 0 and variance 1."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 16000)
    return (0.02 + 0.1 * np.sin(np.arange(n) / 1500) * rng.normal(size=n)).astype(np.float32)


def reference(model: Any, signal: np.ndarray, do_normalize: bool = True) -> np.ndarray:
    """Outputs of all blocks by transformers' own feature extractor and model, (n_blocks, n_frames, width)."""
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    body, found = getattr(model, model.base_model_prefix, model), []
    hooks = [
        block.register_forward_hook(
            lambda _, __, output: found.append(output[0] if isinstance(output, tuple) else output)
        )
        for block in body.encoder.layers
    ]
    with torch.inference_mode():
        values = extractor(signal, sampling_rate=16000, return_tensors="pt").input_values
        public = body(values, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    for ours, theirs in zip(found[:-1], public.hidden_states[1:-1], strict=True):
        torch.testing.assert_close(ours, theirs)
    return np.stack([each[0].numpy() for each in found])


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert theirs.std(axis=-2).mean() > 0.03  # frames differ
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


# The outputs


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(saved(tmp_path, kind))
    assert (encoder.rate, encoder.hop_s, encoder.n_blocks, encoder.width) == (16000, 0.02, 3, 24)
    signal = voice(0.7)
    (states,) = encoder.hidden_states([signal], [1, 2, 3])
    assert states.dtype == np.float32
    assert states.shape == (3, (len(signal) - 400) // 320 + 1, 24)
    close(states, reference(public_model(kind), signal))


def test_hidden_states_of_a_network_without_a_final_norm_are_the_public_ones(tmp_path: Path) -> None:
    """All of ``output_hidden_states``, the last one too: no norm follows the last block of these networks."""
    encoder, signal = load_encoder(saved(tmp_path, "wav2vec2")), voice(0.5)
    x = (signal - signal.mean()) / signal.std()
    with torch.inference_mode():
        theirs = public_model("wav2vec2")(torch.tensor(x)[None], output_hidden_states=True).hidden_states
    close(encoder.hidden_states([signal], [1, 2, 3])[0], torch.cat(theirs[1:]).numpy())


@pytest.mark.parametrize(("kind", "head"), [(kind, head) for kind in HEADS for head in HEADS[kind]])
def test_heads_are_left_out(kind: str, head: str, tmp_path: Path) -> None:
    encoder, signal = load_encoder(saved(tmp_path, kind, head)), voice(0.4)
    theirs = reference(public_model(kind, head), signal)
    close(encoder.hidden_states([signal], [1, 2, 3])[0], theirs)


def test_layers_come_in_the_order_asked_for(tmp_path: Path) -> None:
    encoder, signal = load_encoder(saved(tmp_path, "wavlm")), voice(0.3)
    (whole,) = encoder.hidden_states([signal], [1, 2, 3])
    (some,) = encoder.hidden_states([signal], [2, 1])
    assert np.array_equal(some, whole[[1, 0]])


def test_blocks_beyond_the_last_asked_for_are_not_run(tmp_path: Path) -> None:
    encoder: Any = load_encoder(saved(tmp_path, "hubert"))
    runs = []
    for number, block in enumerate(encoder._body.encoder.layers, start=1):
        block.register_forward_hook(lambda *_, number=number: runs.append(number))
    encoder.hidden_states([voice(0.3)], [2])
    assert runs == [1, 2]


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-large", "wavlm", "wavlm-large"])
def test_a_result_does_not_depend_on_the_other_signals(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(saved(tmp_path, kind))
    signals = [voice(seconds, seed) for seed, seconds in enumerate((0.1, 1.3, 0.5, 0.5))]
    together = encoder.hidden_states(signals, [1, 3])
    for signal, states in zip(signals, together, strict=True):
        assert np.array_equal(states, encoder.hidden_states([signal], [1, 3])[0])


def test_the_shortest_signal_has_frames_and_silence_is_finite(tmp_path: Path) -> None:
    encoder = load_encoder(saved(tmp_path, "wav2vec2"))
    states = encoder.hidden_states([voice(0.1), np.zeros(1600, np.float32)], [3])
    assert [each.shape for each in states] == [(1, 4, 24)] * 2
    assert np.isfinite(states[1]).all()


@pytest.mark.parametrize(
    "preprocessor", [{}, {"do_normalize": True, "sampling_rate": 16000}, {"do_normalize": False}]
)
def test_signals_are_standardised_where_the_checkpoint_says_so(
    preprocessor: dict[str, Any], tmp_path: Path
) -> None:
    saved(tmp_path, "wavlm-large")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    encoder, signal = load_encoder(tmp_path), voice(0.4)
    one, louder = encoder.hidden_states([signal, 3 * signal + 0.1], [1, 2, 3])
    do_normalize = preprocessor.get("do_normalize", True)
    close(one, reference(public_model("wavlm-large"), signal, do_normalize))
    assert np.allclose(one, louder, atol=1e-3) == do_normalize


def test_a_long_recording_is_pooled_over_windows(tmp_path: Path) -> None:
    """45 s are three windows of 15 s, each encoded by itself; at a cut, no frame spans two windows."""
    encoder = load_encoder(saved(tmp_path, "hubert"))
    signal = np.random.default_rng(0).normal(0, 0.1, 45 * 16000).astype(np.float32)
    assert encoder.longest_s == 20
    windows = encoder.hidden_states(np.split(signal, 3), [2, 3])
    frames = np.concatenate(windows, axis=1)
    assert frames.shape == (2, 3 * 749, 24)
    pooled = speech_encoder(signal, 16000, encoder, layers=[2, 3]).reshape(2, 2, 24)
    np.testing.assert_allclose(pooled, [frames.mean(axis=1), frames.std(axis=1)], rtol=1e-4, atol=1e-4)


# The files


def with_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """Change the tensors of a checkpoint in place."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def with_config(folder: Path, **changes: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def same_outputs(one: SpeechEncoder, other: SpeechEncoder) -> bool:
    signal = voice(0.3)
    return np.array_equal(one.hidden_states([signal], [3])[0], other.hidden_states([signal], [3])[0])


def test_a_head_does_not_change_the_identity_and_do_normalize_does(tmp_path: Path) -> None:
    bare, headed = saved(tmp_path / "bare", "wavlm"), tmp_path / "headed"
    model = public_model("wavlm", "ForCTC")
    model.wavlm.load_state_dict(public_model("wavlm").state_dict())
    model.save_pretrained(headed)
    identity = identify(read_checkpoint(bare))
    assert identity.startswith("wavlm-3x24-")
    assert identify(read_checkpoint(headed)) == identity
    (bare / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    assert identify(read_checkpoint(bare)) != identity


def test_pickled_and_older_files_are_read_too(tmp_path: Path) -> None:
    """The public files name the parts of the normalised weight otherwise, and some are pickled."""
    from safetensors.torch import load_file

    new, old = saved(tmp_path / "new", "hubert", "ForCTC"), saved(tmp_path / "old", "hubert", "ForCTC")
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = load_file(old / "model.safetensors")
    for ours, theirs in names.items():
        prefix = "hubert.encoder.pos_conv_embed.conv."
        tensors[prefix + theirs] = tensors.pop(prefix + ours)
    (old / "model.safetensors").unlink()
    torch.save(tensors, old / "pytorch_model.bin")
    assert same_outputs(load_encoder(new), load_encoder(old))


def test_tensors_without_effect_may_be_absent_or_left_over(tmp_path: Path) -> None:
    masked, adapted = tmp_path / "masked", tmp_path / "adapted"
    saved(masked, "wav2vec2")
    whole = load_encoder(masked)
    with_tensors(masked, lambda tensors: tensors.pop("masked_spec_embed"))
    assert same_outputs(whole, load_encoder(masked))
    assert load_encoder(saved(adapted, "wav2vec2", add_adapter=True)).n_blocks == 3


def test_half_precision_is_computed_in_single(tmp_path: Path) -> None:
    public_model("wav2vec2").half().save_pretrained(tmp_path)
    (states,) = load_encoder(tmp_path).hidden_states([voice(0.3)], [1, 2, 3])
    assert states.dtype == np.float32
    close(states, reference(public_model("wav2vec2").half().float(), voice(0.3)))


@pytest.mark.parametrize("kind", FIELDS)
def test_a_config_without_fields_means_the_defaults_of_transformers(kind: str) -> None:
    import transformers

    config = getattr(transformers, CLASSES[kind][0])()
    for name, value in FIELDS[kind].items():
        theirs = getattr(config, name)
        assert (list(theirs) if isinstance(theirs, tuple) else theirs) == value


@pytest.mark.parametrize("kind", KINDS)
def test_facts_name_all_that_changes_the_output(kind: str, tmp_path: Path) -> None:
    """A network of the facts alone, with these weights, gives the outputs of the checkpoint."""
    import transformers

    model = public_model(kind)
    model.save_pretrained(tmp_path)
    about = json.loads(json.dumps(facts(read_checkpoint(tmp_path))))
    assert (about["n_blocks"], about["width"], about["do_normalize"]) == (3, 24, True)
    config, network = CLASSES[about["config"].pop("model_type")]
    rebuilt = getattr(transformers, network)(getattr(transformers, config)(**about["config"])).eval()
    rebuilt.load_state_dict(model.state_dict())
    assert np.array_equal(reference(rebuilt, voice(0.3)), reference(model, voice(0.3)))


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_encoder(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert message.count("\n") < 2
    return message


def _truncate(tensors: dict[str, torch.Tensor]) -> None:
    tensors["encoder.layers.1.final_layer_norm.bias"] = torch.zeros(7)


def _not_a_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors["encoder.layers.1.final_layer_norm.bias"][3] = torch.nan


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors: tensors.pop("encoder.layers.1.final_layer_norm.bias"), "final_layer_norm.bias"),
        (lambda tensors: tensors.update({"encoder.more": torch.ones(2)}), "encoder.more"),
        (lambda tensors: tensors.clear(), "missing"),
        (_truncate, "(7,)"),
        (_not_a_number, "final_layer_norm.bias"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    change: Callable[[dict[str, torch.Tensor]], object], named: str, tmp_path: Path
) -> None:
    assert named in refused(with_tensors(saved(tmp_path, "wavlm"), change))


def test_tensors_beside_the_encoder_in_it_are_named(tmp_path: Path) -> None:
    saved(tmp_path, "wavlm", "ForCTC")
    with_tensors(tmp_path, lambda tensors: tensors.update({"wavlm.encoder.more": torch.ones(2)}))
    assert "encoder.more" in refused(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": "24"},
        {"hidden_size": -24},
        {"hidden_size": True},
        {"hidden_size": 25},
        {"hidden_size": 10**9},
        {"num_hidden_layers": 4},
        {"num_hidden_layers": 10**9},
        {"num_attention_heads": 5},
        {"num_attention_heads": 0},
        {"layer_norm_eps": float("nan")},
        {"hidden_act": "no such function"},
        {"feat_extract_norm": "none"},
        {"conv_dim": [8, 8]},
        {"conv_dim": []},
        {"conv_stride": "5222222"},
        {"conv_kernel": [10**6] * 7},
        {"do_stable_layer_norm": None},
    ],
)
def test_configs_that_lie_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    refused(with_config(saved(tmp_path, "wav2vec2"), **changes))


@pytest.mark.parametrize(
    ("preprocessor", "named"),
    [({"sampling_rate": 8000}, "8000"), ({"do_normalize": "yes"}, "yes"), ([1], "preprocessor_config.json")],
)
def test_preprocessors_that_do_not_fit_are_refused(preprocessor: Any, named: str, tmp_path: Path) -> None:
    saved(tmp_path, "hubert")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    assert named in refused(tmp_path)


def test_unknown_kinds_name_the_known_ones(tmp_path: Path) -> None:
    message = refused(with_config(saved(tmp_path, "wavlm"), model_type="bert"))
    assert "'bert'" in message
    assert all(kind in message for kind in ("hubert", "wav2vec2", "wavlm"))


def test_folders_without_files_are_refused(tmp_path: Path) -> None:
    assert "config.json" in refused(tmp_path / "absent")
    saved(tmp_path, "wavlm")
    (tmp_path / "model.safetensors").unlink()
    assert "model.safetensors" in refused(tmp_path)


def test_weights_that_overflow_are_an_error(tmp_path: Path) -> None:
    def enlarge(tensors: dict[str, torch.Tensor]) -> None:
        tensors["feature_projection.projection.weight"] *= 1e38

    encoder = load_encoder(with_tensors(saved(tmp_path, "wav2vec2"), enlarge))
    with pytest.raises(DataError, match="not finite"):
        encoder.hidden_states([voice(0.3)], [1])


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    saved(tmp_path, "wav2vec2")
    with_config(tmp_path, auto_map={"AutoModel": "code.Network", "AutoConfig": "code.Config"})
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'made')!r}, 'w')\n")
    load_encoder(tmp_path)
    assert not (tmp_path / "made").exists()


def test_without_transformers_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, "wavlm")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match="pip install"):
        load_encoder(tmp_path)
