"""``python -m benchmarks.deploy``: every encoder and fusion network in torch, as an ONNX graph, and in int8.

A table in Markdown for docs/deploy.md. Weights are random, and the statistics that standardise the input are
fitted on a few random rows; so sizes, times and changes are those of trained networks, and there are no
scores. Int8 of convolutional networks is calibrated on those rows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.__main__ import _line as in_cells
from benchmarks.__main__ import machine
from eavctl import registry
from eavctl.classifiers.dnn import DnnModel
from eavctl.classifiers.network import as_batch, build_network
from eavctl.classifiers.streams import Streams
from eavctl.encoders.choice import settings_of_size
from eavctl.errors import EavctlError
from eavctl.export.graph import to_proto
from eavctl.export.measured import Variant, changed, latencies, mb, ms, one_thread
from eavctl.export.precision import FLOAT32, INT8, Exported, written
from eavctl.export.quantised import quantised, ways_of
from eavctl.fusion.networks.model import Design, FusionModel, StreamDesign
from eavctl.storage import artifacts
from eavctl.storage.metadata import ModelMeta

CLASSES = ["angry", "calm", "happy", "neutral", "sad"]
N_ROWS, N_ROWS_BASE = 32, 4  # a row of a large network takes a second
SHAPES = {  # of rows as the feature sets give them, of 5 s
    "ast": (512, 128),
    "cnn-lstm": (64, 300),
    "eegnet": (30, 500),
    "shallow-transformer": (30, 500),
    "mlp": (374,),
    "scnn": (180,),
    **dict.fromkeys(("vit", "resnet50-ca", "efficientnet-b0"), (25, 56, 56, 3)),
}
FUSED = {"eeg": "shallow-transformer", "audio": "ast", "video": "vit"}
TITLES = (
    *("network", "size", "torch, a row", "ONNX", "largest change", "decisions changed", "a row"),
    *("int8", "by", "largest change", "decisions changed", "a row"),
)


class Case(NamedTuple):
    """A network with random weights."""

    name: str
    size: str
    design: Design | StreamDesign

    @property
    def n_rows(self) -> int:
        """How many rows are judged."""
        return N_ROWS_BASE if self.size == "base" else N_ROWS

    def build(self) -> tuple[artifacts.Model, np.ndarray | Streams]:
        """The model, its input fitted on random rows, and the rows."""
        generator = torch.Generator().manual_seed(0)
        known = {"classes": CLASSES, "temperatures": [1.0], "priors": [1 / len(CLASSES)] * len(CLASSES)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if isinstance(self.design, Design):
                x: Any = Streams(
                    tuple(random_rows(each, self.n_rows, generator) for each in self.design.streams),
                    np.ones((self.n_rows, len(self.design.streams)), bool),
                )
                network: Any = self.design.build(len(CLASSES))
                predictor: Any = FusionModel([network], {**known, "design": self.design.to_meta()})
            else:
                x = random_rows(self.design, self.n_rows, generator)
                own = {"encoder_settings": self.design.encoder_settings, "shape": self.design.shape}
                meta = {**known, **own, "encoder": self.design.encoder, "dropout": 0.0}
                network = build_network(meta)
                predictor = DnnModel([network], meta)
            network.fit_input(as_batch(x, torch.device("cpu")))
        return artifacts.Model(self._meta(predictor.to_meta()), predictor), x

    def _meta(self, model: Mapping[str, Any]) -> ModelMeta:
        known = {"format": artifacts.FORMAT, "format_version": artifacts.FORMAT_VERSION, "model": model}
        known |= {"training_hash": "", "protocol": {"name": "none"}, "versions": {}}
        streams = self.design.streams if isinstance(self.design, Design) else [self.design]
        features = [
            {"name": each.name, "modality": each.name, "features": each.name, "features_version": 1,
             "settings": {}, "features_hash": "", "shape": list(each.shape)}
            for each in streams
        ]  # fmt: skip
        is_fusion = isinstance(self.design, Design)
        parts = {"kind": "fusion", "streams": features} if is_fusion else {"kind": "dnn", **features[0]}
        return ModelMeta.from_json({**known, **parts}, self.name)


def random_rows(stream: StreamDesign, n_rows: int, generator: torch.Generator) -> np.ndarray:
    """Noise of the stream's shape; bytes of pictures."""
    if registry.get("encoders", stream.encoder).facts.get("example_dtype") == "uint8":
        return torch.randint(256, (n_rows, *stream.shape), dtype=torch.uint8, generator=generator).numpy()
    return torch.randn(n_rows, *stream.shape, generator=generator).numpy()


def cases(sizes: Sequence[str]) -> Iterator[Case]:
    """Every encoder in each of its sizes, and every fusion network of encoders of that size."""
    for name in registry.names("encoders"):
        known = registry.get("encoders", name).facts.get("sizes") or {"": {}}
        for size, settings in known.items():
            if not size or size in sizes:
                yield Case(name, size, StreamDesign(name, name, settings, SHAPES[name]))
    for size in sizes:
        streams = tuple(
            StreamDesign(stream, name, settings_of_size(name, size), SHAPES[name])
            for stream, name in FUSED.items()
        )
        for method in registry.names("fusion networks"):
            yield Case(method, size, Design(method, streams))


def forms(model: artifacts.Model, x: np.ndarray | Streams, folder: Path) -> list[Variant]:
    """The network in torch, as a graph, and in int8 in each way that fits it.

    Raises
    ------
    EavctlError : it cannot be exported.
    """
    proto = to_proto(model)
    exported = Exported(proto, {**model.meta.json, "export": {}}, x)
    graphs = {FLOAT32: exported.content(proto, {"precision": FLOAT32})}
    for way in ways_of(proto):
        graphs[way.name] = exported.content(quantised(proto, way, x), {"precision": INT8})
    found = [Variant("torch", "", model.predictor)]
    return found + [written(folder / f"{i}.onnx", *each) for i, each in enumerate(graphs.items())]


def line(case: Case) -> list[str]:
    """The cells of a case; of a network that cannot be exported the reason.

    Of several ways to quantise, the one that changes the fewest decisions is shown, and of these the fastest.
    """
    model, x = case.build()
    name = [case.name, case.size]
    with TemporaryDirectory() as folder:
        try:
            variants = forms(model, x, Path(folder))
        except EavctlError as error:
            return [*name, str(error), *[""] * (len(TITLES) - len(name) - 1)]
        with one_thread():
            times = [statistics.median(each) for each in latencies(variants, x)]
            proba = [each.predictor.predict_proba(x) for each in variants]
        sizes = [0, *(os.path.getsize(each.path) for each in variants[1:])]
    changes = [changed(model.predictor, proba[0], each, None) for each in proba]
    best = min(range(2, len(variants)), key=lambda i: (changes[i].decisions, times[i]))
    cells = [[mb(sizes[i]), f"{changes[i].largest:.0e}", str(changes[i].decisions)] for i in (1, best)]
    cells[1].insert(1, variants[best].name)
    return [*name, ms(times[0]), *cells[0], ms(times[1]), *cells[1], ms(times[best])]


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="tiny,base", help="of the networks that have sizes")
    parser.add_argument("--only", help="networks with this in their name")
    given = parser.parse_args()
    print(machine(), f"One thread; decisions of {N_ROWS} rows, of base sizes {N_ROWS_BASE}.", end="\n\n")
    print(in_cells(TITLES), in_cells(["---"] * len(TITLES)), sep="\n", flush=True)
    for case in cases(given.sizes.split(",")):
        if not given.only or given.only in case.name:
            print(in_cells(line(case)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
