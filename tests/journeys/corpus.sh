#!/usr/bin/env bash
# A corpus of one's own: from recordings and somebody's table to scores, a page, and a table for a colleague.
# corpus.sh FOLDER, with the recordings of EmoDB; run in an empty folder.
set -euo pipefail

# What people have: recordings in one folder, and a table that a German spreadsheet saved.
mkdir recordings
{
    echo 'Datei;Emotion;Sprecher;Gerät'
    for file in "$1"/*.flac; do
        name=$(basename "$file")
        case ${name:5:1} in
            W) emotion=angry ;;
            F) emotion=happy ;;
            N) emotion=neutral ;;
            T) emotion=sad ;;
            *) continue ;;
        esac
        cp "$file" recordings/
        echo "recordings\\$name;$emotion;${name:0:2};Größe 1;"
    done
} | iconv -t LATIN1 > corpus.csv

eavctl check corpus.csv --columns Datei=path,Sprecher=subject
eavctl extract corpus.csv --columns Datei=path,Sprecher=subject -o feats.parquet --jobs 2
eavctl train-svm feats.parquet -o svm.joblib --predictions svm_preds.parquet
eavctl train-linear feats.parquet -o linear.joblib --predictions linear_preds.parquet
eavctl show svm.joblib
eavctl report svm_preds.parquet linear_preds.parquet -o report.html --names svm_preds=SVM --fail-under SVM:uar=0.6
eavctl explain linear.joblib feats.parquet -o explain.html
eavctl convert svm_preds.parquet for-anna.xlsx
