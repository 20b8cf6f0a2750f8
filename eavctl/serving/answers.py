"""What the service answers by a model; runs in a worker process, whose folder holds a request's files.

Recordings are written to the process's working folder under their plain names, and found there by the code
of ``eavctl predict``: an answer is what ``predict --json`` prints for the same file in that folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eavctl.errors import UsageError
from eavctl.live.answering import Judge, to_json
from eavctl.live.needs import Needs
from eavctl.packaged.models import PackagedModel
from eavctl.predicting.inputs import find_inputs
from eavctl.predicting.notes import notes_on
from eavctl.predicting.predicted import Predicted, collected
from eavctl.predicting.predictor import Predictor
from eavctl.predicting.rows import AbsentStream, Row
from eavctl.predicting.segments import NOT_GIVEN, DescribedRecording, Segment
from eavctl.predicting.sources import MODALITIES
from eavctl.serving.messages import Message
from eavctl.serving.names import ANY
from eavctl.serving.tensors import array_of, input_of, inputs_of, read_request
from eavctl.serving.windows import from_message
from eavctl.storage.paths import Paths

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice

JSON, PARQUET, PNG = "application/json", "application/vnd.apache.parquet", "image/png"


class Answers:
    """A loaded model that answers requests.

    Parameters
    ----------
    predictor : for whole recordings.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._answers: dict[str, Callable[[Message], Message]] = {
            "recording": self._recording,
            "features": self._features,
            "analysis": self._analysis,
            "window": self._window,
            "table": self._table,
        }

    @classmethod
    def load(cls, model: str, weights: Sequence[str] = ()) -> Answers:
        """Read a model, and find the weights that its features need.

        Raises
        ------
        DataError, SettingsError, UsageError : as `eavctl.predicting.predictor.Predictor.load`.
        """
        predictor = Predictor.load(model, weights=weights)
        predictor.find_weights()
        if not isinstance(predictor.path, PackagedModel):
            predictor.path = os.path.basename(predictor.path)  # where it lies is not the clients' business
        return cls(predictor)

    def answer(self, request: Message) -> Message:
        """Answer a request by its ``job``.

        Returns
        -------
        A message with ``status`` and ``type``, and one block, the body.

        Raises
        ------
        EavctlError : the request or its recording cannot be used.
        """
        return self._answers[request.header["job"]](request)

    # --- the model ----------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """The model's metadata as the Open Inference Protocol has them, and what its card says."""
        model, path = self.predictor.model, self.predictor.path
        n_classes = len(self.predictor.classes)
        return {
            "name": self._name,
            "versions": [self._version],
            "platform": f"eavctl_{model.meta.kind}",
            "inputs": [input_of(stream) for stream in self.predictor.streams],
            "outputs": [
                {"name": "proba", "datatype": "FP32", "shape": [-1, n_classes]},
                {"name": "class", "datatype": "BYTES", "shape": [-1]},
                {"name": "unsure", "datatype": "BYTES", "shape": [-1]},
            ],
            "classes": list(self.predictor.classes),
            "modalities": list(self.predictor.modalities),
            "window_s": self.predictor.window_s,
            "window": None if self.predictor.normalize else Needs.of(self.predictor)._asdict(),
            "card": path.card if isinstance(path, PackagedModel) else None,
        }

    @property
    def _name(self) -> str:
        path = self.predictor.path
        return path.name if isinstance(path, PackagedModel) else os.path.splitext(os.path.basename(path))[0]

    @property
    def _version(self) -> str:
        return self.predictor.model.meta.training_hash

    def _predictor(self, segment: float | None, hop: float | None) -> Predictor:
        """The predictor for segments, with the weights that are loaded already."""
        if segment is None and hop is None:
            return self.predictor
        found = Predictor(self.predictor.model, self.predictor.path, segment, hop)
        found.streams = [
            stream._replace(recipe=replace(ours.recipe, segment=stream.recipe.segment, hop=stream.recipe.hop))
            for stream, ours in zip(found.streams, self.predictor.streams, strict=True)
        ]
        return found

    # --- requests -----------------------------------------------------------------------------------------

    def _recording(self, request: Message) -> Message:
        """Judge one recording, of one file or of a file a modality."""
        predictor = self._predictor(request.header.get("segment"), request.header.get("hop"))
        with _written(request) as names:
            result = _judged(predictor, names, request.header.get("events"))
        if request.header.get("table"):
            from eavctl.storage.tables import prediction_bytes

            return _body(PARQUET, prediction_bytes(result.to_table()))
        facts = {**result.facts(), "warnings": list(result.notes)}
        return self._json(facts, request.header.get("id"))

    def _features(self, request: Message) -> Message:
        """Judge rows of features, as the Open Inference Protocol has them."""
        content = read_request(request.blocks[0])
        given = inputs_of(content)
        unknown = set(given) - {stream.name for stream in self.predictor.streams}
        if unknown:
            known = ", ".join(stream.name for stream in self.predictor.streams)
            raise UsageError(f"inputs: the model has no input {min(unknown)!r}; it takes {known}")
        arrays = [array_of(given[s.name], s) if s.name in given else None for s in self.predictor.streams]
        lengths = {len(x) for x in arrays if x is not None}
        if len(lengths) != 1 or not min(lengths):
            raise UsageError("inputs: give each input of the model the same number of rows, one or more")
        segments = [
            Segment(float(i), float(i + 1), tuple(NOT_GIVEN if x is None else x[i] for x in arrays))
            for i in range(lengths.pop())
        ]
        keys = {"sample_id": "request", "clip_id": "request"}
        described = DescribedRecording("request", keys, tuple(segments))
        (judged,) = self._predictor(1.0, None).judge_described([described])  # a row a segment
        proba = np.stack([row.proba for row in judged.rows])
        values = {
            "proba": proba.astype(np.float32).ravel().tolist(),
            "class": [row.pred for row in judged.rows],
            "unsure": ["; ".join(row.unsure) for row in judged.rows],
        }
        outputs = [
            {**each, "shape": [len(proba), *each["shape"][1:]], "data": values[each["name"]]}
            for each in self.about()["outputs"]
        ]
        return self._json({"outputs": outputs}, content.get("id") or request.header.get("id"))

    def _analysis(self, request: Message) -> Message:
        """Draw a recording's sound."""
        from eavctl.report.analysis import analysis_png

        with _written(request) as names:
            (name,) = names.values()
            return _body(PNG, analysis_png(name))

    def _window(self, request: Message) -> Message:
        """Judge a window of a stream; its latency is the stream's to say."""
        judge = Judge(self._for_windows, request.header["name"], begin=request.header["begin"])
        answer = judge(from_message(request))
        found = to_json(self._for_windows, answer, 0.0, None)
        return _body(JSON, json.dumps(found, allow_nan=False).encode())

    def _table(self, request: Message) -> Message:
        """The prediction table of a stream's answers."""
        from eavctl.storage.tables import prediction_bytes

        predictor = self._for_windows
        rows = tuple(_row(each) for each in json.loads(request.blocks[0]))
        result = Predicted(predictor, rows, (), tuple(notes_on(predictor, rows)), len(rows))
        return _body(PARQUET, prediction_bytes(result.to_table()))

    @cached_property
    def _for_windows(self) -> Predictor:
        return self.predictor.for_windows()

    def _json(self, facts: Mapping[str, Any], request_id: object) -> Message:
        named = {**facts, "model_name": self._name, "model_version": self._version, "id": request_id}
        text = json.dumps(named, ensure_ascii=False, allow_nan=False)
        return _body(JSON, text.encode(errors="replace"))  # half a surrogate pair is no character


