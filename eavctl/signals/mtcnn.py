"""MTCNN, a face detector: its three networks in numpy, with the weights of the package ``mtcnn``.

The search runs from coarse to fine: P-Net slides over an image pyramid and proposes boxes, R-Net filters them
at 24 x 24 pixels, and O-Net filters the rest at 48 x 48 pixels and locates eyes, nose and mouth.

Reference: Zhang, Zhang, Li, Qiao: Joint face detection and alignment using multitask cascaded convolutional
networks, IEEE Signal Processing Letters, 2016.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eavctl.errors import UsageError
from eavctl.signals.convolution import convolved, pool
from eavctl.signals.pictures import cut_out, resize
from eavctl.storage import packages

PACKAGE = "mtcnn"
CELL, STRIDE = 12, 2  # P-Net's window and step, pixels
R_SIDE, O_SIDE = 24, 48  # side of the input of R-Net and O-Net, pixels
STEP = 0.709  # from one level of the pyramid to the next: half the area
SMALLEST = 1 / 8  # of the picture's shorter side: smaller faces are searched for only if none is larger
SMALLEST_PIXELS = 20  # smaller faces show too little to describe
LEAST_P, LEAST_R, LEAST_O = 0.7, 0.7, 0.9  # thresholds of the scores, which lie in 0 to 1
SAME_LEVEL, SAME = 0.5, 0.7  # non-maximum suppression: largest overlap within a level, and later
MOST_PROPOSALS = 200  # passed to R-Net; crowds and foliage can give thousands

Weights = list[np.ndarray]
Net = Callable[[np.ndarray, Weights], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Faces:
    """Faces found in a picture, best first.

    Parameters
    ----------
    boxes : float, shape (n_faces, 4): left, top, right, bottom, in pixels.
    scores : float, shape (n_faces,), 0 to 1.
    points : float, shape (n_faces, 5, 2): x and y, in pixels, of the eye on the picture's left, the eye on
        its right, the nose, and the corners of the mouth on the picture's left and right.
    """

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def detect(picture: np.ndarray, near: np.ndarray | None = None) -> Faces:
    """Find the faces in a picture.

    Faces of at least an eighth of the picture's shorter side are searched for, and if there are none, faces
    of at least half that size.

    Parameters
    ----------
    picture : uint8, shape (height, width, 3), RGB.
    near : box (4,) of a face in the previous frame, in pixels. If O-Net still finds a face there, the rest of
        the picture is not searched, which takes an eighth of the time.

    Raises
    ------
    UsageError : the package with the weights is not installed.
    """
    if near is not None and len(found := _detect_near(picture, near)):
        return found
    smallest = max(SMALLEST * min(picture.shape[:2]), SMALLEST_PIXELS)
    found = _cascade(picture, smallest)
    if not len(found) and smallest > SMALLEST_PIXELS:
        return _cascade(picture, max(smallest / 2, SMALLEST_PIXELS))
    return found


def _cascade(picture: np.ndarray, smallest: float) -> Faces:
    """Run the three networks for faces of at least ``smallest`` pixels."""
    nets = _nets()
    height, width = picture.shape[:2]
    scale = min(R_SIDE / smallest, 1)  # P-Net and R-Net need no more pixels than this
    small = resize(picture, (round(height * scale), round(width * scale)))
    boxes = _proposals(small, smallest * scale, nets["pnet"])
    boxes, scores, _ = _refined(small, boxes, LEAST_R, _run_rnet, nets["rnet"], R_SIDE)
    boxes = _squares(boxes[_distinct(boxes, scores, SAME)])
    boxes *= np.tile([width / small.shape[1], height / small.shape[0]], 2)
    boxes, scores, points = _refined(picture, boxes, LEAST_O, _run_onet, nets["onet"], O_SIDE)
    keep = _distinct(boxes, scores, SAME, of_smaller=True)
    return Faces(boxes[keep], scores[keep], points[keep])


def _detect_near(picture: np.ndarray, near: np.ndarray) -> Faces:
    """The face that O-Net finds at a box, if any."""
    return Faces(*_refined(picture, _squares(near[None]), LEAST_O, _run_onet, _nets()["onet"], O_SIDE))


@functools.cache
def _nets() -> dict[str, Weights]:
    """Weights of the three networks, from the package's files: importing it would need tensorflow."""
    first = packages.find(PACKAGE, "assets", "weights", "pnet.lz4")
    if first is None:
        raise UsageError(f"face detection needs the weights of the package {PACKAGE}: pip install mtcnn")
    folder = first.parent
    try:
        import joblib
        import lz4.frame

        packed = {name: (folder / f"{name}.lz4").read_bytes() for name in ("pnet", "rnet", "onet")}
        # Unpacked here: joblib would leave the compressed file open, about which Python 3.13 warns.
        return {name: joblib.load(io.BytesIO(lz4.frame.decompress(each))) for name, each in packed.items()}
    except (OSError, ImportError, ValueError, RuntimeError) as error:  # lz4 raises RuntimeError
        raise UsageError(
            f"{folder}: the weights cannot be read ({error}): pip install 'mtcnn>=1.0' lz4"
        ) from None


