import contextlib
import io
import itertools
import struct
import warnings
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals import video
from eavctl.signals.arrays import TimedFrames
from eavctl.signals.video import VideoSpan, open_video

WIDTH, HEIGHT = 96, 64
BITS = 8
FPS = 25


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecordingWarning)
        yield


def numbered(number):
    """A picture whose eight bars, from the left, are the bits of a number; dark below, bright above."""
    bars = np.array([number >> bit & 1 for bit in range(BITS)])
    picture = np.repeat(np.repeat(bars * 200 + 20, WIDTH // BITS)[None], HEIGHT, axis=0)
    return np.repeat(picture[..., None], 3, axis=2).astype(np.uint8)


def number_of(picture):
    bars = picture.mean(axis=2)[HEIGHT // 2].reshape(BITS, -1).mean(axis=1)
    return int(((bars > 110) << np.arange(BITS)).sum())


def write(path, ticks, *, base=Fraction(1, 1000), codec="libx264", options=None, offset=0, **stream_facts):
    """A video whose frame i shows number i from ``ticks[i]`` on; B-frames and a keyframe every 30."""
    options = {"g": "30", "bf": "3", "crf": "18"} if options is None else options
    with av.open(str(path), "w", options=stream_facts.pop("container", {})) as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = stream_facts.pop("pix_fmt", "yuv420p")
        stream.codec_context.time_base = base
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = int(tick) + offset, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def even(n):
    return np.arange(n) * 1000 // FPS


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write(tmp_path_factory.mktemp("video") / "even.mp4", even(200))


def numbers(file, start, end, n):
    return [number_of(picture) for picture in file.frames(start, end, n)]


def test_frames_are_those_shown_at_the_times(clip):
    with open_video(clip) as file:
        assert file.duration == pytest.approx(8.0)
        assert file.fps == pytest.approx(FPS)
        assert file.size == (WIDTH, HEIGHT)
        assert numbers(file, 0, 8, 200) == list(range(200))
        assert numbers(file, 0, 5, 25) == list(range(0, 125, 5))
        assert numbers(file, 1.02, 1.1, 2) == [25, 26]  # amid frame 25, and amid frame 26


@pytest.mark.parametrize("base", [Fraction(1, 1000), Fraction(1, 12800)])
def test_frames_at_their_times_are_shown_as_those_of_the_file(tmp_path, base):
    """Also those whose time is just that of a picture wanted, in a window from anywhere in the file."""
    steps = np.random.default_rng(0).choice([40, 80, 120], 120)
    ticks = np.append(0, steps.cumsum()) * base.denominator // 1000
    times = ticks * float(base)
    pictures = [numbered(number) for number in range(len(ticks))]
    with open_video(write(tmp_path / "x.mkv", ticks, base=base)) as file:
        for start in (0.0, 0.04, 1.2, 2.71, 4.0):
            window = TimedFrames("x", times - start, pictures, 3.0)
            shown = [number_of(picture) for picture in window.frames(0.0, 3.0, 25)]
            assert shown == numbers(file, start, start + 3.0, 25)


def test_a_span_with_fewer_frames_than_requested_repeats_them(clip):
    with open_video(clip) as file:
        pictures = list(VideoSpan(file, 1.0, 1.2).frames(25))
        assert [number_of(p) for p in pictures] == np.repeat(np.arange(25, 30), 5).tolist()
        assert pictures[0] is pictures[4]


def test_any_order_gives_the_same_frames(clip):
    generator = np.random.default_rng(0)
    with open_video(clip) as file:
        for _ in range(25):
            first = int(generator.integers(0, 190))
            last = int(generator.integers(first + 1, 200))
            step = int(generator.integers(1, 9))
            wanted = list(range(first, last, step))
            found = numbers(file, first / FPS, (wanted[-1] + step) / FPS, len(wanted))
            assert found == wanted


def test_times_past_the_end_show_the_last_frame(clip):
    with open_video(clip) as file:
        assert numbers(file, 7.9, 9.9, 4) == [197, 199, 199, 199]
        assert numbers(file, 0.0, 0.4, 2) == [0, 5]


class Counting:
    """Counts what is decoded and what is converted."""

    def __init__(self, monkeypatch):
        self.n_decoded = self.n_converted = self.n_sought = 0
        advance, converted, restart = (
            getattr(video._Decoder, n) for n in ("_advance", "converted", "_restart")
        )

        def count(name, method):
            def counted(*arguments):
                setattr(self, name, getattr(self, name) + 1)
                return method(*arguments)

            return counted

        monkeypatch.setattr(video._Decoder, "_advance", count("n_decoded", advance))
        monkeypatch.setattr(video._Decoder, "converted", count("n_converted", converted))
        monkeypatch.setattr(video._Decoder, "_restart", count("n_sought", restart))


def test_only_what_is_used_is_converted_and_ascending_spans_are_one_pass(clip, monkeypatch):
    with open_video(clip) as file:
        count = Counting(monkeypatch)
        for start in (0, 2, 4, 6):
            list(file.frames(start, start + 2, 10))
        assert count.n_converted == 40
        assert count.n_decoded <= 200
        assert count.n_sought == 0


def test_a_distant_frame_is_reached_by_seeking(clip, monkeypatch):
    with open_video(clip) as file:
        count = Counting(monkeypatch)
        assert numbers(file, 7.24, 7.28, 1) == [181]
        assert count.n_decoded <= 5  # a keyframe lies at 180
        assert count.n_sought == 0


def test_variable_frame_rate(tmp_path):
    ticks = np.cumsum(np.random.default_rng(1).integers(5, 300, 60))
    path = write(tmp_path / "variable.mp4", ticks - ticks[0])
    times = (ticks - ticks[0]) / 1000
    with open_video(path) as file:
        end = times[-1] + 0.001
        wanted = np.searchsorted(times, np.arange(40) * end / 40, side="right") - 1
        assert numbers(file, 0, end, 40) == wanted.tolist()
        assert file.duration >= times[-1]
        assert file.fps == pytest.approx(60 / file.duration)


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
def test_time_counts_from_the_first_frame_shown(tmp_path, name):
    path = write(tmp_path / name, even(50), offset=1480)
    with open_video(path) as file:
        assert file.duration == pytest.approx(2.0, abs=0.05)
        assert numbers(file, 0, 2, 10) == list(range(0, 50, 5))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("x.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("x.avi", "mpeg4", {"g": "12", "bf": "2"}),
        ("x264.avi", "libx264", None),
        ("x.h264", "libx264", None),
        ("open.mp4", "libx264", {"x264-params": "open-gop=1:keyint=20:bframes=3"}),
        ("x.mkv", "libx265", {"x265-params": "log-level=none:keyint=25"}),
        ("x.mjpeg", "mjpeg", {}),
        ("x.gif", "gif", {}),
    ],
)
def test_formats(tmp_path, name, codec, options):
    formats = {"mjpeg": "yuvj420p", "gif": "rgb8"}
    try:
        path = write(
            tmp_path / name, even(60), codec=codec, options=options, pix_fmt=formats.get(codec, "yuv420p")
        )
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"cannot be written here: {error}")
    with open_video(path) as file:
        assert file.duration == pytest.approx(60 / FPS, abs=0.05)
        for _ in range(2):  # the second time, it must go back
            assert numbers(file, 0, 60 / FPS, 12) == list(range(0, 60, 5))
        assert numbers(file, 1.2, 1.3, 1) == [30]


def test_no_duration_in_the_header(tmp_path):
    path = write(tmp_path / "live.mkv", even(50), container={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    with open_video(path) as file:
        assert file.duration == pytest.approx(2.0, abs=0.05)
        assert numbers(file, 0, 2, 10) == list(range(0, 50, 5))


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_rotation_of_the_display_matrix_is_applied(clip, tmp_path, quarters):
    path = tmp_path / "turned.mp4"
    path.write_bytes(turned_header(clip.read_bytes(), quarters))
    upright = numbered(0b10110001)
    with open_video(path) as file:
        (picture,) = file.frames(0b10110001 / FPS, 1 + 0b10110001 / FPS, 1)
        # The header says how to turn clockwise.
        expected = np.rot90(upright, -quarters)
        assert file.size == (expected.shape[1], expected.shape[0])
        assert picture.shape == expected.shape
        assert np.abs(picture.astype(int) - expected).mean() < 8


def turned_header(content, quarters):
    """An MP4 file's bytes with another matrix in its track's header: turned clockwise."""
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    matrix = struct.pack(">9i", *(np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 0]) << 16))
    matrix = matrix[:-4] + struct.pack(">i", 1 << 30)
    place = content.index(b"tkhd") + 4 + 40
    assert content[content.index(b"tkhd") + 4] == 0  # version
    return content[:place] + matrix + content[place + 36 :]


def test_oblong_pixels_become_square(tmp_path):
    path = write(tmp_path / "dv.mp4", even(5), options={"x264-params": "sar=4/3"})
    with open_video(path) as file:
        assert file.size == (WIDTH * 4 // 3, HEIGHT)


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "clear.png", "grey.png", "still%03d.jpg"])
def test_a_still_picture_is_a_video_of_one_frame(tmp_path, name):
    picture = Image.fromarray(numbered(77))
    if name == "clear.png":
        picture.putalpha(255)
    picture = picture.convert("L") if name == "grey.png" else picture
    picture.save(tmp_path / name)
    with open_video(tmp_path / name) as file:
        assert file.size == (WIDTH, HEIGHT)
        assert numbers(file, 0, file.duration, 25) == [77] * 25


