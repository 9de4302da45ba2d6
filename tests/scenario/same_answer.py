#!/usr/bin/env python3
"""An operation answers the same bytes in the command's own process, through a server by the command line, and by HTTP.

Every command that only reads and needs no argument is asked on one home, three ways. Prints TAP.
"""
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

PAWL = os.path.abspath(sys.argv[1])
# Answers that tell the time of the question differ by nature.
CHANGING = {"now", "at", "age_s", "uptime_s", "generated_at", "checked_at", "lag_s", "age_us", "uptime_us", "url", "server", "free_bytes"}


def run(home, words):
    done = subprocess.run([PAWL, "--home", home, *words, "--json"], capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as e:
        return e.read()


def still(value):
    """The document without what changes with time."""
    if isinstance(value, dict):
        return {k: still(v) for k, v in value.items() if k not in CHANGING}
    if isinstance(value, list):
        return [still(v) for v in value]
    return value


def same(a, b):
    if a == b:
        return True
    try:
        return still(json.loads(a)) == still(json.loads(b))
    except ValueError:
        return False


def questions(document):
    for path, item in sorted(document["paths"].items()):
        operation = item.get("get")
        if operation and "x-command" in operation and not any(p["required"] for p in operation["parameters"]):
            yield path, operation["x-command"].split()[1:]


def main():
    with tempfile.TemporaryDirectory() as folder:
        home = os.path.join(folder, ".pawl")
        subprocess.run([PAWL, "init", "--home", home, "--quiet"], check=True, cwd=folder)
        os.environ.pop("PAWL_SERVER", None)
        server = subprocess.Popen([PAWL, "server", "--home", home, "--port", "0"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        try:
            url = server.stdout.readline().split()[1]
            asked = list(questions(json.loads(fetch(url + "/api/pawl/v1/openapi.json"))))
            by_server = {tuple(w): (run(home, w), fetch(url + p)) for p, w in asked}
        finally:
            server.terminate()
            server.wait(30)
        print(f"1..{len(asked) + 1}")
        print(("ok" if server.returncode == 0 else "not ok") + " 1 - the server ends by itself when asked")
        failed = server.returncode != 0
        for i, (_, words) in enumerate(asked, 2):
            here = run(home, words)
            there, raw = by_server[tuple(words)]
            is_same = same(here[1], there[1]) and same(there[1], raw) and here[0] == there[0]
            failed = failed or not is_same
            print(f"{'ok' if is_same else 'not ok'} {i} - pawl {' '.join(words)}")
            if not is_same:
                print(f"# here {here}\n# by the server {there}\n# by HTTP {raw}")
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
