"""EEG in tables of text: the forms of programs, units, stamps, markers, gaps, and what is no recording."""

import warnings

import numpy as np
import pytest

from eavctl.datasets.column_names import is_recording, is_table
from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_columns import columns_by_name
from eavctl.signals.eeg_file import Dropouts
from tests.signals.made_streams import FIRST, eeg, stamps_of, write_csv

LEAP = np.datetime64("2024-02-29T23:59:58")
MUSE = ("TP9", "AF7", "AF8", "TP10")


def opened(path):
    """The file, its samples, and what is said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with open_eeg(path) as file:
            return file, file.read(), " ".join(str(each.message) for each in caught)


def lines(path, header, rows, separator=","):
    text = [header, *(separator.join(map(str, row)) for row in rows), ""]
    path.write_text("\n".join(text), encoding="utf-8")
    return path


# --- the forms of programs


def test_muse_lsl(tmp_path):
    signal = eeg(5, 10)
    file, found, said = opened(write_csv(tmp_path / "a.csv", signal))
    assert (file.ch_names, file.sfreq, file.duration) == (MUSE, 256.0, 10.0)
    assert (file.events, file.gaps, file.n_trials) == ((), (), None)
    assert np.array_equal(found, signal[:4])
    assert "Right AUX" in said


def test_muse_lsl_with_an_index_and_the_stamps_last(tmp_path):
    signal = eeg(4, 4)
    rows = [(i, *signal[:, i], stamp) for i, stamp in enumerate(stamps_of(1024))]
    file, found, _ = opened(lines(tmp_path / "a.csv", ",TP9,AF7,AF8,TP10,timestamps", rows))
    assert file.ch_names == MUSE
    assert np.array_equal(found, signal)


def test_mind_monitor(tmp_path):
    """Dates, values about 800 microvolt, other columns, and rows of events without samples."""
    n, signal = 2560, 800 + eeg(4, 10)
    start = np.datetime64("2025-07-01T14:56:05.422")
    rows = []
    for i in range(n):
        stamp = str(start + np.timedelta64(round(i / 256 * 1000), "ms")).replace("T", " ")
        if i == 1280:
            rows.append((stamp, "", "", "", "", "", "", "", "/muse/elements/blink"))
        rows.append((stamp, 0.5, *signal[:, i], 845.7, 1.0, ""))
    header = "TimeStamp,Delta_TP9,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,AUX_RIGHT,HSI_TP9,Elements"
    file, found, said = opened(lines(tmp_path / "a.csv", header, rows))
    assert (file.ch_names, file.sfreq, file.gaps) == (MUSE, 256.0, ())
    assert np.array_equal(found, signal)
    assert all(name in said for name in ("Delta_TP9", "AUX_RIGHT", "HSI_TP9"))
    assert [(event.name, event.onset) for event in file.events] == [("/muse/elements/blink", 5.0)]


@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_openbci(tmp_path, ending):
    """Comments, spaces after separators, columns of one name, and stamps of whole packets."""
    n, signal = 2500, eeg(2, 10, 250)
    stamps = 1.7e9 + np.arange(n) // 10 * 0.04
    rows = [
        (
            f"{i % 256}.0",
            signal[0, i],
            signal[1, i],
            0.1,
            0,
            0,
            f"{stamps[i]:.6f}",
            "2.0" if i == 500 else "0.0",
            "x",
        )
        for i in range(n)
    ]
    names = "Sample Index, EXG Channel 0, EXG Channel 1, Accel Channel 0, Other, Other, Timestamp, "
    header = (
        "%OpenBCI Raw EXG Data\n%Number of channels = 2\n%Sample Rate = 250 Hz\n"
        f"{names}Marker Channel, Timestamp (Formatted)"
    )
    path = lines(tmp_path / f"OpenBCI-RAW.{ending}", header, rows, ", ")
    file, found, _ = opened(path)
    assert (file.ch_names, file.sfreq, file.gaps) == (("EXG Channel 0", "EXG Channel 1"), 250.0, ())
    assert np.array_equal(found, signal)
    assert [(event.name, event.onset) for event in file.events] == [("2", 2.0)]
    assert is_recording(path)
    assert not is_table(path)


def test_emotiv(tmp_path):
    signal = eeg(2, 8, 128)
    rows = [(f"{1.6e9 + i / 128:.6f}", i % 128, *signal[:, i], 4) for i in range(1024)]
    header = "title:x,start timestamp:1600000000\nTimestamp,EEG.Counter,EEG.AF3,EEG.T7,CQ.AF3"
    file, found, said = opened(lines(tmp_path / "a.csv", header, rows))
    assert (file.ch_names, file.sfreq) == (("AF3", "T7"), 128.0)
    assert np.array_equal(found, signal)
    assert all(name in said for name in ("EEG.Counter", "CQ.AF3"))


@pytest.mark.parametrize(("separator", "comma"), [(";", True), (";", False), ("\t", True), ("\t", False)])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_separators_decimal_commas_and_encodings(tmp_path, separator, comma, codec):
    signal = eeg(2, 4)
    text = "\r\n".join(
        [separator.join(("Zeit für alle", "time", "Fz [µV]", "cz")), *(
            separator.join(("é", f"{i / 256:.6f}", *map(str, signal[:, i]))) for i in range(1024)
        ), ""]
    )  # fmt: skip
    (tmp_path / "a.tsv").write_bytes((text.replace(".", ",") if comma else text).encode(codec))
    file, found, _ = opened(tmp_path / "a.tsv")
    assert (file.ch_names, file.sfreq) == (("Fz", "Cz"), 256.0)
    assert np.array_equal(found, signal)


# --- units and stamps


@pytest.mark.parametrize(("unit", "scale"), [("V", 1e6), ("mV", 1e3), ("uV", 1), ("nV", 1e-3), ("bits", 1)])
def test_a_unit_in_the_name_of_a_channel(tmp_path, unit, scale):
    signal = eeg(2, 4)
    path = write_csv(tmp_path / "a.csv", signal, (f"Fz ({unit})", f"Cz ({unit})"))
    with open_eeg(path) as file:
        assert file.ch_names == ("Fz", "Cz")
        assert np.allclose(file.read_raw(), signal * scale)


def test_values_in_volt_without_a_unit_are_refused(tmp_path):
    signal = eeg(2, 4) * 1e-6
    rows = [(i / 256, *signal[:, i]) for i in range(1024)]
    with pytest.raises(SignalError, match="volt"):
        opened(lines(tmp_path / "a.csv", "time,Fz,Cz", rows))


@pytest.mark.parametrize(
    "stamp",
    [
        lambda i: f"{i / 256:.6f}",
        lambda i: f"{i / 256 * 1e3:.3f}",
        lambda i: f"{i / 256 * 1e6:.0f}",
        lambda i: f"{(1.7e9 + i / 256) * 1e3:.0f}",
        lambda i: f"{(1.7e9 + i / 256) * 1e6:.0f}",
        lambda i: f"{round(1.7e9 * 1e9) + round(i / 256 * 1e9)}",
        lambda i: f"{1.7e9 + i / 256:.3f}",
        lambda i: f"{1.7e9 + i / 256:.14e}",
        lambda i: f"{123456.7 + i / 256:.5f}",  # the clock of LSL
        lambda i: f"{-3 + i / 256:.5f}",
        lambda i: str(LEAP + np.timedelta64(round(i / 256 * 1e6), "us")),
        lambda i: str(LEAP + np.timedelta64(round(i / 256 * 1e3), "ms")) + "Z",
        lambda i: f"14:{56 + i // 15360:02d}:{i // 256 % 60:02d}.{round(i % 256 / 256 * 1000):03d}",
    ],
)  # fmt: skip
def test_stamps_in_any_unit_and_dates(tmp_path, stamp):
    signal = eeg(1, 8)
    rows = [(stamp(i), signal[0, i]) for i in range(2048)]
    file, found, _ = opened(lines(tmp_path / "a.csv", "Time,Cz", rows))
    assert (file.sfreq, file.gaps) == (256.0, ())
    assert np.array_equal(found, signal)


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        (lambda i: "7.5", "advance"),
        (lambda i: i, "count samples"),
        (lambda i: 1.7e9 + i, "no sampling rate"),
        (lambda i: i % 600 / 100, "back"),
        (lambda i: f"monday {i}", "monday"),
        (lambda i: f"2024-01-01 10:{i // 60 % 60:02d}:{i % 60:02d}", "1 samples a second"),
        (lambda i: "", "only 0|no samples|advance"),
        (lambda i: "nan", "only 0"),
        (lambda i: "1e400", "only 0"),
        (lambda i: f"{i}e300", "no sampling rate"),
        (lambda i: i / 256 + 1e30 * (i == 500), "span"),
        (lambda i: i / 256 - 1e300 * (i > 500), "span|advance"),
    ],
)
def test_stamps_that_give_no_rate_are_refused(tmp_path, stamp, message):
    rows = [(stamp(i), i % 7) for i in range(900)]
    with pytest.raises(SignalError, match=message):
        opened(lines(tmp_path / "a.csv", "time,Cz", rows))


def test_milliseconds_are_taken_where_the_name_says_so(tmp_path):
    signal = eeg(1, 2, 1000)
    rows = [(i, signal[0, i]) for i in range(2000)]
    file, found, _ = opened(lines(tmp_path / "a.csv", "time (ms),Cz", rows))
    assert file.sfreq == 1000
    assert np.array_equal(found, signal)


# --- gaps, missing values, markers


def test_gaps_are_counted_and_segments_with_one_rejected(tmp_path):
    signal = eeg(5, 30)
    lost = ((1000, 1100), (5000, 5256))
    file, found, said = opened(write_csv(tmp_path / "a.csv", signal, lost=lost))
    assert file.gaps == tuple((first / 256, end / 256) for first, end in lost)
    assert "2 gaps" in said
    assert "1.39 s" in said
    assert file.duration == 30
    is_there = np.ones(signal.shape[1], bool)
    for first, end in lost:
        is_there[first:end] = False
    assert np.array_equal(found[:, is_there], signal[:4, is_there])
    assert np.isfinite(found).all()
    dropouts = Dropouts.of(found, file.sfreq, file.ch_names, file.gaps)
    for start in (0, 15, 20):
        with pytest.raises(SignalError, match="missing"):
            dropouts.check(start, start + 5)
    for start in (5, 10, 25):
        dropouts.check(start, start + 5)
    dropouts.check(1100 / 256, 5000 / 256)  # from the end of one gap to the next


def test_a_long_pause_makes_no_channel_flat(tmp_path):
    signal = eeg(4, 60)
    file, found, said = opened(write_csv(tmp_path / "a.csv", signal, MUSE, lost=[(2560, 12800)]))
    assert file.gaps == ((10.0, 50.0),)
    assert "flat" not in said
    assert np.array_equal(found[:, 12800:], signal[:, 12800:])
    signal[2] = 7
    with pytest.raises(SignalError, match=r"bad channels AF8 \(flat\)"):
        opened(write_csv(tmp_path / "b.csv", signal, MUSE, lost=[(2560, 12800)]))


def test_rows_without_a_number_are_missing_samples(tmp_path):
    signal = eeg(2, 10)
    rows = [(f"{i / 256:.6f}", signal[0, i], "" if 512 <= i < 576 else signal[1, i]) for i in range(2560)]
    file, found, _ = opened(lines(tmp_path / "a.csv", "time,Fz,Cz", rows))
    assert file.gaps == ((2.0, 2.25),)
    assert np.array_equal(found[:, 576:], signal[:, 576:])


def test_a_channel_without_any_number_is_left_out(tmp_path):
    signal = eeg(2, 4)
    rows = [(f"{i / 256:.6f}", signal[0, i], "", signal[1, i]) for i in range(1024)]
    file, found, said = opened(lines(tmp_path / "a.csv", "time,Fz,Pz,Cz", rows))
    assert file.ch_names == ("Fz", "Cz")
    assert "Pz" in said
    assert np.array_equal(found, signal)
    with pytest.raises(SignalError, match="Pz"):
        opened(lines(tmp_path / "b.csv", "time,Pz", [(i / 256, "nan") for i in range(1024)]))


def test_a_last_line_that_was_cut_off(tmp_path):
    signal = eeg(5, 4)
    path = write_csv(tmp_path / "a.csv", signal)
    path.write_bytes(path.read_bytes()[:-30])
    file, found, said = opened(path)
    assert file.duration == 1023 / 256
    assert np.array_equal(found, signal[:4, :1023])
    assert "lines with another number of cells" in said


@pytest.mark.parametrize(("header", "end"), [("time,Fz,Cz,Marker", ""), ("time,Fz,Cz", ",")])
def test_rows_that_are_shorter_or_longer_than_the_header(tmp_path, header, end):
    signal = eeg(2, 4)
    rows = [(f"{i / 256:.6f}", signal[0, i], f"{signal[1, i]}{end}") for i in range(1024)]
    file, found, _ = opened(lines(tmp_path / "a.csv", header, rows))
    assert np.array_equal(found, signal)
    assert file.events == ()


def test_channels_of_one_name_are_numbered(tmp_path):
    signal = eeg(3, 4)
    file, found, said = opened(write_csv(tmp_path / "a.csv", signal, ("Cz", "Fz", "Cz")))
    assert file.ch_names == ("Cz-0", "Fz", "Cz-1")
    assert "Cz" in said
    assert np.array_equal(found, signal)


def test_markers_are_events_where_they_change(tmp_path):
    signal = eeg(1, 8)
    held = [("", "go", "0", "left hand")[i // 512] for i in range(2048)]
    single = ["1.0" if i in (100, 700) else "0" for i in range(2048)]
    rows = [(f"{i / 256:.6f}", signal[0, i], single[i], held[i]) for i in range(2048)]
    file, *_ = opened(lines(tmp_path / "a.csv", "time,Cz,Marker0,stimulus", rows))
    assert [(event.onset, event.duration, event.name) for event in file.events] == [
        (100 / 256, 0.0, "1"),
        (2.0, 2.0, "go"),
        (700 / 256, 0.0, "1"),
        (6.0, 2.0, "left hand"),
    ]


def test_a_column_that_changes_all_the_time_holds_no_markers(tmp_path):
    signal = eeg(2, 400)
    rows = [(f"{i / 256:.6f}", *signal[:, i]) for i in range(signal.shape[1])]
    file, found, said = opened(lines(tmp_path / "a.csv", "time,Cz,stimulus", rows))
    assert file.events == ()
    assert "stimulus" in said
    assert np.array_equal(found, signal[:1])


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_ends_of_lines(tmp_path, end):
    signal = eeg(2, 4)
    path = write_csv(tmp_path / "a.csv", signal, ("Fz", "Cz"))
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    assert np.array_equal(opened(path)[1], signal)


def test_a_second_reading_gives_the_same(tmp_path):
    with open_eeg(write_csv(tmp_path / "a.csv", eeg(2, 4), ("Fz", "Cz"))) as file:
        assert np.array_equal(file.read(), file.read())
        assert np.array_equal(file.read(channels=["Cz"])[0], file.read_raw()[1])


# --- names, and files that are no recordings


@pytest.mark.parametrize(
    ("header", "channels"),
    [
        ("t,Fp1,FPZ,cz,T3,A1,M2,POz,AFF5h", ("Fp1", "Fpz", "Cz", "T3", "A1", "M2", "POz", "AFF5h")),
        ("time,EEG 1,EEG_2,ch03,Channel 4,EEGfoo", ("EEG 1", "EEG_2", "ch03", "Channel 4")),
        ("Timestamp,RAW_TP9,TP9", ("RAW_TP9", "TP9")),
        ("LSL timestamp,ECG,EOG1,Fz,Alpha_Fz,POW.Fz.Theta,ACC_X,PPG1,Battery", ("Fz",)),
    ],
)
def test_channels_are_found_by_their_names(header, channels):
    assert columns_by_name(header.split(",")).names == channels


@pytest.mark.parametrize(
    "header", ["time,price", "subject,label,Cz", "path,label", "T1,T2", "", "TP9,AF7", "timestamps"]
)
def test_other_headers_are_none_of_recordings(tmp_path, header):
    path = lines(tmp_path / "a.csv", header, [("1", "2")] * 20)
    assert not is_recording(path)
    assert is_table(path)
    with pytest.raises(SignalError, match="not a recording|samples"):
        opened(path)


def test_a_manifest_with_names_of_channels_is_a_manifest(tmp_path):
    path = lines(tmp_path / "a.csv", "path,time,C1,P3,label", [("x.wav", 1, 2, 3, "a")])
    assert is_table(path)
    assert not is_recording(path)


@pytest.mark.parametrize(
    "content",
    [
        b"timestamps,TP9\n",
        b"timestamps,TP9",
        b"timestamps,TP9\n1,2,3\n" * 40,
        b"timestamps,TP9\nx,y\n" * 3,
        b"timestamps,TP9\n1.0,abc\n2.0,def\n",
        b'timestamps,TP9\n"1,2\n' + b"3,4\n" * 100,
        b"timestamps,TP9\n" + b"1,2\0\n" * 100,
        b"timestamps,TP9\n" + b"\xff\xfe,\x80\n" * 100,
        b"\xff\xfet\0i\0m\0e\0,\0C\0z\0\n\0" + b"1\0,\0002",
        b"\0\1\2\3" * 1000,
        b",,,,\n" * 100,
        b"time,Cz\n" + b"9" * 100_000 + b",1\n",
        b"time,Cz\n" + b"".join(b"%d,1\n" % (i * 10**15) for i in range(100)),
        b"time,Cz\n" + b"".join(b"%f,%d\n" % (i / 256 + 1e9 * (i > 500), i % 9) for i in range(1000)),
    ],
)
def test_damaged_files_are_errors_of_one_line(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SignalError) as caught:
        opened(tmp_path / "a.csv")
    assert str(caught.value).startswith(str(tmp_path / "a.csv"))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


def test_random_bytes_and_cuts_raise_nothing_but_errors_of_signals(tmp_path):
    whole = write_csv(tmp_path / "a.csv", eeg(5, 2)).read_bytes()
    generator = np.random.default_rng(5)
    for _ in range(150):
        content = bytearray(whole)
        for at in generator.integers(0, len(whole) if generator.random() < 0.7 else 200, 4):
            content[at] = generator.integers(0, 256)
        (tmp_path / "b.csv").write_bytes(content[: generator.integers(1, len(whole) + 1)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)
                with open_eeg(tmp_path / "b.csv") as file:
                    assert np.isfinite(file.read()).all()
        except SignalError:
            pass


def test_the_first_stamp_is_the_start(tmp_path):
    """Only differences of stamps count, so that two recordings of different days are alike."""
    signal = eeg(1, 4)
    found = [
        opened(write_csv(tmp_path / "a.csv", signal, ("Cz",), stamps=stamps_of(1024, first=first)))[1]
        for first in (0.0, FIRST)
    ]
    assert np.array_equal(*found)
