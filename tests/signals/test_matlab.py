"""MATLAB arrays: scipy and h5py as the yardstick, and files that lie."""

import struct
import subprocess
import sys
import textwrap
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from eavctl.errors import SignalError
from eavctl.signals.mat_file import SUSPECT_BYTES
from eavctl.signals.matlab import open_mat

NUMERIC = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
SHAPE = (6, 5, 4)


def numbers(dtype, shape=SHAPE):
    values = np.random.default_rng(3).normal(scale=30, size=shape)
    return np.abs(values).astype(dtype) if np.dtype(dtype).kind == "u" else values.astype(dtype)


def element(kind, content, order="<"):
    return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(name, dims, stored_kind, content, *, mat_class=6, flags=0, order="<"):
    """A variable by the format's own rules, with whatever dimensions and kinds are asked for."""
    head = element(6, struct.pack(f"{order}II", mat_class | flags, 0), order)
    head += element(5, struct.pack(f"{order}{len(dims)}i", *dims), order)
    head += element(1, name.encode(), order)
    return element(14, head + element(stored_kind, content, order), order)


def mat_file(path, *variables, order="<"):
    mark = struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(variables))
    return path


def compressed(variable, level=6):
    packed = zlib.compress(variable, level)
    return struct.pack("<II", 15, len(packed)) + packed


@pytest.fixture(params=["plain", "compressed", "7.3", "7.3 chunked"])
def written(request, tmp_path):
    """Write arrays in one of the formats, by libraries that are not ours."""

    def write(arrays):
        path = tmp_path / "file.mat"
        if request.param.startswith("7.3"):
            options = {"compression": "gzip", "chunks": True} if "chunked" in request.param else {}
            with h5py.File(path, "w", userblock_size=512) as file:
                for name, array in arrays.items():
                    file.create_dataset(name, data=array.T, **options)
        else:
            scipy.io.savemat(path, arrays, do_compression=request.param == "compressed")
        return path

    return write


@pytest.mark.parametrize("dtype", NUMERIC)
def test_every_numeric_class_along_every_axis_in_any_order(written, dtype):
    array = numbers(dtype)
    with open_mat(written({"first": np.eye(3), "seg": array})) as file:
        assert file.names == {"first": (3, 3), "seg": SHAPE}
        for axis in (0, 1, 2, -1):
            slabs = list(file.slabs("seg", axis))
            assert slabs[0].dtype == array.dtype
            assert np.array_equal(np.stack(slabs, axis), array)
        for index in (3, 0, 2, 1, 1):
            assert np.array_equal(file.slab("seg", index), array[:, :, index])
        assert np.array_equal(file.read("first", 9), np.eye(3))


def test_blocks_smaller_than_the_array(written, monkeypatch):
    array = numbers("f4", (9, 7, 11))
    monkeypatch.setattr("eavctl.signals.mat_file.BLOCK_BYTES", 2 * 9 * 11 * 4 + 5)
    monkeypatch.setattr("eavctl.signals.matlab5.GROUP_BYTES", 3 * 9 * 7 * 4 + 1)
    with open_mat(written({"seg": array})) as file:
        for axis in range(3):
            assert np.array_equal(np.stack(list(file.slabs("seg", axis)), axis), array)


def test_scipy_reads_the_same(tmp_path):
    arrays = {"a": numbers("f8"), "b": numbers("i2", (1, 1)), "long_name_of_it": numbers("u1", (3, 0))}
    scipy.io.savemat(tmp_path / "x.mat", arrays)
    reference = scipy.io.loadmat(tmp_path / "x.mat")
    with open_mat(tmp_path / "x.mat") as file:
        assert list(file.names) == list(arrays)
        for name in arrays:
            assert np.array_equal(file.read(name, 1000), reference[name])


@pytest.mark.parametrize("order", ["<", ">"])
def test_doubles_stored_as_smaller_numbers_and_both_byte_orders(tmp_path, order):
    values = np.arange(24, dtype=f"{order}i2")
    whole = matrix("seg", (2, 3, 4), 3, values.tobytes(), order=order)
    logical = matrix("label", (2, 2), 2, bytes([1, 0, 0, 1]), mat_class=9, flags=0x0200, order=order)
    path = mat_file(tmp_path / "x.mat", whole, logical, order=order)
    with open_mat(path) as file:
        found = file.read("seg", 24)
        assert found.dtype == np.float64
        assert np.array_equal(found, values.reshape((2, 3, 4), order="F"))
        assert np.array_equal(file.slab("seg", 2), found[:, :, 2])
        assert file.read("label", 4).dtype == bool
        assert np.array_equal(file.read("label", 4), np.eye(2, dtype=bool))
    assert np.array_equal(found, scipy.io.loadmat(path)["seg"])


