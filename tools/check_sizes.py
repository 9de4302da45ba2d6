#!/usr/bin/env python3
"""Bounds on size and shape of the C code (hard limits; there is no exception list), banned functions, comment rules.

  function 100 lines, complexity 25, 8 parameters, nesting 5 levels · .c file 1,000 lines, header 400
Prints `file:line: message`; exit status 1 when a limit is passed. With --soft it counts what is over the limits that we
aim at (60 lines, complexity 15, 6 parameters, 600 lines a file, headers 300) instead."""
import pathlib
import re
import subprocess
import sys

HARD = {"lines": 100, "complexity": 25, "file": 1000, "header": 400, "parameters": 8}
SOFT = {"lines": 60, "complexity": 15, "file": 600, "header": 300, "parameters": 6}
NESTING = 5
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|atoi|atol|atof|strtok|localtime|gmtime|gets|asctime|ctime|rand|"
                    r"srand|system|popen|tmpnam|mktemp|alloca|setlocale)\s*\(")
# The page's own words for unfinished work, and words of places that a stranger would not know.
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
COMMENT = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"", re.S)
FUNCTION = re.compile(r"^[A-Za-z_][^;{}=]*?\b([a-z_]\w*)\(([^;{}]*)\)\s*\{", re.M)


def blank(m):
    return re.sub(r"[^\n]", " ", m.group(0))


def complexity(files, limits):
    out = subprocess.run(["pmccabe", *map(str, files)], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        cols = line.split("\t")
        mccabe, n_lines, where = int(cols[0]), int(cols[4]), cols[5]
        if mccabe > limits["complexity"]:
            yield where, "complexity %d" % mccabe
        if n_lines > limits["lines"]:
            yield where, "%d lines" % n_lines


def parameters(text, limit):
    for m in FUNCTION.finditer(text):
        depth, n = 0, 1
        for c in m.group(2):
            depth += c in "(["
            depth -= c in ")]"
            n += c == "," and depth == 0
        if n > limit and m.group(1) not in ("if", "while", "for", "switch"):
            yield text.count("\n", 0, m.start(1)) + 1, "%s has %d parameters" % (m.group(1), n)


def nesting(text):
    depth = 0
    for n, line in enumerate(text.split("\n"), 1):
        depth += line.count("{") - line.count("}")
        if depth > NESTING + 1 and "{" in line and "=" not in line:
            yield n, "nested %d deep" % (depth - 1)


def check_file(path, limits, hard):
    raw = path.read_text()
    n = raw.count("\n")
    limit = limits["header" if path.suffix == ".h" else "file"]
    if n > limit:
        yield 1, "%d lines" % n
    text = COMMENT.sub(blank, raw)
    if path.suffix == ".c":
        yield from parameters(text, limits["parameters"])
    if not hard:
        return
    for i, line in enumerate(text.split("\n"), 1):
        m = BANNED.search(line)
        if m:
            yield i, "%s is banned" % m.group(1)
        if "//" in line:
            yield i, "comments are written /* so */"
    for i, line in enumerate(raw.split("\n"), 1):
        if WORDS.search(line):
            yield i, "unfinished work is not left in the tree"
    if path.suffix == ".c":
        yield from nesting(text)


def main():
    hard = "--soft" not in sys.argv
    limits = HARD if hard else SOFT
    root = pathlib.Path(__file__).resolve().parent.parent
    files = sorted(p for p in (root / "src").rglob("*.[ch]"))
    found = ["%s: %s" % (w.replace("(", ":").replace("):", ":"), t)
             for w, t in complexity([f for f in files if f.suffix == ".c"], limits)]
    for path in files:
        found += ["%s:%d: %s" % (path, n, t) for n, t in check_file(path, limits, hard)]
    for line in found:
        print(line.replace(str(root) + "/", ""))
    return 1 if found and hard else 0


if __name__ == "__main__":
    sys.exit(main())
