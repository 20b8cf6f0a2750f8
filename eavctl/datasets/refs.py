"""Layout ``refs``: pictures with phrases that describe something in them, as RefCOCO's, in ``refs.json``."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from eavctl.datasets.manifest import Manifest, build
from eavctl.errors import DataError
from eavctl.registry import register
from eavctl.signals.endings import is_picture, split_ending
from eavctl.storage.provenance import hash_file

REFS, IMAGES, INSTANCES = "refs.json", "images", "instances*.json"
MOST_BYTES = 500 << 20  # of a JSON file; RefCOCO's instances have 200 MB
MOST_TEXT = 1000  # characters of a phrase
NEAR = 2.0  # pixels by which the edges of a phrase's box and of an annotation's may differ
UNKNOWN_KIND = "phrase"
# RefCOCO's parts, by the words in their names: val, testA, testB; with a data set's name before, unc+_val.
SPLITS = {"train": "train", "val": "val", "test": "test"}


@dataclass(frozen=True)
class Phrase:
    """What a phrase describes in a picture.

    Parameters
    ----------
    text : the phrase.
    kind : what the data set says of it, such as ``relation``; else ``phrase``.
    box : left, top, right and bottom in pixels; None where it fits nothing in the picture.
    segmentation : of the object, as `eavctl.signals.masks.decode` reads it; None where it is not known.
    task : the part of the data that the phrase is in, such as ``testA``.
    """

    text: str
    kind: str
    box: tuple[float, float, float, float] | None
    segmentation: Any = None
    task: str | None = None


def recognise(root: Path) -> bool:
    """Whether ``root`` is a folder with phrases."""
    return root.is_dir() and (root / REFS).is_file()


@register("layouts", "refs", recognise=recognise, priority=4, features="scenes")
def scan(root: Path) -> Manifest:
    """Read the pictures that ``root/refs.json`` has phrases for, in ``root/images`` or in ``root``.

    The file is a list, in one of two forms. Plain: ``{"image", "phrase", "bbox_xywh"}``, the box in pixels or
    null where the phrase fits nothing, and optionally ``segmentation`` (COCO's polygons or run lengths),
    ``split``, ``task`` (a part of the split, as ``testA``) and ``kind``. Or RefCOCO's own, as JSON: ``{
    "ann_id", "sentences": [{"sent"}], "split"}``, with boxes and names of files in ``instances*.json``. Where
    that file is there, phrases of the plain form get the segmentation of the object with the same box.

    Raises
    ------
    DataError : not such a file.
    """
    used, rejected = _used(root)
    dataset = root.resolve().name
    records = (
        {"clip_id": clip, "dataset": dataset, "split": picture.split, "video_path": place}
        for clip, (place, picture) in used.items()
    )
    return build(records, root, "refs", rejected=rejected)


def phrases_of(root: Path) -> dict[str, Sequence[Phrase]]:
    """The phrases of each picture of a data set, by its ``clip_id``; errors as `scan`."""
    used, _ = _used(root)
    return {clip: picture.phrases for clip, (_, picture) in used.items()}


def _used(root: Path) -> tuple[dict[str, tuple[str, _Picture]], list[dict[str, str]]]:
    """The place and the phrases of each picture, by its ``clip_id``, and the rejections of a manifest."""
    used: dict[str, tuple[str, _Picture]] = {}
    rejected = []
    for name, picture in sorted(_read(root).items()):
        place = f"{IMAGES}/{name}" if os.path.isfile(root / IMAGES / name) else name
        clip = split_ending(name)[0].strip()
        bad = {"clip_id": clip, "path": place, "modality": "video"}
        if reason := _fault(root / place, is_new=clip not in used):
            rejected.append({**bad, "reason": reason})
            continue
        rejected += [{**bad, "reason": f"phrase {text!r:.60}: {why}"} for text, why in picture.rejected]
        if picture.phrases:
            used[clip] = place, picture
    return used, rejected


def _fault(path: Path, *, is_new: bool) -> str | None:
    """Why a picture cannot be used, if it cannot."""
    if not is_picture(path.name):
        return "not a picture, by its ending"
    if not os.path.isfile(path):  # unlike Path.is_file, False for a name that is too long
        return "no such file"
    return None if is_new else "another picture has the same name"


def hash_of(root: Path) -> str:
    """A hash of the files with phrases and annotations.

    Raises
    ------
    DataError : there are no phrases.
    """
    if not (root / REFS).is_file():
        raise DataError(f"{root}: no {REFS}, which holds the phrases of the layout refs")
    return "-".join(hash_file(path) for path in (root / REFS, *sorted(root.glob(INSTANCES))))


class _Picture:
    """The phrases of a picture, those that cannot be used with the reason, and the split of all of them."""

    def __init__(self, split: str | None) -> None:
        self.split = split
        self.phrases: list[Phrase] = []
        self.rejected: list[tuple[str, str]] = []

    def add(self, text: Any, part: str | None, make: Callable[[], Phrase]) -> None:
        """Add a phrase, or the reason why not; a picture stays in the split in which it is met first."""
        try:
            if _split_of(part) != self.split:
                raise ValueError(f"is in {part}, and its picture is in {self.split} already")
            if not _is_text(text):
                raise ValueError(f"not a text of 1 to {MOST_TEXT} characters")
            self.phrases.append(make())
        except ValueError as error:
            self.rejected.append((str(text), str(error)))


@lru_cache(maxsize=1)
def _parsed(root: Path, identity: str) -> dict[str, _Picture]:
    refs = _json(root / REFS)
    if not isinstance(refs, list) or not refs or not all(isinstance(each, dict) for each in refs):
        raise DataError(f"{root / REFS}: not a list of phrases; see data/README.md for its form")
    found = next(iter(sorted(root.glob(INSTANCES))), None)
    instances = _Instances.read(found) if found else _Instances({}, {})
    if "sentences" in refs[0]:
        if not found:
            raise DataError(f"{root}: {REFS} names annotations, and there is no {INSTANCES} with their boxes")
        return _refcoco(root, refs, instances)
    return _plain(root, refs, instances)


def _read(root: Path) -> dict[str, _Picture]:
    return _parsed(root.absolute(), hash_of(root))


def _plain(root: Path, refs: Sequence[Mapping[str, Any]], instances: _Instances) -> dict[str, _Picture]:
    pictures: dict[str, _Picture] = {}
    for ref in refs:
        name: Any = ref.get("image")
        if not _is_inside(name):
            raise DataError(f"{root / REFS}: {name!r:.60} is no name of a picture below {IMAGES}")
        name = str(PurePosixPath(name))  # one name for a.jpg and ./a.jpg
        part = _part(root, ref)

        def make(ref: Mapping[str, Any] = ref, name: str = name, part: str | None = part) -> Phrase:
            if "bbox_xywh" not in ref:
                raise ValueError("has no bbox_xywh; write null where it fits nothing in the picture")
            box = None if ref["bbox_xywh"] is None else _box(ref["bbox_xywh"])
            segmentation = ref.get("segmentation") or (box and instances.segmentation(name, box))
            kind = _text(ref.get("kind")) or UNKNOWN_KIND
            task = _text(ref.get("task")) or part
            return Phrase(ref["phrase"], kind, box, segmentation or None, task)

        pictures.setdefault(name, _Picture(_split_of(part))).add(ref.get("phrase"), part, make)
    return pictures


def _refcoco(root: Path, refs: Sequence[Mapping[str, Any]], instances: _Instances) -> dict[str, _Picture]:
    pictures: dict[str, _Picture] = {}
    for ref in refs:
        annotation = instances.by_id.get(str(ref.get("ann_id")))
        sentences = ref.get("sentences")
        if annotation is None or not isinstance(sentences, list):
            known = f"annotation {ref.get('ann_id')!r:.40}"
            raise DataError(f"{root / REFS}: {known} is not in {INSTANCES}, or has no sentences")
        name, own = annotation
        part = _part(root, ref)
        picture = pictures.setdefault(name, _Picture(_split_of(part)))
        for sentence in sentences:
            text = sentence.get("sent") if isinstance(sentence, dict) else None

            def make(text: Any = text, own: Mapping[str, Any] = own, part: str | None = part) -> Phrase:
                box, segmentation = _box(own.get("bbox")), own.get("segmentation") or None
                return Phrase(text, UNKNOWN_KIND, box, segmentation, part)

            picture.add(text, part, make)
    return pictures


def _part(root: Path, ref: Mapping[str, Any]) -> str | None:
    """The split that a reference names, such as testA; without it no picture can be kept out of training."""
    try:
        return _text(ref.get("split"))
    except ValueError as error:
        raise DataError(f"{root / REFS}: a split: {error}") from None


@dataclass(frozen=True)
class _Instances:
    """COCO's annotations of objects: name of the picture and annotation, by id and by picture."""

    by_id: Mapping[str, tuple[str, Mapping[str, Any]]]
    by_picture: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def read(cls, path: Path) -> _Instances:
        content = _json(path)
        try:
            names = {str(each["id"]): each["file_name"] for each in content["images"]}
            by_id, by_picture = {}, defaultdict(list)
            for each in content["annotations"]:
                name = names[str(each["image_id"])]
                by_id[str(each["id"])] = name, each
                by_picture[name].append(each)
        except (TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path}: not COCO's annotations of objects ({type(error).__name__})") from error
        if odd := [name for name in names.values() if not _is_inside(name)]:
            raise DataError(f"{path}: {odd[0]!r:.60} is no name of a picture")
        return cls(by_id, by_picture)

    def segmentation(self, name: str, box: tuple[float, ...]) -> Any:
        """The segmentation of the object in a picture whose box is the nearest to this one, within `NEAR`."""
        nearest, found = NEAR, None
        for each in self.by_picture.get(name, ()):
            try:
                own = _box(each.get("bbox"))
            except ValueError:
                continue
            distance = max(abs(a - b) for a, b in zip(own, box, strict=True))
            if distance <= nearest and each.get("segmentation"):
                nearest, found = distance, each["segmentation"]
        return found


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: too large for a list of phrases ({path.stat().st_size >> 20} MB)")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable JSON ({str(error).splitlines()[0]:.80})") from error


