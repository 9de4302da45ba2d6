#!/usr/bin/env python3
"""`pawl status` at night: the loop's arrows are broken one after the other, and each time the box that is to blame says so: its
state, since when, whose it is, the runbook and the command to give next. Repaired, it is in order again. Prints TAP."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402

project = None


def box(name, doc=None):
    doc = doc or project.doc("status", "--endpoint", "delay")
    return next(b for b in doc["boxes"] if b["box"] == name)


def blames(name, states, next_words, since=True):
    """The box is in one of the states and says all that a person needs."""
    b = box(name)
    shown = json.dumps(b)
    assert b["state"] in states, shown
    for key in ("text", "owner", "runbook") + (("since",) if since else ()):
        assert b.get(key), "%s is missing: %s" % (key, shown)
    assert (harness.SOURCE / b["runbook"]).exists() or "/" in b["runbook"], shown
    assert b.get("next", "").startswith(next_words), shown
    words = b["next"].split()
    told = subprocess.run([str(harness.PAWL), "help", *[w for w in words[1:] if w.islower() and w.isalpha()][:2]],
                          capture_output=True, check=False)
    one = subprocess.run([str(harness.PAWL), "help", words[1]], capture_output=True, check=False)
    assert 0 in (told.returncode, one.returncode), "no such command: " + b["next"]
    return b


def advance(to):
    return project.doc("clock", "advance", "delay", "--to", to, timeout=300)


def test_a_hold_is_shown():
    project.deploy_first()
    assert box("Deploy")["state"] == "ok"
    project.doc("hold", "delay", "--reason", "looking")
    blames("Deploy", ("warning",), "pawl resume")


def test_a_source_that_stops():
    advance("2001-01-24T12:00:00Z")
    b = blames("Ingest", ("broken",), "pawl data", since=False)
    assert "flights" in b["text"], b
    assert project.doc("status", "--endpoint", "delay")["state"] == "broken"


def test_a_blocking_check():
    bad = project.dir / "data/flights/2001-01-22.parquet"
    project.deliver("2001-01-22")
    subprocess.run([str(harness.BUILD / "demo-feed"), "transform", str(bad),
                    "SELECT * REPLACE (CAST(round(distance * 16.09) AS BIGINT) AS distance) FROM read_parquet(?)"], check=True)
    advance("2001-01-24T13:00:00Z")
    b = blames("Validate", ("broken",), "pawl checks")
    assert "distance" in b["text"], b


def test_repaired_it_is_in_order():
    for day in ("2001-01-22", "2001-01-23", "2001-01-24"):
        project.deliver(day)
    advance("2001-01-25T00:00:00Z")
    doc = project.doc("status", "--endpoint", "delay")
    assert box("Ingest", doc)["state"] == "ok", box("Ingest", doc)
    assert box("Validate", doc)["state"] == "ok", box("Validate", doc)


def test_a_refused_release():
    made = project.doc("releases", "create", "--from", "live", "--threshold", "0.9", "--reason", "try", expect=(0, 1))
    project.doc("reject", made["release"], "--reason", "too strict", expect=(0, 4))
    blames("Evaluate", ("warning", "waiting"), "pawl releases", since=False)


def test_labels_that_do_not_come():
    for day in ("2001-01-25", "2001-01-26", "2001-01-27", "2001-01-28"):
        project.deliver(day)
    project.doc("replay", project.feed / "requests/2001-01-25.parquet", "--endpoint", "delay", "--time", "date", "--speed",
                "max", "--until", "2001-01-26T00:00:00Z", timeout=300)
    advance("2001-01-29T00:00:00Z")
    blames("Feedback", ("broken",), "pawl labels")


def test_a_lap_that_fails():
    text = (project.dir / "pawl.yaml").read_text()
    head, tail = text.split("  engine: xgboost\n")
    (project.dir / "pawl.yaml").write_text(head + "  run: \"echo no more room >&2; exit 3\"\n" + tail)
    project.doc("push")
    project.doc("resume", "delay", "--reason", "go on")
    project.deliver("2001-01-29")
    advance("2001-01-30T00:00:00Z")
    blames("Train", ("warning", "broken"), "pawl", since=True)


def test_a_database_that_is_away():
    project.stop()
    project.env["PAWL_DATABASE"] = "postgresql://127.0.0.1:9/none"
    project.start()
    for name in ("Train", "Evaluate", "Registry"):
        blames(name, ("unknown",), "pawl doctor", since=False)
    assert project.infer()[0] == 200
    assert box("Serve")["state"] != "broken"
    project.stop()
    del project.env["PAWL_DATABASE"]


def test_a_model_that_is_damaged():
    shutil.rmtree(project.home / "serving/models", ignore_errors=True)
    for top in (project.home / "store").iterdir():
        for blob in top.iterdir() if top.is_dir() else ():
            os.chmod(blob, 0o644)
            blob.write_bytes(b"damaged")
    project.start()
    blames("Serve", ("broken",), "pawl rollback", since=False)


if __name__ == "__main__":
    with harness.Project() as project:
        harness.run_tests(globals())
