#!/usr/bin/env python3
"""`make bench`: every claim with its reference measured in the same run, one table; figures in BUILD/bench.json.

    run.py --build DIR [WORD…]      only the benches whose name contains a word; exit status 1 when a limit is missed

Programs of tests/bench/ print text or JSON; a row of BENCHES says which, and how the figures are read from it. A program that
is not there, or that needs something this machine has not, is a line that says so."""
import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
STARTS = 7


class Skipped(Exception):
    """Why a bench gave nothing."""


def row(claim, figure, unit, reference=None, limit=None, of="figure"):
    """limit is of the figure, or of the ratio figure / reference."""
    ratio = figure / reference if reference else None
    judged = ratio if of == "ratio" else figure
    return {"claim": claim, "figure": figure, "unit": unit, "reference": reference, "ratio": ratio, "limit": limit,
            "limit_of": of, "ok": None if limit is None else judged <= limit}


def output(command, timeout=900):
    try:
        p = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as e:
        raise Skipped("%s is not there" % e.filename) from e
    if p.returncode != 0:
        raise Skipped("%s ended with %d: %s" % (command[0], p.returncode, (p.stderr or p.stdout).strip()[-300:]))
    return p.stdout


def numbers(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise Skipped("no line like %r in:\n%s" % (pattern, text[-500:]))
    return [float(x) for x in found.groups()]


def trees(build):
    text = output([build / "tests/bench/bench_tree_engine"])
    for n, ours, library in re.findall(r"(\d+) row\(s\) a call: ours ([\d.]+) us a row, library ([\d.]+) us", text):
        yield row("trees, %s row(s) a call, against XGBoost's own call" % n, float(ours), "us/row", float(library), 1.0, "ratio")


def features(build):
    text = output([build / "tests/bench/bench_features_row"])
    yield row("a look-up as of a time in the online store", numbers(r"look-up of .*?: ([\d.]+) us", text)[0], "us")
    yield row("a request through the whole plan", numbers(r"whole plan.*?: ([\d.]+) us", text)[0], "us")


def serve(build):
    text = output([build / "tests/bench/bench_serve_cpu", 2, 3])
    ours, bare = numbers(r"prediction ([\d.]+) us CPU.*?bare reply ([\d.]+) us", text)
    yield row("CPU of a logged prediction, against a bare HTTP reply", ours, "us", bare)


def join(build):
    os.environ.setdefault("PAWL_DUCKDB", str(build / "libduckdb.so"))
    text = output([build / "tests/bench/bench_join"])
    hand, ours = numbers(r"by hand ([\d.]+) s, pawl ([\d.]+) s", text)
    yield row("point-in-time join of 1,000,000 rows, against the plan by hand", ours, "s", hand, 1.5, "ratio")


def drift(build):
    for line in output([build / "tests/bench/bench_drift"]).splitlines():
        d = json.loads(line)
        if d["bench"] == "drift_cost":
            yield row("one value into a drift histogram", d["ns_per_value"], "ns")
        elif d["bench"] == "drift_alarms" and d["shift"] == 0:
            yield row("false alarms of windows of %d rows at 1 %%, against PSI >= 0.1" % d["rows"],
                      100 * d["pawl_1_percent"], "%", 100 * d["psi_0_1"] or None, 1.5)
        elif d["bench"] == "auc_interval":
            yield row("interval of a difference of ROC AUC, %d rows" % d["rows"], d["ms"], "ms")


def unchanged(build):
    d = json.loads(output([sys.executable, HERE / "unchanged.py", build / "pawl", 500]))
    for what in ("unchanged", "leaf"):
        name = "500 unchanged steps" if what == "unchanged" else "500 steps, the last one changed"
        yield row("%s, against ninja" % name, d["pawl_%s_ms" % what], "ms", d.get("ninja_%s_ms" % what),
                  10 if what == "unchanged" else None)


def pss_kib(pid):
    text = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))


def start_once(project):
    """Milliseconds from exec to the line `ready`, then PSS after a prediction in MiB."""
    begin = time.perf_counter()
    project.start(command="server")
    ms = (time.perf_counter() - begin) * 1e3
    status, _ = project.infer()
    pss = pss_kib(project.server.pid) / 1024
    project.stop(signal.SIGTERM)
    if status != 200:
        raise Skipped("the endpoint answered %d" % status)
    return ms, pss


def server(build):
    os.environ.update(PAWL_BUILD_ROOT=str(build), PAWL_SOURCE_ROOT=str(HERE.parent.parent))
    sys.path.insert(0, str(HERE.parent / "scenario"))
    import harness
    with harness.Project() as p:
        p.deploy_first()
        p.stop()
        starts = [start_once(p) for _ in range(STARTS)]
    yield row("server ready with the flights endpoint, median of %d" % STARTS, statistics.median(s[0] for s in starts), "ms",
              limit=50)
    yield row("its memory (PSS) after a prediction", statistics.median(s[1] for s in starts), "MiB", limit=40)


BENCHES = {"trees": trees, "features": features, "serve": serve, "join": join, "drift": drift, "unchanged": unchanged,
           "server": server}
TARGETS = ["bench_tree_engine", "bench_features_row", "bench_serve_cpu", "bench_join", "bench_drift"]


def show(r):
    def number(v):
        return "-" if v is None else "%.3g" % v if abs(v) < 100 else "%.0f" % v
    limit = "-" if r["limit"] is None else "%s%s" % (number(r["limit"]), " x" if r["limit_of"] == "ratio" else "")
    verdict = {None: "", True: "ok", False: "NO"}[r["ok"]]
    print("%-70s %9s %-7s %9s %7s %7s  %s" % (r["claim"], number(r["figure"]), r["unit"], number(r["reference"]),
                                             number(r["ratio"]), limit, verdict), flush=True)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--build", default="build")
    args.add_argument("words", nargs="*")
    o = args.parse_args()
    build = pathlib.Path(o.build).resolve()
    wanted = {k: v for k, v in BENCHES.items() if not o.words or any(w in k for w in o.words)}
    subprocess.run(["ninja", "-C", str(build), "--quiet", "pawl", "demo-feed", *["tests/bench/" + t for t in TARGETS]],
                   stdout=sys.stderr, check=True)
    rows, skipped = [], {}
    print("%-70s %9s %-7s %9s %7s %7s" % ("claim", "figure", "", "reference", "ratio", "limit"))
    for name, bench in wanted.items():
        try:
            for r in bench(build):
                rows.append(dict(r, bench=name))
                show(r)
        except (Skipped, AssertionError, OSError, subprocess.SubprocessError) as e:
            skipped[name] = str(e)
            print("%-70s not measured: %s" % (name, e), flush=True)
    (build / "bench.json").write_text(json.dumps({"rows": rows, "skipped": skipped}, indent=2) + "\n")
    sys.exit(1 if skipped or any(r["ok"] is False for r in rows) else 0)


if __name__ == "__main__":
    main()
