#!/usr/bin/env python3
"""A module may include only modules of a strictly lower layer, and third-party headers stay behind their module.

Prints `file:line: message` for each violation; exit status 1 when there is any."""
import pathlib
import re
import sys

LAYERS = [
    ["base", "json"],
    ["stats", "model", "expr", "db", "table", "http", "grpc", "job", "config"],
    ["blob", "audit", "access", "engine"],
    ["data", "track", "feedback", "project", "alert"],
    ["registry", "validate", "features"],
    ["train", "evaluate", "serve"],
    ["pipeline", "monitor"],
    ["release"],
    ["loop"],
    ["govern"],
    ["api"],
    ["cli"],
    ["app"],
]
LEVEL = {m: i for i, layer in enumerate(LAYERS) for m in layer}
SAME_LAYER = {("json", "base")}       # json may use base
NEVER = {("serve", "db")}             # serving survives the database
THIRD_PARTY = {
    "duckdb.h": "table", "sqlite3.h": "db", "libpq-fe.h": "db", "microhttpd.h": "http", "curl/curl.h": "http",
    "jansson.h": "json", "lmdb.h": "features", "xgboost/c_api.h": "train", "libfyaml.h": "config",
    "openssl/*": ("base", "access", "audit"), "sodium.h": "access", "xxhash.h": "base", "zstd.h": "blob",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def third_party_home(name):
    for pattern, home in THIRD_PARTY.items():
        if name == pattern or (pattern.endswith("/*") and name.startswith(pattern[:-1])):
            return (home,) if isinstance(home, str) else home
    return None


def check_line(module, kind, name):
    if kind == "<":
        home = third_party_home(name)
        return None if home is None or module in home else "%s belongs to %s/" % (name, "/, ".join(home))
    other = name.split("/")[0]
    if "/" not in name:
        return '"%s": write it as "module/header.h"' % name
    if other not in LEVEL:
        return "unknown module %s" % other
    if name.endswith("_int.h") and other != module:
        return "%s is private to %s/" % (name, other)
    if (module, other) in NEVER:
        return "%s/ never includes %s/" % (module, other)
    if other == module or (module, other) in SAME_LAYER or LEVEL[other] < LEVEL[module]:
        return None
    return "%s (layer %d) includes %s (layer %d)" % (module, LEVEL[module], other, LEVEL[other])


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "src"
    bad = 0
    for path in sorted(root.rglob("*.[ch]")):
        module = path.relative_to(root).parts[0]
        if module not in LEVEL:
            print("%s: module %s has no layer" % (path.relative_to(root.parent), module))
            bad += 1
            continue
        for n, line in enumerate(path.read_text().split("\n"), 1):
            m = INCLUDE.match(line)
            text = check_line(module, m.group(1), m.group(2)) if m else None
            if text:
                print("%s:%d: %s" % (path.relative_to(root.parent), n, text))
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
