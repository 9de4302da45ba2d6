"""What the scenario and fault tests share: a flights project in a temporary folder, the program, its server, requests.

A test is a file of functions named test_*; run_tests(globals()) runs them in order and prints TAP. Tests find the build
folder in PAWL_BUILD_ROOT and the sources in PAWL_SOURCE_ROOT, as Meson sets them. Times are event times: the homes are
made with --replay."""
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BUILD = pathlib.Path(os.environ.get("PAWL_BUILD_ROOT", "build")).resolve()
SOURCE = pathlib.Path(os.environ.get("PAWL_SOURCE_ROOT", ".")).resolve()
PAWL = BUILD / "pawl"
# What makes the example's pawl.yaml fit three weeks of data: pattern -> text.
SMALLER = {r"split: \{ by: time, train: \w+, validation: \w+, test: \w+ \}":
           "split: { by: time, train: 30d, validation: 2d, test: 2d }",
           r"rounds: \d+": "rounds: 20", r"hold_out: \d+%": "hold_out: 20%",
           r"- \{ metric: roc_auc, at_least: [\d.]+ \}": "- { metric: roc_auc, at_least: 0.60 }"}
LABEL, KNOWN_AT = "delay > 15", "date + to_minutes(45 + distance // 7)"


def day_after(day, n=1):
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=n)).isoformat()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def feed(first, end, share=0.05):
    """Day files of flights, board and requests, made once for all tests of a build folder."""
    out = BUILD / "tests-feed" / ("%s_%s_%s" % (first, end, share))
    if not (out / "done").exists():
        part = pathlib.Path(tempfile.mkdtemp(prefix="feed-", dir=_made(BUILD / "tests-feed")))
        subprocess.run([str(BUILD / "demo-feed"), str(SOURCE / ".deps/data/flights-3m.parquet"), str(part), first, end,
                        str(share)], check=True)
        (part / "done").write_text("")
        with contextlib.suppress(OSError):
            part.rename(out)
    return out


