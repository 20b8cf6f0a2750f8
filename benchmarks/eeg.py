"""EEG of an EAV subject, from MATLAB file to segments, compared with a script of loadmat and sosfiltfilt."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from benchmarks.measure import RUNS, Result, Taken, command_once, commands
from eavctl.features.covariances import matrices_of
from eavctl.signals.matlab import open_mat
from eavctl.storage import tables
from eavctl.synthetic.twin import synth_eav

REFERENCE = Path(__file__).with_name("reference_eeg.py")
BESIDE = "loadmat, then sosfiltfilt and resample_poly on each requested trial"
COV_REFERENCE = Path(__file__).with_name("reference_eeg_cov.py")
COV_BESIDE = "loadmat, then resample_poly, sosfiltfilt in five bands and pyriemann's OAS, trial by trial"
TRIALS, PACKED_TRIALS, FEWEST_TRIALS = 200, 40, 10  # compression is slow
FEWER_RUNS = 3
NEAR = 1e-6  # of the largest value; both results are float32
ALIKE = 0.95  # correlation of log variances: their bands have slopes, and ours have none
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def measure(small: bool = False) -> list[Result]:
    """The synthetic array in the published format, and one of fewer trials, compressed and as HDF5."""
    with tempfile.TemporaryDirectory() as made:
        subject = _made_up(Path(made) / "whole", FEWEST_TRIALS if small else TRIALS)
        whole = [_result(subject, "EEG of one EAV subject to segments", 1, 1 if small else RUNS)]
        if not small:
            whole.append(_result(subject, "the same, --jobs 2", 2, FEWER_RUNS))
        whole.append(_covariances(subject, 1 if small else RUNS))
        fewer = _made_up(Path(made) / "fewer", FEWEST_TRIALS if small else PACKED_TRIALS)
        packed = []
        for what, save in (("compressed (-v7)", _save_packed), ("HDF5 (-v7.3)", _save_hdf5)):
            save(fewer)
            packed.append(_result(fewer, f"a fifth of it, {what}", 1, 1 if small else FEWER_RUNS))
    return [*whole, *packed]


def _made_up(folder: Path, trials: int) -> Path:
    synth_eav(folder, subjects=1, trials=trials, modalities=("eeg",))
    return folder / "subject1"


def _result(subject: Path, what: str, jobs: int, runs: int) -> Result:
    """Measure both implementations, after checking that their segments are equal.

    Raises
    ------
    AssertionError : they are not.
    """
    found, expected, taken = _both(subject, "eeg-epochs", REFERENCE, jobs, runs)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    apart = float(np.abs(found - expected).max() / np.abs(expected).max())
    assert apart < NEAR, apart
    return Result(what, BESIDE, *taken, note=f"the same within {apart:.0e} of the largest value")


def _covariances(subject: Path, runs: int) -> Result:
    """Measure covariances in bands, after checking that the variances of both implementations are alike.

    Raises
    ------
    AssertionError : they are not.
    """
    x, theirs, taken = _both(subject, "eeg-cov", COV_REFERENCE, 1, runs)
    ours = matrices_of(x, theirs.shape[1])
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    variances = [np.log(each.diagonal(axis1=2, axis2=3)).ravel() for each in (ours, theirs)]
    alike = float(np.corrcoef(variances)[0, 1])
    assert alike > ALIKE, alike
    what = "EEG of one EAV subject to covariances in five bands"
    return Result(what, COV_BESIDE, *taken, note=f"log variances correlate at {alike:.3f}")


def _both(
    subject: Path, features: str, reference: Path, jobs: int, runs: int
) -> tuple[np.ndarray, np.ndarray, tuple[Taken, Taken]]:
    """Features of the command and of the reference, and what each took."""
    ours, theirs = subject.with_name("ours.parquet"), subject.with_name("theirs.npy")
    eeg, labels = _file(subject, "eeg"), _file(subject, "eeg_label")
    extract = ["python", "-m", "eavctl", "extract", str(subject), "-o", str(ours), "--force", "-j", str(jobs)]
    extract += ["--features", features, "--segment", "5", "--where", "task=speaking"]
    script = ["python", str(reference), str(eeg), str(labels), str(theirs)]
    if runs > 1:
        taken = commands(extract, script, runs, environment=ONE_THREAD)
    else:
        taken = command_once(extract, ONE_THREAD), command_once(script, ONE_THREAD)
    return tables.read_features(ours).x, np.load(theirs), taken


def _file(subject: Path, what: str) -> Path:
    return subject / "EEG" / f"{subject.name}_{what}.mat"


def _array(subject: Path) -> tuple[str, np.ndarray]:
    """Name and values of the EEG array, time x channel x trial."""
    with open_mat(_file(subject, "eeg")) as file:
        (name,) = file.names
        return name, np.stack(list(file.slabs(name)), axis=-1)


def _save_packed(subject: Path) -> None:
    name, array = _array(subject)
    scipy.io.savemat(_file(subject, "eeg"), {name: array}, do_compression=True)


def _save_hdf5(subject: Path) -> None:
    name, array = _array(subject)
    with h5py.File(_file(subject, "eeg"), "w") as file:
        file.create_dataset(name, data=array.T, chunks=(1, *array.T.shape[1:]), compression="gzip")
