"""``--who``: films of several people side by side, by a chooser that understands places."""

import contextlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eavctl.cli import start
from eavctl.extraction.recipe import Recipe
from eavctl.grounding import whose
from eavctl.packaged.models import GROUND
from eavctl.signals.faces import detector, follow
from eavctl.signals.video import open_video
from eavctl.storage import tables
from eavctl.synthetic import twin_face
from eavctl.synthetic.twin_files import mp4_bytes

PANEL, FPS, HOLD, N_POSES = 320, 30, 10, 6
N_FRAMES = f"n_frames={N_POSES}"
PLACES = ("left", "middle", "right")
MOODS = {
    "happy": (3.0, 2.0, 1.0, -0.5, 0.3),
    "angry": (-1.5, 1.0, -2.2, 2.5, 0.5),
    "sad": (-2.2, -1.5, 1.5, 0.0, -2.0),
}


@dataclass(frozen=True)
class Placed:
    """A stand-in for the grounding network: its phrase is a place."""

    phrase: str
    model: Path = Path("stand-in")

    @classmethod
    def of(cls, phrase, model):
        return cls(phrase, model)

    @property
    def identity(self):
        return {"phrase": self.phrase, "model": "stand-in"}

    def load(self):
        def choose(picture, found):
            across = (found.boxes[:, 0] + found.boxes[:, 2]) / picture.shape[1]  # 0 to 2
            fits = {"left": 1 - across / 2, "middle": 1 - np.abs(across - 1), "right": across / 2}
            return fits.get(self.phrase, 0.1 * across)

        return choose


GROUNDED = whose.Whose  # itself, which needs a model


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    monkeypatch.setattr(whose, "Whose", Placed)


def write(path, panels):
    """A film of films, each (n, PANEL, PANEL, 3), side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = np.concatenate(panels, axis=2)
    size = (pictures.shape[2], pictures.shape[1])
    path.write_bytes(mp4_bytes(pictures, size, fps=FPS, hold=HOLD, n_frames=HOLD * len(pictures)))
    return path


def person(seed, mood):
    """The twin's face in a mood, a person for each seed."""
    rng = np.random.default_rng(seed)
    pictures = twin_face.film(twin_face.draw_looks(rng), np.array(MOODS[mood]), N_POSES, False, rng)
    return np.array([each[80 : 80 + PANEL, 160 : 160 + PANEL] for each in pictures])


def square(picture, left, top, side):
    cut = Image.fromarray(picture).crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((PANEL, PANEL), Image.Resampling.LANCZOS))


def real(shared_data):
    """Three real people: from two films, and a picture that stands still."""
    panels = []
    for name, left, side in (
        ("ravdess-video/01-01-01-01-01-01-01.mp4", 280, 720),
        ("video/single_face.mp4", 120, 360),
    ):
        with open_video(shared_data / name) as file:
            frames = file.frames(0, file.duration, N_POSES)
            panels.append(np.array([square(frame, left, 0, side) for frame in frames]))
    still = np.asarray(Image.open(shared_data / "video" / "single_face.jpg").convert("RGB"))
    return [*panels, np.array([square(still, 0, 0, 562)] * N_POSES)]


def described(path, features, who=None):
    """Features and account of a whole film."""
    recipe = Recipe(features, {"n_frames": N_POSES}, who=Placed(who) if who else None)
    with recipe.open(path) as stretch_of:
        (sample,) = recipe.describe(stretch_of())
    assert sample.reason == ""
    return sample.x.astype(float), sample.account


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_each_of_several_real_people_is_followed_as_if_alone(shared_data, tmp_path, order):
    people = real(shared_data)
    alone = [described(write(tmp_path / f"{i}.mp4", [people[i]]), "faces") for i in order]
    film = write(tmp_path / "all.mp4", [people[i] for i in order])
    places = PLACES if len(order) == 3 else ("left", "right")
    crops = []
    for place in places:
        x, account = described(film, "faces", place)
        assert (account["faces_found"], account["people"]) == (1.0, len(order))
        assert account["fit"] > 0.7
        crops.append(x)
    apart = [[np.abs(x - own).mean() for own, _ in alone] for x in crops]
    assert np.argmin(apart, axis=1).tolist() == list(range(len(order)))
    assert np.diag(apart).max() < 0.25 * min(
        each for i, row in enumerate(apart) for j, each in enumerate(row) if i != j
    )
    assert all(account["people"] == 1 for _, account in alone)
    largest, account = described(film, "faces")
    assert account["people"] == len(order)
    assert min(np.abs(largest - x).mean() for x in crops) < 12
    assert any(np.abs(largest - x).mean() > 40 for x in crops)


# --- through the commands, with the twin's faces ------------------------------------------------------------

EXTRACT = ("--features", "face-stats", "--set", N_FRAMES)