def test_pictures_are_those_of_a_converter_for_each_frame(shared_data):
    path = shared_data / "video" / "single_face.mp4"
    with av.open(str(path)) as container:
        expected = [
            frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), 8)
        ]
    with open_video(path) as file:
        found = list(file.frames(0, 8 / file.fps, 8))
    assert len(np.unique([picture.sum() for picture in found])) > 1
    assert np.array_equal(found, expected)


def test_pictures_may_change_in_size(tmp_path):
    large, small = Image.fromarray(numbered(5)), Image.fromarray(numbered(5)[::2, ::2])
    with open(tmp_path / "x.mjpeg", "wb") as file:
        for picture in (large, small, large):
            picture.save(file, "JPEG", quality=95)
    with open_video(tmp_path / "x.mjpeg") as file:
        pictures = list(file.frames(0, file.duration, 3))
    assert [picture.shape[1::-1] for picture in pictures] == [large.size, small.size, large.size]
    for picture, expected in zip(pictures, (large, small, large), strict=True):
        assert np.abs(picture.astype(int) - np.asarray(expected)).mean() < 5


def test_real_recordings(shared_data):
    with open_video(shared_data / "video" / "face_noface.mov") as file:  # HEVC
        assert file.size == (960, 540)
        assert file.duration == pytest.approx(6.402, abs=0.05)
        pictures = list(file.frames(0, file.duration, 8))
        assert pictures[0].mean(axis=(0, 1))[0] > pictures[-1].mean(axis=(0, 1))[0] + 30  # a door, then sky
    with open_video(shared_data / "video" / "Image_with_alpha.png") as file:
        assert file.size == (1524, 1036)
    with open_video(next((shared_data / "ravdess-video").glob("*.mp4"))) as file:
        assert file.size == (1280, 720)
        assert file.fps == pytest.approx(29.97, abs=0.01)
        assert file.duration == pytest.approx(3.303, abs=0.05)


