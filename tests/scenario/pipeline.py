#!/usr/bin/env python3
"""pawl run, check, reproduce, init on a small project of orders: only what changed is computed, checks block, cut runs resume,
as-of leaves out what was not known, and the same inputs give the same model. Prints TAP."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fixture"))
import harness  # noqa: E402
import orders  # noqa: E402

PAWL = harness.PAWL
MODEL = {"train", "profile", "evaluate", "register", "note"}  # note reads evaluate


class Project:
    def __init__(self, days=60, is_run=False):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pawl-pipeline-"))
        self.dir = orders.make(self.root / "orders", days, is_run)
        self.call("init")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def call(self, *words, expect=0):
        done = subprocess.run([str(PAWL), *words, "--json"], cwd=self.dir, capture_output=True, text=True, timeout=300,
                              check=False)
        assert done.returncode == expect, "pawl %s: status %d\n%s\n%s" % (" ".join(words), done.returncode,
                                                                         done.stdout[-2000:], done.stderr[-2000:])
        return json.loads(done.stdout) if done.stdout.strip() else None

    def run(self, *words, **kw):
        return self.call("run", *words, **kw)

    def edit(self, old, new, file="pawl.yaml"):
        path = self.dir / file
        text = path.read_text()
        assert text.count(old) == 1, "%s has %d places that read %r" % (file, text.count(old), old)
        path.write_text(text.replace(old, new))

    def day(self, name):
        return self.dir / "data/orders" / (name + ".csv")

    def blob(self, digest):
        return self.dir / ".pawl/store" / digest[:2] / digest[2:]

    def tree(self, digest):
        text = self.blob(digest).read_text()
        return {f["path"]: f["sha256"] for f in json.loads(text[text.index("{"):])["files"]}


def ran(doc):
    return {s["name"] for s in doc["steps"] if s["state"] == "done"}


def step(doc, name):
    return next(s for s in doc["steps"] if s["name"] == name)


def why(doc, name):
    return {w["what"]: (w.get("from"), w.get("to")) for w in step(doc, name)["why"]}


def test_computes_only_what_changed():
    with Project() as p:
        first = p.run()
        assert first["outcome"] == "done" and first["model"]["version"] == 1, first["outcome"]
        assert first["checks"]["verdict"] == "pass"
        assert step(first, "train")["why"] == [{"what": "first time"}]
        again = p.run()
        assert again["outcome"] == "unchanged" and again["run"] == first["run"], again
        assert again["model"]["digest"] == first["model"]["digest"]
        # A parameter: the model and what is after it.
        p.edit("eta: 0.2", "eta: 0.3")
        doc = p.run("--explain")
        assert ran(doc) == MODEL, ran(doc)
        assert why(doc, "train") == {"definition.params.eta": ("0.2", "0.3")}, why(doc, "train")
        assert doc["model"]["version"] == 2
        # Back: nothing is computed, the first version is the answer again.
        p.edit("eta: 0.3", "eta: 0.2")
        doc = p.run()
        assert doc["outcome"] == "unchanged" and doc["model"]["version"] == 1, doc["model"]
        assert doc["run"] == first["run"]
        # A file that only one step reads.
        (p.dir / "style.txt").write_text("one\ntwo\nthree\n")
        doc = p.run()
        assert ran(doc) == {"note"}, ran(doc)
        assert (p.dir / "note.txt").read_text().startswith("3\n")
        # SQL of a view: the view, its check, and everything after.
        p.edit("avg(minutes) AS minutes_1h", "max(minutes) AS minutes_1h")
        doc = p.run()
        assert ran(doc) == MODEL | {"views", "validate.views", "view.recent", "dataset", "validate.dataset"}, ran(doc)
        assert "definition[0].sql" in why(doc, "views")
        # A slice of the evaluation.
        p.edit('"hour < 12"', '"hour < 11"')
        assert ran(p.run()) == {"profile", "evaluate", "register", "note"}


def test_one_byte_of_data():
    with Project() as p:
        first = p.run()
        day = p.day("2024-02-26")
        text = day.read_text()
        day.write_text(text[:-2] + ("1" if text[-2] != "1" else "2") + "\n")
        doc = p.run()
        assert ran(doc) >= {"ingest.orders", "validate.orders", "view.recent", "dataset"}, ran(doc)
        assert "ingest.stores" not in ran(doc) and "views" not in ran(doc), ran(doc)
        assert doc["data"]["orders"] != first["data"]["orders"]
        # Touched, not changed.
        os.utime(p.day("2024-01-08"))
        assert p.run()["outcome"] == "unchanged"


def test_as_of_uses_what_was_known():
    with Project(days=50) as p:
        first = p.run("--as-of", "2024-02-15T00:00:00Z")
        assert first["splits"]["test"]["to"] < "2024-02-15", first["splits"]
        # Later days arrive: the past is what it was.
        later = orders.make(p.root / "later", 60)
        for name in ("2024-02-19", "2024-02-26"):
            shutil.copyfile(later / "data/orders" / (name + ".csv"), p.day(name))
        doc = p.run("--as-of", "2024-02-15T00:00:00Z")
        assert doc["dataset"] == first["dataset"] and doc["model"]["digest"] == first["model"]["digest"]
        assert not ran(doc) & MODEL, ran(doc)
        newer = p.run("--as-of", "2024-02-22T00:00:00Z")
        assert newer["dataset"] != first["dataset"]


def test_a_failing_check_blocks():
    with Project(days=40) as p:
        first = p.run()
        with open(p.day("2024-02-05"), "a", encoding="utf-8") as f:
            f.write("2024-02-05 23:59:00,harbour,3.5,9999\n")
        doc = p.run(expect=1)
        assert doc["outcome"] == "blocked", doc
        bad = step(doc, "validate.orders")
        assert bad["state"] == "blocked" and "minutes" in bad["error"] and "9999" in bad["error"], bad
        assert all(s["state"] == "skipped" for s in doc["steps"] if s["name"] in MODEL), doc["steps"]
        assert [v["version"] for v in versions(p)] == [1]
        # Repaired: it goes on as if nothing had been.
        text = p.day("2024-02-05").read_text()
        p.day("2024-02-05").write_text(text[:text.rindex("2024-02-05 23:59:00")])
        doc = p.run()
        assert doc["model"]["digest"] == first["model"]["digest"] and doc["outcome"] == "unchanged", doc["outcome"]


def versions(p):
    doc = p.call("models", "show", "orders")
    return doc["versions"] if "versions" in doc else [doc["version"]]


def test_a_view_that_knows_the_future():
    with Project(days=40) as p:
        p.edit("date_trunc('hour', known_at) + INTERVAL 1 HOUR AS hour", "date_trunc('hour', placed) AS hour")
        doc = p.call("check", expect=1)
        assert any("recent" in x["message"] for x in doc["problems"]), doc["problems"]
        doc = p.run(expect=1)
        assert step(doc, "validate.views")["state"] == "blocked"
        assert step(doc, "dataset")["state"] == "skipped"


def test_check_names_every_place():
    with Project(days=10) as p:
        p.edit("max_depth: 3", "max_dept: 3")
        p.edit("task: binary", "task: binry")
        doc = p.call("check", expect=1)
        places = {(x["line"], x["column"]) for x in doc["problems"]}
        assert len(doc["problems"]) >= 2 and all(x["file"] == "pawl.yaml" for x in doc["problems"]), doc
        assert (3, 7) in places, places
        p.edit("max_dept: 3", "max_depth: 3")
        p.edit("task: binry", "task: binary")
        p.edit("store, distance]\n  split", "store, distnace]\n  split")
        doc = p.call("check", expect=1)
        assert any("distnace" in x["message"] for x in doc["problems"]), doc["problems"]
        p.edit("store, distnace]", "store, minutes]")
        doc = p.call("check", expect=1)
        assert any("minutes" in x["message"] and "label" in x["message"] for x in doc["problems"]), doc["problems"]


def test_a_killed_run_resumes():
    with Project(days=30) as p:
        p.edit('run: "wc -l', 'run: "test -e %s/go || (touch %s/started; sleep 100); wc -l' % (p.root, p.root))
        child = subprocess.Popen([str(PAWL), "run", "--json"], cwd=p.dir, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while not (p.root / "started").exists():
            assert time.monotonic() < end and child.poll() is None, "the step did not begin"
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
        (p.root / "go").write_text("")
        doc = p.run()
        assert doc.get("resumed") is True, doc
        assert ran(doc) == {"note"}, ran(doc)
        assert doc["model"]["version"] == 1
        assert p.run()["outcome"] == "unchanged"
        runs = p.call("runs", "ls", "--limit", "100")["runs"]
        assert not [r for r in runs if r["status"] == "RUNNING"], runs


def test_reproduces_bit_for_bit():
    with Project(days=40) as p:
        first = p.run()
        doc = p.call("reproduce", first["run"], "--times", "2")
        assert doc["verdict"] == "identical" and doc["differed"] == [], doc
        assert {c["what"] for c in doc["compared"]} >= {"dataset", "train", "profile", "test.roc_auc"}, doc["compared"]
        # The data are gone from the folder, but not from the record.
        shutil.rmtree(p.dir / "data")
        doc = p.call("reproduce", first["run"])
        assert doc["verdict"] == "identical", doc
        # A file of the record is lost: the sentence says of which source.
        lost = p.call("data", "show", "orders")
        p.blob(lost["files"][0]["sha256"]).unlink()
        doc = p.call("reproduce", first["run"], expect=3)
        assert "orders" in doc["error"]["message"], doc


def test_the_contract_of_run():
    """train.py sees exactly what is promised, and the model it leaves is a version like any other."""
    with Project(days=40) as p:
        built = p.run()
        model = p.blob(p.tree(built["model"]["tree"])["model.json"]).read_text()
        (p.dir / "model-source.json").write_text(model)
        (p.dir / "train.py").write_text("""
