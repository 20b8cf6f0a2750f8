#!/usr/bin/env bash
# EEG: from runs with events to answers for a new run, and to the bands and channels that matter.
# eeg.sh FOLDER, with runs of PhysioNet's EEGMMIDB; run in an empty folder.
set -euo pipefail

mkdir runs
cp "$1"/S001R0[347].edf runs/
cp "$1"/S001R08.edf new.edf

eavctl check runs/ --events T1=left,T2=right --tmin 0 --tmax 4
eavctl extract runs/ --features eeg-cov --events T1=left,T2=right --tmin 0 --tmax 4 -o cov.parquet
eavctl train-linear cov.parquet -o cov.joblib --protocol loso --group session --predictions cov_preds.parquet
eavctl report cov_preds.parquet -o report.html
eavctl explain cov.joblib cov.parquet -o bands.html
eavctl predict new.edf --events T1=left,T2=right --model cov.joblib -o new_preds.parquet

eavctl extract runs/ --features eeg-bands --events T0=rest,T1=move,T2=move --tmin 0 --tmax 4 -o bands.parquet
eavctl train-linear bands.parquet -o bands.joblib --protocol loso --group session
eavctl explain bands.joblib bands.parquet -o channels.html
eavctl predict new.edf --events T0=rest,T1=move,T2=move --trial 2 --model bands.joblib --plot epoch.png