def test_a_cut_recording_is_used_as_far_as_it_goes(shared_data):
    with pytest.warns(RecordingWarning, match=r"end of the video is missing; using its first 0\.\d+ s"):
        file = open_video(shared_data / "hostile" / "truncated.mp4")
    with file:
        assert 0.1 < file.duration < 1
        assert len(list(file.frames(0, file.duration, 25))) == 25


def test_damage_within_a_video_is_skipped_and_reported(clip, tmp_path):
    content = bytearray(clip.read_bytes())
    middle = content.index(b"mdat") + 4 + (content.index(b"moov") - content.index(b"mdat")) // 2
    content[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with open_video(path) as file:
            found = numbers(file, 0, 8, 200)
    assert len(found) == 200
    assert found[:30] == list(range(30))
    assert found[-10:] == list(range(190, 200))
    assert len(caught) <= 1


def test_what_is_no_video_is_refused(shared_data, tmp_path):
    cases = {
        shared_data / "hostile" / "random.mp4": "not a video file",
        shared_data / "hostile" / "silent.wav": "has no picture",
        shared_data / "hostile" / "empty.wav": "empty",
        shared_data / "hostile" / "text.wav": "not a video file",
        tmp_path: "a folder",
        tmp_path / "none.mp4": "no such file",
    }
    for path, reason in cases.items():
        with pytest.raises(SignalError, match=reason) as caught:
            open_video(path)
        assert str(path) in str(caught.value)


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    write_sound(path)
    tag = b"\x00image/png\x00\x03\x00" + png(numbered(3))
    frame = b"APIC" + struct.pack(">I", len(tag)) + b"\x00\x00" + tag
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\x00\x00" + size + frame + path.read_bytes())
    with av.open(str(path)) as container:
        assert container.streams.video
    with pytest.raises(SignalError, match="has no picture"):
        open_video(path)


def write_sound(path):
    with av.open(str(path), "w", options={"id3v2_version": "0", "write_id3v1": "0"}) as container:
        stream = container.add_stream("mp3", rate=44100)
        for i in range(20):
            noise = np.random.default_rng(i).integers(-3000, 3000, (2, 1152)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16p", layout="stereo")
            frame.sample_rate, frame.pts = 44100, i * 1152
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "list.mp4"])
def test_playlists_open_nothing(clip, tmp_path, name):
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n{clip}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{clip}'\n",
        "list.mp4": f"ffconcat version 1.0\nfile 'file:{clip}'\n",
    }
    path = tmp_path / name
    path.write_text(texts[name])
    with pytest.raises(SignalError):
        open_video(path)


def test_a_picture_too_large_to_unpack_is_refused(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SignalError, match="larger than 8192 x 8192"):
            open_video(path)


def test_a_video_longer_than_hours_is_refused(tmp_path):
    path = write(tmp_path / "long.mkv", [0, 1000, 5 * 3600 * 1000])
    with pytest.raises(SignalError, match="longer than 4 hours"):
        open_video(path)


@pytest.mark.parametrize("length", [0, 1, 40, 700, 3000, 9000])
def test_cut_anywhere_it_opens_or_says_why(clip, tmp_path, length):
    content = clip.read_bytes()
    generator = np.random.default_rng(length)
    for round_ in range(4):
        bad = bytearray(content)
        for place in generator.integers(0, len(bad), 40):
            bad[place] = generator.integers(256)
        path = tmp_path / f"{round_}.mp4"
        path.write_bytes(bad[: len(bad) - length])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(SignalError), open_video(path) as file:
                assert len(list(file.frames(0, file.duration, 5))) == 5


def test_opening_fails_without_leaving_the_file_open(shared_data, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for name in ("random.mp4", "silent.wav"):
            with pytest.raises(SignalError):
                open_video(shared_data / "hostile" / name)
