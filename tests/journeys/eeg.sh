#!/usr/bin/env bash
# EEG: from runs with events to the channels and bands that matter.
# eeg.sh FOLDER, with runs of PhysioNet's EEGMMIDB; run in an empty folder.
set -euo pipefail

mkdir runs
cp "$1"/S001R0*.edf runs/

eavctl check runs/ --events T0=rest,T1=move,T2=move --tmin 0 --tmax 4
eavctl extract runs/ --features eeg-bands --events T0=rest,T1=move,T2=move --tmin 0 --tmax 4 -o bands.parquet
eavctl train-linear bands.parquet -o bands.joblib --predictions bands_preds.parquet
eavctl report bands_preds.parquet -o report.html
eavctl explain bands.joblib bands.parquet -o channels.html
eavctl predict runs/S001R08.edf --events T0=rest,T1=move,T2=move --tmin 0 --tmax 4 --trial 2 --model bands.joblib --plot epoch.png
