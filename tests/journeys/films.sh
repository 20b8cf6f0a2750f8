#!/usr/bin/env bash
# Films of a few people: their faces, described by a network pretrained on expressions, to scores.
# films.sh; run in an empty folder. The films are synthetic.
set -euo pipefail

eavctl synth --layout eav --subjects 4 --trials 20 --seconds 4 --snr 30 -o films/

eavctl extract films/ --features face-encoder -o faces.parquet
eavctl train-svm faces.parquet -o faces.joblib

eavctl explain faces.joblib faces.parquet -o explain.html
