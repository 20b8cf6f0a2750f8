"""Emotion from a clip as a walk-through does it: features by librosa, one call each; scikit-learn; joblib.

``python reference_walkthrough.py extract FOLDER TABLE`` writes the features of a folder of class folders,
``python reference_walkthrough.py train TABLE MODEL`` trains on them, and
``python reference_walkthrough.py predict CLIP MODEL`` prints the class and each class's probability.
"""

import sys
from pathlib import Path

import joblib
import librosa
import numpy as np
from sklearn.svm import SVC


def features(path: str | Path) -> np.ndarray:
    """The 33 numbers of ``seed33``: mean, deviation, minimum and maximum of eight matrices; the energy."""
    y, sr = librosa.load(path, sr=None)
    matrices = [
        librosa.feature.mfcc(y=y, sr=sr, n_mfcc=13),
        librosa.feature.chroma_stft(y=y, sr=sr),
        librosa.feature.melspectrogram(y=y, sr=sr),
        librosa.feature.spectral_centroid(y=y, sr=sr),
        librosa.feature.spectral_bandwidth(y=y, sr=sr),
        librosa.feature.spectral_contrast(y=y, sr=sr),
        librosa.feature.spectral_flatness(y=y),
        librosa.feature.zero_crossing_rate(y),
    ]
    values = [f(m) for m in matrices for f in (np.mean, np.std, np.min, np.max)]
    return np.array([*values, np.mean(librosa.feature.rms(y=y))])


def main(task: str, source: str, target: str) -> None:
    """Extract, train or predict."""
    {"extract": extract, "train": train, "predict": predict}[task](source, target)


def extract(folder: str, table: str) -> None:
    """Features of every clip of a folder of class folders, to a file of numpy's."""
    clips = sorted(Path(folder).glob("*/*.wav"))
    np.savez(table, x=[features(clip) for clip in clips], y=[clip.parent.name for clip in clips])


def train(table: str, model: str) -> None:
    """A support vector machine on all of them."""
    with np.load(table) as content:
        svm = SVC(kernel="rbf", probability=True, random_state=42).fit(content["x"], content["y"])
    joblib.dump(svm, model)


def predict(clip: str, model: str) -> None:
    """The class of one clip, and the probability of each."""
    svm = joblib.load(model)
    row = features(clip)[None]
    print(svm.predict(row)[0])
    for name, share in zip(svm.classes_, svm.predict_proba(row)[0], strict=True):
        print(f"  {name}: {share:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
