# make demo: an environment, the install, and everything from synthetic recordings to a report.
# make test: the tests. Both work on a fresh clone; what is done already is not done again.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo
JOBS   ?= 2

help:
	@echo "make install | demo | test | lint | type | bench | clean"

# --- environment ------------------------------------------------------------------------------------------

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# --- demo: synth to report --------------------------------------------------------------------------------

demo: $(DEMO)/report.html $(DEMO)/analysis.png
	@echo "look at $(DEMO)/report.html"

$(DEMO)/dataset/done: $(VENV)/installed
	mkdir -p $(DEMO)
	$(BIN)/eavctl synth --per-class 50 --out $(DEMO)/dataset
	touch $@

$(DEMO)/feats.parquet: $(DEMO)/dataset/done
	$(BIN)/eavctl extract $(DEMO)/dataset -o $@ --jobs $(JOBS)

$(DEMO)/logmel.parquet: $(DEMO)/dataset/done
	$(BIN)/eavctl extract $(DEMO)/dataset --features logmel -o $@ --jobs $(JOBS)

$(DEMO)/svm.joblib $(DEMO)/svm_preds.parquet &: $(DEMO)/feats.parquet
	$(BIN)/eavctl train-svm $< -o $(DEMO)/svm.joblib --predictions $(DEMO)/svm_preds.parquet --jobs $(JOBS)

$(DEMO)/dnn.pt $(DEMO)/dnn_preds.parquet &: $(DEMO)/logmel.parquet
	$(BIN)/eavctl train-dnn $< -o $(DEMO)/dnn.pt --predictions $(DEMO)/dnn_preds.parquet --epochs 6

$(DEMO)/fused.parquet: $(DEMO)/svm_preds.parquet $(DEMO)/dnn_preds.parquet
	$(BIN)/eavctl fuse $^ -o $@

$(DEMO)/report.html: $(DEMO)/svm_preds.parquet $(DEMO)/dnn_preds.parquet $(DEMO)/fused.parquet
	$(BIN)/eavctl report $^ -o $@

$(DEMO)/analysis.png: $(DEMO)/svm.joblib
	$(BIN)/eavctl predict $(DEMO)/dataset/angry/angry_sample_1.wav --model $< --plot $@

# --- checks -----------------------------------------------------------------------------------------------

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: install
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.PHONY: help install demo test lint type bench clean
