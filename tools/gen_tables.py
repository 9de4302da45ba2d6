#!/usr/bin/env python3
"""Turns the tables in spec/ into C and into the reference.

    gen_tables.py errors-h|errors-c SPEC OUT
    gen_tables.py ops-h|ops-c SOURCES_DIR OUT ROUTES.toml...    operations whose handler is in SOURCES_DIR
    gen_tables.py settings-h|settings-c SPEC OUT
    gen_tables.py metrics-h|metrics-c SPEC OUT
    gen_tables.py docs OUT_DIR ERRORS SETTINGS METRICS ROUTES.toml...
"""
import json
import os
import re
import sys
import tomllib

# ---------------------------------------------------------------- errors


def errors(path):
    rows = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                rows.append([c.strip() for c in line.split(None, 5)])
    return rows


def errors_h(out, path):
    out.write("/* Generated from spec/errors.txt. */\n#ifndef PAWL_BASE_ERR_CODES_H\n#define PAWL_BASE_ERR_CODES_H\n\n"
              "enum err_code {\n")
    for i, r in enumerate(errors(path)):
        out.write(f"    ERR_{r[0]}{' = 0' if i == 0 else ''},\n")
    out.write("    ERR_N\n};\n\n#endif\n")


def errors_c(out, path):
    out.write("/* Generated from spec/errors.txt: rows for base/err.c. */\n")
    for name, http, mlflow, exit_, retry, text in errors(path):
        out.write('    [ERR_%s] = {"%s", "%s", %s, "%s", %s, %s},\n' % (
            name, name.lower(), text, http, mlflow.replace("-", ""), exit_,
            "true" if retry == "yes" else "false"))


# ---------------------------------------------------------------- operations

TYPES = ["str", "int", "num", "bool", "time", "duration", "json", "list", "file"]
ROUTE_KEYS = {"name", "method", "path", "command", "class", "permission", "home", "body", "summary", "description",
              "examples", "columns", "params"}
PARAM_KEYS = {"name", "type", "default", "required", "positional", "in", "help"}


def fail(where, text):
    sys.exit(f"{where}: {text}")


def check_param(where, route, p):
    unknown = set(p) - PARAM_KEYS
    if unknown:
        fail(where, f"parameter {p.get('name')}: unknown key {sorted(unknown)[0]}")
    for key in ("name", "type", "help"):
        if key not in p:
            fail(where, f"parameter {p.get('name')}: {key} is missing")
    if p["type"] not in TYPES:
        fail(where, f"parameter {p['name']}: type {p['type']} is none of {' '.join(TYPES)}")
    if ("{" + p["name"] + "}" in route["path"] or "{" + p["name"] + "*}" in route["path"]) != (p.get("in") == "path"):
        fail(where, f"parameter {p['name']}: in = \"path\" and the path {route['path']} must agree")
    if p.get("required") and "default" in p:
        fail(where, f"parameter {p['name']}: required, and has a default")


def check_route(where, r):
    unknown = set(r) - ROUTE_KEYS
    if unknown:
        fail(where, f"{r.get('name')}: unknown key {sorted(unknown)[0]}")
    for key in ("name", "method", "path", "class", "permission", "summary"):
        if key not in r:
            fail(where, f"{r.get('name')}: {key} is missing")
    if r["class"] not in ("inline", "queued") or r["permission"] not in ("open", "decide"):
        fail(where, f"{r['name']}: class is inline or queued, permission is open or decide")
    if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", r["name"]):
        fail(where, f"{r['name']}: a name is resource.verb in lower case")
    for p in r.get("params", []):
        check_param(f"{where}: {r['name']}", r, p)
    named = set(re.findall(r"\{(\w+)\*?\}", r["path"]))
    missing = named - {p["name"] for p in r.get("params", [])}
    if missing:
        fail(where, f"{r['name']}: the path names {sorted(missing)[0]}, which is no parameter")


