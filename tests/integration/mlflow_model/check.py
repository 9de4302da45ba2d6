"""Loads every model directory that write_model wrote with the unmodified MLflow library, as its xgboost flavor and as
python_function, and compares their answers with ours:  check.py OUT"""
import pathlib
import sys

import mlflow.pyfunc
import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost


def check(folder):
    table = pd.read_csv(folder / "rows.csv")
    scores = [c for c in table.columns if c.startswith("score")]
    x, want = table.drop(columns=scores), table[scores].to_numpy(dtype=np.float32).squeeze()
    model = mlflow.pyfunc.load_model(str(folder / "model"))
    assert model.metadata.signature.inputs.input_names() == list(x.columns), model.metadata.signature
    assert model.metadata.run_id == "0123456789abcdef0123456789abcdef"
    booster = mlflow.xgboost.load_model(str(folder / "model"))
    matrix = xgboost.DMatrix(x.astype(np.float32), feature_types=booster.feature_types, enable_categorical=True)
    answers = {"xgboost flavor": booster.predict(matrix)}
    if folder.name != "categories":  # pandas columns of codes would have to be typed as categories by the caller
        answers["python_function"] = np.asarray(model.predict(x))
    for name, got in answers.items():
        worst = float(np.max(np.abs(got - want) / np.maximum(np.abs(want), 1e-3)))
        print(f"{folder.name}: {name}: {len(want)} rows, largest relative difference {worst:.1e}")
        # newer libraries may sum in another order; the library that trained is compared bit for bit in the unit tests
        assert got.shape == want.shape and worst < 2e-6, (got[:5], want[:5])


def main():
    folders = sorted(p for p in pathlib.Path(sys.argv[1]).iterdir() if p.is_dir())
    assert len(folders) == 5, folders
    for folder in folders:
        check(folder)


main()
