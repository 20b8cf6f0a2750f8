"""Encode and decode audio in memory at low bit rates, as a call or a message does to a voice."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from eavctl.errors import UsageError

PADDING_S = 0.2  # of silence at the end, more than any codec delays


@dataclass(frozen=True)
class Codec:
    """A codec of FFmpeg.

    Parameters
    ----------
    encoder, decoder : FFmpeg's names.
    rate : samples a second that are coded.
    bit_rates : bits a second that speech is sent at; 0 of a codec that has one only.
    form : sample format of the encoder.
    delay : samples that the decoded signal lags, and that FFmpeg does not remove itself.
    """

    encoder: str
    decoder: str
    rate: int
    bit_rates: tuple[int, ...] = (0,)
    form: str = "s16"
    delay: int = 0


CODECS = {
    "mp3": Codec("libmp3lame", "mp3float", 16000, (16_000, 24_000, 32_000, 48_000), "fltp"),
    "opus": Codec("libopus", "libopus", 16000, (8_000, 12_000, 16_000, 24_000), "flt"),
    "aac": Codec("aac", "aac", 16000, (16_000, 24_000, 32_000, 48_000), "fltp", delay=1024),
    "mu-law": Codec("pcm_mulaw", "pcm_mulaw", 8000),
    "a-law": Codec("pcm_alaw", "pcm_alaw", 8000),
    "amr": Codec("libopencore_amrnb", "amrnb", 8000, (4_750, 5_900, 7_950, 12_200), delay=39),
    "g722": Codec("g722", "g722", 16000, delay=22),
}


@cache
def is_available(name: str) -> bool:
    """Whether this FFmpeg can encode and decode a codec of `CODECS`."""
    import av

    try:
        av.Codec(CODECS[name].encoder, "w")
        av.Codec(CODECS[name].decoder, "r")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def recoded(signal: np.ndarray, rate: int, name: str, bit_rate: int = 0) -> np.ndarray:
    """A signal as it comes out of a codec, at its length and its time.

    Parameters
    ----------
    signal : float32, shape (n_samples,), full scale 1; louder samples are clipped.
    rate : samples a second.
    name : one of `CODECS`.
    bit_rate : bits a second, one of the codec's.

    Returns
    -------
    float32, shape (n_samples,).

    Raises
    ------
    UsageError : this FFmpeg lacks the codec.
    """
    if not is_available(name):
        raise UsageError(f"this FFmpeg has no codec {name!r}")
    codec = CODECS[name]
    sent = np.clip(_resampled(signal, rate, codec.rate), -1.0, 1.0)
    heard, heard_rate = _through(codec, np.pad(sent, (0, round(PADDING_S * codec.rate))), bit_rate)
    heard = _resampled(heard[codec.delay :], heard_rate, rate)[: len(signal)]
    return np.pad(heard, (0, len(signal) - len(heard)))


def _through(codec: Codec, signal: np.ndarray, bit_rate: int) -> tuple[np.ndarray, int]:
    """Encode and decode; with the rate of what is decoded."""
    import av

    encoder = av.CodecContext.create(codec.encoder, "w")
    encoder.sample_rate, encoder.layout, encoder.format = codec.rate, "mono", codec.form
    if bit_rate:
        encoder.bit_rate = bit_rate
    if codec.encoder == "libopus":
        encoder.options = {"compression_level": "5"}  # as on a telephone: half the time of 10
    encoder.open()
    if codec.form == "s16":
        signal = np.minimum(np.round(signal * 32768), 32767).astype(np.int16)
    size = encoder.frame_size or len(signal)
    signal = np.pad(signal, (0, -len(signal) % size))
    packets = []
    for start in range(0, len(signal), size):
        frame = av.AudioFrame.from_ndarray(signal[None, start : start + size], codec.form, "mono")
        frame.sample_rate, frame.pts, frame.time_base = codec.rate, start, Fraction(1, codec.rate)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create(codec.decoder, "r")
    decoder.sample_rate, decoder.layout = codec.rate, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    if heard.dtype == np.int16:
        heard = heard / np.float32(32768)
    return heard.astype(np.float32, copy=False), int(frames[0].sample_rate)


def _resampled(signal: np.ndarray, found: int, wanted: int) -> np.ndarray:
    if found == wanted:
        return signal
    import soxr

    return np.asarray(soxr.resample(signal, found, wanted, quality="HQ"))
