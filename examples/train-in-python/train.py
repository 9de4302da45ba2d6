"""A training command for Pawl, with the xgboost package: the contract is environment variables and files.

PAWL_TRAIN, PAWL_VALIDATION  Parquet: one column a feature, __label, __time; the test rows are never given
PAWL_PARAMS                  train.params of pawl.yaml, as JSON
PAWL_SEED                    train.seed
PAWL_OUT                     an empty directory: leave one model file here (or an MLflow model directory)
MLFLOW_TRACKING_URI, MLFLOW_RUN_ID   set when a server runs: whatever is logged lands in this step's run
"""
import json
import os

import numpy as np
import pyarrow.parquet as pq
import xgboost as xgb


def is_text(column):
    return str(column.type) in ("string", "large_string") or str(column.type).startswith("dictionary")


def read(path):
    table = pq.read_table(path)
    return {name: table.column(name) for name in table.column_names}


def matrix(columns, names, categories):
    """Features as float32: numbers as they are, texts as their place in the sorted list of the training rows."""
    out = np.full((len(columns["__label"]), len(names)), np.nan, dtype=np.float32)
    for i, name in enumerate(names):
        values = columns[name].to_pylist()
        if name in categories:
            place = {text: k for k, text in enumerate(categories[name])}
            out[:, i] = [place.get(v, np.nan) for v in values]
        else:
            out[:, i] = [np.nan if v is None else float(v) for v in values]
    return out


def main():
    params = json.loads(os.environ["PAWL_PARAMS"])
    train, validation = read(os.environ["PAWL_TRAIN"]), read(os.environ["PAWL_VALIDATION"])
    names = [n for n in train if not n.startswith("__")]
    categories = {n: sorted({v for v in train[n].to_pylist() if v is not None}) for n in names if is_text(train[n])}
    types = ["c" if n in categories else "q" for n in names]

    def data(columns):
        return xgb.DMatrix(matrix(columns, names, categories), label=columns["__label"].to_numpy(),
                           feature_names=names, feature_types=types, enable_categorical=True)
    rounds = int(params.pop("rounds", 100))
    model = xgb.train({"objective": "binary:logistic", "tree_method": "hist", "eval_metric": ["auc", "logloss"],
                       "nthread": 2, **params, "seed": int(os.environ["PAWL_SEED"])},
                      data(train), rounds, evals=[(data(validation), "validation")], verbose_eval=10)
    model.save_model(os.path.join(os.environ["PAWL_OUT"], "model.json"))


if __name__ == "__main__":
    main()
