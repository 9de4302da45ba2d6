/* Values and columns as a person reads them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/vec.h"
#include "cli/view.h"

#define CELL_MAX    60 /* characters of a cell, when another column follows */
#define COLUMNS_MAX 32

size_t cli_text_width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool name_ends(const char *name, const char *end)
{
    return name && str_ends(str_c(name), str_c(end));
}

/* "2001-03-01T08:15:00.000000Z" -> "2001-03-01 08:15:00"; a fraction stays as far as it says something. */
static bool time_cell(struct arena *a, struct str s, struct str *ret)
{
    int64_t at_us = 0;
    char text[TIME_TEXT_BYTES];
    if (s.n < 20 || s.p[4] != '-' || s.p[10] != 'T' || parse_time_us(s, &at_us, NULL) != ERR_OK)
        return false;
    size_t n = time_text(text, at_us) - 1;
    while (n > 19 && text[n - 1] == '0')
        n--;
    n -= text[n - 1] == '.';
    text[10] = ' ';
    char *copy = str_dup(a, str_n(text, n));
    *ret = str_n(copy, copy ? n : 0);
    return true;
}

static bool is_digest(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (hex_value(s.p[i]) < 0)
            return false;
    return s.n == 64;
}

static struct str printed(struct arena *a, const char *text)
{
    char *copy = text ? str_dup(a, str_c(text)) : NULL;
    return str_c(copy ? copy : "");
}

static struct str bytes_cell(struct arena *a, int64_t n)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)n;
    size_t u = 0;
    for (; v >= 1024 && u + 1 < ARRAY_LEN(UNITS); u++)
        v /= 1024;
    return str_c(u == 0 ? str_printf(a, "%" PRId64 " B", n)
                        : str_printf(a, "%.1f %s", v, UNITS[u]));
}

static struct str int_cell(struct arena *a, const char *name, int64_t v)
{
    char text[NUM_TEXT_BYTES];
    if (name_ends(name, "_bytes") || (name && strcmp(name, "bytes") == 0))
        return bytes_cell(a, v);
    if (name_ends(name, "_us") && !name_ends(name, "at_us"))
        duration_text(text, v);
    else if (name_ends(name, "_ms"))
        duration_text(text, v * 1000);
    else
        num_i64(text, v);
    return printed(a, text);
}

static struct str real_cell(struct arena *a, const char *name, double v)
{
    static const char *const SHARES[] = {"share", "coverage", "_ratio", "_rate"};
    char text[NUM_TEXT_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(SHARES); i++)
        if (name_ends(name, SHARES[i]) && fabs(v) <= 1)
            return str_c(str_printf(a, "%.4g %%", v * 100));
    num_f64(text, v);
    return strlen(text) <= 8 ? printed(a, text) : str_c(str_printf(a, "%.6g", v));
}

static struct str list_cell(struct arena *a, const struct json *v)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    for (size_t i = 0; i < v->u.arr.n; i++) {
        struct str item;
        cli_cell(a, NULL, v->u.arr.items[i], &item);
        buf_printf(&text, "%s%.*s", i ? ", " : "", STR_ARG(item));
    }
    char *copy = buf_ok(&text, NULL) == ERR_OK ? str_dup(a, buf_view(&text)) : NULL;
    buf_fini(&text);
    return str_c(copy ? copy : "…");
}

static struct str object_cell(struct arena *a, const struct json *v)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    for (size_t i = 0; i < v->u.obj.n; i++) {
        struct str item;
        char *name = str_dup(a, v->u.obj.members[i].key);
        cli_cell(a, name, v->u.obj.members[i].val, &item);
        buf_printf(&text, "%s%s %.*s", i ? ", " : "", name ? name : "", STR_ARG(item));
    }
    char *copy = buf_ok(&text, NULL) == ERR_OK ? str_dup(a, buf_view(&text)) : NULL;
    buf_fini(&text);
    return str_c(copy ? copy : "…");
}

