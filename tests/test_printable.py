"""Names of anything at all, as text that a terminal shows and never obeys."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eavctl.printable import json_escaped, printable, utf8

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
anything = st.text(
    st.characters(codec=None, exclude_categories=()) | st.sampled_from("\x1b\n\x9b\u202e\udcff")
)


def steers(character):
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in BIDI


@settings(deadline=None)
@given(anything)
def test_no_text_steers_a_terminal_or_begins_a_line(text):
    shown = printable(text)
    assert not any(map(steers, shown))
    assert len(f"{shown}.".splitlines()) == 1
    assert printable(shown) == shown


@settings(deadline=None)
@given(anything)
def test_escaped_json_steers_nothing_and_reads_back_the_same(text):
    written = json_escaped(json.dumps(text, ensure_ascii=False))
    assert not any(map(steers, written))
    assert json.loads(written) == text


@pytest.mark.parametrize("name", ["clip.wav", "Zoë/日本 🙂 [red].wav", "עברית", r"a\b"])
def test_ordinary_names_stay_as_they_are(name):
    assert printable(name) == utf8(name) == json_escaped(name) == name


def test_bytes_that_are_no_utf8_are_shown_as_bytes():
    name = b"caf\xe9\x1b".decode("utf-8", "surrogateescape")
    assert printable(name) == r"caf\xe9\x1b"
    assert utf8(name) == "caf\\xe9\x1b"
    utf8(name).encode()
