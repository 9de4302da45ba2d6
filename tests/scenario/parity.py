#!/usr/bin/env python3
"""What is served is what the offline path computes: 1,000 predictions from entity keys, asked in no order of time, compared bit for
bit with the point-in-time join of the same keys and times, and their scores with those of the same features given in full.

Among them: airports that nobody lands at, keys that are null or empty, values past their ttl, and rows that reach the source a day
late (each prediction is held against what was known when it was asked)."""
import contextlib
import csv
import http.client
import json
import random

from harness import Project, run_tests

COLUMNS = ["delay_1h", "late_share_1h", "flights_1h"]
ODD_KEYS = ["ZZZ", "", "ord", "ORD ", "O'RD", "Zürich"]
NULL_KEY_SHARE, ODD_KEY_SHARE = 0.03, 0.05


def airports(project):
    with open(project.dir / "data/airports.csv", newline="") as f:
        return [row["iata"] for row in csv.DictReader(f)]


def questions(project, seed, n):
    """n requests on 21 January in random order: big airports often, small ones for values past their ttl."""
    rng = random.Random(seed)
    big = ["ORD", "ATL", "DFW", "LAX", "PHX", "STL", "DEN", "DTW", "MSP", "LAS", "SFO", "EWR", "IAH", "CLT"]
    rest = [a for a in airports(project) if len(a) == 3 and a.isalpha()]
    out = []
    for i in range(n):
        x = rng.random()
        origin = (None if x < NULL_KEY_SHARE else rng.choice(ODD_KEYS) if x < NULL_KEY_SHARE + ODD_KEY_SHARE
                  else rng.choice(big) if x < 0.6 else rng.choice(rest))
        minute = rng.randrange(24 * 60) if x < 0.95 else 60 * rng.randrange(24)   # on the hour: the edge of the join
        out.append({"id": "q%d-%d" % (seed, i), "date": "2001-01-21T%02d:%02d:00Z" % divmod(minute, 60), "origin": origin,
                    "destination": rng.choice(big), "distance": rng.randrange(60, 2600)})
    return out


def tensor(name, datatype, value):
    return {"name": name, "shape": [1], "datatype": datatype, "data": [value]}


def body(q, features=None):
    inputs = [tensor("date", "BYTES", q["date"]), tensor("destination", "BYTES", q["destination"]),
              tensor("distance", "INT64", q["distance"]), tensor("origin", "BYTES", q["origin"])]
    for column, datatype in zip(COLUMNS, ["FP64", "FP64", "INT64"]):
        if features:
            inputs.append(tensor("arrivals." + column, datatype, features["arrivals." + column]))
    return {"id": q["id"] + ("-full" if features else ""), "inputs": inputs}


def ask(project, bodies):
    """Scores by id, over one connection."""
    scores = {}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", project.port, timeout=30)) as c:
        for b in bodies:
            c.request("POST", "/v2/models/delay/infer", json.dumps(b), {"Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
            assert r.status == 200, "%s: %s %s" % (b["id"], r.status, text[:500])
            scores[b["id"]] = json.loads(text)["outputs"][0]["data"][0]
    return scores


def logged(project, ids):
    doc = project.doc("predictions", "query", "delay", "--from", "2001-01-21", "--to", "2001-01-22", "--limit", 10000)
    found = {p["client_id"]: p for p in doc["predictions"] if p["client_id"] in ids}
    assert set(found) == set(ids), "%d of %d are in the log" % (len(found), len(ids))
    return found


def offline(project, qs, name):
    rows, out = project.root / (name + ".jsonl"), project.root / (name + ".out.jsonl")
    rows.write_text("".join(json.dumps({k: q[k] for k in ("id", "date", "origin")}) + "\n" for q in qs))
    project.doc("features", "join", rows, "--features", "arrivals.*", "--time", "date", "--keys",
                json.dumps({"arrivals": {"airport": "origin"}}), "--out", out)
    joined = [json.loads(line) for line in out.read_text().splitlines()]
    assert [j["id"] for j in joined] == [q["id"] for q in qs], "rows were lost, doubled or moved"
    return {j["id"]: j for j in joined}


def same(a, b):
    return a == b and type(a) in (int, float, type(None)) and (a is None) == (b is None)


def compare(project, qs, name):
    """Serves, recomputes, compares; how many had a value, none, and one past its ttl."""
    scores = ask(project, [body(q) for q in qs])
    served, joined = logged(project, scores.keys()), offline(project, qs, name)
    statuses = {}
    for q in qs:
        p, j = served[q["id"]], joined[q["id"]]
        status = p["lookups"]["arrivals"]
        statuses[status] = statuses.get(status, 0) + 1
        for column in ("arrivals." + c for c in COLUMNS):
            # a value past its ttl is none offline; what serving found is logged beside its status
            on = p["request"].get(column) if status == "PRESENT" else None
            assert same(on, j.get(column)), "%s %s: served %r (%s), offline %r" % (q, column, on, status, j.get(column))
    full = [q for q in qs if joined[q["id"]].get("arrivals.flights_1h") is not None]
    again = ask(project, [body(q, joined[q["id"]]) for q in full])
    for q in full:
        assert scores[q["id"]] == again[q["id"] + "-full"], "%s: %r from the keys, %r from offline features" % (
            q, scores[q["id"]], again[q["id"] + "-full"])
    return statuses


def test_a_thousand_predictions_equal_the_offline_path():
    with Project() as p:
        late = p.dir / "data/flights/2001-01-20.parquet"
        aside = p.root / "late.parquet"
        late.rename(aside)                                # a day's file that comes late
        p.deploy_first()
        p.doc("features", "materialize", "--to", "2001-01-22T00:00:00Z")
        before = questions(p, 1, 500)
        first = compare(p, before, "before")
        aside.rename(late)
        done = p.doc("features", "materialize", "--to", "2001-01-22T00:00:00Z")
        assert done["views"][0]["rows_new"] > 0, done     # flights that landed after midnight changed those hours
        second = compare(p, questions(p, 2, 500), "after")
        for status in ("PRESENT", "NOT_FOUND"):
            assert first.get(status, 0) >= 20 and second.get(status, 0) >= 20, (first, second)
        assert first.get("OUTSIDE_MAX_AGE", 0) + second.get("OUTSIDE_MAX_AGE", 0) > 0, (first, second)


if __name__ == "__main__":
    run_tests(globals())