void cli_cell(struct arena *a, const char *name, const struct json *v, struct str *ret)
{
    *ret = STR("-");
    if (!v)
        return;
    switch (v->type) {
    case JSON_BOOL:
        *ret = v->u.b ? STR("yes") : STR("no");
        return;
    case JSON_INT:
        *ret = int_cell(a, name, v->u.i);
        return;
    case JSON_REAL:
        *ret = real_cell(a, name, v->u.f);
        return;
    case JSON_STR:
        if (!time_cell(a, v->u.s, ret))
            *ret = is_digest(v->u.s) ? str_n(v->u.s.p, 12) : v->u.s;
        return;
    case JSON_ARR:
        *ret = list_cell(a, v);
        return;
    case JSON_OBJ:
        *ret = object_cell(a, v);
        return;
    case JSON_NULL:
    case JSON_TYPE_N:
    default:
        return;
    }
}

/* ---- tables ---- */
struct grid {
    struct arena *arena;
    const char *names[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    bool is_number[COLUMNS_MAX];
    size_t n;
};

static void column_add(struct grid *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->names[i], name) == 0)
            return;
    if (g->n < COLUMNS_MAX)
        g->names[g->n++] = name;
}

/* Declared columns that some row has; without a declaration, every scalar member. */
static void columns_choose(struct grid *g, const struct json *rows, const char *const *columns)
{
    for (size_t k = 0; columns && columns[k]; k++)
        for (size_t i = 0; i < json_len(rows); i++)
            if (json_path(json_at(rows, i), columns[k]))
                column_add(g, columns[k]);
    if (g->n > 0)
        return;
    for (size_t i = 0; i < json_len(rows); i++) {
        const struct json *row = json_at(rows, i);
        for (size_t k = 0; row->type == JSON_OBJ && k < row->u.obj.n; k++)
            if (row->u.obj.members[k].val->type < JSON_ARR)
                column_add(g, row->u.obj.members[k].key.p);
    }
}

/* One line per cell: line breaks and what is too long for a column are cut. */
static struct str cell_of(const struct grid *g, const struct json *row, size_t k)
{
    struct str text;
    const char *dot = strrchr(g->names[k], '.');
    cli_cell(g->arena, dot ? dot + 1 : g->names[k], json_path(row, g->names[k]), &text);
    const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
    if (end)
        text.n = (size_t)(end - text.p);
    if (k + 1 == g->n || cli_text_width(text) <= CELL_MAX)
        return text;
    size_t n = 0;
    for (size_t seen = 0; seen < CELL_MAX - 1; seen++)
        n += str_utf8_first(str_n(text.p + n, text.n - n));
    return str_c(str_printf(g->arena, "%.*s…", (int)n, text.p));
}

static void grid_measure(struct grid *g, const struct json *rows)
{
    for (size_t k = 0; k < g->n; k++) {
        g->widths[k] = strlen(g->names[k]);
        g->is_number[k] = true;
        for (size_t i = 0; i < json_len(rows); i++) {
            const struct json *v = json_path(json_at(rows, i), g->names[k]);
            size_t w = cli_text_width(cell_of(g, json_at(rows, i), k));
            g->widths[k] = w > g->widths[k] ? w : g->widths[k];
            g->is_number[k] =
                g->is_number[k] && (!v || v->type == JSON_INT || v->type == JSON_REAL);
        }
    }
}

static void pad(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_ch(out, ' ');
}

static void put_cell(const struct grid *g, size_t k, struct str text, struct buf *out)
{
    size_t space = g->widths[k] - cli_text_width(text);
    if (g->is_number[k])
        pad(out, space);
    buf_str(out, text);
    if (k + 1 < g->n) {
        if (!g->is_number[k])
            pad(out, space);
        buf_c(out, "  ");
    }
}

void cli_table(const struct cli_page *p, const struct json *rows, const char *const *columns)
{
    struct arena arena;
    arena_init(&arena, 256U << 20);
    struct grid g = {.arena = &arena};
    columns_choose(&g, rows, columns);
    grid_measure(&g, rows);
    for (size_t k = 0; k < g.n; k++) {
        char *name = str_dup(&arena, str_c(g.names[k]));
        for (char *c = name; c && *c; c++)
            *c = *c == '_' || *c == '.' ? ' ' : *c;
        put_cell(&g, k, str_c(name), p->out);
    }
    buf_ch(p->out, '\n');
    for (size_t i = 0; i < json_len(rows); i++) {
        for (size_t k = 0; k < g.n; k++)
            put_cell(&g, k, cell_of(&g, json_at(rows, i), k), p->out);
        buf_ch(p->out, '\n');
    }
    arena_fini(&arena);
}
