#!/bin/sh
# run.sh WRITE_MODEL SCRATCH: model directories of ours in the hands of the Python library.
# The virtual environment is made once in SCRATCH, or taken from PAWL_TEST_VENV.
set -eu
here=$(dirname "$0")
venv=${PAWL_TEST_VENV:-$2/venv-mlflow}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet mlflow-skinny pandas xgboost scikit-learn
fi
out=$(mktemp -d "$2/mlflow-model-XXXXXX")
trap 'rm -rf "$out"' EXIT
"$1" "$out"
"$venv/bin/python" "$here/check.py" "$out"
mkdir "$out/foreign"
"$venv/bin/python" "$here/check_foreign.py" "$1" "$out/foreign"
