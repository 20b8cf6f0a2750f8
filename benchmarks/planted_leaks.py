"""Leaks planted in random tables and manifests: all of them must be found, and no clean table refused.

The generator knows the true speaker, recording and time span of each row, whatever its names. A leak counts
as found if it raises an error, or if the resulting splits do not contain it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from eavctl.errors import EavctlError
from eavctl.evaluation.findings.people import people_findings
from eavctl.evaluation.plan import Plan
from eavctl.extraction.recipe import Recipe
from eavctl.stages.extract import Choice, extract
from eavctl.storage import tables
from eavctl.training.cross_validation import Evaluation, plan_folds
from eavctl.training.rows import TableFacts, labelled

CLASSES = ("angry", "happy", "sad")
RATE, SECONDS = 16000, 1.0
BY_PERSON = ("auto", "group-kfold", "loso")
SHARING = ("stratified", "random")


@dataclass(frozen=True)
class Corpus:
    """Rows of a table, and the truth about them.

    Parameters
    ----------
    keys : key table, one row per sample.
    x : features (n_rows, n_columns).
    truth : true ``person``, ``recording``, ``start``, ``end`` and ``content`` of each row.
    """

    keys: pd.DataFrame
    x: np.ndarray
    truth: pd.DataFrame


@dataclass(frozen=True)
class Outcome:
    """Number of cases of a kind, and number of those with the right result."""

    kind: str
    n: int
    right: int


def run(n: int, seed: int = 0) -> list[Outcome]:
    """Run ``n`` random cases, all kinds of tables and manifests in turn.

    Parameters
    ----------
    n : number of cases.
    seed : random seed.
    """
    tried, right = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, case) in zip(range(n), itertools.cycle(CASES.items()), strict=False):
            place = Path(folder, str(number))
            place.mkdir()
            tried[kind] += 1
            right[kind] += case(np.random.default_rng([seed, number]), place)
            shutil.rmtree(place)
    return [Outcome(kind, count, right[kind]) for kind, count in tried.items()]


def lines(outcomes: list[Outcome]) -> list[str]:
    """The outcomes as text, one line per kind."""
    width = max(len(each.kind) for each in outcomes)
    return [f"{each.kind:{width}}  {each.right} of {each.n}" for each in outcomes]


# --- corpora ------------------------------------------------------------------------------------------------


def corpus(rng: np.random.Generator) -> Corpus:
    """A few people of one or two data sets with one or two clips per class, each in one or more segments."""
    rows, truth = [], []
    for dataset in ("one", "two")[: rng.integers(1, 3)]:
        for person in range(rng.integers(3, 6)):
            for label in CLASSES:
                for take in range(rng.integers(1, 3)):
                    clip = f"{dataset}/p{person}/{label}{take}"
                    hop = rng.choice([0.5, 1.0])
                    for part in range(rng.integers(1, 4)):
                        start = hop * part
                        name = f"{clip}@{start:09.3f}"
                        rows.append(
                            [name, clip, dataset, f"p{person}", f"rec {clip}", start, start + 1, label]
                        )
                        truth.append([f"{dataset} p{person}", clip, start, start + 1, name])
    columns = ["sample_id", "clip_id", "dataset", "subject", "recording", "start", "end", "label"]
    keys = tables.key_frame(pd.DataFrame(rows, columns=columns))
    known = pd.DataFrame(truth, columns=["person", "recording", "start", "end", "content"])
    return Corpus(keys, rng.normal(size=(len(rows), 16)).astype(np.float32), known)


def runs(rng: np.random.Generator, hop: float) -> Corpus:
    """Epochs of 4 s with a hop of ``hop`` seconds from several runs of one person; each epoch is a clip."""
    rows, truth = [], []
    for run_number in range(rng.integers(4, 8)):
        for i in range(rng.integers(8, 20)):
            start = hop * i
            name = f"run{run_number}@{start:09.3f}"
            rows.append([name, name, f"file{run_number}", start, start + 4, CLASSES[(i // 3) % 3]])
            truth.append(["one", f"file{run_number}", start, start + 4, name])
    keys = pd.DataFrame(rows, columns=["sample_id", "clip_id", "recording", "start", "end", "label"])
    known = pd.DataFrame(truth, columns=["person", "recording", "start", "end", "content"])
    x = rng.normal(size=(len(rows), 16)).astype(np.float32)
    return Corpus(tables.key_frame(keys), x, known)


def with_keys(made: Corpus, **columns: object) -> Corpus:
    """The corpus with other key columns and the same truth."""
    return replace(made, keys=tables.key_frame(made.keys.assign(**columns)))


# --- true leaks of a split ----------------------------------------------------------------------------------


def is_clean(plan: Plan, truth: pd.DataFrame, *, people_apart: bool) -> bool:
    """Whether no fold shares a person (with ``people_apart``), a time span or a copy between its sides."""
    return not any(leaks(truth.iloc[s.train], truth.iloc[s.test], people_apart) for s in plan.folds)


def leaks(train: pd.DataFrame, test: pd.DataFrame, people_apart: bool) -> bool:
    """Compare every pair of rows."""
    if people_apart and set(train["person"]) & set(test["person"]):
        return True
    if set(train["content"]) & set(test["content"]):
        return True
    for name, mine in test.groupby("recording"):
        other = train[train["recording"] == name]
        before = mine["start"].to_numpy()[:, None] < other["end"].to_numpy() - 1e-6
        after = other["start"].to_numpy() < mine["end"].to_numpy()[:, None] - 1e-6
        if (before & after).any():
            return True
    return False


def split(made: Corpus, protocol: str, group: str | None = None) -> Plan:
    """The splits of a training, after all leak checks."""
    classes = sorted(set(made.keys["label"]))
    data = labelled(made.keys, made.x, classes, TableFacts("planted", ("audio",), {}, ""))
    return plan_folds(data.rows, Evaluation(protocol, 3, group))


def found(made: Corpus, protocol: str, group: str | None = None) -> bool:
    """Whether a planted leak raises an error or is absent from the splits."""
    try:
        plan = split(made, protocol, group)
    except EavctlError:
        return True
    return is_clean(plan, made.truth, people_apart=not plan.shares)


def passes(made: Corpus, protocol: str, group: str | None = None) -> bool:
    """Whether a clean corpus is split without an error or a merging of groups."""
    plan = split(made, protocol, group)
    return is_clean(plan, made.truth, people_apart=not plan.shares) and not any(
        "merged with" in text for text in plan.warnings
    )


# --- cases: tables ------------------------------------------------------------------------------------------

Case = Callable[[np.random.Generator, Path], bool]


def _clean(rng: np.random.Generator, _: Path) -> bool:
    return passes(corpus(rng), str(rng.choice([*BY_PERSON, *SHARING])))


def _clean_runs(rng: np.random.Generator, _: Path) -> bool:
    return passes(runs(rng, 4.0), str(rng.choice(["auto", "stratified"])))


def _overlapping_epochs(rng: np.random.Generator, _: Path) -> bool:
    return found(runs(rng, float(rng.uniform(0.2, 3.9))), str(rng.choice(["auto", *SHARING])))


def _spellings(rng: np.random.Generator, _: Path) -> bool:
    made = corpus(rng)
    changes: list[Callable[[str], str]] = [
        lambda s: s + " ",
        lambda s: " " + s,
        str.upper,
        lambda s: s[0] + " " + s[1:],
    ]
    change = changes[rng.integers(len(changes))]
    torn = [change(s) if rng.random() < 0.5 else s for s in made.keys["subject"]]
    return found(with_keys(made, subject=torn), str(rng.choice(BY_PERSON)))


def _no_such_group(rng: np.random.Generator, _: Path) -> bool:
    try:
        split(corpus(rng), str(rng.choice([*BY_PERSON, *SHARING])), "speaker")
    except EavctlError:
        return True
    return False


def augmented(made: Corpus) -> Corpus:
    """The corpus with two altered copies of each row, by content the row itself; one equals it."""
    names = (None, "1-gain", "2-noise")
    rows = np.repeat(np.arange(len(made.keys)), len(names))
    keys = made.keys.iloc[rows].reset_index(drop=True).assign(augment=list(names) * len(made.keys))
    copied = keys["augment"].notna()
    keys.loc[copied, "sample_id"] += "#" + keys.loc[copied, "augment"]
    x = made.x[rows]
    x[2 :: len(names)] *= 1.01
    return Corpus(keys, x, made.truth.iloc[rows].reset_index(drop=True))


def _tests_copies(made: Corpus, plan: Plan) -> bool:
    return any(made.keys["augment"].iloc[each.test].notna().any() for each in plan.folds)


def _clean_copies(rng: np.random.Generator, _: Path) -> bool:
    """Altered copies: on the side of their clip, tested nowhere, and no reason to refuse the table."""
    made, protocol = augmented(corpus(rng)), str(rng.choice([*BY_PERSON, *SHARING]))
    return passes(made, protocol) and not _tests_copies(made, split(made, protocol))


def _copies_of_a_shared_recording(rng: np.random.Generator, _: Path) -> bool:
    """Copies of a recording that two people have: the recording is found through them as without them."""
    made = corpus(rng)
    one, other = rng.choice(len(made.keys), 2, replace=False)
    keys, truth = made.keys.copy(), made.truth.copy()
    for frame in (keys, truth):
        for column in ("recording", "start", "end"):
            frame.loc[other, column] = frame[column][one]
    planted = augmented(replace(made, keys=keys, truth=truth))
    return found(planted, str(rng.choice([*BY_PERSON, *SHARING])))


def _given_with_a_shared_person(rng: np.random.Generator, _: Path) -> bool:
    made = corpus(rng)
    names = sorted(set(made.truth["person"]))
    fold = np.array([names.index(name) % 3 for name in made.truth["person"]])
    clip = rng.choice(made.keys["clip_id"])
    fold[made.keys["clip_id"] == clip] = (fold[made.keys["clip_id"] == clip] + 1) % 3
    return found(with_keys(made, fold=fold), "given")


def _clean_given(rng: np.random.Generator, _: Path) -> bool:
    made = corpus(rng)
    names = sorted(set(made.truth["person"]))
    return passes(with_keys(made, fold=[names.index(name) % 3 for name in made.truth["person"]]), "given")


def _copied_features(rng: np.random.Generator, _: Path) -> bool:
    """One recording under two names and two people, saved again so that only the features are equal."""
    made = corpus(rng)
    one, other = rng.choice(len(made.keys), 2, replace=False)
    x, truth = made.x.copy(), made.truth.copy()
    x[other], truth.loc[other, "content"] = x[one], truth["content"][one]
    return found(replace(made, x=x, truth=truth), str(rng.choice([*BY_PERSON, *SHARING])))


def _one_recording_of_two_people(rng: np.random.Generator, _: Path) -> bool:
    made = corpus(rng)
    one, other = rng.choice(len(made.keys), 2, replace=False)
    keys, truth = made.keys.copy(), made.truth.copy()
    for frame in (keys, truth):
        for column in ("recording", "start", "end"):
            frame.loc[other, column] = frame[column][one]
    return found(replace(made, keys=keys, truth=truth), str(rng.choice([*BY_PERSON, *SHARING])))


def _two_data_sets(rng: np.random.Generator) -> Corpus:
    while True:
        made = corpus(rng)
        if made.keys["dataset"].nunique() == 2:
            return made


def _clean_data_sets(rng: np.random.Generator, _: Path) -> bool:
    made = _two_data_sets(rng)
    plan = split(made, str(rng.choice(["auto", "lodo"])))
    return plan.name == "lodo" and passes(made, "lodo")


def _one_recording_in_two_data_sets(rng: np.random.Generator, _: Path) -> bool:
    made = _two_data_sets(rng)
    one, other = (rng.choice(np.flatnonzero(made.keys["dataset"] == name)) for name in ("one", "two"))
    keys, truth = made.keys.copy(), made.truth.copy()
    for frame in (keys, truth):
        for column in ("recording", "start", "end"):
            frame.loc[other, column] = frame[column][one]
    return found(replace(made, keys=keys, truth=truth), str(rng.choice(["auto", "lodo"])))


def _classes_of_one_person(rng: np.random.Generator, _: Path) -> bool:
    made = corpus(rng)
    pairs = Counter((f"spk{s[1:]}", None) for s in made.keys["subject"])
    named = Counter((s, s) for s in made.keys["subject"])
    found = [{each.code for each in people_findings(each)} for each in (pairs, named)]
    return "EAV026" in found[0] and "EAV033" in found[1]


# --- cases: manifests ---------------------------------------------------------------------------------------


def _files(rng: np.random.Generator, folder: Path, n: int) -> Iterator[str]:
    for i in range(n):
        soundfile.write(folder / f"f{i:02d}.wav", 0.1 * rng.normal(size=int(RATE * SECONDS)), RATE)
        yield f"f{i:02d}.wav"


def _extracted(folder: Path, lines_: list[str], truth: dict[str, tuple[str, str, float, float]]) -> Corpus:
    """The table extracted from a manifest, with the truth about its clips."""
    (folder / "m.csv").write_text("\n".join(lines_))
    extract(folder / "m.csv", folder / "t.parquet", Recipe("seed33"), choice=Choice())
    table = tables.read_features(folder / "t.parquet")
    known = [(*truth[name], name) for name in table.keys["clip_id"]]
    columns = ["person", "recording", "start", "end", "content"]
    return Corpus(table.keys, table.x, pd.DataFrame(known, columns=columns))


def _manifest_parts(rng: np.random.Generator, folder: Path, hop: float) -> Corpus:
    """Segments of 0.4 s of several recordings, each a clip of its own."""
    rows, truth = ["path,clip_id,start,end,label"], {}
    for file in _files(rng, folder, 6):
        for i, start in enumerate(np.arange(0, SECONDS - 0.4 + 1e-9, hop)):
            name = f"{file[:3]}-{i}"
            rows.append(f"{file},{name},{start:.3f},{start + 0.4:.3f},{CLASSES[i % 3]}")
            truth[name] = ("one", file, float(start), float(start) + 0.4)
    return _extracted(folder, rows, truth)


def _clean_parts(rng: np.random.Generator, folder: Path) -> bool:
    return passes(_manifest_parts(rng, folder, 0.4), "auto")


def _overlapping_parts(rng: np.random.Generator, folder: Path) -> bool:
    return found(
        _manifest_parts(rng, folder, float(rng.choice([0.1, 0.2, 0.3]))), str(rng.choice(["auto", *SHARING]))
    )


def _same_file_by_other_paths(rng: np.random.Generator, folder: Path) -> bool:
    """Every file a second time, as a link, a copy or another path, with another subject."""
    rows, truth = ["path,clip_id,subject,label"], {}
    for i, file in enumerate(_files(rng, folder, 9)):
        other = f"x{i:02d}.wav"
        kind = rng.integers(3)
        if kind == 0:
            os.symlink(folder / file, folder / other)
        elif kind == 1:
            shutil.copy(folder / file, folder / other)
        for name, path, person in (
            (f"a{i}", file, f"p{i % 3}"),
            (f"b{i}", other if kind < 2 else f"./{file}", f"q{i % 3}"),
        ):
            rows.append(f"{path},{name},{person},{CLASSES[i // 3]}")
            truth[name] = ("one", file, 0.0, SECONDS)
    try:
        made = _extracted(folder, rows, truth)
        plan = split(made, str(rng.choice(["stratified", "random"])))
    except EavctlError:
        return True
    return is_clean(plan, made.truth, people_apart=False)


def _manifest_spellings(rng: np.random.Generator, folder: Path) -> bool:
    rows, truth = ["path,clip_id,subject,label"], {}
    column = rng.choice(["subject", "label"])
    change: Callable[[str], str] = [str.upper, lambda s: s + " ", str.capitalize][rng.integers(3)]
    for i, file in enumerate(_files(rng, folder, 9)):
        person, label = f"p{i % 3}", CLASSES[i // 3]
        names = {"subject": person, "label": label}
        names[column] = change(names[column]) if i % 2 else names[column]
        rows.append(f"{file},c{i},{names['subject']},{names['label']}")
        truth[f"c{i}"] = (person, file, 0.0, SECONDS)
    try:
        made = _extracted(folder, rows, truth)
        plan = split(made, "loso")
    except EavctlError:
        return True
    is_one_class_each = len(set(made.keys["label"])) == len(CLASSES)
    return is_one_class_each and is_clean(plan, made.truth, people_apart=True)


CASES: dict[str, Case] = {
    "clean table": _clean,
    "overlapping epochs": _overlapping_epochs,
    "clean runs": _clean_runs,
    "two spellings of a subject": _spellings,
    "no such --group": _no_such_group,
    "person on both sides of a given split": _given_with_a_shared_person,
    "clean given split": _clean_given,
    "copied features": _copied_features,
    "clean altered copies": _clean_copies,
    "altered copies of one recording of two people": _copies_of_a_shared_recording,
    "one recording of two people": _one_recording_of_two_people,
    "clean data sets": _clean_data_sets,
    "one recording in two data sets": _one_recording_in_two_data_sets,
    "classes that are people": _classes_of_one_person,
    "manifest: clean parts": _clean_parts,
    "manifest: overlapping parts": _overlapping_parts,
    "manifest: one file by two paths": _same_file_by_other_paths,
    "manifest: two spellings": _manifest_spellings,
}
