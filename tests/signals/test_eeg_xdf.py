"""EEG in XDF files, as LabRecorder writes them: compared with pyxdf, and with what was written."""

import gzip
import io
import struct
import warnings

import numpy as np
import pytest

from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.eeg import open_eeg
from tests.signals.made_streams import BOUNDARY, Stream, chunk, eeg, xdf

pyxdf = pytest.importorskip("pyxdf")

N, RATE, CLOCK = 2560, 256.0, 5000.0
LABELS = ("TP9", "AF7", "AF8", "TP10", "Right AUX")
CHANNELS = [{"label": label, "unit": "microvolts", "type": "EEG"} for label in LABELS]


def headband(signal=None, **facts):
    signal = eeg(5, 10) if signal is None else signal
    times = CLOCK + np.arange(signal.shape[1]) / RATE
    return Stream("Muse", "EEG", signal.T, times, RATE, **{"channels": CHANNELS, **facts})


def markers(*pairs, name="Markers", kind="Markers", **facts):
    stamps = np.array([stamp for stamp, _ in pairs])
    return Stream(name, kind, [[text] for _, text in pairs], stamps, form="string", **facts)


def opened(path, content=None):
    """The file, its samples, and what is said of it."""
    if content is not None:
        path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with open_eeg(path) as file:
            return file, file.read(), " ".join(str(each.message) for each in caught)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.xdf"


def test_the_writer_of_these_tests_writes_what_pyxdf_reads():
    stream, events = headband(offsets=[(CLOCK, 2.0), (CLOCK + 5, 2.0)]), markers((CLOCK + 1, "go"))
    (found, marked), header = pyxdf.load_xdf(io.BytesIO(xdf(stream, events)), dejitter_timestamps=False)
    assert header["info"]["version"] == ["1.0"]
    assert np.array_equal(found["time_series"], stream.values.astype(np.float32))
    assert np.allclose(found["time_stamps"], stream.stamps + 2)
    assert marked["time_series"] == [["go"]]


def test_a_headband(path):
    signal = eeg(5, 10)
    file, found, said = opened(path, xdf(headband(signal)))
    assert (file.ch_names, file.sfreq, file.duration) == (LABELS[:4], RATE, 10.0)
    assert (file.events, file.gaps) == ((), ())
    assert np.array_equal(found, signal[:4].astype(np.float32))
    assert "Right AUX" in said


@pytest.mark.parametrize("form", ["float32", "double64", "int16", "int32"])
def test_forms_of_numbers(path, form):
    signal = np.round(eeg(5, 4))
    _, found, _ = opened(path, xdf(headband(signal, form=form)))
    assert np.array_equal(found, signal[:4])


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("microvolts", 1),
        ("uV", 1),
        ("volts", 1e6),
        ("V", 1e6),
        ("millivolts", 1e3),
        ("nanovolts", 1e-3),
        ("", 1),
    ],
)
def test_units_of_the_description(path, unit, scale):
    signal = eeg(5, 4)
    stream = headband(signal, form="double64", channels=[{**each, "unit": unit} for each in CHANNELS])
    path.write_bytes(xdf(stream))
    with open_eeg(path) as file:
        assert np.allclose(file.read_raw(), signal[:4] * scale)


def test_an_unknown_unit_is_told(path):
    *_, said = opened(path, xdf(headband(channels=[{**each, "unit": "counts"} for each in CHANNELS])))
    assert "counts" in said


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        ([{"label": "CZ"}, {"label": "EOG"}, {"label": "ACC", "type": "ACC"}], ("Cz",)),
        (
            [{"label": "left"}, {"label": "right", "type": "EEG"}, {"label": "x", "type": "AUX"}],
            ("left", "right"),
        ),
        ([{"label": "Cz"}, {"label": "Cz"}, {"label": "Fz"}], ("Cz-0", "Cz-1", "Fz")),
        ([], ("EEG 001", "EEG 002", "EEG 003")),
        ([{"label": "Cz"}], ("EEG 001", "EEG 002", "EEG 003")),  # not as many as channels
        ([{}, {"label": ""}, {"other": "x"}], ("EEG 001", "EEG 002", "EEG 003")),
    ],
)
def test_channels_by_the_description(path, channels, names):
    file, found, _ = opened(path, xdf(headband(eeg(3, 4), channels=channels)))
    assert file.ch_names == names
    assert len(found) == len(names)


def test_markers_of_other_clocks_are_events(path):
    """The headband's clock is 700 s behind the recorder's, and the markers' 50 s before it."""
    stream = headband(offsets=[(CLOCK + i, 700.0) for i in range(0, 10, 2)])
    offsets = [(5750.0 + i, -50.0) for i in range(0, 10, 2)]
    texts = markers((5750.0 + 2, "left"), (5750.0 + 9, "right"), (5750.0 - 3, "early"), offsets=offsets)
    numbers = Stream("Trigger", "Markers", np.array([[7], [0]]), np.array([5704.5, 5705]), form="int32")
    empty = markers(name="Nothing")
    file, _, said = opened(path, xdf(numbers, stream, texts, empty))
    assert [event.name for event in file.events] == ["left", "7", "right"]
    assert np.allclose([event.onset for event in file.events], [2.0, 4.5, 9.0], atol=2e-3)
    assert "markers outside" in said


