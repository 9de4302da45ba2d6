#!/usr/bin/env python3
"""The MLflow REST API by plain requests: what clients decide by (codes, texts, forms of numbers), paging, artifacts, odd
requests. Prints TAP."""
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

PAWL = os.path.abspath(sys.argv[1])
API, FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"


class Server:
    def __init__(self, home):
        self.process = subprocess.Popen([PAWL, "server", "--home", home, "--port", "0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[1]

    def ask(self, method, where, body=None, headers=None, **query):
        url = self.url + where + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        h = {"Content-Type": "application/json"} if headers is None else headers
        request = urllib.request.Request(url, data=data, method=method, headers=h)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def get(self, where, **query):
        return self.both(self.ask("GET", API + where, **query))

    def post(self, path, body, method="POST"):
        return self.both(self.ask(method, API + path, body))

    @staticmethod
    def both(answer):
        return answer[0], json.loads(answer[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def is_error(answer, status, code, text=""):
    return answer[0] == status and answer[1]["error_code"] == code and text in answer[1]["message"]


def tracking(s):
    yield "experiment 0 is Default", s.get("/experiments/get", experiment_id="0")[1]["experiment"]["name"] == "Default"
    e = s.post("/experiments/create", {"name": "e1"})[1]["experiment_id"]
    yield "ids are decimal strings", e == "1"
    yield "a name twice", is_error(s.post("/experiments/create", {"name": "e1"}), 400, "RESOURCE_ALREADY_EXISTS")
    yield "an unknown experiment", is_error(s.get("/experiments/get-by-name", experiment_name="x"), 404,
                                            "RESOURCE_DOES_NOT_EXIST")
    yield "a missing field", is_error(s.post("/experiments/create", {}), 400, "INVALID_PARAMETER_VALUE",
                                      "Missing value for required parameter 'name'")
    run = s.post("/runs/create", {"experimentId": e, "runName": "r", "startTime": "1000",
                                  "tags": [{"key": "k", "value": "v"}]})[1]["run"]
    info, rid = run["info"], run["info"]["run_id"]
    yield "camel case and numbers as text", (info["start_time"], info["run_name"], info["status"]) == (1000, "r", "RUNNING")
    yield "the artifact address", info["artifact_uri"] == "mlflow-artifacts:/1/%s/artifacts" % rid
    batch = {"run_id": rid, "metrics": [{"key": "m", "value": v, "timestamp": i, "step": i} for i, v in
                                        enumerate([0.5, "NaN", "Infinity", "-Infinity", 1])],
             "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": ""}]}
    yield "a batch", s.post("/runs/log-batch", batch) == (200, {}) and s.post("/runs/log-batch", batch) == (200, {})
    data = s.get("/runs/get", run_id=rid, run_uuid=rid)[1]["run"]["data"]
    yield "latest metrics and params", data["metrics"] == [{"key": "m", "value": 1, "timestamp": 4, "step": 4}] and \
        data["params"] == [{"key": "p", "value": "1"}]
    history = s.get("/metrics/get-history", run_id=rid, metric_key="m")[1]["metrics"]
    yield "numbers that are none are texts", [p["value"] for p in history] == [0.5, "NaN", "Infinity", "-Infinity", 1]
    page = s.get("/metrics/get-history", run_id=rid, metric_key="m", max_results=2)[1]
    rest = s.get("/metrics/get-history", run_id=rid, metric_key="m", max_results=3, page_token=page["next_page_token"])[1]
    yield "history by pages", page["metrics"] + rest["metrics"] == history and "next_page_token" not in rest
    yield "params do not change", is_error(s.post("/runs/log-parameter", {"run_id": rid, "key": "p", "value": "2"}), 400,
                                           "INVALID_PARAMETER_VALUE", "Changing param values is not allowed")
    bad = s.post("/runs/log-metric", {"run_id": rid, "key": "m", "value": "x", "timestamp": 1})
    yield "a value that is no number", is_error(bad, 400, "INVALID_PARAMETER_VALUE", "Invalid value \"x\" for parameter 'value'")
    bad = s.post("/runs/log-batch", {"run_id": rid, "metrics": [{"key": "m", "value": 1}]})
    yield "the place of what is missing", is_error(bad, 400, "INVALID_PARAMETER_VALUE", "metrics[0].timestamp")
    big = {"run_id": rid, "params": [{"key": "p%d" % i, "value": "1"} for i in range(101)]}
    yield "more than a batch may hold", is_error(s.post("/runs/log-batch", big), 400, "INVALID_PARAMETER_VALUE", "at most 100")
    yield "long values are cut", s.post("/runs/set-tag", {"run_id": rid, "key": "long", "value": "ä" * 9000}) == (200, {})
    yield "deleting an absent tag", is_error(s.post("/runs/delete-tag", {"run_id": rid, "key": "none"}), 404,
                                             "RESOURCE_DOES_NOT_EXIST")
    s.post("/runs/delete", {"run_id": rid})
    yield "a deleted run is read", s.get("/runs/get", run_id=rid)[1]["run"]["info"]["lifecycle_stage"] == "deleted"
    yield "and not written", is_error(s.post("/runs/set-tag", {"run_id": rid, "key": "a", "value": "b"}), 400,
                                      "INVALID_PARAMETER_VALUE", "must be in the 'active' state")
    s.post("/runs/restore", {"run_id": rid})
    updated = s.post("/runs/update", {"run_id": rid, "status": "FINISHED", "end_time": 5000})[1]["run_info"]
    yield "a run ends", (updated["status"], updated["end_time"]) == ("FINISHED", 5000)


def searching(s):
    for i in range(5):
        rid = s.post("/runs/create", {"experiment_id": "0", "start_time": 1000 + i})[1]["run"]["info"]["run_id"]
        s.post("/runs/log-metric", {"run_id": rid, "key": "auc", "value": i / 10, "timestamp": 1})

    def found(**q):
        return s.post("/runs/search", {"experiment_ids": ["0"], **q})

    yield "by metric", len(found(filter="metrics.auc >= 0.2")[1]["runs"]) == 3
    first = found(max_results=2, order_by=["metrics.auc ASC"])[1]
    second = found(max_results=3, order_by=["metrics.auc ASC"], page_token=first["next_page_token"])[1]
    values = [r["data"]["metrics"][0]["value"] for r in first["runs"] + second["runs"]]
    yield "pages in order", values == [0, 0.1, 0.2, 0.3, 0.4] and "next_page_token" not in second
    yield "no experiments, no runs", s.post("/runs/search", {})[1]["runs"] == []
    yield "a broken filter", is_error(found(filter="metrics.auc >"), 400, "INVALID_PARAMETER_VALUE")
    yield "too many results", is_error(found(max_results=50001), 400, "INVALID_PARAMETER_VALUE")
    yield "a wrong token", is_error(found(page_token="?"), 400, "INVALID_PARAMETER_VALUE")


def artifacts(s):
    raw = {"Content-Type": "application/octet-stream"}
    big = os.urandom(3 << 20)
    yield "put", s.ask("PUT", FILES + "/0/x/artifacts/a%20b.txt", b"hello", raw)[0] == 200
    yield "put a large one", s.ask("PUT", FILES + "/0/x/artifacts/d/big.bin", big, raw)[0] == 200
    yield "put an empty one", s.ask("PUT", FILES + "/0/x/artifacts/empty", b"", raw)[0] == 200
    yield "get", s.ask("GET", FILES + "/0/x/artifacts/a%20b.txt") == (200, b"hello")
    yield "get a large one", s.ask("GET", FILES + "/0/x/artifacts/d/big.bin") == (200, big)
    listed = json.loads(s.ask("GET", FILES, path="0/x/artifacts")[1])
    yield "list", listed == {"files": [{"path": "a b.txt", "is_dir": False, "file_size": 5}, {"path": "d", "is_dir": True},
                                       {"path": "empty", "is_dir": False, "file_size": 0}]}
    yield "list what is not there", s.ask("GET", FILES, path="0/none") == (200, b"{}")
    yield "get what is not there", s.ask("GET", FILES + "/0/none")[0] == 404
    for path in ["../token", "0/../../token", "%2e%2e/token", "%252e%252e/token", "..%2ftoken", "a%5cb", "a%00b"]:
        yield "no way out by " + path, s.ask("GET", FILES + "/" + path)[0] in (400, 404) and \
            s.ask("PUT", FILES + "/" + path, b"x", raw)[0] in (400, 404)
    yield "delete", s.ask("DELETE", FILES + "/0/x/artifacts/d")[0] == 200 and \
        s.ask("GET", FILES + "/0/x/artifacts/d/big.bin")[0] == 404
    answer = s.both(s.ask("POST", "/api/2.0/mlflow-artifacts/mpu/create/x", {}))
    yield "multipart falls back", answer[0] == 501 and answer[1]["message"].startswith("Multipart upload is not supported")


def registry(s):
    yield "a model", s.post("/registered-models/create", {"name": "m"})[0] == 200
    yield "twice", is_error(s.post("/registered-models/create", {"name": "m"}), 400, "RESOURCE_ALREADY_EXISTS")
    yield "a bad name", is_error(s.post("/registered-models/create", {"name": "a/b"}), 400, "INVALID_PARAMETER_VALUE")
    source = "mlflow-artifacts:/0/x/artifacts/model"
    made = [s.post("/model-versions/create", {"name": "m", "source": source})[1]["model_version"] for _ in range(2)]
    yield "versions are texts and ready", [(v["version"], v["status"]) for v in made] == [("1", "READY"), ("2", "READY")]
    yield "no file of the machine", is_error(s.post("/model-versions/create", {"name": "m", "source": "/etc/passwd"}), 400,
                                             "INVALID_PARAMETER_VALUE")
    alias = {"name": "m", "alias": "champion"}
    yield "an absent alias is a 400", is_error(s.get("/registered-models/alias", **alias), 400, "INVALID_PARAMETER_VALUE")
    s.post("/registered-models/alias", {**alias, "version": "2"})
    yield "an alias", s.get("/registered-models/alias", **alias)[1]["model_version"]["version"] == "2"
    yield "production is a rollout's", is_error(
        s.post("/registered-models/alias", {"name": "m", "alias": "production", "version": "1"}), 400,
        "INVALID_PARAMETER_VALUE", "rollout")
    moved = s.post("/model-versions/transition-stage", {"name": "m", "version": "1", "stage": "staging",
                                                        "archive_existing_versions": False})
    yield "a stage in any case", moved[1]["model_version"]["current_stage"] == "Staging"
    none = {"name": "m", "version": "1", "stage": "None", "archive_existing_versions": True}
    yield "archiving others has its stages", s.post("/model-versions/transition-stage", none)[0] == 400
    yield "the newest of each stage", [v["version"] for v in s.get("/registered-models/get", name="m")[1]["registered_model"]
                                       ["latest_versions"]] == ["2", "1"]
    yield "a body on DELETE", s.post("/model-versions/delete", {"name": "m", "version": "2"}, "DELETE") == (200, {})
    third = s.post("/model-versions/create", {"name": "m", "source": source})[1]["model_version"]
    yield "numbers are not given again", third["version"] == "3"
    yield "where it lies", s.get("/model-versions/get-download-uri", name="m", version="3")[1]["artifact_uri"] == source


def odd_requests(s):
    yield "an unknown endpoint", is_error(s.post("/runs/nothing", {}), 404, "ENDPOINT_NOT_FOUND")
    yield "one of another version", is_error(s.both(s.ask("POST", "/api/3.0/mlflow/traces", {})), 404, "ENDPOINT_NOT_FOUND")
    yield "the page's own prefix", s.ask("GET", "/ajax-api/2.0/mlflow/experiments/get", experiment_id=0)[0] == 200
    text = {"Content-Type": "text/plain"}
    yield "a body of another type", s.ask("POST", API + "/runs/create", b"{}", text)[0] == 400
    yield "a body that is no JSON", s.ask("POST", API + "/runs/create", b"{")[0] == 400
    yield "a body that is a list", s.ask("POST", API + "/runs/create", b"[]")[0] == 400
    yield "a body encoded twice", s.ask("POST", API + "/runs/create", json.dumps(json.dumps({})).encode())[0] == 200
    yield "a GET with a body", s.ask("GET", API + "/experiments/get", {"experiment_id": "0"})[0] == 200
    yield "health", s.ask("GET", "/health") == (200, b"OK")
    yield "a version below 3.4", s.ask("GET", "/version")[1] < b"3.4"
    m = s.post("/logged-models", {"experiment_id": "0", "name": "lm"})[1]["model"]["info"]
    yield "a logged model waits", m["status"] == "LOGGED_MODEL_PENDING" and len(m["model_id"]) == 34
    s.post("/logged-models/" + m["model_id"], {"model_id": m["model_id"], "status": "LOGGED_MODEL_READY"}, "PATCH")
    yield "and is ready", s.get("/logged-models/" + m["model_id"])[1]["model"]["info"]["status"] == "LOGGED_MODEL_READY"
    yield "one that is not there", is_error(s.get("/logged-models/m-0"), 404, "RESOURCE_DOES_NOT_EXIST")


def main():
    results = []
    with tempfile.TemporaryDirectory(prefix="pawl-mlflow-") as folder:
        s = Server(folder + "/home")
        try:
            for part in (tracking, searching, artifacts, registry, odd_requests):
                results += [(part.__name__ + ": " + name, is_good) for name, is_good in part(s)]
        finally:
            s.stop()
    print("1..%d" % len(results))
    for i, (name, is_good) in enumerate(results, 1):
        print("%sok %d - %s" % ("" if is_good else "not ", i, name))
    sys.exit(0 if all(r[1] for r in results) else 1)


main()