def routes(paths):
    rows, seen = [], {}
    for path in sorted(paths):
        with open(path, "rb") as f:
            try:
                table = tomllib.load(f)
            except tomllib.TOMLDecodeError as e:
                fail(path, str(e))
        for r in table.get("route", []):
            check_route(path, r)
            for key in (r["name"], r.get("command"), (r["method"], re.sub(r"\{\w+", "{", r["path"]))):
                if key and key in seen:
                    fail(path, f"{r['name']}: {key} is in {seen[key]} too")
                seen[key] = path
            rows.append(r)
    return sorted(rows, key=lambda r: r["name"])


def handlers(source_dir):
    found = set()
    for name in sorted(os.listdir(source_dir)):
        if name.endswith(".c"):
            with open(os.path.join(source_dir, name), encoding="utf-8") as f:
                found |= set(re.findall(r"\b(op_\w+)\s*\(\s*struct op_call\b", f.read()))
    return found


def fn_of(r):
    return "op_" + r["name"].replace(".", "_")


def served(source_dir, paths):
    """The rows that have a handler; the others are named, since a row alone does nothing."""
    there, rows = handlers(source_dir), routes(paths)
    for r in rows:
        if fn_of(r) not in there:
            print(f"warning: {r['name']}: no {fn_of(r)} in {source_dir}: the operation is left out", file=sys.stderr)
    return [r for r in rows if fn_of(r) in there]


def c_str(text):
    return "NULL" if text is None else json.dumps(text, ensure_ascii=False)


def ops_h(out, source_dir, *paths):
    out.write("/* Generated from spec/routes. */\n#ifndef PAWL_API_OP_HANDLERS_H\n#define PAWL_API_OP_HANDLERS_H\n\n"
              '#include "api/op.h"\n\n')
    for r in routes(paths):
        out.write(f"enum err_code {fn_of(r)}(struct op_call *call, const struct json *in, struct json **ret,\n"
                  f"    struct err *err) MUST_CHECK;\n")
    out.write("\n#endif\n")


def ops_c_lists(out, r, fn):
    for key in ("examples", "columns"):
        out.write(f"static const char *const {fn}_{key}[] = {{")
        out.write(", ".join([c_str(x) for x in r.get(key, [])] + ["NULL"]) + "};\n")
    if not r.get("params"):
        return
    out.write(f"static const struct op_param {fn}_params[] = {{\n")
    for p in r["params"]:
        flags = [".is_" + k + " = true" for k in ("required", "positional") if p.get(k)]
        flags += [".is_in_path = true"] if p.get("in") == "path" else []
        if p.get("in") == "path" and ".is_required = true" not in flags:
            flags.append(".is_required = true")
        default = p.get("default")
        if default is not None and not isinstance(default, str):
            default = json.dumps(default)
        out.write("    {" + ", ".join([f".name = {c_str(p['name'])}", f".type = OP_P_{p['type'].upper()}"] + flags +
                                      [f".def = {c_str(default)}", f".help = {c_str(p['help'])}"]) + "},\n")
    out.write("};\n")


def ops_c(out, source_dir, *paths):
    rows = served(source_dir, paths)
    out.write('/* Generated from spec/routes. */\n#include "api/op_handlers.h"\n\n')
    for r in rows:
        ops_c_lists(out, r, fn_of(r))
    out.write("\nconst struct op_route OP_ROUTES[] = {\n")
    for r in rows:
        fn = fn_of(r)
        n = len(r.get("params", []))
        out.write(f"    {{.name = {c_str(r['name'])}, .method = {c_str(r['method'])}, .path = {c_str(r['path'])},\n"
                  f"     .command = {c_str(r.get('command'))}, .class_ = OP_{r['class'].upper()},\n"
                  f"     .permission = OP_{r['permission'].upper()},\n"
                  f"     .home = OP_HOME_{'OPTIONAL' if r.get('home') == 'optional' else 'NEEDED'},\n"
                  f"     .is_raw_body = {'true' if r.get('body') == 'raw' else 'false'},\n"
                  f"     .summary = {c_str(r['summary'])}, .examples = {fn}_examples, .columns = {fn}_columns,\n"
                  f"     .params = {fn + '_params' if n else 'NULL'}, .n_params = {n}, .fn = {fn}}},\n")
    if not rows:
        out.write("    {.name = NULL},\n")
    out.write(f"}};\nconst size_t N_OP_ROUTES = {len(rows)};\n")


