"""The description of the HTTP interface, OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from eavctl.version import __version__


def describe() -> dict[str, Any]:
    """The description, JSON-able."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "eavctl",
            "version": __version__,
            "summary": "Emotion recognition from EEG, audio and video, by the Open Inference Protocol.",
            "description": STREAMS,
        },
        "paths": {
            "/v2": {"get": _get("What the service is", "Name and version.")},
            "/v2/health/live": {"get": _get("Whether the process runs", "It runs.")},
            "/v2/health/ready": {"get": _get("Whether requests are taken", "They are.", "503")},
            "/v2/models": {"get": _get("The models", "Their names.", "503")},
            "/v2/models/{model}": {
                "parameters": [MODEL],
                "get": _get("What a model is", "Classes, modalities, inputs, outputs, and card.", *OF_MODEL),
            },
            "/v2/models/{model}/ready": {
                "parameters": [MODEL],
                "get": _get("Whether the model takes requests", "It does.", *OF_MODEL),
            },
            "/v2/models/{model}/infer": {"parameters": [MODEL], "post": INFER},
            "/v2/models/{model}/analysis": {"parameters": [MODEL], "post": ANALYSIS},
            "/openapi.json": {"get": _get("This description", "OpenAPI 3.1.")},
            "/": {"get": {"summary": "The page", "responses": {"200": _content("HTML.", "text/html")}}},
            "/page/{name}": {
                "parameters": [_parameter("name", "path", "A file of the page.", {"type": "string"})],
                "get": {"summary": "A file of the page", "responses": _responses("The file.", "*/*", "404")},
            },
        },
        "components": {"schemas": SCHEMAS},
    }


def _get(summary: str, answer: str, *errors: str) -> dict[str, Any]:
    return {"summary": summary, "responses": _responses(answer, "application/json", *errors)}


def _responses(answer: str, kind: str, *errors: str) -> dict[str, Any]:
    found = {"200": _content(answer, kind)}
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return found | {each: {"description": ERRORS[each], "content": refused} for each in errors}


def _content(answer: str, *kinds: str) -> dict[str, Any]:
    return {"description": answer, "content": {kind: {} for kind in kinds}}


def _parameter(name: str, place: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    is_needed = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": text, "schema": schema, **is_needed}


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


STREAMS = (
    "Streams are WebSockets at /v2/models/{model}/stream. The first message is text, such as "
    '{"modalities": ["audio", "eeg"], "rate": 16000, "sfreq": 250, "ch_names": ["Cz"], "hop": 1}; the '
    'service answers {"ready": true, ...}. Then binary messages follow: a byte with the kind (1 audio, 2 '
    "video, 3 EEG), the time of capture as little-endian float64, in seconds on the client's clock, and "
    "float32 samples of audio, float32 (n_chans, n) of EEG in microvolt, or one JPEG. Each window is "
    'answered by a text message. {"end": true} ends the stream: a prediction table (Parquet) follows as one '
    "binary message."
)
ERRORS = {
    "400": "The request is malformed.",
    "403": "Another Host, or a page of another site.",
    "404": "No such model, or file.",
    "413": "The body is too large.",
    "415": "Not a recording, by its ending.",
    "422": "The recording cannot be used, or crashed its decoder.",
    "429": "Too many clients or requests; ask again after Retry-After.",
    "500": "A bug.",
    "503": "The service starts or ends, or the request took too long.",
}
OF_MODEL = ("403", "404", "429", "503")
OF_RECORDING = ("400", "403", "404", "413", "415", "422", "429", "500", "503")
MODEL = _parameter("model", "path", "Name of the model; GET /v2/models has it.", {"type": "string"})
NAME = _parameter(
    "name", "query", "A label of the recording, with the ending of its format.", {"type": "string"}
)
SECONDS: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0}
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
RECORDING: dict[str, Any] = {
    "application/octet-stream": BINARY,
    "audio/*": BINARY,
    "video/*": BINARY,
    "multipart/form-data": _ref("Files"),
}
INFER: dict[str, Any] = {
    "summary": "Judge a recording, or rows of features",
    "parameters": [
        NAME,
        _parameter("segment", "query", "Judge segments of this many seconds, not the whole.", SECONDS),
        _parameter("hop", "query", "Seconds from the start of a segment to the next.", SECONDS),
        _parameter("events", "query", "Judge the epochs at these events, such as T1,T2.", {"type": "string"}),
        _parameter("id", "query", "Repeated in the answer.", {"type": "string"}),
    ],
    "requestBody": {
        "required": True,
        "content": {**RECORDING, "application/json": _ref("Features")},
    },
    "responses": {
        **_responses("The predictions.", "application/json", *OF_RECORDING),
        "200": {
            "description": "The predictions; with Accept: application/vnd.apache.parquet, their table.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Predictions"},
                            {"$ref": "#/components/schemas/Outputs"},
                        ]
                    }
                },
                "application/vnd.apache.parquet": BINARY,
            },
        },
    },
}
ANALYSIS: dict[str, Any] = {
    "summary": "Draw waveform, mel spectrogram, MFCC and chroma of a recording",
    "parameters": [NAME],
    "requestBody": {"required": True, "content": RECORDING},
    "responses": _responses("The picture.", "image/png", *OF_RECORDING),
}

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": TEXT,
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"enum": ["FP32", "UINT8", "BYTES"]},
        "data": {"type": "array"},
    },
}
ANSWERED = {"model_name": TEXT, "model_version": TEXT, "id": TEXT}
SCHEMAS: dict[str, Any] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": TEXT}},
    "Files": {
        "type": "object",
        "description": "One recording: one file, or a file a modality.",
        "properties": {name: BINARY["schema"] for name in ("file", "eeg", "audio", "video")},
    },
    "Tensor": TENSOR,
    "Features": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": TEXT,
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
    "Outputs": {
        "type": "object",
        "required": ["outputs"],
        "properties": {
            **ANSWERED,
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
    "Prediction": {
        "type": "object",
        "description": "As 'eavctl predict --json' prints it.",
        "required": ["recording", "start", "end", "pred", "proba", "unsure", "right_out_of_fold"],
        "properties": {
            "recording": TEXT,
            "start": NUMBER,
            "end": NUMBER,
            "pred": TEXT,
            "proba": {"type": "object", "additionalProperties": NUMBER},
            "unsure": {"type": "array", "items": TEXT},
            "right_out_of_fold": {"type": ["object", "null"]},
            "modalities": {"type": "object"},
            "absent": {"type": "array"},
            "people": {"type": "integer"},
            "who": {"type": ["string", "null"]},
        },
    },
    "Predictions": {
        "type": "object",
        "required": ["model", "recordings", "classes", "predictions", "rejected", "warnings"],
        "properties": {
            **ANSWERED,
            "model": TEXT,
            "recordings": {"type": "integer"},
            "classes": {"type": "array", "items": TEXT},
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
            "rejected": {"type": "array"},
            "warnings": {"type": "array", "items": TEXT},
        },
    },
}
