"""The reference of EEG: which electrodes it is, of the channels that a recording has."""

from __future__ import annotations

from collections.abc import Sequence

from eavctl.errors import SignalError
from eavctl.signals.eeg_names import clean_name

AVERAGE, MASTOIDS = "average", "mastoids"
JOIN = "+"
PAIRS = (("M1", "M2"), ("TP9", "TP10"), ("A1", "A2"))  # mastoids; sites next to them; earlobes
BIOSEMI = "A3"  # where there is one, A1 and A2 are electrodes of BioSemi's caps, and no earlobes


def named(reference: str) -> tuple[str, ...]:
    """The electrodes that a reference names, such as M1 and M2 of ``M1+M2``; none of a word."""
    if reference in (AVERAGE, MASTOIDS):
        return ()
    return tuple(clean_name(part) for part in reference.split(JOIN))


def electrodes_of(reference: str | None, ch_names: Sequence[str]) -> tuple[str, ...]:
    """The electrodes of a recording whose mean becomes the reference; none of the average of all channels.

    Parameters
    ----------
    reference : ``average``, ``mastoids``, a channel, several joined by ``+``, or None.
    ch_names : names of the channels of the recording.

    Raises
    ------
    SignalError : the recording does not have them.
    """
    if reference in (None, AVERAGE):
        return ()
    if reference != MASTOIDS:
        wanted = named(reference)
        missing = [name for name in wanted if name not in ch_names]
        if missing:
            raise SignalError(f"the reference {', '.join(missing)} is no channel of the recording")
        return wanted
    pairs = PAIRS[:2] if BIOSEMI in ch_names else PAIRS
    found = next((pair for pair in pairs if set(pair) <= set(ch_names)), None)
    if found is None:
        pairs_text = ", ".join(JOIN.join(pair) for pair in PAIRS)
        raise SignalError(f"no mastoids among the channels ({pairs_text}); name the reference's channels")
    return found
