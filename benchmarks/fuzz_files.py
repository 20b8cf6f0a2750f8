"""The files to damage: small valid files of every kind that eavctl reads, and the commands that read them."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.mutations import BYTES, TEXT, TOML, Mutation

RATE = 16000
SECONDS = 0.5
SIZE = (64, 48)  # of pictures
FPS = 10
EEG_RATE, EEG_SECONDS = 200, 13
CHANNELS = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
ONSETS = tuple(range(EEG_SECONDS - 1))  # seconds; by turns of the events A and B
EAV_SHAPE = (600, 30, 10)  # n_times, n_chans, n_trials
EPOCHS = "--events A=a,B=b --tmin 0 --tmax 1"
MARKERS = "Comment/A=a,Comment/B=b"
# Folder of real recordings, if any. The variable is not a setting of the command line.
SHARED = Path(os.environ.pop("EAVCTL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

MADE_BY = (
    "synth --per-class 4 --classes happy,sad -o dataset",
    "extract dataset --features seed33 -o feats.parquet",
    "extract dataset --features means180 -o means.parquet",
    "extract dataset --features logmel --set n_mels=16 --set n_frames=32 -o mels.parquet",
    "train-svm feats.parquet -o svm.joblib --folds 2 --predictions svm_preds.parquet",
    "train-dnn mels.parquet -o dnn.pt --set channels=[2,2] --set lstm_units=4 --epochs 1 --folds 2 "
    "--predictions dnn_preds.parquet",
    "fuse svm_preds.parquet dnn_preds.parquet --method stacking -o fused.parquet --save fuser.joblib",
    "train-fusion feats.parquet means.parquet --encoder mlp --encoder mlp --epochs 1 --folds 2 -o fusion.pt",
    "export svm.joblib -o svm.onnx --check feats.parquet",
    f"extract eeg.edf --features eeg-bands {EPOCHS} -o bands.parquet",
    "train-svm bands.parquet -o bands.joblib --folds 2 --protocol stratified",
    "extract mat5 --features eeg-bands -o eav.parquet",
    "train-svm eav.parquet -o eav.joblib --folds 2 --protocol stratified",
)
REJECTED = "out/bad.csv"
PREDICT = "predict {} --model BASE/svm.joblib"
EXTRACT_SOUND = f"extract . --features seed33 -o out/f.parquet --rejected {REJECTED}"
EXTRACT_FILM = "extract . --features faces --set crop=frame --set n_frames=4 --set size=16 -o out/f.parquet"
EXTRACT_FACES = "extract . --features faces --set n_frames=2 --set size=16 -o out/f.parquet"
EXTRACT_IDX = "extract idx -o out/f.parquet"
EXTRACT_EEG = "extract {} --features eeg-bands -o out/f.parquet"
EEG = (
    EXTRACT_EEG,
    f"{EXTRACT_EEG} {EPOCHS}",
    "predict {} --model BASE/bands.joblib --json --events A=a,B=b",
)

Repack = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]
OGG_HEADER, OGG_POLYNOMIAL = 27, 0x04C11DB7
MAT_HEADER, COMPRESSED = 128, 15  # bytes before the first element of a MATLAB 5 file; a type of element


@dataclass(frozen=True)
class Kind:
    """A kind of file, and how to test it.

    Parameters
    ----------
    name : name of the kind.
    path : the file to damage, in the folder of originals and in that of each case.
    commands : command lines, used in turn; ``{}`` stands for the file, ``BASE`` for the folder of originals.
        They write to ``out/``.
    beside : files and folders that belong to the file, and are copied with it.
    damages : kinds of damage.
    is_checked : whether every change should be detected, as in tables and models of eavctl.
    may_be_wrong_usage : whether exit code 2 is acceptable, because the file holds settings.
    repack : functions that unpack and pack the content, so that damage is not rejected by a checksum.
    """

    name: str
    path: str
    commands: tuple[str, ...]
    beside: tuple[str, ...] = ()
    damages: tuple[Mutation, ...] = BYTES
    is_checked: bool = False
    may_be_wrong_usage: bool = False
    repack: Repack | None = None


# --- corrected checksums, so that damage is not rejected at once -------------------------------------------


def with_png_checksums(content: bytes) -> bytes:
    """Correct the checksums of the chunks of a PNG file."""
    mended, at = bytearray(content), 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 <= len(content):
            mended[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


def with_ogg_checksums(content: bytes) -> bytes:
    """Correct the checksums of the pages of an Ogg file."""
    mended = bytearray(content)
    for found in re.finditer(b"OggS", content):
        at = found.start()
        sizes = content[at + OGG_HEADER :][: content[at + 26]] if at + OGG_HEADER <= len(content) else b""
        end = at + OGG_HEADER + len(sizes) + sum(sizes)
        if sizes and end <= len(content):
            mended[at + 22 : at + 26] = bytes(4)
            mended[at + 22 : at + 26] = _ogg_checksum(mended[at:end]).to_bytes(4, "little")
    return bytes(mended)


def _ogg_checksum(page: bytes) -> int:
    found = 0
    for byte in page:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 & 0xFFFFFFFF) ^ (OGG_POLYNOMIAL if found >> 31 else 0)
    return found


def mat_unpacked(content: bytes) -> bytes:
    """The header and the uncompressed elements of a MATLAB 5 file."""
    parts, at = [content[:MAT_HEADER]], MAT_HEADER
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        parts.append(zlib.decompress(content[at + 8 : at + 8 + size]))
        at += 8 + size
    return b"".join(parts)


def mat_packed(content: bytes) -> bytes:
    """A MATLAB 5 file with everything after the header as one compressed element."""
    packed = zlib.compress(content[MAT_HEADER:])
    return content[:MAT_HEADER] + struct.pack("<II", COMPRESSED, len(packed)) + packed


def with_onnx_checksum(content: bytes) -> bytes:
    """Correct the checksum of an exported model, which is at the end of the file."""
    from eavctl.storage import onnx_files
    from eavctl.storage.protobuf import fields

    try:
        found = list(fields(memoryview(content)))
        entries = dict(onnx_files._entry(value) for n, value in found if n == onnx_files.METADATA)
        checksum = onnx_files._checksum(entries[onnx_files.META], found).encode()
    except (ValueError, KeyError, TypeError):  # damaged so that there is none to correct
        return content
    return content[: -len(checksum)] + checksum


GZIP: Repack = (gzip.decompress, lambda content: gzip.compress(content, 1, mtime=0))
ZLIB: Repack = (mat_unpacked, mat_packed)
OGG: Repack = (bytes, with_ogg_checksums)
PNG: Repack = (bytes, with_png_checksums)
ONNX: Repack = (bytes, with_onnx_checksum)


def make(base: Path) -> None:
    """Write the originals of all `kinds` to a folder, with commands of eavctl if possible.

    Raises
    ------
    RuntimeError : a command failed.
    """
    from eavctl.cli import start

    _write_sounds(base)
    _write_films(base)
    _write_eeg(base)
    os.chdir(base)
    for line in MADE_BY:
        if code := start.run([*line.split(), "-q"]):
            raise RuntimeError(f"'eavctl {line}' ended with {code}")
    _write_manifests(base)
    (base / "eavctl.toml").write_text(SETTINGS)
    for name, path in REAL.items():
        if (SHARED / path).is_file():
            shutil.copyfile(SHARED / path, base / name)


def kinds(base: Path) -> list[Kind]:
    """All kinds with an original."""
    return [kind for kind in _kinds() if (base / kind.path).is_file()]


def _kinds() -> Iterator[Kind]:
    for ending in ("wav", "flac", "ogg", "opus", "mp3", "m4a", "aiff"):
        yield Kind(ending, f"sad/sound.{ending}", (PREDICT, EXTRACT_SOUND))
    for ending in ("ogg", "opus"):
        yield Kind(f"{ending} within", f"sad/sound.{ending}", (PREDICT, EXTRACT_SOUND), repack=OGG)
    yield Kind("wav of floats", "sad/floats.wav", (PREDICT, EXTRACT_SOUND))
    yield Kind("real wav", "sad/real.wav", (PREDICT, EXTRACT_SOUND))
    yield Kind("real flac", "sad/real.flac", (PREDICT, EXTRACT_SOUND))
    for ending in ("mp4", "mov", "mkv", "avi"):
        yield Kind(ending, f"sad/film.{ending}", (EXTRACT_FILM, PREDICT, EXTRACT_SOUND))
    for ending in ("png", "jpg"):
        line = EXTRACT_FILM.replace(" . ", f" sad/{ending}.csv ")
        repack = PNG if ending == "png" else None
        yield Kind(ending, f"sad/picture.{ending}", (line,), (f"sad/{ending}.csv",), repack=repack)
    labels = ("idx/train-labels-idx1-ubyte",)
    yield Kind("idx", "idx/train-images-idx3-ubyte", (EXTRACT_IDX,), labels)
    yield Kind("idx labels", labels[0], (EXTRACT_IDX,), ("idx/train-images-idx3-ubyte",))
    packed = "idxz/train-images-idx3-ubyte.gz"
    yield Kind("idx.gz", packed, ("extract idxz -o out/f.parquet",))
    yield Kind("idx.gz within", packed, ("extract idxz -o out/f.parquet",), repack=GZIP)
    yield Kind("real mp4", "sad/real.mp4", (EXTRACT_FILM, EXTRACT_FACES))
    yield Kind("real mov (HEVC)", "sad/real.mov", (EXTRACT_FILM, EXTRACT_FACES))
    for ending in ("edf", "bdf", "xdf"):
        yield Kind(ending, f"eeg.{ending}", EEG)
    yield Kind("EEG as text", "eeg.csv", EEG, damages=TEXT)
    yield Kind("EEG as text, bytes", "eeg.csv", EEG)
    brainvision = {"vhdr": "header", "vmrk": "markers", "eeg": "data"}
    commands = tuple(line.replace("{}", "eeg.vhdr").replace("A=a,B=b", MARKERS) for line in EEG)
    for part, name in brainvision.items():
        beside = tuple(f"eeg.{other}" for other in brainvision if other != part)
        yield Kind(
            f"BrainVision {name}", f"eeg.{part}", commands, beside, damages=BYTES if part == "eeg" else TEXT
        )
    yield Kind("EEGLAB", "plain.set", EEG)
    yield Kind("EEGLAB compressed", "packed.set", EEG)
    yield Kind("EEGLAB within", "packed.set", EEG, repack=ZLIB)
    yield Kind("FIF", "eeg_raw.fif", EEG)
    yield Kind("FIF.gz", "eeg_raw.fif.gz", EEG)
    yield Kind("FIF.gz within", "eeg_raw.fif.gz", EEG, repack=GZIP)
    yield Kind("real EEGLAB", "eeglab_data.set", EEG[:1], ("eeglab_data.fdt",))
    yield Kind("real BDF", "real.bdf", EEG[:1])
    for name, folder in (("MATLAB 5", "mat5"), ("MATLAB 5 compressed", "mat5z"), ("MATLAB 7.3", "mat73")):
        path = f"{folder}/subject1/EEG/subject1_eeg.mat"
        line = f"extract {folder} --features eeg-bands -o out/f.parquet"
        eav = (line, "predict {} --model BASE/eav.joblib")
        yield Kind(name, path, eav, (path.replace("_eeg.", "_eeg_label."),))
        if folder == "mat5z":
            yield Kind("MATLAB 5 within", path, eav, (path.replace("_eeg.", "_eeg_label."),), repack=ZLIB)
        yield Kind(f"labels, {name}", path.replace("_eeg.", "_eeg_label."), eav[:1], (path,))
    yield from _tables_and_models()


def _tables_and_models() -> Iterator[Kind]:
    yield Kind(
        "feature table", "feats.parquet",
        ("predict {} --model BASE/svm.joblib --json", "show {} --json",
         "train-svm {} -o out/m.joblib --folds 2 --predictions out/p.parquet"),
        is_checked=True,
    )  # fmt: skip
    yield Kind(
        "tensor table", "mels.parquet",
        ("predict {} --model BASE/dnn.pt --json", "show {} --json",
         "train-dnn {} -o out/m.pt --epochs 1 --folds 2 --set channels=[2,2] --set lstm_units=4"),
        is_checked=True,
    )  # fmt: skip
    yield Kind(
        "prediction table", "svm_preds.parquet",
        ("report {} --json", "fuse {} BASE/dnn_preds.parquet -o out/f.parquet", "show {} --json",
         "report {} -o out/r.html"),
        is_checked=True,
    )  # fmt: skip
    yield Kind(
        "table for early fusion", "means.parquet",
        ("train-fusion BASE/feats.parquet {} --encoder mlp --encoder mlp --epochs 1 --folds 2 -o out/e.pt",),
        is_checked=True,
    )  # fmt: skip
    clip = "BASE/dataset/sad/sad_sample_1.wav"
    shown = "show {} --json"
    yield Kind("svm model", "svm.joblib", (f"predict {clip} --model {{}} --json", shown), is_checked=True)
    yield Kind("network", "dnn.pt", (f"predict {clip} --model {{}} --json", shown), is_checked=True)
    yield Kind("fusion network", "fusion.pt", (f"predict {clip} --model {{}} --json", shown), is_checked=True)
    exported = (f"predict {clip} --model {{}} --json", shown)
    yield Kind("exported model", "svm.onnx", exported, is_checked=True)
    yield Kind("exported model within", "svm.onnx", exported, repack=ONNX)
    use = "fuse BASE/svm_preds.parquet BASE/dnn_preds.parquet --use {} -o out/f.parquet"
    yield Kind("fuser", "fuser.joblib", (use, shown), is_checked=True)
    for ending in ("csv", "tsv", "parquet"):
        commands = ("extract {} --features seed33 -o out/f.parquet", PREDICT)
        yield Kind(
            f"manifest .{ending}",
            f"list.{ending}",
            commands,
            ("dataset",),
            damages=BYTES if ending == "parquet" else TEXT,
        )
    commands = ("extract BASE/dataset -o out/f.parquet", f"predict {clip} --model BASE/svm.joblib")
    yield Kind("settings", "eavctl.toml", commands, damages=TOML, may_be_wrong_usage=True)


SETTINGS = """\
jobs = 1
seed = 7
quiet = true

