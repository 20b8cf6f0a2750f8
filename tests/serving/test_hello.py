"""The first message of a stream: what a client can get wrong."""

import json

import pytest

from eavctl.serving.hello import HelloError, is_end, read_hello

TAKEN, WINDOW_S = ("eeg", "audio"), 0.5
SOUND = {"modalities": ["audio"]}
EEG = {"modalities": ["eeg"], "sfreq": 250, "ch_names": ["C3", "C4"]}


def test_what_is_left_out_has_a_default():
    hello = read_hello(json.dumps(SOUND), TAKEN, WINDOW_S)
    assert (hello.modalities, hello.rate, hello.hop) == (("audio",), 16000.0, WINDOW_S)
    hello = read_hello(json.dumps(EEG), TAKEN, 5.0)
    assert (hello.sfreq, hello.ch_names, hello.hop) == (250.0, ("C3", "C4"), 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 10**5,
        "{}",
        json.dumps({"modalities": "audio"}),
        json.dumps({"modalities": ["audio", "audio"]}),
        json.dumps({"modalities": ["video"]}),
        json.dumps({"modalities": [{}]}),
        json.dumps({"modalities": ["x" * 10**6]}),
        *(
            json.dumps({**SOUND, key: value})
            for key in ("hop", "rate")
            for value in (float("nan"), float("inf"), -1, 0, 10**400, True, "1", None, [])
        ),
        json.dumps({**EEG, "ch_names": []}),
        json.dumps({**EEG, "ch_names": ["C3"] * 513}),
        json.dumps({**EEG, "ch_names": ["C3"] * 512, "sfreq": 20000}),
        json.dumps({**EEG, "sfreq": None}),
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_served_is_refused_in_a_short_sentence(text):
    with pytest.raises(HelloError) as refused:
        read_hello(text, TAKEN, WINDOW_S)
    assert 0 < len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "ends"), [('{"end": true}', True), ('{"end": 0}', False), ("[" * 10**5, False)]
)
def test_what_ends_a_stream(text, ends):
    assert is_end(text) is ends