# ---------------------------------------------------------------- settings of the home

SETTING_KEYS = {"name", "env", "flag", "type", "default", "help"}


def settings(path):
    with open(path, "rb") as f:
        rows = tomllib.load(f)["setting"]
    for r in rows:
        if set(r) - SETTING_KEYS or not {"name", "type", "help"} <= set(r):
            fail(path, f"{r.get('name')}: the keys are {' '.join(sorted(SETTING_KEYS))}")
    return rows


def settings_h(out, path):
    out.write("/* Generated from spec/settings.toml. */\n#ifndef PAWL_APP_SETTING_NAMES_H\n"
              "#define PAWL_APP_SETTING_NAMES_H\n\nenum setting {\n")
    for r in settings(path):
        out.write(f"    SET_{r['name'].upper()},\n")
    out.write("    SETTING_N\n};\n\n#endif\n")


def settings_c(out, path):
    out.write("/* Generated from spec/settings.toml: rows for app/settings.c. */\n")
    for r in settings(path):
        out.write(f"    [SET_{r['name'].upper()}] = {{{c_str(r['name'])}, {c_str(r.get('env'))}, "
                  f"{c_str(r.get('flag'))}, {c_str(r['type'])}, {c_str(r.get('default'))}, {c_str(r['help'])}}},\n")


# ---------------------------------------------------------------- metrics of /metrics


def metrics(path):
    with open(path, "rb") as f:
        rows = tomllib.load(f)["metric"]
    for r in rows:
        if set(r) != {"id", "name", "kind", "help"} or r["kind"] not in ("counter", "gauge", "histogram"):
            fail(path, f"{r.get('name')}: the keys are id name kind help")
        if (r["kind"] == "counter") != r["name"].endswith("_total"):
            fail(path, f"{r['name']}: counters, and only they, end in _total")
    return rows


def metrics_h(out, path):
    out.write("/* Generated from spec/metrics.toml. */\n#ifndef PAWL_HTTP_PROM_METRICS_H\n"
              "#define PAWL_HTTP_PROM_METRICS_H\n\nenum prom_metric {\n")
    for r in metrics(path):
        out.write(f"    PROM_{r['id']},\n")
    out.write("    PROM_METRIC_N\n};\n\n#endif\n")


def metrics_c(out, path):
    out.write("/* Generated from spec/metrics.toml: rows for http/prom_table.c. */\n")
    for r in metrics(path):
        out.write(f"    [PROM_{r['id']}] = {{{c_str(r['name'])}, PROM_{r['kind'].upper()}, {c_str(r['help'])}}},\n")


# ---------------------------------------------------------------- reference

NOTE = "<!-- Written by `make docs` from spec/. -->\n"


def cell(text):
    return str(text if text is not None else "").replace("|", "\\|").replace("\n", " ")


def usage(r):
    words = ["pawl", r["command"]]
    for p in r.get("params", []):
        if p.get("positional"):
            name = p["name"].upper() + ("…" if p["type"] == "list" else "")
            words.append(name if p.get("required") or p.get("in") == "path" else f"[{name}]")
    flags = [p for p in r.get("params", []) if not p.get("positional")]
    for p in flags:
        flag = "--" + p["name"].replace("_", "-") + ("" if p["type"] == "bool" else " " + p["type"].upper())
        words.append(flag if p.get("required") else f"[{flag}]")
    return " ".join(words)


