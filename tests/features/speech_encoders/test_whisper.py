"""Whisper's encoder in numpy, against transformers and against formulas."""

import math

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

from eavctl.errors import DataError
from eavctl.features.speech_encoders.base import load_encoder
from eavctl.features.speech_encoders.layers import LayerNorm, attention, gelu
from eavctl.features.speech_encoders.log_mel import log_mel, standardized

RATE = 16000
NORMALIZED = {"do_normalize": True}


def noise(seconds, seed=0):
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    return (rng.normal(size=n) * np.sin(np.arange(n) / 2000) ** 2 * 0.1).astype(np.float32)


def reference(folder, mel, places=slice(None)):
    """The outputs of all blocks by transformers' layers, which take the positions that they are given."""
    import torch
    from torch.nn.functional import gelu as torch_gelu
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    body = WhisperEncoder.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        x = torch_gelu(body.conv2(torch_gelu(body.conv1(torch.tensor(mel)[None]))))
        x = x.permute(0, 2, 1) + body.embed_positions.weight[places]
        found = []
        for layer in body.layers:
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x
            found.append(x[0].numpy())
    return found


# --- the spectrogram --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.1, 0.73, 3.0])
def test_the_spectrogram_is_that_of_transformers(seconds, n_mels):
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    signal = noise(seconds)
    wanted = extractor._np_extract_fbank_features(signal[None], "cpu")[0]
    assert log_mel(signal, n_mels) == pytest.approx(wanted, abs=1e-4)


def test_the_spectrogram_of_a_tone_peaks_in_its_band():
    from eavctl.features.spectrum import mel_filters

    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    level = log_mel(tone, 80)
    filters = mel_filters(RATE, 400, 80)
    assert (level.argmax(axis=0)[5:-5] == filters[:, round(1000 / RATE * 400)].argmax()).all()
    assert level.max() - level.min() == pytest.approx(2, abs=1e-6)


def test_a_standardized_signal_has_mean_0_and_variance_1():
    found = standardized(5 * noise(1) + 3)
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found.var() == pytest.approx(1, abs=1e-5)


# --- layers -----------------------------------------------------------------------------------------------


def test_gelu_is_exact():
    x = np.linspace(-12, 12, 100_001).astype(np.float32)
    wanted = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()]
    assert np.abs(gelu(x.copy()) - wanted).max() < 1e-6


def test_attention_is_a_mean_weighted_by_similarity():
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 7, 6)).astype(np.float32)
    found = attention(query, key, value, n_heads=2)
    for head in (slice(0, 3), slice(3, 6)):
        for i in range(7):
            weights = np.exp([query[i, head] @ key[j, head] / math.sqrt(3) for j in range(7)])
            wanted = sum(w * value[j, head] for j, w in enumerate(weights / weights.sum()))
            assert found[i, head] == pytest.approx(wanted, abs=1e-5)


