#!/usr/bin/env bash
# Films of a few people: from their faces to answers, with what a network knows of expressions from elsewhere.
# films.sh, in an empty folder; the films are made, as those of a data set cannot be given on.
set -euo pipefail

eavctl synth --layout eav --subjects 4 --trials 20 --seconds 4 --snr 30 -o films/

eavctl extract films/ --features face-encoder -o faces.parquet
eavctl train-svm faces.parquet -o faces.joblib

eavctl explain faces.joblib faces.parquet -o explain.html