import json, os, pathlib
names = sorted(n for n in os.environ if n.startswith("PAWL_"))
assert names == ["PAWL_OUT", "PAWL_PARAMS", "PAWL_SEED", "PAWL_TRAIN", "PAWL_VALIDATION"], names
assert json.loads(os.environ["PAWL_PARAMS"]) == {"rounds": 30}
assert os.environ["PAWL_SEED"] == "7" and "SECRET" not in os.environ
out = pathlib.Path(os.environ["PAWL_OUT"])
assert out.is_dir() and not list(out.iterdir())
for name in ("PAWL_TRAIN", "PAWL_VALIDATION"):
    assert pathlib.Path(os.environ[name]).read_bytes()[:4] == b"PAR1"
print("a line of the log")
(out / "model.json").write_text(pathlib.Path("model-source.json").read_text())
""")
        text = (p.dir / "pawl.yaml").read_text()
        start, end = text.index("train:\n"), text.index("evaluate:")
        (p.dir / "pawl.yaml").write_text(text[:start] + orders.RUN + "\n" + text[end:])
        os.environ["SECRET"] = "x"
        doc = p.run()
        assert doc["model"]["version"] == 2 and "train" in ran(doc), ran(doc)
        assert doc["model"]["metrics"] == built["model"]["metrics"]
        # Another program is another model.
        with open(p.dir / "train.py", "a", encoding="utf-8") as f:
            f.write("print('more')\n")
        assert "train" in ran(p.run())
        # It fails: its last words are in the answer.
        (p.dir / "train.py").write_text("import sys; print('no disk left', file=sys.stderr); sys.exit(3)\n")
        doc = p.run(expect=5)
        assert "status 3" in doc["error"]["message"] and "no disk left" in doc["error"]["message"], doc
        (p.dir / "train.py").write_text("print('nothing')\n")
        doc = p.run(expect=2)
        assert "left no model" in doc["error"]["message"], doc


def test_init_proposes_a_project_that_runs():
    with tempfile.TemporaryDirectory() as folder:
        made = orders.make(pathlib.Path(folder) / "x", 30)
        with open(made / "all.csv", "w", encoding="utf-8") as out:
            for i, path in enumerate(sorted((made / "data/orders").iterdir())):
                lines = path.read_text().splitlines(keepends=True)
                out.writelines(lines if i == 0 else lines[1:])
        (made / "pawl.yaml").unlink()

        def call(*words, expect=0):
            done = subprocess.run([str(PAWL), *words, "--json"], cwd=made, capture_output=True, text=True, check=False)
            assert done.returncode == expect, (words, done.stdout, done.stderr)
            return json.loads(done.stdout)
        doc = call("init", "all.csv", "--label", "minutes > 40")
        assert doc["time"] == "placed" and doc["task"] == "binary" and "minutes" not in doc["features"], doc
        assert call("check")["ok"]
        assert call("run")["model"]["version"] == 1
        call("init", "all.csv", expect=4)


def test_reads_dvc_stages():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in.txt").write_text("1\n")
        text = "stages:\n"
        for i in range(30):
            text += "  s%d:\n    cmd: cp %s o%d.txt\n    deps:\n    - %s\n    outs:\n    - o%d.txt\n" % (
                i, "in.txt" if i == 0 else "o%d.txt" % (i - 1), i, "in.txt" if i == 0 else "o%d.txt" % (i - 1), i)
        (folder / "dvc.yaml").write_text(text)

        def run(*words, expect=0):
            done = subprocess.run([str(PAWL), *words, "--json"], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == expect, done.stdout + done.stderr
            return json.loads(done.stdout)
        run("init")
        assert run("run")["counts"] == {"steps": 30, "ran": 30, "reused": 0}
        assert run("run")["outcome"] == "unchanged"
        (folder / "o29.txt").unlink()
        doc = run("run")
        assert doc["counts"]["ran"] == 0 and (folder / "o29.txt").read_text() == "1\n", doc["counts"]
        (folder / "in.txt").write_text("2\n")
        assert run("run", "--jobs", "4")["counts"]["ran"] == 30
        assert (folder / "o29.txt").read_text() == "2\n"


if __name__ == "__main__":
    sys.argv = [sys.argv[0]] + [w for w in sys.argv[1:] if not w.endswith("pawl")]
    harness.run_tests(globals())
