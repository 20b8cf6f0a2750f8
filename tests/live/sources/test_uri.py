"""URIs of live sources: what is unknown or does not fit is an error that names it."""

from __future__ import annotations

import re

import pytest

from eavctl import registry
from eavctl.errors import UsageError
from eavctl.live.sources.uri import open_source


@pytest.mark.parametrize(
    ("uri", "modality", "words"),
    [
        ("mik:default", "audio", "'mic'"),
        ("mic:default", "video", "audio"),
        ("camera:0", "eeg", "video"),
        ("lsl:EEG", "video", "eeg"),
        ("-", "video", "audio"),
        ("-?chanels=2", "audio", "channels"),
        ("-?channels=two", "audio", "channels"),
        ("-?rate=0", "audio", "rate"),
        ("-?channels", "audio", "KEY=VALUE"),
        ("mic:default?rate=1", "audio", "no setting 'rate'"),
    ],
)
def test_wrong_usage_is_an_error_that_says_why(uri, modality, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        open_source(uri, modality)


def test_every_source_says_which_modalities_it_gives():
    for name in registry.names("live sources"):
        assert set(registry.get("live sources", name).facts["modalities"]) <= {"audio", "eeg", "video"}