def test_jitter_is_ignored_and_gaps_are_counted(path):
    signal = eeg(5, 20)
    is_kept = np.ones(signal.shape[1], bool)
    is_kept[1280:1664] = False
    times = (
        CLOCK + np.arange(signal.shape[1]) / RATE + np.random.default_rng(0).normal(0, 1e-3, signal.shape[1])
    )
    stream = Stream("Muse", "EEG", signal.T[is_kept], times[is_kept], RATE, channels=CHANNELS)
    file, found, said = opened(path, xdf(stream, markers((CLOCK + 15, "go"))))
    assert file.sfreq == RATE
    assert np.allclose(file.gaps, [(5.0, 6.5)], atol=0.01)
    assert "1 gap" in said
    assert file.events[0].onset == pytest.approx(15, abs=0.01)
    assert np.array_equal(found[:, 1700:], signal[:4, 1700:].astype(np.float32))


def test_stamps_that_are_left_out_follow_from_the_rate(path):
    stream = headband()
    rows = [stream.sample(i, has_stamp=not i % 50) for i in range(N)]
    header = chunk(2, struct.pack("<I", 1) + stream.header)
    content = (
        b"XDF:" + header + chunk(3, struct.pack("<I", 1) + b"\x04" + struct.pack("<I", N) + b"".join(rows))
    )
    file, found, _ = opened(path, content)
    assert (file.sfreq, file.gaps) == (RATE, ())
    assert np.array_equal(found, eeg(5, 10)[:4].astype(np.float32))


def test_a_stated_rate_that_the_stamps_contradict(path):
    stream = headband()
    stream.rate = 500.0
    assert opened(path, xdf(stream))[0].sfreq == RATE


# --- packed, cut off, damaged


@pytest.mark.parametrize("ending", ["xdfz", "xdf.gz"])
def test_packed(tmp_path, ending):
    content = gzip.compress(xdf(headband()))
    assert opened(tmp_path / f"a.{ending}", content)[0].duration == 10
    file, _, said = opened(tmp_path / f"b.{ending}", content[: len(content) // 2])
    assert 4 < file.duration < 6
    assert "missing" in said


def test_a_file_that_was_cut_off_is_used_up_to_there(path):
    whole = xdf(headband(), markers((CLOCK + 1, "go")))
    file, found, said = opened(path, whole[: len(whole) * 2 // 3])
    assert 5 < file.duration < 8
    assert "missing" in said
    assert np.array_equal(found, eeg(5, 10)[:4, : found.shape[1]].astype(np.float32))


def test_a_recorder_that_was_stopped_leaves_no_footers(path):
    assert opened(path, xdf(headband(), has_footers=False))[0].duration == 10


def test_a_second_reading_gives_the_same(path):
    path.write_bytes(xdf(headband()))
    with open_eeg(path) as file:
        assert np.array_equal(file.read(), file.read())


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([], "no streams"),
        ([markers((1.0, "a"))], "no stream of type EEG.*Markers"),
        ([headband(np.zeros((5, 0)))], "no stream of type EEG has samples"),
        ([headband(), headband()], "several.*Muse"),
        ([headband(channels=[{"label": "ECG"}] * 5)], "no EEG channels"),
        ([headband(eeg(5, 0.01))], "only 3"),
    ],
)
def test_files_without_one_recording_say_what_they_hold(path, streams, message):
    with pytest.raises(SignalError, match=message):
        opened(path, xdf(*streams))


def test_a_stream_without_samples_beside_the_one_that_has_some(path):
    assert opened(path, xdf(headband(np.zeros((5, 0))), headband()))[0].duration == 10


def _claiming(n_samples):
    stream = headband()
    count = b"\x08" + struct.pack("<Q", n_samples)
    return (
        b"XDF:"
        + chunk(2, struct.pack("<I", 1) + stream.header)
        + chunk(3, struct.pack("<I", 1) + count + b"\0" * 64)
    )


@pytest.mark.parametrize(
    "content",
    [
        b"XDF:",
        b"XDF",
        b"EDF:" * 100,
        np.random.default_rng(0).bytes(5000),
        b"XDF:" + np.random.default_rng(1).bytes(5000),
        b"XDF:" + b"\x08" + b"\xff" * 8 + b"\3\0",
        b"XDF:" + chunk(2, struct.pack("<I", 1) + b"<info>"),
        b"XDF:" + chunk(2, struct.pack("<I", 1) + b"<info><channel_count>9999999</channel_count></info>"),
        b"XDF:" + chunk(3, struct.pack("<I", 5) + b"\1\1\0abcd"),
        b"XDF:" + chunk(5, BOUNDARY) * 50,
        _claiming(2**62),
        _claiming(2**20),
        gzip.compress(b"no"),
    ],
)
def test_hostile_files_are_errors_of_one_line(path, content):
    with pytest.raises(SignalError) as caught:
        opened(path, content)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_random_bytes_and_cuts_raise_nothing_but_errors_of_signals(path):
    whole = xdf(headband(eeg(5, 2)), markers((CLOCK + 1, "go")), n_together=8)
    generator = np.random.default_rng(5)
    for _ in range(150):
        content = bytearray(whole)
        for at in generator.integers(0, len(whole) if generator.random() < 0.5 else 900, 3):
            content[at] = generator.integers(0, 256)
        path.write_bytes(content[: generator.integers(1, len(whole) + 1)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)
                with open_eeg(path) as file:
                    assert np.isfinite(file.read_raw()).all()
        except SignalError:
            pass


def test_without_pyxdf_the_error_names_it(path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyxdf", None)
    path.write_bytes(xdf(headband()))
    with pytest.raises(ModuleNotFoundError, match="pyxdf"), open_eeg(path):
        pass
