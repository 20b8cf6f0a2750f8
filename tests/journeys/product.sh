#!/usr/bin/env bash
# A product: answers one by one as recordings come, from a list, a folder, and a program.
# product.sh FOLDER, with recordings of speech; run in an empty folder.
set -euo pipefail

mkdir calls incoming
for file in $(find "$1" -name '*.flac' | sort | head -n 12); do cp "$file" calls/; done
first=$(find calls -name '*.flac' | sort | head -n 1)

eavctl predict "$first" --model speech-small
find calls -name '*.flac' | sort | eavctl predict --files-from - --model speech-small --jsonl > answers.jsonl
eavctl predict calls/ --model speech-small -o calls.csv --jobs 2

# Whatever is written to a folder is judged.
eavctl predict --watch incoming/ --model speech-small --jsonl > incoming.jsonl 2> incoming.log &
watching=$!
until grep -q incoming incoming.log; do sleep 0.1; done
cp "$first" incoming/new.flac
until [ -s incoming.jsonl ]; do sleep 0.1; done
kill -TERM $watching
wait $watching || true

# The same in a program, in which the model stays loaded.
cat > product.py <<'PYTHON'
import json
import sys

from eavctl import Predictor

predictor = Predictor.load("speech-small")
for judged in predictor.judge(predictor.find(*sys.argv[1:])):
    for answer in predictor.answers(judged):
        print(json.dumps(answer, ensure_ascii=False))
PYTHON
python product.py calls/ > python.jsonl