@pytest.fixture(scope="module")
def moods(make):
    """A folder with a machine that was trained on films of one person each."""
    folder = make("moods", [])
    for mood, seed in ((mood, seed) for mood in MOODS for seed in range(16)):
        write(folder / "train" / mood / f"{seed}.mp4", [person(20 * list(MOODS).index(mood) + seed, mood)])
    with contextlib.chdir(folder):
        for words in (
            ("extract", "train", *EXTRACT, "-o", "faces.parquet"),
            ("train-svm", "faces.parquet", "--folds", "2", "-o", "svm.joblib"),
        ):
            assert start.run(list(words)) == 0
    return folder


TRIO = ("sad", "happy", "angry")


@pytest.fixture(scope="module")
def trio(moods):
    """A film of three people in the moods `TRIO`, from left to right, unknown to the machine."""
    return write(moods / "trio.mp4", [person(100 + i, mood) for i, mood in enumerate(TRIO)])


def answers(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.parametrize("order", list(itertools.permutations(MOODS)))
def test_the_mood_of_the_one_who_is_named_is_judged(run, moods, tmp_path, order):
    film = write(tmp_path / "film.mp4", [person(200 + i, mood) for i, mood in enumerate(order)])
    judged = []
    for place in PLACES:
        found = answers(run("predict", film, "--model", moods / "svm.joblib", "--who", place, "--json"))
        (one,) = found["predictions"]
        assert (one["people"], one["who"]) == (3, place)
        judged.append(one["pred"])
    assert judged == list(order)


def test_predict_tells_of_the_people_and_whose_face_it_judged(run, moods, trio):
    largest = run("predict", trio, "--model", moods / "svm.joblib", "--json")
    (one,) = answers(largest)["predictions"]
    assert (one["people"], one["who"]) == (3, None)
    (note,) = [line for line in answers(largest)["warnings"] if "people" in line]
    assert note in largest.err
    assert "3" in note
    assert "--who" in note
    chosen = run(
        "predict", trio, "--model", moods / "svm.joblib", "--who", "right", "-o", "p.parquet", "--json"
    )
    (note,) = [line for line in answers(chosen)["warnings"] if "people" in line]
    assert "right" in note
    assert tables.read_predictions("p.parquet").meta["who"] == Placed("right").identity
    alone = run(
        "predict",
        moods / "train" / "sad" / "0.mp4",
        "--model",
        moods / "svm.joblib",
        "--who",
        "left",
        "--json",
    )
    assert answers(alone)["predictions"][0]["people"] == 1
    assert not [line for line in answers(alone)["warnings"] if "people" in line]


def test_a_note_a_recording_and_none_a_segment(run, moods, trio):
    result = run("predict", trio, "--model", moods / "svm.joblib", "--segment", "0.5", "--json")
    assert {each["people"] for each in answers(result)["predictions"]} == {3}
    assert len(answers(result)["predictions"]) > 1
    assert len([line for line in answers(result)["warnings"] if "people" in line]) == 1


def test_a_table_keeps_who_was_chosen_and_is_made_again_when_that_changes(run):
    write(Path("films") / "sad" / "trio.mp4", [person(100, "sad")] * 2)

    def extract(*more):
        result = run("extract", "films", *EXTRACT, "-o", "f.parquet", "--json", *more)
        meta = tables.read_meta("f.parquet")
        return answers(result), meta, result.err

    largest, before, told = extract()
    assert largest["account"]["people"] == {"mean": 2, "least": 2}
    assert "people: 2" in told
    assert "%" not in next(line for line in told.splitlines() if "people" in line)
    assert "who" not in before
    assert extract()[0]["up_to_date"]
    left, with_left, told = extract("--who", "left")
    assert (left["up_to_date"], left["who"]) == (False, "left")
    assert with_left["who"] == Placed("left").identity
    assert with_left["features_hash"] == before["features_hash"]
    assert "left" in next(line for line in told.splitlines() if "people" in line)
    assert extract("--who", "left")[0]["up_to_date"]
    assert not extract("--who", "right")[0]["up_to_date"]
    assert not extract()[0]["up_to_date"]  # nor is a table of one who was chosen that of the largest
    assert tables.read_meta("f.parquet")["content_hash"] == before["content_hash"]


def test_a_table_from_before_people_were_counted_is_still_up_to_date(run, moods):
    content = tables.read_features(moods / "faces.parquet")
    account = {"faces_found": {"mean": 1.0, "least": 1.0}}
    meta = {**content.meta, "account": account}
    tables.write_features(tables.FeatureTable(content.keys, content.x, content.columns, meta), "old.parquet")
    result = run("extract", moods / "train", *EXTRACT, "-o", "old.parquet", "--json")
    assert answers(result)["up_to_date"]
    assert answers(result)["account"] == account
    assert (
        tables.read_meta("old.parquet")["features_hash"]
        == Recipe("face-stats", {"n_frames": N_POSES}).meta()["features_hash"]
    )


@pytest.mark.parametrize(
    "words",
    [
        "extract train --features functionals --who left -o t.parquet",
        "extract train --features faces --set crop=frame --who left -o t.parquet",
        "extract train --features face-stats --who-model svm.joblib -o t.parquet",
        "extract train --features face-stats --who= -o t.parquet",
        "predict trio.mp4 --model speech-small --who left",
        "predict faces.parquet --model svm.joblib --who left",
        "live --audio - --model speech-small --who left -n",
    ],
)
def test_who_where_there_is_nobody_to_choose_is_wrong_usage(run, moods, trio, monkeypatch, words):
    run("show", "nothing")  # its folder is the working one now
    monkeypatch.chdir(moods)
    assert start.run(words.split()) == 2
    assert not (moods / "t.parquet").exists()


def test_where_no_face_fits_well_that_is_told_once(run, moods, trio):
    result = run(
        "predict", trio, "--model", moods / "svm.joblib", "--who", "nobody", "--segment", "0.5", "--json"
    )
    assert answers(result)["predictions"][0]["pred"] in MOODS
    assert len([line for line in answers(result)["warnings"] if "clearly" in line]) == 1


def test_a_missing_model_is_told_before_any_work(run, moods, trio, monkeypatch):
    monkeypatch.setattr(whose, "Whose", GROUNDED)
    result = run("predict", trio, "--model", moods / "svm.joblib", "--who", "left", "--who-model", "none.pt")
    assert result.code == 3
    assert "none.pt" in result.err


def test_an_output_does_not_overwrite_the_grounding_model(run, moods, trio):
    Path("who.parquet").write_bytes(b"a model")
    common = "--who", "left", "--who-model", "who.parquet", "-o", "who.parquet", "--force"
    for words in (
        ("predict", trio, "--model", moods / "svm.joblib"),
        ("extract", moods / "train", *EXTRACT),
    ):
        assert run(*words, *common).code == 2
        assert Path("who.parquet").read_bytes() == b"a model"


def test_a_live_window_has_the_face_that_is_named_and_that_is_told_once(run, moods, tmp_path):
    film = write(
        tmp_path / "long.mp4", [np.tile(person(100 + i, mood), (2, 1, 1, 1)) for i, mood in enumerate(TRIO)]
    )
    common = "live", "--video", film, "--model", moods / "svm.joblib", "--speed", "20", "--json"
    for i, place in enumerate(PLACES):
        result = run(*common, "--who", place)
        windows = [json.loads(line) for line in result.out.splitlines()]
        assert result.code == 0, result.err
        assert len(windows) > 1
        assert {(each["pred"], each["people"], each["who"]) for each in windows} == {(TRIO[i], 3, place)}
        assert len([line for line in result.err.splitlines() if "people" in line]) == 1


def test_an_embedding_is_of_the_face_that_is_chosen(run, moods):
    for i, mood in enumerate(TRIO):
        write(Path("alone") / mood / f"{i}.mp4", [person(100 + i, mood)])
    write(Path("together") / "any" / "trio.mp4", [person(100 + i, mood) for i, mood in enumerate(TRIO)])
    faces = "--features", "faces", "--set", N_FRAMES, "--set", "size=32"
    embed = "--features", "embedding", "--weights", "encoder.pt"
    lines = [
        ("extract", moods / "train", *faces, "-o", "faces.parquet"),
        ("pretrain", "faces.parquet", "--epochs", "0", "--size", "tiny", "-o", "encoder.pt"),
        ("extract", "alone", *embed, "-o", "alone.parquet"),
        *(("extract", "together", *embed, "--who", place, "-o", f"{place}.parquet") for place in PLACES),
    ]
    for line in lines:
        result = run(*line)
        assert result.code == 0, result.err
    table = tables.read_features("alone.parquet")
    alone = dict(zip(table.keys["label"], table.x, strict=True))
    for mood, place in zip(TRIO, PLACES, strict=True):
        (x,) = tables.read_features(f"{place}.parquet").x
        apart = {name: np.linalg.norm(x - other) for name, other in alone.items()}
        assert min(apart, key=apart.get) == mood
    assert run("extract", "alone", "--features", "embedding", "--who", "left", "-o", "x.parquet").code != 0


# --- by the packaged model ----------------------------------------------------------------------------------

SAID = {
    2: (("the person on the left", 0), ("the man on the right", 1), ("leftmost face", 0)),
    3: (("the face on the left", 0), ("the person in the middle", 1), ("the man on the right", 2)),
}


def read_only(panels):
    """Three frames of people side by side, which a detector searches once."""
    frames = list(np.concatenate(panels, axis=2)[::2])
    for frame in frames:
        frame.setflags(write=False)
    return frames


@pytest.mark.parametrize("who", ["real", "made up"])
def test_the_packaged_model_knows_the_places_of_people_it_never_saw(shared_data, who):
    people = real(shared_data) if who == "real" else [person(seed, "happy") for seed in (70, 71, 72)]
    right = []
    for order in (*itertools.permutations(range(3), 2), *itertools.permutations(range(3), 3)):
        frames = read_only([people[i] for i in order])
        for phrase, place in SAID[len(order)]:
            chosen = GROUNDED.of(phrase, GROUND).load()
            track = follow(frames, detector(), 32, choose=chosen)
            centre = (track.boxes[:, 0] + track.boxes[:, 2]).mean() / 2
            right.append(centre // PANEL == place)
    assert np.mean(right) > 0.8, f"{sum(right)} of {len(right)}"
