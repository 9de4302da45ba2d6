#!/usr/bin/env python3
"""Broken pawl.yaml files: `pawl check` says no, with the place and what to do; `pawl run` refuses with status 2 and changes nothing.

Each case changes the example's file in one place. Expected: an error at the line where `at` then stands, whose sentence has
`says` in it. Nothing else about the sentence is held."""
import json
import pathlib
import shutil
import subprocess
import tempfile

from harness import PAWL, SOURCE, run_tests

# (name, old text, new text, text of the line that the error is at, part of the sentence)
CASES = [
    ("section", "sources:\n", "sourcess:\n", "sourcess:", "sources"),
    ("source key", "    time: date ", "    tme: date ", "tme: date", "time"),
    ("source kind", "    path: data/flights/*.parquet\n", "", "time: date", "path"),
    ("two kinds", "    path: data/flights/*.parquet\n", "    path: x\n    sql: SELECT 1\n", "path: x", "one way"),
    ("known twice", "    freshness: 36h\n", "    freshness: 36h\n    available_after: 1h\n", "available_after", "keep one"),
    ("duration", "freshness: 36h", "freshness: 36 parsecs", "36 parsecs", "parsecs"),
    ("bare duration", "freshness: 36h", "freshness: 36", "freshness: 36", "36"),
    ("source name", "  airports: {", "  air-ports: {", "air-ports", "letters"),
    ("duplicate key", "    freshness: 36h\n", "    freshness: 36h\n    freshness: 37h\n", "freshness: 37h", "freshness"),
    ("tab", "    freshness: 36h\n", "\tfreshness: 36h\n", "freshness: 36h", ""),
    ("open bracket", "range: [-1200, 3000]", "range: [-1200, 3000", None, ""),
    ("checks of nothing", "checks:\n  flights:", "checks:\n  flihgts:", "flihgts", "flihgts"),
    ("check key", "pattern: \"[A-Z0-9]{3}\"", "patern: \"[A-Z0-9]{3}\"", "patern", "pattern"),
    ("check type", "type: integer, nulls", "type: integre, nulls", "integre", "integer"),
    ("check range", "range: [10, 5000]", "range: [10]", "range: [10]", "range"),
    ("check limit", "rows: \">= 1000\"", "rows: \"> many\"", "> many", "rows"),
    ("check share", "share: \">= 99.9%\"", "share: \"150%\"", "150%", "share"),
    ("check column", "{ column: distance, type: integer, range: [10, 5000] }", "{ type: integer, range: [10, 5000] }",
     "{ type: integer, range: [10, 5000] }", "column"),
    ("on_fail", "on_fail: warn", "on_fail: explode", "explode", "warn"),
    ("view key", "    ttl: 6h\n", "    tl: 6h\n", "tl: 6h", "ttl"),
    ("view without time", "    time: hour  ", "    # time: hour  ", "entity: [airport]", "time"),
    ("on_stale", "on_stale: default", "on_stale: shrug", "shrug", "default"),
    ("no entity", "entity: [airport]", "entity: []", "entity: []", "entity"),
    ("view named as a source", "  arrivals:  ", "  airports:  ", "airports:  ", "source"),
    ("row not a map", "      hour: hour(date)\n", "      - hour(date)\n", None, ""),
    ("rows of nothing", "  rows: flights\n", "  rows: flihgts\n", "rows: flihgts", "flights"),
    ("feature of nothing", "view: arrivals, key", "view: arivals, key", "arivals", "arrivals"),
    ("key of nothing", "key: { airport: origin }", "key: { aerodrome: origin }", "aerodrome", "aerodrome"),
    ("split", "split: { by: time,", "split: { by: tiem,", "tiem", "time"),
    ("hold_out", "hold_out: 25%", "hold_out: 150%", "150%", "hold_out"),
    ("sample", "train: 20%,", "train: 0%,", "train: 0%,", "sample"),
    ("label_after", "label_after: 13h", "label_after: -13h", "-13h", "label_after"),
    ("engine", "engine: xgboost", "engine: xgbost", "xgbost", "xgboost"),
    ("seed", "  seed: 7\n", "  seed: seven\n", "seven", "seed"),
    ("metric", "metrics: [roc_auc,", "metrics: [roc_auk,", "roc_auk", "roc_auc"),
    ("gate metric", "{ metric: roc_auc, at_least: 0.66 }", "{ metric: rocauc, at_least: 0.66 }", "rocauc", "roc_auc"),
    ("gate key", "{ latency_p99: 5ms }", "{ latency_p98: 5ms }", "latency_p98", "latency_p99"),
    ("confidence", "confidence: 95%", "confidence: 195%", "195%", "confidence"),
    ("task", "task: binary", "task: binery", "binery", "binary"),
    ("format", "pawl: 1\n", "pawl: 7\n", "pawl: 7", "7"),
    ("owners", "owners:\n", "owners: [a]\nowner:\n", "owners: [a]", ""),
    ("endpoint key", "endpoint:\n  name: delay\n", "endpoint:\n  nmae: delay\n", "nmae: delay", "name"),
    ("canary", "shadow: { samples: 1000 }", "shadow: { samples: lots }", "lots", "samples"),
]

