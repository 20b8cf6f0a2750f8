"""Findings on labels and subjects, from the number of rows of each pair of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from eavctl.evaluation.findings.codes import Finding, some
from eavctl.evaluation.names import BETWEEN, DIFFERENCE, SPEAKER, is_placeholder, look_alikes

FEW_ROWS = 5  # the default number of folds: a class with fewer rows is not in every one
IMBALANCED = 5.0  # rows of the largest class, for each of the smallest

Pairs = Mapping[tuple[str | None, str | None], int]


def people_findings(pairs: Pairs, *, distinct_names: bool = False) -> Iterator[Finding]:
    """Findings on the labels and the subjects of a data set.

    Parameters
    ----------
    pairs : number of rows by label and by identity of the subject (see `eavctl.evaluation.groups.identify`);
        None where there is none.
    distinct_names : names that look alike are meant to be different.
    """
    classes, subjects = Counter[str](), Counter[str]()
    people: defaultdict[str, set[str]] = defaultdict(set)  # of each class
    for (label, subject), n in pairs.items():
        if label is not None:
            classes[label] += n
        if subject is not None:
            subjects[subject] += n
        if label is not None and subject is not None:
            people[label].add(subject)
    n_rows = sum(pairs.values())
    yield from _labels(classes, n_rows, distinct_names)
    yield from _subjects(subjects, n_rows, distinct_names)
    if len(classes) > 1 and len(subjects) > 1 and people:
        yield from _both(people, list(classes))


def _labels(classes: Counter[str], n_rows: int, distinct_names: bool) -> Iterator[Finding]:
    if not classes:
        yield Finding("EAV020", f"none of the {n_rows} recordings has a label")
        return
    if (n := n_rows - classes.total()) > 0:
        yield Finding("EAV021", f"{n} of {n_rows} recordings have no label")
    yield from _alike("EAV022", "labels", classes, distinct_names)
    yield from _placeholders("EAV028", "a class", classes)
    if len(classes) == 1:
        yield Finding("EAV023", f"every label is {next(iter(classes))!r}", tuple(classes))
        return
    few = {name: n for name, n in sorted(classes.items()) if n < FEW_ROWS}
    if few:
        shown = some([f"{name} ({n})" for name, n in few.items()])
        yield Finding("EAV024", f"classes with fewer than {FEW_ROWS} rows: {shown}", tuple(few))
    (most, n_most), (least, n_least) = classes.most_common()[0], classes.most_common()[-1]
    if n_most >= IMBALANCED * n_least and not few:
        times = f"{n_most / n_least:.0f} times those of {least!r} ({n_least})"
        text = f"the class {most!r} has {n_most} rows, {times}"
        yield Finding("EAV025", text, (most, least))
    names = sorted(classes)
    if all(SPEAKER.fullmatch(name) for name in names):
        yield Finding("EAV026", f"the classes look like names of speakers: {some(names)}", tuple(names))


def _subjects(subjects: Counter[str], n_rows: int, distinct_names: bool) -> Iterator[Finding]:
    if not subjects:
        yield Finding("EAV030", "no subjects, so a speaker may be on both sides of a split")
        return
    if (n := n_rows - subjects.total()) > 0:
        yield Finding("EAV031", f"{n} of {n_rows} recordings have no subject")
    yield from _alike("EAV032", "subjects", subjects, distinct_names)
    yield from _placeholders("EAV038", "a person", subjects)
    names = tuple(map(_plain, sorted(subjects)))
    if len(names) == 1:
        yield Finding("EAV035", f"all recordings are of one subject, {names[0]}", names)
    if len(names) == 2:
        yield Finding("EAV037", f"there are two subjects, {' and '.join(names)}", names)


def _both(people: Mapping[str, set[str]], classes: list[str]) -> Iterator[Finding]:
    """Whether classes and subjects can be told from each other."""
    labels_of: defaultdict[str, set[str]] = defaultdict(set)
    for label, mine in people.items():
        for subject in mine:
            labels_of[subject].add(label)
    if len(labels_of) < 2:
        return
    single = sorted(label for label in classes if len(people.get(label, ())) == 1)
    if len(single) == len(people):
        text = "every class has a single subject: classes and subjects cannot be distinguished in these rows"
        yield Finding("EAV033", text, tuple(single))
        return
    if all(len(labels) == 1 for labels in labels_of.values()):
        text = (
            f"each of the {len(labels_of)} subjects has one class only: recognising the person is enough to "
            "know the class, unless people are held out"
        )
        yield Finding("EAV034", text, tuple(map(_plain, sorted(labels_of))))
    if single:
        shown = some([f"{label} ({_plain(*people[label])})" for label in single])
        yield Finding("EAV036", f"classes of a single subject: {shown}", tuple(single))


def _alike(code: str, what: str, names: Counter[str], distinct_names: bool) -> Iterator[Finding]:
    found = [] if distinct_names else look_alikes(names)
    if found:
        groups = [" and ".join(repr(_plain(name)) for name in group) for group in found]
        text = f"{what} differ only in {DIFFERENCE}: {some(groups)}"
        yield Finding(code, text, tuple(_plain(name) for group in found for name in group))


def _placeholders(code: str, what: str, counts: Counter[str]) -> Iterator[Finding]:
    found = {_plain(name): n for name, n in sorted(counts.items()) if is_placeholder(_plain(name))}
    if found:
        shown = some([f"{name!r} ({n} rows)" for name, n in found.items()])
        yield Finding(code, f"what looks like a missing value counts as {what}: {shown}", tuple(found))


def dataset_findings(pairs: Mapping[tuple[str | None, str | None], int]) -> Iterator[Finding]:
    """The classes that data sets lack, where there are several.

    Parameters
    ----------
    pairs : number of rows by data set and label.
    """
    classes = {label for _, label in pairs if label is not None}
    has: defaultdict[str, set[str]] = defaultdict(set)
    for dataset, label in pairs:
        if dataset is not None:
            has[dataset] |= {label} if label is not None else set()
    lacking = {name: sorted(classes - mine) for name, mine in sorted(has.items()) if classes - mine}
    if len(has) > 1 and lacking:
        shown = some([f"{name} has no {', '.join(labels)}" for name, labels in lacking.items()])
        yield Finding("EAV027", f"classes are not in every data set: {shown}", tuple(lacking))


def _plain(identity: str) -> str:
    """An identity without its separators, for messages."""
    return identity.rpartition(BETWEEN)[2] or identity
