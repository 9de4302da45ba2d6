#!/usr/bin/env python3
"""An unchanged run of N steps, and one leaf changed: pawl beside ninja and make on the same graph, interleaved.

    unchanged.py PAWL [N]           one JSON object: medians in milliseconds and their ratios"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def write(folder, n):
    """A chain of copies; the last step reads leaf.txt too."""
    (folder / "in.txt").write_text("seed\n")
    (folder / "leaf.txt").write_text("leaf\n")
    stages, rules, edges, before = "stages:\n", "", "rule r\n command = $c\n", "in.txt"
    for i in range(n):
        reads = [before] + (["leaf.txt"] if i == n - 1 else [])
        out, command = "o%d.txt" % i, "cat %s > o%d.txt" % (" ".join(reads), i)
        stages += "  s%d:\n    cmd: %s\n    deps: [%s]\n    outs: [%s]\n" % (i, command, ", ".join(reads), out)
        rules = "%s: %s\n\t@%s\n" % (out, " ".join(reads), command) + rules
        edges += "build %s: r %s\n c = %s\n" % (out, " ".join(reads), command)
        before = out
    (folder / "dvc.yaml").write_text(stages)
    (folder / "Makefile").write_text("all: %s\n%s" % (before, rules))
    (folder / "build.ninja").write_text(edges)


def once(command, folder):
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, **QUIET)
    return (time.perf_counter() - start) * 1e3


def main():
    pawl, n = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 500
    tools = {"pawl": [pawl, "run", "--json"], "ninja": ["ninja", "--quiet", "-j1"], "make": ["make", "-s"]}
    tools = {k: v for k, v in tools.items() if k == "pawl" or shutil.which(v[0])}
    result = {"steps": n}
    with tempfile.TemporaryDirectory() as root:
        places = {}
        for name in tools:
            places[name] = pathlib.Path(root) / name
            places[name].mkdir()
            write(places[name], n)
        subprocess.run([pawl, "init"], cwd=places["pawl"], check=True, **QUIET)
        for name, command in tools.items():
            result[name + "_first_ms"] = round(once(command, places[name]), 1)
        for what, repeats in (("unchanged", 15), ("leaf", 5)):
            times = {name: [] for name in tools}
            for _ in range(repeats):
                for name, command in tools.items():
                    if what == "leaf":
                        with open(places[name] / "leaf.txt", "a", encoding="utf-8") as f:
                            f.write("x\n")
                        time.sleep(0.03)
                    times[name].append(once(command, places[name]))
            for name, t in times.items():
                result["%s_%s_ms" % (name, what)] = round(statistics.median(t), 2)
        for name in tools:
            if name != "pawl":
                result["unchanged_vs_" + name] = round(result["pawl_unchanged_ms"] / result[name + "_unchanged_ms"], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
