"""Pooling of a speech encoder's states, on encoders whose states are known."""

import numpy as np
import pytest

from eavctl.errors import DataError, SignalError, UsageError
from eavctl.extraction.recipe import Recipe
from eavctl.features.speech_encoder import names, speech_encoder

RATE, HOP = 16000, 320
LAYERS = [1, 2]


class Levels:
    """An encoder whose state of block ``n`` is n times a frame's first two samples."""

    rate, hop_s, n_blocks, width = RATE, 0.02, 4, 2

    def __init__(self, longest_s=30.0, lacking=0):
        self.longest_s, self.lacking = longest_s, lacking
        self.lengths = []

    def hidden_states(self, signals, layers):
        self.lengths += [len(signal) for signal in signals]
        found = []
        for signal in signals:
            frames = signal[: len(signal) // HOP * HOP].reshape(-1, HOP)[:, :2]
            found.append(np.stack([n * frames[: len(frames) - self.lacking] for n in layers]))
        return found


def noise(n_frames, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=n_frames * HOP).astype(np.float32)


def pooled(signal, frames):
    """Mean and deviation of the states of some frames."""
    states = signal.reshape(-1, HOP)[frames, :2].astype(np.float64)
    states = np.stack([n * states for n in LAYERS])
    return np.concatenate([states.mean(axis=1).ravel(), states.std(axis=1).ravel()])


def test_mean_and_deviation_over_the_loud_frames_alone():
    signal = noise(100)
    signal[40 * HOP : 60 * HOP] *= 0.01  # 40 dB below
    signal[60 * HOP : 70 * HOP] *= 0.1  # 20 dB below
    found = speech_encoder(signal, RATE, Levels(), layers=LAYERS)
    assert found.dtype == np.float32
    assert found == pytest.approx(pooled(signal, [*range(40), *range(60, 100)]), abs=1e-6)


def test_the_columns_are_named_in_their_order():
    found = names(LAYERS, weights="whisper-4x2-0123456789abcdef")
    assert found == (
        *("block1_mean_0", "block1_mean_1", "block2_mean_0", "block2_mean_1"),
        *("block1_std_0", "block1_std_1", "block2_std_0", "block2_std_1"),
    )


def test_one_statistic_alone_is_that_part_of_both():
    signal = np.random.default_rng(3).normal(size=RATE).astype(np.float32)
    both = speech_encoder(signal, RATE, Levels(), layers=LAYERS)
    alone = [
        speech_encoder(signal, RATE, Levels(), layers=LAYERS, statistics=[name]) for name in ("mean", "std")
    ]
    np.testing.assert_array_equal(np.concatenate(alone), both)


@pytest.mark.parametrize("n_frames", [50, 51, 99, 100, 101, 437])
def test_a_long_recording_is_cut_into_equal_windows(n_frames):
    signal, encoder = noise(n_frames), Levels(longest_s=1.0)
    found = speech_encoder(signal, RATE, encoder, layers=LAYERS)
    assert found == pytest.approx(pooled(signal, slice(None)), abs=1e-6)
    assert sum(encoder.lengths) == len(signal)
    assert max(encoder.lengths) <= RATE
    assert max(encoder.lengths) - min(encoder.lengths) <= HOP
    assert len(encoder.lengths) == -(-n_frames // 50)


def test_windows_without_speech_are_not_computed():
    signal, encoder = noise(200), Levels(longest_s=1.0)
    signal[50 * HOP : 150 * HOP] *= 1e-4
    assert speech_encoder(signal, RATE, encoder, layers=LAYERS) == pytest.approx(
        pooled(signal, [*range(50), *range(150, 200)]), abs=1e-6
    )
    assert encoder.lengths == [RATE, RATE]


def test_an_encoder_may_give_fewer_frames_than_there_are_hops():
    signal = noise(80)
    found = speech_encoder(signal, RATE, Levels(lacking=2), layers=LAYERS)
    assert found == pytest.approx(pooled(signal, slice(0, 78)), abs=1e-6)
    only_at_its_end = noise(20)
    only_at_its_end[: 18 * HOP] *= 1e-4
    with pytest.raises(SignalError):
        speech_encoder(only_at_its_end, RATE, Levels(lacking=2), layers=LAYERS)


def test_scaling_a_clip_leaves_the_frames_that_count():
    signal = noise(100) * np.repeat(np.random.default_rng(1).uniform(0.01, 1, 100), HOP).astype(np.float32)
    one, other = (speech_encoder(g * signal, RATE, Levels(), layers=LAYERS) for g in (1.0, 0.01))
    assert other == pytest.approx(0.01 * one, abs=1e-7)


def test_another_rate_is_a_fault_of_the_caller():
    with pytest.raises(ValueError, match="8000"):
        speech_encoder(noise(50), 8000, Levels())


# --- recipes ----------------------------------------------------------------------------------------------


@pytest.fixture
def weights(write_whisper, tmp_path):
    return write_whisper(tmp_path / "whisper")


def test_the_identity_of_the_weights_is_a_setting_and_their_place_is_none(weights, tmp_path):
    recipe = Recipe("speech-encoder").with_weights(weights)
    assert recipe.settings["weights"].startswith("whisper-3x16-")
    assert str(tmp_path) not in str(recipe.meta())
    moved = weights.rename(tmp_path / "moved")
    assert Recipe("speech-encoder").with_weights(moved).meta() == recipe.meta()
    assert len(recipe.columns) == 3 * 2 * 16
    assert len(set(recipe.columns)) == len(recipe.columns)


def test_a_recipe_is_computed_by_the_weights_that_it_wants(weights, write_whisper, tmp_path):
    recipe = Recipe("speech-encoder", {"layers": [2]}).with_weights(weights)
    other = write_whisper(tmp_path / "other", seed=1)
    wanting = Recipe("speech-encoder", recipe.settings)
    found = wanting.with_weights(other, weights)
    assert np.array_equal(found.compute(noise(70), RATE), recipe.compute(noise(70), RATE))
    with pytest.raises(DataError, match=recipe.settings["weights"]):
        wanting.with_weights(other)
    with pytest.raises(DataError, match=recipe.settings["weights"]):
        wanting.compute(noise(70), RATE)


@pytest.mark.parametrize("layers", [[4], [1, 1], [2, 1], [0], [], [1.5], "x"])
def test_layers_that_the_encoder_lacks_are_wrong_usage(layers, weights):
    with pytest.raises(UsageError, match="layer"):
        Recipe("speech-encoder", {"layers": layers}).with_weights(weights)


def test_layers_can_be_given_as_text(weights):
    recipe = Recipe("speech-encoder", {"layers": "1,3"}).with_weights(weights)
    assert recipe.settings["layers"] == [1, 3]
    assert recipe.columns[0] == "block1_mean_0"
    assert recipe.columns[-1] == "block3_std_15"


def test_a_path_is_no_identity(weights):
    with pytest.raises(UsageError, match="--weights"):
        Recipe("speech-encoder", {"weights": str(weights)})


def test_other_feature_sets_take_no_weights(weights):
    assert Recipe("functionals").with_weights() == Recipe("functionals")
    with pytest.raises(UsageError, match="weights"):
        Recipe("functionals").with_weights(weights)


def test_memory_does_not_grow_with_the_recording(weights):
    import tracemalloc

    recipe = Recipe("speech-encoder").with_weights(weights)
    recipe.compute(noise(50), RATE)
    peaks = []
    for n_frames in (500, 4000):
        signal = noise(n_frames)
        tracemalloc.start()
        recipe.compute(signal, RATE)
        peaks.append(tracemalloc.get_traced_memory()[1] - signal.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 4 * 4000 * HOP
