"""Montages by name and from files of electrodes: the same head in any unit, axes and format."""

import mne
import numpy as np
import pytest

from eavctl.errors import RecordingWarning, SignalError, UsageError
from eavctl.signals.arrays import EegArray
from eavctl.signals.eeg import open_eeg
from eavctl.signals.eeg_montages import HEAD_M, check_montage, kept, mne_name, on_a_head, read_montage
from eavctl.signals.eeg_splines import interpolate

TURN = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # from nose at y to nose at x
BAD = ("C3", "Fp1", "O2")


def places(name="biosemi64"):
    found = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
    return {key: np.asarray(place) for key, place in found.items()}


@pytest.fixture(scope="module")
def recording(shared_data):
    with open_eeg(shared_data / "eeg" / "S001R03.edf") as file:
        return file.read()[:, :800], file.ch_names


def mended(recording, montage):
    signal, names = recording
    signal = signal.copy()
    interpolate(signal, names, BAD, BAD, montage)
    return signal[[names.index(name) for name in BAD]]


@pytest.mark.parametrize("scale", [1, 1e3, 0.3])
@pytest.mark.parametrize("turn", [np.eye(3), TURN])
@pytest.mark.parametrize("offset", [0.0, 0.03])
def test_unit_axes_and_origin_do_not_matter(recording, scale, turn, offset):
    moved = {name: ((place + offset) @ turn * scale).tolist() for name, place in places().items()}
    expected = mended(recording, "biosemi64")
    assert np.abs(mended(recording, moved) - expected).max() < 0.01 * expected.std()


def test_positions_lie_on_a_head_of_95_mm_and_stay_there():
    once = on_a_head({name: (1000 * place + 7).tolist() for name, place in places().items()})
    assert np.linalg.norm(list(once.values()), axis=1) == pytest.approx(HEAD_M, abs=1e-4)
    assert np.abs(np.array(list(once["Cz"])) - [0, 0, HEAD_M]).max() < 0.002
    again = on_a_head(once)
    assert np.abs(np.array(list(again.values())) - np.array(list(once.values()))).max() < 1e-4
    assert kept(once) == once == kept(kept(once))


def write(path, known):
    """A file of electrodes in the format of its ending; those of angles from their definitions."""
    rows = []
    for number, (name, (x, y, z)) in enumerate(known.items(), 1):
        radius = np.sqrt(x * x + y * y + z * z)
        polar, azimuth = np.degrees(np.arccos(z / radius)), np.degrees(np.arctan2(y, x))
        rows.append(
            {
                ".sfp": f"{name}\t{100 * x}\t{100 * y}\t{100 * z}",
                ".tsv": f"{name}\t{x}\t{y}\t{z}\tAgAgCl",
                ".csv": f"{name},{1000 * x},{1000 * y},{1000 * z}",
                # EEGLAB: degrees clockwise from the nose, and 0.5 at the equator
                ".loc": f"{number}\t{90 - azimuth}\t{polar / 180}\t{name}",
                ".elc": f"{1000 * x} {1000 * y} {1000 * z}",
            }[path.suffix]
        )
    head = {
        ".tsv": ["name\tx\ty\tz\tmaterial", "Ref\tn/a\tn/a\tn/a\tn/a"],
        ".csv": ["name,x,y,z"],
        ".elc": ["# ASA electrode file", "UnitPosition mm", f"NumberPositions= {len(rows)}", "Positions"],
    }.get(path.suffix, [])
    tail = ["Labels", *known] if path.suffix == ".elc" else []
    path.write_text("\n".join([*head, *rows, *tail, ""]))
    return path


@pytest.mark.parametrize("ending", [".sfp", ".tsv", ".csv", ".loc", ".elc"])
def test_files_of_every_format_give_the_same_interpolation(recording, tmp_path, ending):
    found = read_montage(write(tmp_path / f"cap{ending}", places()))
    assert found.keys() == places().keys()
    expected = mended(recording, "biosemi64")
    assert np.abs(mended(recording, found) - expected).max() < 0.02 * expected.std()
    assert kept(str(tmp_path / f"cap{ending}")) == found


def test_names_are_spelt_as_those_of_recordings(tmp_path):
    known = {name.upper() + ".": place for name, place in places("biosemi32").items()}
    assert read_montage(write(tmp_path / "cap.sfp", known)).keys() == places("biosemi32").keys()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cap.sfp", b""),
        ("cap.sfp", b"\xff\x00\x80" * 40),
        ("cap.sfp", b"Cz 0 0 1\nC3 -1 0 0\nC4 1 0 0\nFz 0 1 0\nPz 0 -1 0.1 3 3\n"),
        ("cap.sfp", b"Cz 0 0 1\nC3 -1 0 0\n"),
        ("cap.tsv", b"name\tx\ty\tz\nCz\t0\tzero\t1\n"),
        ("cap.tsv", b"name\tx\ty\tz\n" + b"".join(b"E%d\t%d\t%d\t0\n" % (i, i, i * i) for i in range(9))),
        ("cap.tsv", b"name\tx\ty\tz\n" + b"".join(b"E%d\tnan\tinf\t0\n" % i for i in range(9))),
        ("cap.tsv", b"label\tx\ty\tz\nCz\t0\t0\t1\n"),
        ("cap.csv", b"\x00" * 100),
        ("cap.elc", b"Positions\n1 2\n"),
        ("cap.loc", b"1 a b Cz\n"),
        ("cap.bvef", b"<xml>"),
        ("cap.txt", b"Cz 0\n"),
        ("cap.docx", b"PK"),
        ("cap", b"Cz 0 0 1"),
    ],
)
def test_files_that_are_none_of_electrodes_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SignalError, match=name.replace(".", r"\.")):
        read_montage(tmp_path / name)


@pytest.mark.parametrize("shape", ["point", "line", "plane", "cloud"])
def test_positions_that_are_on_no_head_are_refused(shape):
    rng = np.random.default_rng(0)
    spread = {"point": 0, "line": [1, 0, 0], "plane": [1, 1, 0], "cloud": 1}[shape]
    positions = rng.normal(size=(20, 3)) * spread
    if shape == "cloud":
        positions *= rng.exponential(size=(20, 1)) ** 2
    with pytest.raises(SignalError):
        on_a_head({f"E{i}": place.tolist() for i, place in enumerate(positions)})
    with pytest.raises(UsageError):
        check_montage({f"E{i}": place.tolist() for i, place in enumerate(positions)})


@pytest.mark.parametrize("name", ["standard_1020", "colin27_1020", "biosemi16", "GSN-HydroCel-64_1.0"])
def test_names_of_older_and_newer_versions_of_mne_are_known(name):
    check_montage(name)
    assert mne_name(name) in mne.channels.get_builtin_montages()
    assert kept(name) == name


def test_nearly_right_names_are_suggested():
    with pytest.raises(UsageError, match="biosemi64"):
        check_montage("biosemi-64")


def test_without_places_of_the_bad_channels_the_montage_is_named(recording):
    signal, names = recording
    few = {name: place.tolist() for name, place in places().items() if name != "C3"}
    with pytest.raises(SignalError, match="C3 is not a name of the montage"):
        mended((signal, names), few)
    file = EegArray("w", np.where(np.arange(64)[:, None] == names.index("C3"), 0.0, signal), 160.0, names)
    with pytest.warns(RecordingWarning, match="C3"):
        assert file.read(channels=["C3"]).std() > 1