def test_values_larger_than_their_class_are_refused(tmp_path):
    with pytest.raises(SignalError, match="values of 8 bytes in a class of 1"):
        open_mat(mat_file(tmp_path / "x.mat", matrix("seg", (2, 3), 9, bytes(48), mat_class=9)))


@pytest.mark.parametrize("do_compression", [False, True])
def test_what_is_no_numeric_array_is_passed_over(tmp_path, do_compression):
    odd = {
        "text": "some text",
        "cell": np.array([1, "x"], dtype=object),
        "struct": {"a": 1, "b": {"c": np.eye(2)}},
        "complex": np.array([[1 + 2j]]),
        "sparse": scipy.sparse.eye_array(4, format="csc"),
        "truth": np.array([[True, False]]),
    }
    scipy.io.savemat(tmp_path / "x.mat", odd, do_compression=do_compression)
    with open_mat(tmp_path / "x.mat") as file:
        assert file.names == {"truth": (1, 2)}
        with pytest.raises(SignalError, match="no numeric array 'cell'"):
            file.read("cell", 10)


def test_a_73_file_leads_nowhere_else(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.eye(3)
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["seg"] = np.eye(2)
        file["link"] = h5py.ExternalLink("other.h5", "/secret")
        layout = h5py.VirtualLayout((3, 3), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3, 3))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", (3, 3), "f8", external=[("other.h5", 0, 72)])
        file.create_dataset("text", data=np.full((1, 4), 65, "u2")).attrs["MATLAB_class"] = np.bytes_("char")
        truth = file.create_dataset("truth", data=np.array([[1], [0]], "u1"))
        truth.attrs["MATLAB_class"] = np.bytes_("logical")
    with open_mat(tmp_path / "x.mat") as file:
        assert file.names == {"seg": (2, 2), "truth": (1, 2)}
        assert np.array_equal(file.read("truth", 2), [[True, False]])


def refusal(path, content):
    """Read everything in a file of that content; what it is refused with, or None."""
    path.write_bytes(content)
    try:
        with open_mat(path) as file:
            for name, shape in file.names.items():
                for axis in range(len(shape)):
                    assert all(slab.ndim == len(shape) - 1 for slab in file.slabs(name, axis))
    except SignalError as error:
        return str(error)
    return None


def test_cut_anywhere_and_flipped_bytes_raise_nothing_but_signal_errors(written, tmp_path):
    arrays = {"u": np.arange(6, dtype="u1").reshape(2, 3), "seg": numbers("f4")}
    content = written(arrays).read_bytes()
    generator = np.random.default_rng(5)
    path = tmp_path / "hurt.mat"
    is_hdf5 = b"HDF" in content[:600]
    cuts = generator.integers(0, len(content), 20) if is_hdf5 else range(0, len(content) - 8, 4)
    refusals = [refusal(path, content[:size]) for size in cuts]
    # What ends exactly between two variables is a whole file of fewer, or of none.
    assert refusals.count(None) <= 2
    for _ in range(30 if is_hdf5 else 400):
        hurt = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            hurt[place] ^= int(generator.integers(1, 256))
        refusals.append(refusal(path, bytes(hurt)))
    told = [text for text in refusals if text]
    assert all(text.startswith(str(path)) and "\n" not in text for text in told)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("dims", "kind", "message"),
    [
        ((1 << 30, 1 << 30, 200), 9, "needs"),
        ((-5, 3), 9, "dimensions"),
        ((6,), 9, "dimensions"),
        ((2, 3), 77, "kind 77"),
        ((2, 2), 9, "needs 32 bytes"),
        ((7, 1), 9, "needs 56 bytes"),
        ((1,) * 40, 9, "element"),
    ],
)
def test_inconsistent_dimensions_are_refused(tmp_path, dims, kind, message, wrapped):
    variable = matrix("seg", dims, kind, bytes(48))
    with pytest.raises(SignalError, match=message):
        open_mat(mat_file(tmp_path / "x.mat", compressed(variable) if wrapped else variable))