def test_a_layer_norm_standardises_rows():
    x = np.random.default_rng(0).normal(3, 5, size=(4, 50)).astype(np.float32)
    found = LayerNorm(np.full(50, 2, np.float32), np.full(50, 1, np.float32))(x)
    assert found.mean(axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert found.std(axis=1) == pytest.approx(2 * np.ones(4), abs=1e-4)


# --- the encoder ------------------------------------------------------------------------------------------


def test_a_full_window_is_that_of_transformers(write_whisper, tmp_path):
    import torch
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    folder = write_whisper(tmp_path, preprocessor=NORMALIZED)
    encoder, signal = load_encoder(folder), noise(1.0)
    assert (encoder.n_blocks, encoder.width, encoder.longest_s) == (3, 16, 1.0)
    (found,) = encoder.hidden_states([signal], [1, 2, 3])
    assert found.shape == (3, 50, 16)
    assert found.dtype == np.float32
    mel = log_mel(standardized(signal), 20)
    body = WhisperEncoder.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        states = body(torch.tensor(mel)[None], output_hidden_states=True).hidden_states
    for ours, theirs in zip(found[:2], states[1:3], strict=True):
        assert ours == pytest.approx(theirs[0].numpy(), abs=1e-4)
    assert found[2] == pytest.approx(reference(folder, mel)[2], abs=1e-4)  # before the final layer norm


@pytest.mark.parametrize(
    ("config", "preprocessor", "places"),
    [
        ({}, NORMALIZED, slice(-30, None)),
        ({}, None, slice(-30, None)),
        ({"max_source_positions": 1500}, None, slice(0, 30)),
        ({"max_source_positions": 1500}, {"padding_side": "left"}, slice(-30, None)),
    ],
)
def test_a_short_clip_has_its_own_frames_and_places(config, preprocessor, places, write_whisper, tmp_path):
    folder = write_whisper(tmp_path, preprocessor=preprocessor, **config)
    signal = noise(0.6075)  # the last samples make no frame
    (found,) = load_encoder(folder).hidden_states([signal], [1, 2, 3])
    whole = signal[: 30 * 320]
    wanted = reference(
        folder, log_mel(standardized(whole) if preprocessor == NORMALIZED else whole, 20), places
    )
    assert found == pytest.approx(np.array(wanted), abs=1e-4)


def test_clips_do_not_depend_on_each_other_and_layers_come_as_asked(write_whisper, tmp_path):
    encoder = load_encoder(write_whisper(tmp_path))
    clips = [noise(0.5, 1), noise(0.9, 2), noise(0.2, 3)]
    together = encoder.hidden_states(clips, [3, 1])
    for clip, found in zip(clips, together, strict=True):
        (alone,) = encoder.hidden_states([clip], [1, 2, 3])
        assert np.array_equal(found, alone[[2, 0]])


def test_only_the_blocks_asked_for_are_computed(write_whisper, tmp_path):
    folder = write_whisper(tmp_path)
    change(folder, {"layers.1.fc1.weight": np.full((24, 16), np.nan, np.float32)})
    encoder = load_encoder(folder)
    assert np.isfinite(encoder.hidden_states([noise(0.5)], [1])).all()
    with pytest.raises(DataError, match=r"model.safetensors: layers.1.fc1.weight"):
        encoder.hidden_states([noise(0.5)], [2])


def test_the_real_checkpoint_is_computed_as_by_transformers(shared_data):
    folder = shared_data / "speech-encoder" / "whisper-tiny-8s"
    clips = sorted((shared_data / "emodb").glob("*.flac"))[:5]
    signal = np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in clips])[: 8 * RATE]
    assert len(signal) == 8 * RATE
    (found,) = load_encoder(folder).hidden_states([signal], [1, 2, 3, 4])
    wanted = reference(folder, log_mel(standardized(signal), 80))
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99999
        assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()


# --- checkpoints that do not fit --------------------------------------------------------------------------


def change(folder, changes, without=()):
    tensors = {k: np.array(v) for k, v in load_file(folder / "model.safetensors").items()} | changes
    save_file({k: v for k, v in tensors.items() if k not in without}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "without", "named"),
    [
        ({}, ["layers.2.fc2.bias"], "layers.2.fc2.bias"),
        ({"layers.3.fc2.bias": np.zeros(16, np.float32)}, [], "layers.3.fc2.bias"),
        ({"conv1.weight": np.zeros((16, 21, 3), np.float32)}, [], "conv1.weight"),
        ({"embed_positions.weight": np.zeros((16, 50), np.float32)}, [], "embed_positions.weight"),
    ],
)
def test_tensors_that_do_not_fit_their_config_are_named(changes, without, named, write_whisper, tmp_path):
    change(write_whisper(tmp_path), changes, without)
    with pytest.raises(DataError, match=rf"model.safetensors.* {named}"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"d_model": None},
        {"d_model": "16"},
        {"d_model": 0},
        {"encoder_layers": -1},
        {"encoder_layers": True},
        {"encoder_layers": 10**12},
        {"encoder_attention_heads": 3},
        {"num_mel_bins": 1.5},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config, write_whisper, tmp_path):
    import json

    write_whisper(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(about | config))
    with pytest.raises(DataError, match=rf"{next(iter(config))}"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "preprocessor", [{"sampling_rate": 8000}, {"n_fft": 512}, {"hop_length": 80}, {"feature_size": 80}]
)
def test_another_spectrogram_is_refused(preprocessor, write_whisper, tmp_path):
    write_whisper(tmp_path, preprocessor=preprocessor)
    with pytest.raises(DataError, match=next(iter(preprocessor))):
        load_encoder(tmp_path)


def test_another_activation_is_refused(write_whisper, tmp_path):
    write_whisper(tmp_path, activation_function="relu")
    with pytest.raises(DataError, match="relu"):
        load_encoder(tmp_path)
