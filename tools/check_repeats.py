#!/usr/bin/env python3
"""Repeated code: runs of MIN or more lines of src/ that stand somewhere else too, to the letter or with other names.

Lines are stripped of comments, blanks and lone punctuation; names, numbers and strings become placeholders, language words
and library-like calls stay. A run of declarations alone (includes, table rows) does not count."""
import pathlib
import re
import sys

MIN = 14
KEYWORDS = set("if else for while do switch case default break continue return goto sizeof struct enum static const "
               "unsigned int char void bool double float size_t NULL true false".split())
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\d[\w.]*|\S')
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def shape(line):
    out = []
    for t in TOKEN.findall(line):
        if t in KEYWORDS:
            out.append(t)
        elif t[0].isalpha() or t[0] == "_":
            out.append("n")
        elif t[0].isdigit() or t[0] in "\"'":
            out.append("v")
        else:
            out.append(t)
    return " ".join(out)


def lines_of(path):
    text = COMMENT.sub(lambda m: "\n" * m.group(0).count("\n"), path.read_text())
    for n, line in enumerate(text.split("\n"), 1):
        s = line.strip()
        if re.search(r"\w", s) and not s.startswith("#"):
            yield n, s, shape(s)


def is_code(run):
    """At least a third of the lines do something: calls, assignments, control."""
    return sum(1 for s in run if re.search(r"\b(if|for|while|return|goto|case)\b|=|\bn \(", s)) * 2 >= len(run)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    files = [(p.relative_to(root), list(lines_of(p))) for p in sorted((root / "src").rglob("*.c"))]
    seen, found, bad = {}, [], 0
    for f, (_, rows) in enumerate(files):
        i = 0
        while i + MIN <= len(rows):
            exact = tuple(r[1] for r in rows[i:i + MIN])
            shapes = tuple(r[2] for r in rows[i:i + MIN])
            # A renamed run counts only when it is long enough not to be idiom: exact runs count at MIN.
            hit = seen.get(exact)
            if hit and is_code(shapes) and not (hit[0] == f and abs(hit[1] - i) < MIN):
                g, j = hit
                found.append((files[g][0], files[g][1][j][0], files[f][0], rows[i][0]))
                i += MIN
                continue
            seen.setdefault(exact, (f, i))
            long_shapes = tuple(r[2] for r in rows[i:i + 2 * MIN])
            if len(long_shapes) == 2 * MIN and is_code(long_shapes):
                hit = seen.get(long_shapes)
                if hit and not (hit[0] == f and abs(hit[1] - i) < 2 * MIN):
                    g, j = hit
                    found.append((files[g][0], files[g][1][j][0], files[f][0], rows[i][0]))
                    i += 2 * MIN
                    continue
                seen.setdefault(long_shapes, (f, i))
            i += 1
    for a, n, b, m in found:
        print("%s:%d: the same code stands at %s:%d" % (b, m, a, n))
        bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