def test_sizes_that_claim_more_than_there_is(tmp_path):
    n_bytes = SUSPECT_BYTES // 4
    variable = matrix("seg", (n_bytes // 8, 1), 9, b"")
    lying = variable[:-4] + struct.pack("<I", n_bytes)
    for size in (n_bytes + 56, 0xFFFFFFF8):
        path = mat_file(tmp_path / "x.mat", struct.pack("<II", 14, size) + lying[8:])
        with pytest.raises(SignalError, match="cut short"):
            open_mat(path)
    path = mat_file(tmp_path / "x.mat", compressed(struct.pack("<II", 14, n_bytes + 56) + lying[8:]))
    with open_mat(path) as file, pytest.raises(SignalError, match="end too early"):
        file.read("seg", n_bytes)


def test_what_would_unpack_to_far_more_is_refused(tmp_path):
    n_values = SUSPECT_BYTES // 8 + 1
    scipy.io.savemat(tmp_path / "x.mat", {"seg": np.zeros((n_values, 1))}, do_compression=True)
    assert (tmp_path / "x.mat").stat().st_size * 100 < SUSPECT_BYTES
    with pytest.raises(SignalError, match="would unpack from"):
        open_mat(tmp_path / "x.mat")
    with h5py.File(tmp_path / "y.mat", "w", userblock_size=512) as file:
        file.create_dataset("seg", (1, n_values), "f8", chunks=(1, 1 << 16), compression="gzip")
    with pytest.raises(SignalError, match="would unpack from"):
        open_mat(tmp_path / "y.mat")
    with h5py.File(tmp_path / "z.mat", "w", userblock_size=512) as file:
        file.create_dataset("seg", (200, 30, 1 << 20), "f4", chunks=(20, 1, 1 << 20))
    with pytest.raises(SignalError, match="chunks of 80 MB"):
        open_mat(tmp_path / "z.mat")


def test_other_files_are_named_as_such(tmp_path, shared_data):
    with pytest.raises(SignalError, match=r"random.mat: not a MATLAB file of version 5 or 7.3.*save it"):
        open_mat(shared_data / "hostile" / "random.mat")
    (tmp_path / "empty.mat").touch()
    (tmp_path / "four.mat").write_bytes(struct.pack("<5I", 0, 1, 1, 0, 2) + b"x\0" + bytes(8))
    for name, message in {"none": "no such file", "empty": "is empty", "four": "not a MATLAB"}.items():
        with pytest.raises(SignalError, match=message):
            open_mat(tmp_path / f"{name}.mat")
    with pytest.raises(SignalError, match="not a file"):
        open_mat(tmp_path)


def test_large_arrays_are_read_whole_only_if_that_is_allowed(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"label": np.ones((10, 200))})
    with open_mat(tmp_path / "x.mat") as file:
        assert file.read("label", 2000).shape == (10, 200)
        with pytest.raises(SignalError, match=r"shape \(10, 200\)"):
            file.read("label", 1999)
        with pytest.raises(SignalError, match="no slab 201"):
            file.slab("label", 200)


@pytest.mark.parametrize(("kind", "most_mb"), [("plain", 12), ("compressed", 16), ("7.3", 16)])
def test_memory_stays_far_below_the_array(tmp_path, kind, most_mb):
    """30 MB of trials in a process that may not grow by more than a few trials."""
    path = tmp_path / "big.mat"
    array = np.tile(np.random.default_rng(0).normal(size=(2500, 30, 1)), (1, 1, 50))
    variable = matrix("seg", array.shape, 9, array.tobytes(order="F"))
    if kind == "7.3":
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("seg", data=array.T, chunks=(1, 30, 2500))
    else:
        mat_file(path, compressed(variable, level=0) if kind == "compressed" else variable)
    del array, variable
    script = f"""
        import resource
        from eavctl.signals import matlab, matlab5, matlab_hdf5
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with matlab.open_mat({str(path)!r}) as file:
            total = sum(slab.shape == (2500, 30) for slab in file.slabs("seg"))
        print(total, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    total, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert total == "50"
    assert float(grown) < most_mb