def _proposals(picture: np.ndarray, smallest: float, weights: Weights) -> np.ndarray:
    """Square boxes, (n, 4), that P-Net proposes as faces at any scale, best first."""
    height, width = picture.shape[:2]
    boxes, scores = [np.empty((0, 4))], [np.empty(0)]
    scale, level = CELL / smallest, picture
    while min(height, width) * scale >= CELL:
        size = (round(height * scale), round(width * scale))
        level = resize(level, size)  # from the previous level, which is smaller than the picture
        found, score = _run_pnet(level, weights)
        keep = _distinct(found, score, SAME_LEVEL)
        boxes.append(found[keep] * np.tile([width / size[1], height / size[0]], 2))
        scores.append(score[keep])
        scale *= STEP
    found, score = np.concatenate(boxes), np.concatenate(scores)
    return _squares(found[_distinct(found, score, SAME)[:MOST_PROPOSALS]])


def _run_pnet(level: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Boxes, (n, 4), and scores, (n,), of the windows of a picture that may hold a face."""
    x = pool(_convolved(_scaled(level[None]), *weights[:3]), 2)
    x = _convolved(_convolved(x, *weights[3:6]), *weights[6:9])[0]
    scores = _probability(x @ weights[11][0, 0] + weights[12])
    rows, columns = np.nonzero(scores > LEAST_P)
    offsets = x[rows, columns] @ weights[9][0, 0] + weights[10]
    corner = np.stack([columns, rows], axis=1) * STRIDE
    windows = np.concatenate([corner, corner + CELL], axis=1)
    return windows + offsets * CELL, scores[rows, columns]


def _run_rnet(patches: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of boxes, (n, 4), no points, (n, 0, 2), and scores, (n,), for patches (n, 24, 24, 3)."""
    x = pool(_convolved(_scaled(patches), *weights[:3]), 3)
    x = pool(_convolved(x, *weights[3:6]), 3)
    x = _dense(_convolved(x, *weights[6:9]), *weights[9:12])
    return (
        x @ weights[12] + weights[13],
        np.empty((len(x), 0, 2)),
        _probability(x @ weights[14] + weights[15]),
    )


def _run_onet(patches: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of boxes, (n, 4), points, (n, 5, 2), and scores, (n,), for patches (n, 48, 48, 3).

    Offsets and points are in units of the side of the box.
    """
    x = pool(_convolved(_scaled(patches), *weights[:3]), 3)
    x = pool(_convolved(x, *weights[3:6]), 3)
    x = pool(_convolved(x, *weights[6:9]), 2)
    x = _dense(_convolved(x, *weights[9:12]), *weights[12:15])
    heads = [x @ weights[i] + weights[i + 1] for i in (15, 17, 19)]
    return heads[0], heads[1].reshape(-1, 2, 5).transpose(0, 2, 1), _probability(heads[2])


def _refined(
    picture: np.ndarray, boxes: np.ndarray, least: float, run: Net, weights: Weights, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and points, in pixels, of the faces that a network finds in square boxes."""
    boxes = boxes[boxes[:, 2] - boxes[:, 0] >= 1]
    patches = [cut_out(picture, box, (side, side)) for box in boxes]
    offsets, points, scores = run(np.array(patches, np.uint8).reshape(-1, side, side, 3), weights)
    keep = scores > least
    boxes, sizes = boxes[keep], boxes[keep, 2:] - boxes[keep, :2]
    points = boxes[:, None, :2] + points[keep] * sizes[:, None]
    return boxes + offsets[keep] * np.tile(sizes, 2), scores[keep], points


def _scaled(pictures: np.ndarray) -> np.ndarray:
    return (pictures.astype(np.float32) - 127.5) / 128


def _convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Convolution of (n, height, width, channels) without padding, followed by bias and PReLU."""
    return _rectified(convolved(x, kernel), bias, slope)


def _rectified(x: np.ndarray, bias: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Add the bias and apply a PReLU with one slope per channel, in place."""
    x += bias
    below = np.minimum(x, 0)
    below *= slope.reshape(-1) - 1
    x += below
    return x


def _dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Fully connected layer with PReLU; its weights expect columns before rows."""
    return _rectified(x.transpose(0, 2, 1, 3).reshape(len(x), len(kernel)) @ kernel, bias, slope)


def _probability(pair: np.ndarray) -> np.ndarray:
    """Second value of the softmax over the last axis, (..., 2)."""
    return np.asarray(1 / (1 + np.exp(pair[..., 0] - pair[..., 1])))


def _squares(boxes: np.ndarray) -> np.ndarray:
    """Squares with the centres of the boxes and the longer of their sides."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _distinct(boxes: np.ndarray, scores: np.ndarray, most: float, of_smaller: bool = False) -> np.ndarray:
    """Non-maximum suppression: indices of the boxes, best first, that overlap no better one by over ``most``.

    The overlap is relative to the union, or, with ``of_smaller``, to the smaller box.
    """
    left = np.argsort(-scores, kind="stable")
    keep = []
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        left = left[overlaps(boxes[best], boxes[left], of_smaller) <= most]
    return np.array(keep, int)


def overlaps(box: np.ndarray, others: np.ndarray, of_smaller: bool = False) -> np.ndarray:
    """Overlap of a box (4,) with each of others (n, 4): common area over the union, or the smaller area."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.maximum(shared, 0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    whole = np.minimum(area, areas) if of_smaller else area + areas - common
    return np.asarray(common / np.maximum(whole, np.finfo(float).tiny))