def _made(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


class Answer:
    """One command: exit status, the JSON document of stdout, the text of stderr."""

    def __init__(self, process):
        self.status, self.stdout, self.stderr = process.returncode, process.stdout, process.stderr
        try:
            self.doc = json.loads(process.stdout) if process.stdout.strip() else None
        except json.JSONDecodeError:
            self.doc = None


class Project:
    """A small flights project: three weeks of January, twenty rounds. `edit` maps old text to new in its pawl.yaml."""

    def __init__(self, first="2001-01-01", train_end="2001-01-22", end="2001-02-01", edit=None, share=0.05):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pawl-scenario-"))
        self.dir = self.root / "flights"
        self.home = self.dir / ".pawl"
        self.feed = feed(first, end, share)
        self.server, self.port = None, free_port()
        self.env = dict(os.environ, PAWL_WEBHOOK="http://127.0.0.1:9/none")
        (self.dir / "data" / "flights").mkdir(parents=True)
        shutil.copyfile(SOURCE / ".deps/data/airports.csv", self.dir / "data/airports.csv")
        shutil.copyfile(SOURCE / "examples/flights/cases.yaml", self.dir / "cases.yaml")
        text = (SOURCE / "examples/flights/pawl.yaml").read_text()
        for pattern, new in SMALLER.items():
            text, n = re.subn(pattern, new, text)
            assert n > 0, "nothing in pawl.yaml reads like %r" % pattern
        for old, new in (edit or {}).items():
            assert text.count(old) == 1, "pawl.yaml has %d places that read %r" % (text.count(old), old)
            text = text.replace(old, new)
        (self.dir / "pawl.yaml").write_text(text)
        day = first
        while day < train_end:
            self.deliver(day)
            day = day_after(day)
        self.train_end = train_end

    def deliver(self, day):
        shutil.copyfile(self.feed / "flights" / (day + ".parquet"), self.dir / "data/flights" / (day + ".parquet"))

    def edit(self, old, new):
        path = self.dir / "pawl.yaml"
        text = path.read_text()
        assert text.count(old) == 1, "pawl.yaml has %d places that read %r" % (text.count(old), old)
        path.write_text(text.replace(old, new))

    # ---- the program ----
    def pawl(self, *words, expect=0, timeout=120, as_json=True):
        cmd = [str(PAWL), *map(str, words)] + (["--json"] if as_json else [])
        a = Answer(subprocess.run(cmd, cwd=self.dir, env=self.env, capture_output=True, text=True, timeout=timeout))
        if expect is not None:
            allowed = expect if isinstance(expect, tuple) else (expect,)
            assert a.status in allowed, "`pawl %s` ended with %d\n%s\n%s" % (" ".join(map(str, words)), a.status,
                                                                            a.stdout[-3000:], a.stderr[-3000:])
        return a

    def doc(self, *words, **kw):
        return self.pawl(*words, **kw).doc

    def run_first(self):
        self.pawl("init", "--replay")
        return self.doc("run", "--as-of", self.train_end + "T00:00:00Z")

    def start(self, *flags, command="up", timeout=30):
        self.log = open(self.root / "server.log", "ab")
        self.server = subprocess.Popen([str(PAWL), command, "--port", str(self.port), *flags], cwd=self.dir,
                                       env=self.env, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.server.stdout.readline()
        assert line.startswith("ready "), "the server did not start: %r\n%s" % (line, self.log_tail())
        return self

    def log_tail(self):
        return (self.root / "server.log").read_text()[-3000:]

    def stop(self, sig=signal.SIGTERM):
        if self.server and self.server.poll() is None:
            self.server.send_signal(sig)
            self.server.wait(timeout=60)
        self.server = None

    def deploy_first(self):
        """From nothing to a served endpoint."""
        self.run_first()
        self.start()
        return self.doc("deploy", "flights", "--endpoint", "delay", "--reason", "first release")

    def replay(self, day, until=None, **kw):
        return self.doc("replay", self.feed / "requests" / (day + ".parquet"), "--endpoint", "delay", "--time", "date",
                        "--speed", "max", "--label", LABEL, "--known-at", KNOWN_AT, "--until",
                        (until or day_after(day)) + "T00:00:00Z", **kw)

    # ---- HTTP ----
    def http(self, method, path, body=None, headers=None, timeout=30):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            h = dict(headers or {})
            if data is not None:
                h.setdefault("Content-Type", "application/json")
            c.request(method, path, data, h)
            r = c.getresponse()
            text = r.read()
            with contextlib.suppress(ValueError):
                return r.status, json.loads(text)
            return r.status, text
        finally:
            c.close()

    def token(self):
        return (self.home / "token").read_text().strip()

    def infer(self, id="x1", date="2001-01-22T08:00:00Z", origin="ORD", destination="LAX", distance=1745):
        return self.http("POST", "/v2/models/delay/infer", infer_body(id, date, origin, destination, distance))

    def close(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and self.server is not None:
            print("# server log:\n# " + self.log_tail().replace("\n", "\n# "))
        self.close()


def infer_body(id, date, origin, destination, distance):
    def one(name, datatype, value):
        return {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
    return {"id": id, "inputs": [one("date", "BYTES", date), one("origin", "BYTES", origin),
                                 one("destination", "BYTES", destination), one("distance", "INT64", distance)]}


class Load(threading.Thread):
    """Asks for predictions on one connection until told to stop; counts answers and failures."""

    def __init__(self, project, prefix):
        super().__init__(daemon=True)
        self.p, self.prefix, self.n, self.failures, self.is_stopping = project, prefix, 0, [], False

    def run(self):
        c = http.client.HTTPConnection("127.0.0.1", self.p.port, timeout=30)
        while not self.is_stopping:
            body = json.dumps(infer_body("%s-%d" % (self.prefix, self.n), "2001-01-22T08:00:00Z", "ORD", "LAX", 1745))
            try:
                c.request("POST", "/v2/models/delay/infer", body, {"Content-Type": "application/json"})
                r = c.getresponse()
                text = r.read()
                if r.status != 200:
                    self.failures.append((r.status, text[:300]))
            except (OSError, http.client.HTTPException) as e:
                self.failures.append((0, repr(e)))
                c.close()
            self.n += 1

    def finish(self):
        self.is_stopping = True
        self.join(timeout=60)
        return self.n, self.failures


def run_tests(names):
    """Runs every test_* of a module, in order of definition; prints TAP. Words on the command line pick tests by name."""
    tests = [(k, v) for k, v in names.items() if k.startswith("test_") and callable(v)]
    tests = [t for t in tests if len(sys.argv) < 2 or any(w in t[0] for w in sys.argv[1:])]
    print("1..%d" % len(tests), flush=True)
    bad = 0
    for i, (name, fn) in enumerate(tests, 1):
        start = time.monotonic()
        try:
            fn()
            print("ok %d - %s # %.1f s" % (i, name, time.monotonic() - start), flush=True)
        except Exception:
            bad += 1
            print("not ok %d - %s" % (i, name))
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    sys.exit(1 if bad else 0)
