"""``predict --plot``: one recording of EEG, video or several modalities, drawn as the model takes it."""

from pathlib import Path

import pytest
from PIL import Image

from eavctl.report import sheet
from eavctl.storage.ownership import kind_of


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr(sheet, "DPI", 40)  # quicker


def height_of(path):
    assert kind_of(path) == "picture"
    with Image.open(path) as image:
        assert image.width == round(sheet.WIDTH * sheet.DPI)
        return image.height


def test_a_trial_of_eeg_is_drawn(run, eav):
    done = run(
        "predict", eav / "twin/subject1", "--trial", 2, "--model", eav / "bands.joblib", "--plot", "p.png"
    )
    assert done.code == 0, done.err
    one = height_of("p.png")
    before = Path("p.png").read_bytes()
    again = ["predict", eav / "twin/subject1", "--trial", 2, "--model", eav / "bands.joblib"]
    assert run(*again, "--plot", "p.png").code == 0
    assert Path("p.png").read_bytes() == before
    film = run("predict", eav / "twin/subject1", "--trial", 2, "--model", eav / "faces.pt", "--plot", "f.png")
    assert film.code == 0, film.err
    assert height_of("f.png") < one


def test_several_trials_are_a_usage_error_that_names_their_number(run, eav, tmp_path):
    for more in ([], ["-n"]):
        done = run(
            "predict", eav / "twin/subject1", "--model", eav / "bands.joblib", "--plot", "p.png", *more
        )
        assert done.code == 2
        assert "20" in done.err
        assert "--trial" in done.err
    table = run("predict", eav / "bands.parquet", "--model", eav / "bands.joblib", "--plot", "p.png")
    assert table.code == 2
    assert not (tmp_path / "p.png").exists()


@pytest.fixture(scope="module")
def imagery(make, shared_data):
    """Folder with ``svm.joblib``, trained on epochs of a real run."""
    run = shared_data / "eeg/S001R03.edf"
    cut = "--events T1=left,T2=right --tmin 0 --tmax 4"
    return make(
        "imagery",
        [
            f"extract {run} {cut} --features eeg-bands -o bands.parquet",
            "train-svm bands.parquet -o svm.joblib --folds 2",
        ],
    )


def test_an_epoch_is_chosen_by_its_number(run, imagery, shared_data, tmp_path):
    source = shared_data / "eeg/S001R03.edf"
    words = ["predict", source, "--events", "T1=left,T2=right", "--tmin", "0", "--tmax", "4"]
    model = ["--model", imagery / "svm.joblib"]
    assert run(*words, *model, "--plot", "p.png").code == 2
    done = run(*words, *model, "--trial", 3, "--plot", "p.png", "-o", "p.parquet")
    assert done.code == 0, done.err
    height_of(tmp_path / "p.png")
    from eavctl.storage import tables

    (start,) = tables.read_keys("p.parquet")["start"]
    assert run(*words, *model, "-o", "all.parquet").code == 0
    assert sorted(tables.read_keys("all.parquet")["start"])[2] == start
    assert run(*words, *model, "--trial", 99).code == 3


@pytest.mark.parametrize("name", ["video/face_noface.mov", "video/multi_face.jpg", "video/single_face.mp4"])
def test_films_and_pictures_are_drawn_with_their_faces(run, eav, shared_data, name):
    done = run("predict", shared_data / name, "--model", eav / "faces.pt", "--plot", "p.png")
    assert done.code == 0, done.err
    height_of("p.png")


def test_what_the_model_follows_is_marked(shared_data):
    from eavctl.extraction.recipe import Recipe
    from eavctl.stages.plot import _watched

    recipe = Recipe("faces", {"n_frames": 24, "size": 16})
    with recipe.open(shared_data / "video/face_noface.mov") as stretch_of:
        stretch = stretch_of()
        shots, search = _watched(recipe, stretch, [(0.0, stretch.duration)])
        _, account = recipe.compute(stretch.cut(0.0, stretch.duration), stretch.rate)
    assert search.is_found.mean() == pytest.approx(account["faces_found"])
    assert search.is_found[0]
    assert not search.is_found[-1]
    for shot in shots:
        known = search.is_found[int((search.times == shot.time).argmax())]
        assert (shot.followed is not None) == known
        assert not len(shot.others)


def test_the_face_that_who_names_is_followed(shared_data):
    from eavctl.extraction.recipe import Recipe
    from eavctl.grounding.whose import Whose
    from eavctl.packaged.models import GROUND
    from eavctl.stages.plot import _watched

    left = {}
    for phrase in ("the person on the left", "the person on the right"):
        recipe = Recipe("faces", {"n_frames": 1, "size": 16}, who=Whose.of(phrase, GROUND))
        with recipe.open(shared_data / "video/multi_face.jpg") as stretch_of:
            stretch = stretch_of()
            (shot,), search = _watched(recipe, stretch, [(0.0, stretch.duration)])
        assert len(shot.others) == 4
        assert phrase in search.whose
        left[phrase] = shot.followed[0]
    assert left["the person on the left"] < left["the person on the right"]
