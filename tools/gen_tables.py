#!/usr/bin/env python3
"""Turns the tables in spec/ into C: `gen_tables.py errors-h|errors-c SPEC OUT`."""
import sys


def errors(path):
    rows = []
    for line in open(path, encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            rows.append(line.split(None, 5))
    return rows


def errors_h(path, out):
    out.write("/* Generated from spec/errors.txt. */\n#ifndef PAWL_BASE_ERR_CODES_H\n#define PAWL_BASE_ERR_CODES_H\n\n"
              "enum err_code {\n")
    for i, r in enumerate(errors(path)):
        out.write(f"    ERR_{r[0]}{' = 0' if i == 0 else ''},\n")
    out.write("    ERR_N\n};\n\n#endif\n")


def errors_c(path, out):
    out.write("/* Generated from spec/errors.txt: rows for base/err.c. */\n")
    for name, http, mlflow, exit_, retry, text in errors(path):
        out.write('    [ERR_%s] = {"%s", "%s", %s, "%s", %s, %s},\n' % (
            name, name.lower(), text.strip(), http, mlflow.replace("-", ""), exit_,
            "true" if retry == "yes" else "false"))


COMMANDS = {"errors-h": errors_h, "errors-c": errors_c}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    with open(sys.argv[3], "w", encoding="utf-8") as f:
        COMMANDS[sys.argv[1]](sys.argv[2], f)
