"""A notebook's day with MLflow's own client: experiments, runs, metrics, artifacts, inputs, autologging, models, registry,
prompts; then the server is started anew and everything is still there. Prints TAP."""
import logging
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

PAWL = os.path.abspath(sys.argv[1])
WORK = pathlib.Path(tempfile.mkdtemp(prefix="pawl-mlflow-client-"))
os.environ.update(MLFLOW_ENABLE_ASYNC_LOGGING="false", MLFLOW_HTTP_REQUEST_MAX_RETRIES="2", DO_NOT_TRACK="true",
                  MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true")
os.chdir(WORK)

import mlflow  # noqa: E402  (its settings are read from the environment)
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import xgboost  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

logging.getLogger("mlflow").setLevel(logging.ERROR)
rng = np.random.default_rng(7)
X = rng.random((300, 4))
Y = (X[:, 0] + 0.1 * rng.normal(size=300) > 0.5).astype(int)
seen = {}


def start():
    process = subprocess.Popen([PAWL, "server", "--home", str(WORK / "home"), "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    mlflow.set_tracking_uri(process.stdout.readline().split()[1])
    return process


def refused(code, fn, *args, **kw):
    try:
        fn(*args, **kw)
    except MlflowException as e:
        assert e.error_code == code, (e.error_code, str(e))
        return str(e)
    raise AssertionError("it was not refused")


def test_runs_and_what_they_log():
    c = MlflowClient()
    mlflow.set_experiment("day")
    with mlflow.start_run(run_name="first", tags={"team": "ml"}) as run:
        mlflow.log_params({"depth": 6, "eta": 0.1})
        for step, v in enumerate([0.5, 0.7, float("nan"), float("inf"), 0.6]):
            mlflow.log_metric("auc", v, step=step)
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 1.0)
    seen["run"] = run.info.run_id
    got = c.get_run(run.info.run_id)
    assert got.data.params == {"depth": "6", "eta": "0.1"} and got.info.status == "FINISHED"
    assert got.data.metrics == {"auc": 0.6} and got.data.tags["team"] == "ml"
    values = [m.value for m in c.get_metric_history(run.info.run_id, "auc")]
    assert values[:2] == [0.5, 0.7] and math.isnan(values[2]) and math.isinf(values[3])
    assert "already logged" in refused("INVALID_PARAMETER_VALUE", c.log_param, run.info.run_id, "depth", 7)
    refused("RESOURCE_DOES_NOT_EXIST", c.get_run, "0" * 32)


def test_large_batches_are_split_by_the_client():
    with mlflow.start_run() as run:
        mlflow.log_metrics({"m%d" % i: i for i in range(1500)})
        mlflow.log_params({"p%d" % i: i for i in range(250)})
    got = MlflowClient().get_run(run.info.run_id)
    assert len(got.data.metrics) == 1500 and len(got.data.params) == 250


def test_artifacts_come_back():
    (WORK / "a b.txt").write_text("hello")
    with mlflow.start_run() as run:
        mlflow.log_artifact("a b.txt")
        mlflow.log_text("deep", "x/y/z.txt")
        mlflow.log_dict({"k": [1, 2]}, "d.json")
    c = MlflowClient()
    assert [(f.path, f.is_dir) for f in c.list_artifacts(run.info.run_id)] == [("a b.txt", False), ("d.json", False),
                                                                              ("x", True)]
    folder = mlflow.artifacts.download_artifacts(run_id=run.info.run_id)
    assert pathlib.Path(folder, "x/y/z.txt").read_text() == "deep" and pathlib.Path(folder, "a b.txt").read_text() == "hello"


def test_inputs_and_search():
    frame = mlflow.data.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}), name="frame")
    with mlflow.start_run(run_name="with data") as run:
        mlflow.log_input(frame, context="training")
        mlflow.log_metric("auc", 0.9)
    inputs = MlflowClient().get_run(run.info.run_id).inputs.dataset_inputs
    assert inputs[0].dataset.name == "frame" and inputs[0].tags[0].value == "training"
    found = mlflow.search_runs(experiment_names=["day"], filter_string="metrics.auc > 0.55 AND dataset.name = 'frame'")
    assert list(found.run_id) == [run.info.run_id]
    best = mlflow.search_runs(experiment_names=["day"], order_by=["metrics.auc DESC"], max_results=1)
    assert best["metrics.auc"][0] == 0.9
    refused("INVALID_PARAMETER_VALUE", mlflow.search_runs, experiment_names=["day"], filter_string="metrics.auc ~ 1")


