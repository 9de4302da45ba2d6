"""What the demo's stages share: the program, the clock of the story, the webhook's receiver, the report."""
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time


class Failed(Exception):
    """A stage did not come out as it should; the message is for the reader."""


class Receiver(threading.Thread):
    """Where alerts are delivered: keeps every alert that a webhook call carried."""

    def __init__(self):
        super().__init__(daemon=True)
        self.alerts = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.alerts += json.loads(body).get("alerts", [])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/alerts" % self.server.server_port

    def run(self):
        self.server.serve_forever()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Story:
    def __init__(self, args):
        self.args = args
        self.build = pathlib.Path(args.build).resolve()
        self.source = pathlib.Path(args.source).resolve()
        self.dir = self.build / "demo"
        self.feed = self.dir / "feed"
        self.pawl_exe = self.build / "pawl"
        self.receiver = Receiver()
        self.receiver.start()
        self.server = None
        self.port = free_port()
        self.started = time.monotonic()
        self.report = {"stages": [], "counts": {"requests_sent": 0, "answers_received": 0, "predictions_logged": 0,
                                                "labels_joined": 0, "alerts": 0},
                       "releases": [], "laps": [], "sampled": {}, "seconds": 0}
        self.day = "2001-03-01"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)

    # ---- the program ----
    def env(self):
        return dict(os.environ, PAWL_WEBHOOK=self.receiver.url)

    def pawl(self, *words, expect=0, cwd=None):
        """Runs one command with --json; gives its document. `expect`: the exit status, or a tuple of them."""
        cmd = [str(self.pawl_exe), *map(str, words), "--json"]
        p = subprocess.run(cmd, cwd=cwd or self.dir, env=self.env(), capture_output=True, text=True)
        allowed = expect if isinstance(expect, tuple) else (expect,)
        if p.returncode not in allowed:
            raise Failed("`pawl %s` ended with %d: %s%s" % (" ".join(map(str, words)), p.returncode,
                                                            p.stdout[-2000:], p.stderr[-2000:]))
        try:
            return json.loads(p.stdout) if p.stdout.strip() else {"error": p.stderr.strip()}
        except json.JSONDecodeError:
            raise Failed("`pawl %s --json` printed no JSON: %s" % (" ".join(map(str, words)), p.stdout[:300]))

    def start_server(self):
        self.server_log = open(self.dir / "server.log", "ab")
        self.server = subprocess.Popen([str(self.pawl_exe), "up", "--port", str(self.port)], cwd=self.dir,
                                       env=self.env(), stdout=subprocess.PIPE, stderr=self.server_log, text=True)
        line = self.server.stdout.readline()
        if not line.startswith("ready "):
            raise Failed("the server did not start: %r (build/demo/server.log)" % line)

    def transform(self, path, sql):
        """Rewrites a Parquet file of the feed: the upstream's own doing, by the feed's own tool."""
        subprocess.run([str(self.build / "demo-feed"), "transform", str(path), sql], check=True)

    def stop_server(self):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=60)

    # ---- the story ----
    def say(self, text):
        print("  " + text, flush=True)

    def stage(self, name, fn):
        print("\n%s" % name, flush=True)
        t = time.monotonic()
        entry = {"name": name, "ok": False, "seconds": 0, "evidence": {}}
        self.report["stages"].append(entry)
        try:
            entry["evidence"] = fn(self) or {}
            entry["ok"] = True
        except (Failed, KeyError, OSError, subprocess.SubprocessError) as e:
            entry["evidence"] = {"error": "%s: %s" % (type(e).__name__, e)}
            self.say("NOT OK: %s" % entry["evidence"]["error"])
        entry["seconds"] = round(time.monotonic() - t, 2)

    def is_ok(self):
        return all(s["ok"] for s in self.report["stages"])

    def need(self, condition, text):
        if not condition:
            raise Failed(text)

    def close(self):
        self.stop_server()

    def finish(self):
        self.report["seconds"] = round(time.monotonic() - self.started, 1)
        self.report["counts"]["alerts"] = len({a.get("fingerprint", json.dumps(a["labels"], sort_keys=True))
                                               for a in self.receiver.alerts})
        path = self.dir / "report.json"
        path.write_text(json.dumps(self.report, indent=2) + "\n")
        good = self.is_ok()
        print("\n%s in %.0f s; report: %s" % ("The loop turned" if good else "The demo FAILED",
                                             self.report["seconds"], os.path.relpath(path)))
        print("Look around:  %s server --home %s --port 5000" % (os.path.relpath(self.pawl_exe),
                                                                 os.path.relpath(self.dir / ".pawl")))
        return 0 if good else 1