def _row(answer: Mapping[str, Any]) -> Row:
    """The row of a window's answer."""
    name, start = answer["recording"], answer["start"]
    absent = (AbsentStream(each["name"], each["reason"] or "", each["share"]) for each in answer["absent"])
    return Row(
        name,
        {"sample_id": f"{name}@{start:09.3f}", "clip_id": name},
        start,
        answer["end"],
        np.array([*answer["proba"].values()]),
        answer["pred"],
        answer.get("modalities") or dict.fromkeys(answer["used"]),
        tuple(absent) if "modalities" in answer else (),
        is_novel=answer["right_out_of_fold"] is None,  # is all that it decides
        unsure=tuple(answer["unsure"]),
    )


def _body(kind: str, content: bytes) -> Message:
    return Message({"status": 200, "type": kind}, [content])


@contextlib.contextmanager
def _written(request: Message) -> Iterator[dict[str, str]]:
    """The request's files in the working folder, by field; they are removed at the end."""
    fields: Mapping[str, str] = request.header["files"]
    try:
        for name, content in zip(fields.values(), request.blocks, strict=True):
            with open(name, "xb") as file:
                file.write(content)
        yield {**fields}
    finally:
        for entry in os.scandir():
            shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)


def _judged(predictor: Predictor, names: Mapping[str, str], events: str | None) -> Predicted:
    """Judge the files of one recording, as ``eavctl predict`` does; ``events`` are as ``T1,T2``."""
    separate = {field: names[field] for field in MODALITIES if field in names}
    sources: Paths = [] if separate else [names[ANY]]
    inputs = find_inputs(predictor, sources, separate, predictor.select(_at(events)))
    return collected(predictor, inputs, list(predictor.judge(inputs.recordings, executor="serial")))


def _at(events: str | None) -> Choice | None:
    """The choice of epochs at these events, if there are any."""
    names = [name.strip() for name in (events or "").split(",") if name.strip()]
    if not names:
        return None
    from eavctl.datasets.choice import Choice  # with Arrow, which other requests do not need
    from eavctl.datasets.events import Epochs

    return Choice(epochs=Epochs(dict.fromkeys(names)))
