"""``eavctl play``: what it would stream, and how it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile


@pytest.fixture
def wav(tmp_path, lsl):
    soundfile.write(tmp_path / "x.wav", np.random.default_rng(0).normal(scale=0.1, size=1600), 16000)
    return tmp_path / "x.wav"


def test_a_short_recording_is_played_to_its_end(run, wav, monkeypatch):
    monkeypatch.setattr("eavctl.live.playing.LAST_S", 0.0)
    result = run("play", wav, "--lsl", "Speech", "--json")
    assert result.code == 0
    facts = json.loads(result.out)
    assert (facts["name"], facts["type"], facts["rate"], facts["seconds"]) == ("Speech", "Audio", 16000, 0.1)


def test_a_dry_run_opens_no_stream(run, wav, monkeypatch):
    monkeypatch.setattr("eavctl.live.playing.Playback.run", None)
    result = run("play", wav, "--lsl", "Speech", "-n", "--json")
    assert result.code == 0
    assert json.loads(result.out)["dry_run"]
    assert "lsl:Speech" in result.err


def test_what_cannot_be_played_ends_with_3_as_its_dry_run_does(run, wav):
    for words in ([], ["-n"]):
        result = run("play", "missing.edf", "--lsl", "EEG", *words)
        assert result.code == 3
        assert "missing.edf" in result.err


def test_interruption_ends_with_130(run, wav, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("eavctl.live.playing.time.sleep", interrupted)
    assert run("play", wav, "--lsl", "Speech").code == 130
