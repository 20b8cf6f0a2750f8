"""``eavctl predict`` with a fusion network from its file: what it takes, and what it says."""

import json
import shutil

import pytest
import torch
from PIL import Image

from eavctl.extraction.recipe import Recipe
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign
from eavctl.storage import artifacts, tables
from eavctl.synthetic.twin import synth_eav

CLASSES = ["Anger", "Calmness", "Neutral"]
RECIPES = {
    "eeg": Recipe("eeg-bands", {"channels": ["Fz", "Cz"]}, segment=1.0),
    "audio": Recipe("seed33", segment=1.0),
    "video": Recipe("face-stats", {"n_frames": 2}, segment=1.0),
}
PART = {"up_to": 1.0, "right": 0.75, "low": 0.6, "high": 0.9, "n_rows": 40, "over": "subjects"}
RELIABILITY = {"rows": {"seconds": None, "classes": {name: [PART] for name in CLASSES}}}


def save_fusion(path, recipes, **calibration):
    """An untrained network of these streams, as a file."""
    shapes = {name: (len(recipe.columns),) for name, recipe in recipes.items()}
    design = Design("attention", tuple(StreamDesign(n, "mlp", {"units": 8}, shapes[n]) for n in recipes))
    torch.manual_seed(0)
    parts = {"design": design.to_meta(), "classes": CLASSES, "temperatures": [1.0], **calibration}
    meta = {
        "kind": "fusion",
        "method": "attention",
        "classes": CLASSES,
        "streams": [
            {"name": n, **r.meta(), "shape": list(shapes[n]), "columns": list(r.columns)}
            for n, r in recipes.items()
        ],
        "protocol": {"name": "loso", "normalize": None},
        "trained_on": {"subjects": [], "clips": [], "table": "t"},
        "training_hash": "abc",
        "versions": {},
        "out_of_fold": {"reliability": RELIABILITY},
    }
    artifacts.save(path, FusionModel([design.build(len(CLASSES))], parts), meta)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Folder with a twin of one subject, and two models: of all modalities, and of sound and EEG."""
    folder = tmp_path_factory.mktemp("twin")
    synth_eav(folder / "twin", subjects=1, trials=10, seconds=2.0)
    save_fusion(folder / "three.pt", RECIPES)
    save_fusion(folder / "two.pt", {name: RECIPES[name] for name in ("eeg", "audio")})
    return folder


def sound_of(twin, trial):
    (path,) = (twin / "twin/subject1/Audio").glob(f"{trial:03d}_*")
    return path


def test_a_trial_gets_a_card_that_says_what_weighed_how_much(run, twin):
    result = run("predict", twin / "twin/subject1", "--trial", 2, "--model", twin / "three.pt")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[-1].startswith("  used: eeg 0.")
    shares = [float(part.split()[-1]) for part in lines[-1].removeprefix("  used: ").split(", ")]
    assert sum(shares) == pytest.approx(1, abs=0.02)
    assert any("75% [60%, 90%] were right" in line for line in lines)
    assert "used:" not in result.err


def test_an_answer_that_is_not_the_likeliest_class_is_explained(run, twin, tmp_path):
    calibration = {"biases": [[2.0, 0.0, 0.0]], "priors": [0.9, 0.05, 0.05]}
    save_fusion(tmp_path / "m.pt", RECIPES, **calibration)
    words = ("predict", twin / "twin/subject1", "--trial", 2, "--model", tmp_path / "m.pt")
    (row,) = json.loads(run(*words, "--json").out)["predictions"]
    ratios = {
        name: row["proba"][name] / prior for name, prior in zip(CLASSES, (0.9, 0.05, 0.05), strict=True)
    }
    assert max(row["proba"], key=row["proba"].get) == "Anger"
    assert row["pred"] == max(ratios, key=ratios.get) != "Anger"
    card = run(*words).out.splitlines()
    assert card[0].endswith(f": {row['pred']}")
    assert card[2].split()[0] == "Anger"  # bars fall with the probabilities
    (why,) = [line for line in card if "share of the training" in line]
    assert f"{ratios[row['pred']]:.1f} times for {row['pred']}" in why
    assert any(f"answers {row['pred']!r}" in line for line in card)  # and not of the likeliest class
    run(*words, "-o", "p.parquet")
    assert tables.read_predictions(tmp_path / "p.parquet").pred.tolist() == [row["pred"]]
    listed = run("predict", twin / "twin", "--model", tmp_path / "m.pt").out
    assert f"{row['pred']}" in listed
    plain = run("predict", twin / "twin/subject1", "--trial", 2, "--model", twin / "three.pt")
    assert "share of the training" not in plain.out


def test_the_card_and_json_name_what_was_absent(run, twin, shared_data):
    sound, film = sound_of(twin, 2), shared_data / "video/no_face.mp4"
    words = ["predict", "--audio", sound, "--video", film, "--model", twin / "three.pt"]
    result = run(*words)
    assert result.code == 0, result.err
    last = result.out.splitlines()[-1]
    assert last.startswith("  used: audio 1.00; absent: eeg, video (no face found in any of")
    assert f"warning: {film}: no face found" in result.err
    found = json.loads(run(*words, "--json").out)["predictions"]
    for row in found:
        assert row["modalities"] == {"audio": 1.0}
        eeg, video = row["absent"]
        assert eeg == {"name": "eeg", "reason": None, "share": 1.0}
        assert (video["name"], video["reason"][:7]) == ("video", "no face")
    assert run(*words, "--strict").code == 3


def test_a_data_set_gets_a_summary_by_combination(run, twin, tmp_path):
    result = run("predict", twin / "twin", "--model", twin / "two.pt", "-o", "p.parquet")
    assert result.code == 0, result.err
    assert "used: eeg + audio 5, eeg 5\n" in result.err
    meta = tables.read_predictions(tmp_path / "p.parquet").meta
    assert meta["fusion"] == {"method": "attention", "used": {"eeg+audio": 5, "eeg": 5}}
    assert meta["modalities"] == ["eeg", "audio"]
    only = run("predict", sound_of(twin, 2), "--model", twin / "two.pt", "-o", "q.parquet")
    assert "used: audio 1\n" in only.err
    assert tables.read_predictions(tmp_path / "q.parquet").meta["modalities"] == ["audio"]


def test_sound_may_come_through_stdin(run, twin):
    content = sound_of(twin, 4).read_bytes()
    model = ["--model", twin / "two.pt", "--json"]
    (piped,) = json.loads(run("predict", "-", *model, stdin=content).out)["predictions"]
    (option,) = json.loads(run("predict", "--audio", "-", *model, stdin=content).out)["predictions"]
    (named,) = json.loads(run("predict", sound_of(twin, 4), *model).out)["predictions"]
    assert piped["proba"] == option["proba"] == named["proba"]
    assert piped["modalities"] == {"audio": 1.0}


def test_absence_in_a_part_is_said_as_such(run, twin, shared_data):
    words = ["--eeg", shared_data / "eeg/S001R03.edf", "--audio", sound_of(twin, 2)]
    result = run("predict", *words, "--model", twin / "two.pt")
    assert result.code == 0, result.err
    assert "; absent: audio in 98% of it (ends at 2.00 s)" in result.out.splitlines()[-1]


def test_separate_files_serve_a_model_of_one_modality(run, made, twin):
    clip = made / "dataset/sad/sad_sample_1.wav"
    model = ["--model", made / "svm.joblib"]
    assert run("predict", "--audio", clip, *model).out == run("predict", clip, *model).out
    both = run("predict", "--audio", clip, "--eeg", "x.edf", *model)
    assert (both.code, "no use for --eeg x.edf" in both.err) == (2, True)
    drawn = run("predict", "--audio", clip, *model, "--plot", "a.png")
    assert drawn.code == 0, drawn.err
    assert "used:" not in drawn.out + drawn.err
    plain = json.loads(run("predict", clip, *model, "--json").out)["predictions"][0]
    assert not {"modalities", "absent"} & plain.keys()


def test_a_picture_has_all_that_the_recording_has(run, twin, tmp_path):
    heights = {}
    for trial in (2, 3):  # a trial of listening has no sound
        words = ["predict", twin / "twin/subject1", "--trial", trial, "--model", twin / "three.pt"]
        done = run(*words, "--plot", f"{trial}.png")
        assert done.code == 0, done.err
        with Image.open(tmp_path / f"{trial}.png") as image:
            heights[trial] = image.height
    assert heights[2] > 1.5 * heights[3]


def test_a_model_without_scores_is_shown(run, twin):
    shown = run("show", twin / "three.pt")
    assert shown.code == 0, shown.err
    for word in ("attention", "eeg-bands", "seed33", "face-stats", "none"):
        assert word in shown.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give recordings, or the files of one recording with --eeg, --audio and --video"),
        (["a.wav", "--audio", "b.wav"], "--eeg, --audio and --video, not both"),
        (["--video", "a.mp4", "--plot", "p.png"], "the model takes eeg or audio"),
        (["--video", "a.mp4"], "the model takes eeg or audio"),
    ],
)
def test_words_that_cannot_be_meant(run, twin, words, message):
    result = run("predict", *words, "--model", twin / "two.pt")
    assert (result.code, message in result.err) == (2, True), result.err


def test_an_ambiguous_flat_folder_is_taken_file_by_file(run, twin, tmp_path):
    shutil.copy(sound_of(twin, 2), tmp_path / "one.wav")
    shutil.copy(sound_of(twin, 4), tmp_path / "two.wav")
    result = run("predict", tmp_path, "--model", twin / "two.pt")
    assert result.code == 0, result.err
    assert [line.split()[-1] for line in result.out.splitlines()] == [
        str(tmp_path / name) for name in ("one.wav", "two.wav")
    ]