[extract]
features = "seed33"
segment = 1.0
hop = 0.5
where = ["label=sad"]

[predict]
strict = true
segment = 1.0
"""

REAL = {
    "sad/real.wav": "ravdess-native/03-01-01-01-01-01-01.wav",
    "sad/real.flac": "emodb/03a01Fa.flac",
    "sad/real.mp4": "video/single_face.mp4",
    "sad/real.mov": "video/face_noface.mov",
    "eeglab_data.set": "eeg/eeglab_data.set",
    "eeglab_data.fdt": "eeg/eeglab_data.fdt",
    "real.bdf": "eeg/test.bdf",
}


# --- sound and film ---------------------------------------------------------------------------------------


def _tone() -> np.ndarray:
    times = np.arange(round(SECONDS * RATE)) / RATE
    tone = 0.4 * np.sin(2 * np.pi * 220 * times) * (1 + 0.5 * np.sin(2 * np.pi * 4 * times))
    noise = np.random.default_rng(0).normal(scale=0.01, size=len(times))
    return (tone + noise).astype(np.float32)


def _write_sounds(base: Path) -> None:
    import soundfile

    (base / "sad").mkdir()
    for ending in ("wav", "flac", "ogg", "mp3", "aiff"):
        soundfile.write(base / f"sad/sound.{ending}", _tone(), RATE)
    soundfile.write(base / "sad/floats.wav", _tone(), RATE, subtype="FLOAT")
    (base / "sad/sound.opus").write_bytes(_film("ogg", None, "libopus"))
    (base / "sad/sound.m4a").write_bytes(_film("ipod", None, "aac"))


def _write_films(base: Path) -> None:
    for ending, container, codec, sound in (
        ("mp4", "mp4", "libx264", "aac"),
        ("mov", "mov", "libx265", "aac"),
        ("mkv", "matroska", "libvpx-vp9", "libopus"),
        ("avi", "avi", "mpeg4", "libmp3lame"),
    ):
        (base / f"sad/film.{ending}").write_bytes(_film(container, codec, sound))
    from PIL import Image

    for ending in ("png", "jpg"):
        Image.fromarray(next(_pictures())).save(base / f"sad/picture.{ending}")
        (base / f"sad/{ending}.csv").write_text(f"video_path,label\npicture.{ending},sad\n")
    pictures = np.random.default_rng(0).integers(0, 256, (12, 9, 8), dtype=np.uint8)
    for folder in ("idx", "idxz"):
        (base / folder).mkdir()
    content = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in pictures.shape) + pictures.tobytes()
    (base / "idx/train-images-idx3-ubyte").write_bytes(content)
    (base / "idxz/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content, mtime=0))
    (base / "idx/train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x0c" + bytes(range(12)))


def _pictures() -> Iterator[np.ndarray]:
    """Noise that a bright square moves through."""
    rng = np.random.default_rng(0)
    for number in range(round(2 * SECONDS * FPS)):
        picture = rng.integers(0, 60, size=(*SIZE[::-1], 3), dtype=np.uint8)
        picture[10:30, 4 * number : 4 * number + 16] = 220
        yield picture


def _film(container: str, codec: str | None, sound: str) -> bytes:
    """A film with sound, or sound alone, written by FFmpeg."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, container_options={"fflags": "+bitexact"}) as file:
        if codec is not None:
            stream = file.add_stream(codec, rate=FPS)
            (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
            stream.codec_context.thread_count = 1
            stream.options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        voice = file.add_stream(sound, rate=48000, layout="mono")
        if codec is not None:
            for number, picture in enumerate(_pictures()):
                frame = av.VideoFrame.from_ndarray(picture).reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
        whole = np.repeat(_tone(), 48000 // RATE)
        size = voice.codec_context.frame_size or 960
        for start in range(0, len(whole) - size, size):
            planar = np.ascontiguousarray(whole[None, start : start + size])
            frame = av.AudioFrame.from_ndarray(planar, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            file.mux(voice.encode(frame))
        file.mux(voice.encode())
    return buffer.getvalue()


# --- EEG --------------------------------------------------------------------------------------------------


def _signal() -> np.ndarray:
    """Microvolt, (n_chans, n_times)."""
    noise = np.random.default_rng(0).normal(size=(len(CHANNELS), EEG_RATE * EEG_SECONDS))
    return np.asarray(20 * noise.cumsum(axis=1) / 10 + 5 * noise)


def _write_eeg(base: Path) -> None:
    signal = _signal()
    (base / "eeg.edf").write_bytes(_edf(signal, 2))
    (base / "eeg.bdf").write_bytes(_edf(signal, 3))
    _write_brainvision(base, signal)
    _write_mne(base, signal)
    _write_eeglab(base, signal)
    _write_csv(base, signal)
    if find_spec("pyxdf"):
        _write_xdf(base, signal)
    _write_eav(base)


def _edf(signal: np.ndarray, width: int) -> bytes:
    """EDF+ (two bytes a sample) or BDF+ (three) with annotations; records of one second.

    References
    ----------
    .. [1] Kemp, Olivan: European data format 'plus' (EDF+), 2003.
    """
    top = (1 << (8 * width - 1)) - 1
    notes, note_samples = ("EDF" if width == 2 else "BDF") + " Annotations", 60
    n_signals = len(CHANNELS) + 1
    start = "0       " if width == 2 else "\xffBIOSEMI"
    fixed = f"{start:8}{'X X X X':80}{'Startdate 01-JAN-2020 X X X':80}01.01.2000.00.00"
    fixed += f"{256 * (n_signals + 1):<8}{'EDF+C' if width == 2 else 'BDF+C':44}"
    fixed += f"{EEG_SECONDS:<8}{1:<8}{n_signals:<4}"
    of_each = [
        [*(f"{name:16}" for name in CHANNELS), f"{notes:16}"],
        [f"{'AgAgCl':80}"] * n_signals,
        [*([f"{'uV':8}"] * len(CHANNELS)), f"{'':8}"],
        [f"{-1000:<8}"] * n_signals,
        [f"{1000:<8}"] * n_signals,
        [f"{-top - 1:<8}"] * n_signals,
        [f"{top:<8}"] * n_signals,
        [f"{'':80}"] * n_signals,
        [*([f"{EEG_RATE:<8}"] * len(CHANNELS)), f"{note_samples:<8}"],
        [f"{'':32}"] * n_signals,
    ]
    header = (fixed + "".join("".join(texts) for texts in of_each)).encode("latin-1")
    digital = np.clip(np.round(signal / 1000 * top), -top - 1, top).astype("<i4")
    records = []
    for second in range(EEG_SECONDS):
        part = digital[:, second * EEG_RATE : (second + 1) * EEG_RATE]
        samples = np.ascontiguousarray(part).view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
        note = f"+{second}\x14\x14\0"
        if second in ONSETS:
            note += f"+{second}\x150.5\x14{'AB'[second % 2]}\x14\0"
        records.append(samples + note.encode().ljust(note_samples * width, b"\0"))
    return header + b"".join(records)


def _write_brainvision(base: Path, signal: np.ndarray) -> None:
    channels = "".join(f"Ch{i}={name},,0.1,µV\n" for i, name in enumerate(CHANNELS, start=1))
    (base / "eeg.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=eeg.eeg\nMarkerFile=eeg.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(CHANNELS)}\nSamplingInterval={1e6 / EEG_RATE:g}\n\n"
        f"[Binary Infos]\nBinaryFormat=INT_16\n\n[Channel Infos]\n{channels}"
    )
    markers = "".join(
        f"Mk{i}=Comment,{'AB'[second % 2]},{second * EEG_RATE + 1},1,0\n"
        for i, second in enumerate(ONSETS, start=2)
    )
    (base / "eeg.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile=eeg.eeg\n\n[Marker Infos]\nMk1=New Segment,,1,1,0,20200101000000000000\n{markers}"
    )
    (base / "eeg.eeg").write_bytes(np.round(signal.T * 10).astype("<i2").tobytes())


def _write_csv(base: Path, signal: np.ndarray) -> None:
    """As muse-lsl does, with a column of markers."""
    rows = [
        f"{1.5e9 + i / EEG_RATE:.3f},{','.join(f'{value:.3f}' for value in values)},{_marker(i)}"
        for i, values in enumerate(signal.T)
    ]
    (base / "eeg.csv").write_text("\n".join([f"timestamps,{','.join(CHANNELS)},Marker0", *rows, ""]))


def _marker(i: int) -> str:
    second, rest = divmod(i, EEG_RATE)
    return "AB"[second % 2] if not rest and second in ONSETS else "0"


def _write_xdf(base: Path, signal: np.ndarray) -> None:
    """A stream of EEG and one of markers, in chunks of half a second."""
    named = "".join(f"<channel><label>{name}</label><unit>microvolts</unit></channel>" for name in CHANNELS)
    streams = (("EEG", len(CHANNELS), EEG_RATE, "float32", named), ("Markers", 1, 0, "string", ""))
    parts = []
    for number, (kind, n_chans, rate, form, channels) in enumerate(streams, start=1):
        facts = (
            f"<info><name>a</name><type>{kind}</type><channel_count>{n_chans}</channel_count>"
            f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format>"
            f"<desc><channels>{channels}</channels></desc></info>"
        )
        parts.append((2, struct.pack("<I", number) + facts.encode()))
    step = EEG_RATE // 2
    for first in range(0, signal.shape[1], step):
        samples = [(100 + i / EEG_RATE, signal[:, i]) for i in range(first, first + step)]
        content = b"".join(
            struct.pack("<Bd", 8, at) + values.astype("<f4").tobytes() for at, values in samples
        )
        parts.append((3, struct.pack("<IBI", 1, 4, step) + content))
    for second in ONSETS:
        marker = struct.pack("<BdBB", 8, 100 + second, 1, 1) + b"AB"[second % 2 : second % 2 + 1]
        parts.append((3, struct.pack("<IBB", 2, 1, 1) + marker))
    chunks = [struct.pack("<BIH", 4, len(content) + 2, tag) + content for tag, content in parts]
    (base / "eeg.xdf").write_bytes(b"XDF:" + b"".join(chunks))


def _write_mne(base: Path, signal: np.ndarray) -> None:
    import mne

    info = mne.create_info([*CHANNELS], EEG_RATE, "eeg")
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations([*ONSETS], 0.5, ["AB"[second % 2] for second in ONSETS]))
    for ending in ("fif", "fif.gz"):
        raw.save(base / f"eeg_raw.{ending}", buffer_size_sec=1, verbose="ERROR")


def _write_eeglab(base: Path, signal: np.ndarray) -> None:
    import scipy.io

    places = [{"labels": name, "type": "EEG", "theta": 0.0, "radius": 0.5, "X": 1.0, "Y": 0.0, "Z": 0.0}
              for name in CHANNELS]  # fmt: skip
    events = [{"type": "AB"[s % 2], "latency": float(s * EEG_RATE + 1), "duration": 100.0} for s in ONSETS]
    content = {
        "setname": "made up", "nbchan": float(len(CHANNELS)), "trials": 1.0, "pnts": float(signal.shape[1]),
        "srate": float(EEG_RATE), "xmin": 0.0, "xmax": (signal.shape[1] - 1) / EEG_RATE,
        "data": signal.astype(np.float32), "icawinv": np.empty((0, 0)), "icasphere": np.empty((0, 0)),
        "icaweights": np.empty((0, 0)), "icaact": np.empty((0, 0)), "ref": "common",
        "chanlocs": np.array([tuple(p.values()) for p in places], dtype=[(k, object) for k in places[0]]),
        "event": np.array([tuple(e.values()) for e in events], dtype=[(k, object) for k in events[0]]),
        "epoch": np.empty((0, 0)),
    }  # fmt: skip
    for name, is_packed in (("plain", False), ("packed", True)):
        scipy.io.savemat(base / f"{name}.set", {"EEG": content}, appendmat=False, do_compression=is_packed)


def _write_eav(base: Path) -> None:
    """A subject's array and labels as the EAV set has them, in each of MATLAB's formats."""
    import h5py
    import scipy.io

    from eavctl.datasets.eav import N_KINDS

    array = np.random.default_rng(0).normal(scale=200, size=EAV_SHAPE).astype(np.int16)
    labels = np.eye(N_KINDS)[:, [n % 4 for n in range(EAV_SHAPE[2])]]
    for version in ("5", "5z", "73"):
        folder = base / f"mat{version}/subject1/EEG"
        folder.mkdir(parents=True)
        for name, key, value in (("eeg", "seg", array), ("eeg_label", "label", labels)):
            path = folder / f"subject1_{name}.mat"
            if version != "73":
                scipy.io.savemat(path, {key: value}, do_compression=version == "5z")
                continue
            with h5py.File(path, "w", userblock_size=512) as file:
                packed = {"compression": "gzip", "chunks": value.T.shape} if name == "eeg" else {}
                file.create_dataset(key, data=value.T, **packed)
                file[key].attrs["MATLAB_class"] = np.bytes_("int16" if name == "eeg" else "double")
            with open(path, "r+b") as handle:
                text = b"MATLAB 7.3 MAT-file, made up".ljust(116) + bytes(8)
                handle.write(text + struct.pack("<H", 0x0200) + b"IM")


# --- manifests --------------------------------------------------------------------------------------------


def _write_manifests(base: Path) -> None:
    import pandas as pd

    rows = [
        {
            "audio_path": path.relative_to(base).as_posix(),
            "clip_id": path.stem,
            "subject": f"s{number % 3}",
            "label": path.parent.name,
            "start": str(0.25 * (number % 2)),
            "end": "1.5",
            "fold": str(number % 2),
        }
        for number, path in enumerate(sorted((base / "dataset").rglob("*.wav")))
    ]
    frame = pd.DataFrame(rows)
    frame.to_csv(base / "list.csv", index=False)
    frame.to_csv(base / "list.tsv", index=False, sep="\t")
    frame.to_parquet(base / "list.parquet", index=False)