def doc_params(out, r):
    if not r.get("params"):
        return
    out.write("\n| parameter | type | default | |\n|---|---|---|---|\n")
    for p in r["params"]:
        need = "required" if p.get("required") or p.get("in") == "path" else cell(p.get("default"))
        out.write(f"| `{p['name']}` | {p['type']} | {need} | {cell(p['help'])} |\n")


def doc_commands(out, rows):
    out.write(NOTE + "# Commands\n\nEach command is one operation of the HTTP API; `--json` prints exactly its answer. Global flags: "
              "`--json --home DIR --server URL -C DIR --quiet --help`.\n")
    for r in sorted((r for r in rows if r.get("command")), key=lambda r: r["command"]):
        out.write(f"\n## `pawl {r['command']}`\n\n{r['summary']}\n")
        if r.get("description"):
            out.write(f"\n{r['description'].strip()}\n")
        out.write(f"\n    {usage(r)}\n")
        doc_params(out, r)
        if r.get("examples"):
            out.write("\n" + "".join(f"    {e}\n" for e in r["examples"]))


def doc_http(out, rows):
    out.write(NOTE + "# HTTP operations\n\nAll below `/api/pawl/v1`. *decide* needs the home's token "
              "(`Authorization: Bearer …`). The machine-readable form is `/api/pawl/v1/openapi.json`.\n\n"
              "| method | path | operation | permission | class | |\n|---|---|---|---|---|---|\n")
    for r in sorted(rows, key=lambda r: (r["path"], r["method"])):
        out.write(f"| {r['method']} | `{r['path']}` | {r['name']} | {r['permission']} | {r['class']} | "
                  f"{cell(r['summary'])} |\n")


def doc_errors(out, path):
    out.write(NOTE + "# Errors\n\n| name | HTTP | exit status | retry | |\n|---|---|---|---|---|\n")
    for name, http, _, exit_, retry, text in errors(path):
        out.write(f"| `{name.lower()}` | {http} | {exit_} | {retry} | {cell(text)} |\n")


def doc_settings(out, path):
    out.write(NOTE + "# Settings of a home\n\nA flag wins over the environment, the environment over `pawl.conf`.\n\n"
              "| name in pawl.conf | environment | flag | type | default | |\n|---|---|---|---|---|---|\n")
    for r in settings(path):
        out.write(f"| `{r['name']}` | {cell(r.get('env'))} | {cell(r.get('flag'))} | {r['type']} | "
                  f"{cell(r.get('default'))} | {cell(r['help'])} |\n")


def doc_metrics(out, path):
    out.write(NOTE + "# Metrics of /metrics\n\n| name | kind | |\n|---|---|---|\n")
    for r in metrics(path):
        out.write(f"| `{r['name']}` | {r['kind']} | {cell(r['help'])} |\n")


def docs(out_dir, errors_path, settings_path, metrics_path, *paths):
    os.makedirs(out_dir, exist_ok=True)
    rows = routes(paths)
    for name, write, arg in (("commands", doc_commands, rows), ("http", doc_http, rows),
                             ("errors", doc_errors, errors_path), ("settings", doc_settings, settings_path),
                             ("metrics", doc_metrics, metrics_path)):
        with open(os.path.join(out_dir, name + ".md"), "w", encoding="utf-8") as f:
            write(f, arg)


COMMANDS = {"errors-h": errors_h, "errors-c": errors_c, "ops-h": ops_h, "ops-c": ops_c, "settings-h": settings_h,
            "settings-c": settings_c, "metrics-h": metrics_h, "metrics-c": metrics_c}


def main(argv):
    if len(argv) >= 3 and argv[1] == "docs":
        docs(*argv[2:])
        return
    if len(argv) < 4 or argv[1] not in COMMANDS:
        sys.exit(__doc__)
    command, spec, out_path, rest = argv[1], argv[2], argv[3], argv[4:]
    temporary = out_path + ".part"
    with open(temporary, "w", encoding="utf-8") as out:
        COMMANDS[command](out, spec, *rest)
    os.replace(temporary, out_path)


if __name__ == "__main__":
    main(sys.argv)