# What only releases need: the pipeline runs without it.
CHECK_ONLY = {"endpoint key", "canary"}


def folder():
    dir = pathlib.Path(tempfile.mkdtemp(prefix="pawl-bad-yaml-"))
    for f in ("pawl.yaml", "cases.yaml"):
        shutil.copyfile(SOURCE / "examples/flights" / f, dir / f)
    return dir


def pawl(dir, *words):
    return subprocess.run([str(PAWL), *words], cwd=dir, capture_output=True, text=True, timeout=60)


def judge(name, old, new, at, says):
    """None, or what is wrong with the answer to this file."""
    dir = folder()
    try:
        good = (dir / "pawl.yaml").read_text()
        if good.count(old) < 1:
            return "%r is not in the example" % old
        bad = good.replace(old, new, 1)
        (dir / "pawl.yaml").write_text(bad)
        line = next((i for i, t in enumerate(bad.split("\n"), 1) if at and at in t), None)
        if at and line is None:
            return "%r is not in the broken file" % at
        pawl(dir, "init")
        check = pawl(dir, "check", "--depth", "file", "--json")
        if check.returncode != 1:
            return "check ended with %d: %s %s" % (check.returncode, check.stdout[-300:], check.stderr[-300:])
        errors = [p for p in json.loads(check.stdout)["problems"] if p["severity"] == "error"]
        if not any((line is None or p["line"] == line) and p["column"] > 0 and says in p["message"] and p["file"] == "pawl.yaml"
                   for p in errors):
            return "no error at line %s with %r among %s" % (line, says, [(p["line"], p["message"]) for p in errors])
        if name in CHECK_ONLY:
            return None
        run = pawl(dir, "run")
        if run.returncode != 2:
            return "run ended with %d: %s" % (run.returncode, run.stderr[-300:])
        if "pawl.yaml:%s" % (line or "") not in run.stderr:
            return "run does not name the place: %s" % run.stderr[-300:]
        if any((dir / ".pawl" / "store").glob("??")):
            return "something was stored"
        return None
    finally:
        shutil.rmtree(dir, ignore_errors=True)


def test_the_example_itself_is_right():
    dir = folder()
    pawl(dir, "init")
    check = pawl(dir, "check", "--depth", "file", "--json")
    assert check.returncode == 0, check.stdout + check.stderr
    shutil.rmtree(dir)


def test_there_are_forty_cases():
    assert len(CASES) >= 40 and len({c[0] for c in CASES}) == len(CASES)


def test_each_broken_file_is_refused_at_its_place():
    wrong = [(c[0], w) for c in CASES for w in [judge(*c)] if w]
    assert not wrong, "\n".join("%s: %s" % w for w in wrong)


def test_several_mistakes_are_told_at_once():
    dir = folder()
    text = (dir / "pawl.yaml").read_text()
    for name in ("check type", "on_stale", "metric"):
        _, old, new, _, _ = next(c for c in CASES if c[0] == name)
        text = text.replace(old, new, 1)
    (dir / "pawl.yaml").write_text(text)
    pawl(dir, "init")
    doc = json.loads(pawl(dir, "check", "--depth", "file", "--json").stdout)
    text = " ".join(p["message"] for p in doc["problems"])
    assert "integre" in text and "shrug" in text and "roc_auk" in text, text
    lines = [p["line"] for p in doc["problems"]]
    assert lines == sorted(lines), lines
    shutil.rmtree(dir)


if __name__ == "__main__":
    run_tests(globals())
