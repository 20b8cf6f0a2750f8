"""A synthetic twin of the EAV data set: the same tree of files, with known class information.

In each trial, random draws decide which modalities carry class information; at least one does, so that
fusion improves the scores. Five latent variables per trial and modality (the smile, the pitch of the voice,
the frontal theta power ...) generate the signals. They depend on the class, the person, chance, and in EEG on
time.

With interaction, the face and the voice of a Speaking trial show a class only together: where they agree, it
is the one that they show; where they contradict each other, it is the opposite of the one in the face, as
irony says the opposite of what it shows.

With a latent cause, each trial has a valence and an arousal around those of its class, one draw for all
modalities, and each modality shows them by a map of its own: see `eavctl.synthetic.twin_effects`.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from eavctl.datasets.eav import EMOTIONS, LABELS, TASKS, TWIN
from eavctl.errors import UsageError
from eavctl.jobs import useful
from eavctl.progress import Tick, silent
from eavctl.storage import files
from eavctl.synthetic import twin_eeg, twin_face, twin_voice
from eavctl.synthetic.twin_effects import CAUSES
from eavctl.synthetic.twin_files import mat_array, mp4_bytes, wav_bytes
from eavctl.synthetic.twin_trials import MODALITIES, RECIPE, STEP, Settings, drifts
from eavctl.synthetic.workers import ended_with

FPS, HOLD = 30, 10  # frame rate; frames for which a pose is held
MOST_TRIALS = 990  # a trial's number has three digits
SHORTEST_S, LONGEST_S = 1.0, 600.0
LOUDNESS = 0.08  # deviation of the logarithm of the EEG background's amplitude over a session


def synth_eav(
    out: Path,
    *,
    subjects: int = 4,
    trials: int = 200,
    snr: float = 1.0,
    seed: int = 42,
    modalities: Collection[str] = MODALITIES,
    seconds: float = 20.0,
    interaction: bool = False,
    latent: str | None = None,
    latent_strength: float = 1.0,
    jobs: int = 1,
    force: bool = False,
    dry_run: bool = False,
    on_trial: Tick = silent,
) -> int:
    """Write ``out/subject<N>/{EEG,Audio,Video}`` with the names and formats of EAV, and ``out/TWIN.json``.

    The bytes of a file depend on the settings in ``TWIN.json``, its subject and its trial. Existing files
    of the same settings are kept, so that a tree can be extended, or completed after an interruption.

    Parameters
    ----------
    out : folder to write to.
    subjects : number of subjects.
    trials : number of trials per subject, a multiple of 10; 200 trials of 20 s are 480 MB of EEG per subject.
    snr : strength of the class information: 0 is none; at 1 the deviation between classes is 1.5 times that
        between trials of a class, in each of the five latent variables of a modality.
    seed : random seed.
    modalities : modalities to write, of eeg, audio and video; the choice does not change the other files.
    seconds : duration of a trial.
    interaction : whether face and voice of Speaking trials show classes only together.
    latent : the cause that all modalities of a trial share: ``circumplex``, a valence and an arousal around
        those of its class; or None. With ``interaction``, a modality shows those of the class that it shows.
    latent_strength : share of that cause in the variance of the class information, from 0 to 1; the rest is
        each modality's own profile of the class. The variance in total does not depend on it.
    jobs : number of processes, each with one subject at a time.
    force : overwrite files of other settings.
    dry_run : check everything, but write nothing.
    on_trial : callback with the number of trials done, their total, and a note; with several processes, it is
        called once per subject.

    Returns
    -------
    The number of trials.

    Raises
    ------
    UsageError : invalid settings; files of other settings or origin exist, without ``force``; or they would
        remain beside the new files.
    """
    settings = Settings(
        trials, float(snr), seed, float(seconds), RECIPE, interaction, latent, float(latent_strength)
    )
    _check(settings, subjects, modalities)
    _prepare_folder(out, settings, subjects, modalities, force, dry_run)
    if dry_run:
        return subjects * trials
    everyone, total = range(1, subjects + 1), subjects * trials
    for subject in everyone:
        _write_labels(out, settings, subject, modalities)
    if jobs == 1 or subjects == 1:
        for subject in everyone:
            for trial in _write_subject(out, settings, subject, modalities):
                on_trial((subject - 1) * trials + trial, total, "")
    else:
        from joblib import Parallel, delayed

        work = (delayed(_write_whole_subject)(out, settings, subject, modalities) for subject in everyone)
        with ended_with(out, "subject*/*"):
            for done, _ in enumerate(Parallel(n_jobs=useful(jobs), return_as="generator")(work), start=1):
                on_trial(done * trials, total, "")
    on_trial(total, total, "")
    return total


def _write_whole_subject(out: Path, settings: Settings, subject: int, modalities: Collection[str]) -> None:
    """Write the files of a subject in a worker process."""
    for _ in _write_subject(out, settings, subject, modalities):
        pass


def _check(settings: Settings, subjects: int, modalities: Collection[str]) -> None:
    unknown = [name for name in modalities if name not in MODALITIES]
    if unknown or not modalities:
        name = unknown[0] if unknown else ""
        raise UsageError(f"unknown modality {name!r}; known: {', '.join(MODALITIES)}")
    if not STEP <= settings.trials <= MOST_TRIALS or settings.trials % STEP:
        raise UsageError(f"{settings.trials} trials: a multiple of {STEP} is needed, at most {MOST_TRIALS}")
    if subjects < 1 or settings.seed < 0:
        raise UsageError(
            f"{subjects} subjects, seed {settings.seed}: at least one, and a seed from 0, are needed"
        )
    if not (math.isfinite(settings.snr) and settings.snr >= 0):
        raise UsageError(f"a strength (snr) of {settings.snr}: 0 or more is needed")
    if settings.latent not in (None, *CAUSES):
        raise UsageError(f"unknown latent cause {settings.latent!r}; known: {', '.join(CAUSES)}")
    if not 0 <= settings.latent_strength <= 1:
        raise UsageError(f"a latent strength of {settings.latent_strength}: 0 to 1 is needed")
    if settings.latent is None and settings.latent_strength != 1:
        raise UsageError(f"a latent strength without a latent cause: add --latent {CAUSES[0]}")
    if not SHORTEST_S <= settings.seconds <= LONGEST_S:
        raise UsageError(
            f"trials of {settings.seconds} s: at least {SHORTEST_S:g} and at most {LONGEST_S:g} s are needed"
        )


def _prepare_folder(
    out: Path, settings: Settings, subjects: int, modalities: Collection[str], force: bool, dry_run: bool
) -> None:
    """Check or, with ``force``, remove files of other settings in ``out``; write ``TWIN.json``."""
    files.clear_leftovers(out)
    about = {"made_by": "eavctl synth", "layout": "eav", "note": "Made up: no person was recorded."}
    content = (json.dumps({**about, "settings": settings.facts}, indent=2) + "\n").encode()
    mark = out / TWIN
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder with --out")
    if mark.exists() and mark.read_bytes() == content:
        return
    wanted = {
        path for n in range(1, subjects + 1) for path in _paths(out / f"subject{n}", settings, n, modalities)
    }
    existing = [path for path in out.glob("subject*/*/*") if path.is_file()]
    if (existing or mark.exists()) and not force:
        first = existing[0] if existing else mark
        raise UsageError(f"{first}: exists with other settings; use --force, or another --out")
    foreign = sorted(path for path in existing if path not in wanted)
    if foreign:
        raise UsageError(
            f"{foreign[0]}: would remain beside files of other settings; remove it, or use another --out"
        )
    if dry_run:
        return
    mark.unlink(missing_ok=True)  # first: without it, remaining files are not taken for a twin
    for path in existing:
        path.unlink()
    files.make_folder(out)
    files.write_bytes(mark, content)


def _paths(folder: Path, settings: Settings, subject: int, modalities: Collection[str]) -> Iterator[Path]:
    """Every file of a subject."""
    if "eeg" in modalities:
        yield from (_eeg_path(folder, subject), _label_path(folder, subject))
    for trial in range(1, settings.trials + 1):
        if "video" in modalities:
            yield _video_path(folder, settings, trial)
        if "audio" in modalities and trial % len(TASKS) == 0:
            yield _audio_path(folder, settings, subject, trial)


def _eeg_path(folder: Path, subject: int) -> Path:
    return folder / "EEG" / f"subject{subject}_eeg.mat"


def _label_path(folder: Path, subject: int) -> Path:
    return folder / "EEG" / f"subject{subject}_eeg_label.mat"


def _video_path(folder: Path, settings: Settings, trial: int) -> Path:
    task = TASKS[(trial - 1) % len(TASKS)].capitalize()
    return (
        folder / "Video" / f"{trial:03d}_Trial_{trial:02d}_{task}_{EMOTIONS[settings.labels[trial - 1]]}.mp4"
    )


def _audio_path(folder: Path, settings: Settings, subject: int, trial: int) -> Path:
    """Path of a Speaking trial. ``Trial_NN`` counts only these, from 02; the last letters vary by subject."""
    count, ending = trial // len(TASKS) + 1, "Aud" if subject % 2 else "aud"
    emotion = EMOTIONS[settings.labels[trial - 1]]
    return folder / "Audio" / f"{trial:03d}_Trial_{count:02d}_Speaking_{emotion}_{ending}.wav"


def _write_labels(out: Path, settings: Settings, subject: int, modalities: Collection[str]) -> None:
    path = _label_path(out / f"subject{subject}", subject)
    if "eeg" not in modalities or path.exists():
        return
    rows = settings.labels * len(TASKS) + np.arange(settings.trials) % len(TASKS)
    files.make_folder(path.parent)
    files.clear_leftovers(path.parent)
    with mat_array(path, LABELS, (STEP, settings.trials)) as write:
        for row in rows:
            write(np.eye(STEP)[row])


def _write_subject(out: Path, settings: Settings, subject: int, modalities: Collection[str]) -> Iterator[int]:
    """Write the missing files of a subject trial by trial; yields the index of each trial beforehand."""
    folder = out / f"subject{subject}"
    missing = {path for path in _paths(folder, settings, subject, modalities) if not path.exists()}
    for place in {path.parent for path in missing}:
        files.make_folder(place)
        files.clear_leftovers(place)
    with contextlib.ExitStack() as stack:
        makers = [_sounds(folder, settings, subject), _videos(folder, settings, subject)]
        if _eeg_path(folder, subject) in missing:
            makers.append(stack.enter_context(_eeg(folder, settings, subject)))
        for trial in range(1, settings.trials + 1):
            yield trial - 1
            for make in makers:
                make(trial, missing)


Maker = Callable[[int, Collection[Path]], None]


@contextlib.contextmanager
def _eeg(folder: Path, settings: Settings, subject: int) -> Iterator[Maker]:
    """Open the EEG file of a subject; trials must be written in order."""
    what = MODALITIES.index("eeg")
    courses = settings.courses(subject, "eeg")
    head = twin_eeg.draw_head(settings.rng(subject, what, 0))
    loudness = np.exp(LOUDNESS * drifts(settings.trials, 1, settings.rng(subject, what, 0, 0))[:, 0])
    n_times = round(settings.seconds * twin_eeg.SFREQ)
    name = "seg" if subject % 4 == 1 else "seg1"  # 11 of 42, as published
    shape = (n_times, len(twin_eeg.CHANNELS), settings.trials)
    with mat_array(_eeg_path(folder, subject), name, shape) as write:

        def make(trial: int, missing: Collection[Path]) -> None:
            rng = settings.rng(subject, what, trial)
            write(twin_eeg.trial(head, courses[trial - 1], loudness[trial - 1], n_times, rng).T)

        yield make


def _sounds(folder: Path, settings: Settings, subject: int) -> Maker:
    what = MODALITIES.index("audio")
    courses = settings.courses(subject, "audio")
    speaker = twin_voice.draw_speaker(settings.rng(subject, what, 0))
    n_samples = round(settings.seconds * twin_voice.RATE)

    def make(trial: int, missing: Collection[Path]) -> None:
        path = _audio_path(folder, settings, subject, trial)
        if path in missing:
            sound = twin_voice.speech(
                speaker, courses[trial - 1], n_samples, settings.rng(subject, what, trial)
            )
            files.write_bytes(path, wav_bytes(sound, twin_voice.RATE))

    return make


def _videos(folder: Path, settings: Settings, subject: int) -> Maker:
    what = MODALITIES.index("video")
    courses = settings.courses(subject, "video")
    looks = twin_face.draw_looks(settings.rng(subject, what, 0))
    n_frames = round(settings.seconds * FPS)

    def make(trial: int, missing: Collection[Path]) -> None:
        path = _video_path(folder, settings, trial)
        if path in missing:
            rng = settings.rng(subject, what, trial)
            speaks = trial % len(TASKS) == 0
            pictures = twin_face.film(looks, courses[trial - 1], math.ceil(n_frames / HOLD), speaks, rng)
            size = (twin_face.WIDTH, twin_face.HEIGHT)
            files.write_bytes(path, mp4_bytes(pictures, size, fps=FPS, hold=HOLD, n_frames=n_frames))

    return make
