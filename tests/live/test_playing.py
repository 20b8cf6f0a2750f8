"""What `play` sends: which recordings, with which channels, and how long."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile

from eavctl.errors import DataError, UsageError
from eavctl.live.playing import Playback
from eavctl.live.sources.lsl import channels_of
from eavctl.storage import tables


class Outlet:
    """An LSL of our own: it keeps what is pushed, and its time passes only by waiting."""

    cf_float32 = 1

    def __init__(self, monkeypatch, lsl):
        self.time, self.blocks, self.stamps, self.info = 50.0, [], [], None
        self.StreamInfo = lsl.StreamInfo
        monkeypatch.setattr("eavctl.live.playing.time.sleep", self.pass_time)

    def pass_time(self, seconds):
        self.time += seconds

    def local_clock(self):
        return self.time

    def StreamOutlet(self, info):  # noqa: N802
        self.info = info
        return self

    def push_chunk(self, block, stamp):
        assert stamp <= self.time + 1e-9  # not before it was captured
        self.blocks.append(block)
        self.stamps.append(stamp)


@pytest.fixture
def outlet(monkeypatch, lsl):
    return Outlet(monkeypatch, lsl)


CHANNELS = ("Fz", "Cz", "Pz")
META = {"modality": "eeg", "features_version": 1, "features_hash": "aa", "classes": [], "shape": [3, 50]}


@pytest.fixture
def write_table(tmp_path):
    """Writes a table of six rows of EEG at 100 Hz, as features of some name."""

    def write(features):
        x = np.random.default_rng(0).normal(scale=20, size=(6, len(CHANNELS), 50)).astype(np.float32)
        ids = [f"clip{i}" for i in range(len(x))]
        keys = tables.key_frame(pd.DataFrame({"sample_id": ids, "clip_id": ids}))
        meta = {**META, "features": features, "settings": {"channels": CHANNELS, "rate": 100}}
        path = tmp_path / f"{features}.parquet"
        tables.write_features(tables.FeatureTable(keys, x, None, meta), path)
        return path, x

    return write


def test_sound_is_one_channel_at_its_own_rate(tmp_path, outlet):
    signal = np.random.default_rng(0).normal(scale=0.1, size=(11025, 2)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", signal, 22050, subtype="FLOAT")
    playback = Playback(tmp_path / "x.wav", "Speech")
    playback.run(outlet)
    assert np.allclose(np.concatenate(outlet.blocks)[:, 0], signal.mean(axis=1), atol=1e-6)
    assert playback.played == ("Speech", "Audio", (), 22050, 0.5)
    assert (outlet.info.type(), outlet.info.channel_count(), outlet.info.nominal_srate()) == (
        "Audio",
        1,
        22050,
    )
    ends = 50.0 + (np.cumsum([len(block) for block in outlet.blocks]) - 1) / 22050
    assert outlet.stamps == pytest.approx(ends)  # each is that of the block's last sample


def test_rows_of_a_table_of_epochs_follow_each_other(write_table, outlet):
    path, x = write_table("eeg-epochs")
    playback = Playback(path, "EEG")
    playback.run(outlet)
    assert np.array_equal(np.concatenate(outlet.blocks).T, np.concatenate(list(x), axis=1))
    assert playback.played == ("EEG", "EEG", CHANNELS, 100, 3.0)
    assert [each.label for each in channels_of(outlet.info)] == list(CHANNELS)


def test_what_cannot_be_played(write_table, tmp_path):
    with pytest.raises(UsageError, match="cwt"):
        Playback(write_table("cwt")[0], "EEG")
    for uri in ("-", "mic:default", "lsl:EEG"):
        with pytest.raises(UsageError, match=uri):
            Playback(uri, "EEG")
    with pytest.raises(DataError, match="no-such"):
        Playback(tmp_path / "no-such.edf", "EEG")
    with pytest.raises(DataError, match="no-such"):
        Playback(tmp_path / "no-such.parquet", "EEG")
