#!/bin/sh
# run.sh PAWL SCRATCH: the unmodified MLflow client against our server; prints TAP.
# The virtual environment is made once in SCRATCH, or taken from PAWL_TEST_VENV.
set -eu
here=$(dirname "$0")
venv=${PAWL_TEST_VENV:-$2/venv-mlflow-client}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet mlflow pandas xgboost scikit-learn
fi
exec "$venv/bin/python" -W ignore "$here/client.py" "$1"
