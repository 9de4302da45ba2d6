#!/usr/bin/env python3
"""Embeds src/db/migrations/NNNN_name.sql as C: `gen_migrations.py DIR OUT.c DEPFILE`.

The files are written in one dialect: BIGINT, DOUBLE PRECISION, TEXT and BLOB columns, `WITHOUT ROWID` where SQLite
should keep a table in its key. For SQLite tables become STRICT with INTEGER and REAL; for PostgreSQL BLOB becomes
BYTEA, text sorts by bytes and WITHOUT ROWID goes. `-- min_reader: N` and `-- min_writer: N` say which older
programs may still use the store; without them, none.
"""
import os
import re
import sys

TOKEN = re.compile(
    r"""(?P<string>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")|(?P<line>--[^\n]*)|(?P<block>/\*.*?\*/)|(?P<semi>;)"""
    r"""|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<other>.)""",
    re.S,
)


def tokens(path, text):
    """(kind, text) pairs without comments; quoted text is never looked into."""
    for m in TOKEN.finditer(text):
        kind = m.lastgroup
        if kind == "other" and m.group() in "'\"":
            sys.exit(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: a quote is not closed")
        if kind not in ("line", "block"):
            yield kind, m.group()


def statements(path, text):
    """Lists of tokens, split at semicolons outside quotes and comments."""
    current = []
    for kind, part in tokens(path, text):
        if kind == "semi":
            if any(p.strip() for _, p in current):
                yield current
            current = []
        else:
            current.append((kind, part))
    if any(p.strip() for _, p in current):
        sys.exit(f"{path}: the last statement does not end in a semicolon")


def plain(parts):
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def dialects(stmt):
    """The statement for SQLite and for PostgreSQL."""
    words = [p.upper() for k, p in stmt if k == "word"]
    is_table = words[:2] == ["CREATE", "TABLE"]
    is_ddl = is_table or words[:2] == ["ALTER", "TABLE"]
    without_rowid = "ROWID" in words
    lite, pg, skip = [], [], 0
    upper = [p.upper() if k == "word" else None for k, p in stmt]
    for i, (kind, part) in enumerate(stmt):
        if skip:
            skip -= 1
            continue
        if is_ddl and upper[i] == "DOUBLE":
            lite.append("REAL")
            pg.append("DOUBLE PRECISION")
            skip = 2
        elif is_ddl and upper[i] == "WITHOUT":
            skip = 2
        elif is_ddl and upper[i] in ("BIGINT", "BLOB", "TEXT"):
            lite.append({"BIGINT": "INTEGER"}.get(upper[i], upper[i]))
            pg.append({"BLOB": "BYTEA", "TEXT": 'TEXT COLLATE "C"'}.get(upper[i], upper[i]))
        else:
            lite.append(part)
            pg.append(part)
    tail = (" STRICT" + (", WITHOUT ROWID" if without_rowid else "")) if is_table else ""
    return plain(lite) + tail, plain(pg)


def c_text(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header_number(text, key, default):
    m = re.search(rf"^-- {key}: (\d+)\s*$", text, re.M)
    return int(m.group(1)) if m else default


def main():
    directory, out_path, dep_path = sys.argv[1:4]
    names = sorted(n for n in os.listdir(directory) if n.endswith(".sql"))
    rows, body, last = [], [], 0
    for name in names:
        m = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", name)
        if not m or int(m.group(1)) <= last:
            sys.exit(f"{directory}/{name}: migrations are named NNNN_name.sql, each number once, from 0001")
        number = last = int(m.group(1))
        path = os.path.join(directory, name)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        both = [dialects(s) for s in statements(path, text)]
        for i, dialect in enumerate(("sqlite", "postgres")):
            body.append(f"static const char *const m{number:04}_{dialect}[] = {{")
            body += [f"    {c_text(pair[i])}," for pair in both]
            body += ["    NULL,", "};", ""]
        rows.append(
            f'    {{{number}, "{m.group(2)}", {header_number(text, "min_reader", number)}, '
            f'{header_number(text, "min_writer", number)}, m{number:04}_sqlite, m{number:04}_postgres}},'
        )
    with open(out_path, "w", encoding="utf-8") as out:
        out.write('/* Generated from src/db/migrations. */\n#include "db/db.h"\n\n' + "\n".join(body))
        out.write("\nconst struct db_migration DB_MIGRATIONS[] = {\n" + "\n".join(rows) + "\n};\n")
        out.write(f"const size_t N_DB_MIGRATIONS = {len(rows)};\n")
    with open(dep_path, "w", encoding="utf-8") as dep:
        paths = [directory] + [os.path.join(directory, n) for n in names]
        dep.write(f"{out_path}: " + " ".join(paths) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main()