def _box(value: Any) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of ``[x, y, width, height]``.

    Raises
    ------
    ValueError : not four finite numbers, or a box without a size.
    """
    try:
        if not isinstance(value, list) or any(type(each) not in (int, float) for each in value):
            raise TypeError
        x, y, width, height = map(float, value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"its box {value!r:.60} is not four numbers") from None
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        raise ValueError(f"its box {value!r:.60} has no size")
    return x, y, x + width, y + height


def _split_of(name: str | None) -> str | None:
    """The split that a name such as ``unc+/unc+_testB`` stands for."""
    last = (name or "").lower().replace("/", "_").split("_")[-1]
    return next((split for word, split in SPLITS.items() if last.startswith(word)), None)


def _is_inside(name: Any) -> bool:
    """Whether a value is a relative path that stays below its folder."""
    if not _is_text(name) or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.name != ""


def _text(value: Any) -> str | None:
    """A text, or None where there is none.

    Raises
    ------
    ValueError : something else.
    """
    if value is None or value == "":
        return None
    if not _is_text(value):
        raise ValueError(f"{value!r:.60} is not a text of 1 to {MOST_TEXT} characters")
    return str(value)


def _is_text(value: Any) -> bool:
    """Whether a value is a text that is not empty or too long, and valid Unicode, which JSON need not be."""
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)