def test_autologging():
    mlflow.autolog(silent=True)
    try:
        with mlflow.start_run() as run:
            LogisticRegression().fit(X, Y)
        with mlflow.start_run() as trees:
            xgboost.XGBClassifier(n_estimators=4, max_depth=2).fit(X, Y)
    finally:
        mlflow.autolog(disable=True, silent=True)
    c = MlflowClient()
    assert "training_score" in c.get_run(run.info.run_id).data.metrics
    assert c.get_run(trees.info.run_id).data.params["max_depth"] == "2"


def test_models_and_the_registry():
    c = MlflowClient()
    model = xgboost.XGBClassifier(n_estimators=6, max_depth=2).fit(X, Y)
    for _ in range(2):
        with mlflow.start_run() as run:
            mlflow.xgboost.log_model(model, name="model", input_example=X[:2], registered_model_name="late")
    version = c.get_model_version("late", "2")
    assert (version.status, version.current_stage, version.run_id) == ("READY", "None", run.info.run_id)
    seen["answer"] = mlflow.pyfunc.load_model("models:/late/2").predict(X[:20]).tolist()
    assert seen["answer"] == model.predict(X[:20]).tolist()
    c.set_registered_model_alias("late", "champion", 2)
    assert c.get_model_version_by_alias("late", "champion").version == "2"
    assert "rollout" in refused("INVALID_PARAMETER_VALUE", c.set_registered_model_alias, "late", "production", 1)
    refused("INVALID_PARAMETER_VALUE", c.get_model_version_by_alias, "late", "nobody")
    c.set_model_version_tag("late", "2", "k", "v")
    c.update_model_version("late", "2", "the good one")
    c.transition_model_version_stage("late", "1", "Staging")
    assert {v.version: v.current_stage for v in c.search_model_versions("name = 'late'")} == {"1": "Staging", "2": "None"}
    assert mlflow.search_logged_models(output_format="list")[0].status.name == "READY"


def test_prompts_are_apart_from_models():
    mlflow.genai.register_prompt("greet", "hello {{name}}")
    assert mlflow.genai.load_prompt("prompts:/greet/1").template == "hello {{name}}"
    assert [m.name for m in MlflowClient().search_registered_models()] == ["late"]


def test_deleting_and_restoring():
    c = MlflowClient()
    e = c.create_experiment("short")
    refused("RESOURCE_ALREADY_EXISTS", c.create_experiment, "short")
    run = c.create_run(e)
    c.delete_run(run.info.run_id)
    assert c.search_runs([e]) == []
    c.restore_run(run.info.run_id)
    c.delete_experiment(e)
    assert c.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    c.restore_experiment(e)
    c.rename_experiment(e, "long")
    assert c.get_experiment_by_name("long").experiment_id == e


def test_everything_is_there_after_a_restart():
    global server
    server.terminate()
    server.wait(60)
    server = start()
    c = MlflowClient()
    assert c.get_run(seen["run"]).data.params["depth"] == "6"
    assert mlflow.pyfunc.load_model("models:/late@champion").predict(X[:20]).tolist() == seen["answer"]


def main():
    tests = [(k, v) for k, v in globals().items() if k.startswith("test_")]
    print("1..%d" % len(tests), flush=True)
    bad = 0
    for i, (name, fn) in enumerate(tests, 1):
        try:
            fn()
            print("ok %d - %s" % (i, name), flush=True)
        except Exception:
            bad += 1
            print("not ok %d - %s\n# %s" % (i, name, traceback.format_exc().replace("\n", "\n# ")), flush=True)
    server.terminate()
    sys.exit(bad > 0)


server = start()
main()
