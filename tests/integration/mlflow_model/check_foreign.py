"""Models that the newest Python library wrote, JSON and UBJSON, answered by our engine: equal bit for bit.
check_foreign.py WRITE_MODEL SCRATCH"""
import subprocess
import sys

import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost

TOOL, SCRATCH = sys.argv[1], sys.argv[2]
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 6)).astype(np.float32)
X[rng.random(X.shape) < 0.1] = np.nan
Z = np.nansum(np.sin(2 * X), axis=1)
CODES = X.copy()
CODES[:, 1] = rng.integers(0, 30, 2000)
CODES[:, 3] = rng.integers(0, 3, 2000)
TYPES = ["q", "c", "q", "c", "q", "q"]

CASES = [
    ("logistic", {"objective": "binary:logistic"}, Z > 0),
    ("logitraw", {"objective": "binary:logitraw"}, Z > 0),
    ("hinge", {"objective": "binary:hinge"}, Z > 0),
    ("squared error", {"objective": "reg:squarederror"}, Z),
    ("absolute error", {"objective": "reg:absoluteerror"}, Z),
    ("quantiles", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, Z),
    ("poisson", {"objective": "count:poisson"}, np.round(abs(Z))),
    ("gamma", {"objective": "reg:gamma"}, abs(Z) + 0.1),
    ("tweedie", {"objective": "reg:tweedie"}, abs(Z)),
    ("cox", {"objective": "survival:cox"}, abs(Z) + 1),
    ("rank", {"objective": "rank:ndcg"}, Z > 0),
    ("classes", {"objective": "multi:softprob", "num_class": 3}, np.digitize(Z, [-1, 1])),
    ("two targets", {"objective": "reg:squarederror"}, np.stack([Z, -Z], 1)),
    ("dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.2}, Z > 0),
    ("categories", {"objective": "binary:logistic"}, Z + np.sin(CODES[:, 1]) > 0),
]


def ours(model, rows):
    np.ascontiguousarray(rows, dtype=np.float32).tofile(f"{SCRATCH}/rows")
    return subprocess.run([TOOL, model, f"{SCRATCH}/rows", f"{SCRATCH}/scores"], capture_output=True, text=True)


def compare(name, model, booster, matrix, rows):
    done = ours(model, rows)
    assert done.returncode == 0, (name, done.stderr)
    got, want = np.fromfile(f"{SCRATCH}/scores", dtype=np.float32), booster.predict(matrix).ravel()
    assert got.shape == want.shape and (got == want).all(), (name, got[:5], want[:5])
    print(f"{name}: {len(want)} scores equal")


for name, params, label in CASES:
    rows, types = (CODES, TYPES) if name == "categories" else (X, None)
    matrix = xgboost.DMatrix(rows, label=label, feature_types=types, enable_categorical=types is not None)
    booster = xgboost.train(params | {"nthread": 1, "verbosity": 0}, matrix, 25)
    for ext in ("json", "ubj"):
        booster.save_model(f"{SCRATCH}/model.{ext}")
        compare(f"{name}, {ext}", f"{SCRATCH}/model.{ext}", booster, matrix, rows)

# Categories by name: the file holds the names, the rows their codes.
frame = pd.DataFrame(CODES, columns=list("abcdef"))
frame["b"] = pd.Categorical([f"n{int(v):02}" for v in CODES[:, 1]])
matrix = xgboost.DMatrix(frame, label=Z > 0, enable_categorical=True)
booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5)
mlflow.xgboost.save_model(booster, f"{SCRATCH}/saved")
coded = CODES.copy()
coded[:, 1] = frame["b"].cat.codes
compare("saved by MLflow", f"{SCRATCH}/saved", booster, matrix, coded)

# The scikit-learn classes stop at the best iteration.
for label, extra in ((Z > 0, {}), (np.digitize(Z, [-1, 1]), {"num_parallel_tree": 2, "subsample": 0.7})):
    wrapped = xgboost.XGBClassifier(n_estimators=60, learning_rate=0.6, early_stopping_rounds=3, n_jobs=1, **extra)
    wrapped.fit(X[:1000], label[:1000].astype(int), eval_set=[(X[1000:], label[1000:].astype(int))], verbose=False)
    assert wrapped.best_iteration < wrapped.get_booster().num_boosted_rounds() - 1
    folder = f"{SCRATCH}/sklearn{len(extra)}"
    mlflow.xgboost.save_model(wrapped, folder)
    assert ours(folder, X).returncode == 0
    got, want = np.fromfile(f"{SCRATCH}/scores", dtype=np.float32), wrapped.predict_proba(X)
    want = want[:, 1] if want.shape[1] == 2 else want.ravel()
    assert (got == want).all(), (got[:5], want[:5])
    print(f"scikit-learn class, best of {wrapped.get_booster().num_boosted_rounds()} rounds: {len(want)} scores equal")

# What is not understood is refused by name.
matrix = xgboost.DMatrix(X, label=np.stack([Z, -Z], 1))
booster = xgboost.train({"multi_strategy": "multi_output_tree"}, matrix, 2)
booster.save_model(f"{SCRATCH}/vector.json")
done = ours(f"{SCRATCH}/vector.json", X)
assert done.returncode == 1 and "trees[0]: leaves are vectors of 2 values" in done.stderr, done
