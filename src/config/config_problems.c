#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "config/config.h"

void cfg_problems_init(struct cfg_problems *ps, struct arena *a)
{
    *ps = (struct cfg_problems){.arena = a};
}

/* With no memory for a text the problem is still counted: nothing that is wrong may pass as right. */
__attribute__((format(printf, 4, 0))) static void problem_add(struct cfg_problems *ps,
                                                              const struct cfg_node *at,
                                                              bool is_warning, const char *fmt,
                                                              va_list ap)
{
    char text[1024];
    ps->n_errors += !is_warning;
    if (ps->n >= CFG_PROBLEMS_MAX)
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    char *kept = str_dup(ps->arena, str_c(text));
    struct cfg_problem *p = VEC_ADD(ps->arena, ps);
    if (!p)
        return;
    *p = (struct cfg_problem){.is_warning = is_warning, .text = kept ? kept : (char *)""};
    if (at) {
        p->file = at->file;
        p->line = at->line;
        p->column = at->column;
    }
}

void cfg_error(struct cfg_problems *ps, const struct cfg_node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problem_add(ps, at, false, fmt, ap);
    va_end(ap);
}

void cfg_warn(struct cfg_problems *ps, const struct cfg_node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    problem_add(ps, at, true, fmt, ap);
    va_end(ap);
}

static int by_place(const void *a, const void *b)
{
    const struct cfg_problem *x = *(const struct cfg_problem *const *)a;
    const struct cfg_problem *y = *(const struct cfg_problem *const *)b;
    int d = str_cmp(str_c(x->file), str_c(y->file));
    if (d)
        return d;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return (x > y) - (x < y); /* as found */
}

/* The problems in file order; NULL when the arena is full. */
static const struct cfg_problem **in_order(const struct cfg_problems *ps, struct arena *a)
{
    const struct cfg_problem **order = ARENA_NEW_N(a, const struct cfg_problem *, ps->n);
    for (size_t i = 0; order && i < ps->n; i++)
        order[i] = &ps->p[i];
    if (order && ps->n > 1)
        qsort(order, ps->n, sizeof *order, by_place);
    return order;
}

struct json *cfg_problems_json(const struct cfg_problems *ps, struct arena *a)
{
    struct json *list = json_arr(a);
    const struct cfg_problem **order = in_order(ps, a);
    if (!order)
        return &JSON_NOMEM;
    for (size_t i = 0; i < ps->n; i++) {
        const struct cfg_problem *p = order[i];
        struct json *o = json_obj(a);
        json_set(a, o, "file", json_cstr(a, p->file));
        if (p->line > 0) {
            json_set(a, o, "line", json_int(a, p->line));
            json_set(a, o, "column", json_int(a, p->column));
        }
        json_set(a, o, "severity", json_cstr(a, p->is_warning ? "warning" : "error"));
        json_set(a, o, "message", json_cstr(a, p->text));
        json_add(a, list, o);
    }
    return list;
}

enum err_code cfg_problems_err(const struct cfg_problems *ps, struct err *err)
{
    struct buf text;
    if (ps->n_errors == 0)
        return ERR_OK;
    const struct cfg_problem **order = in_order(ps, ps->arena);
    if (!order)
        return arena_err(ps->arena, err);
    buf_init(&text, ERR_MSG_BYTES * 2);
    for (size_t i = 0; i < ps->n; i++) {
        const struct cfg_problem *p = order[i];
        if (p->is_warning)
            continue;
        if (text.n)
            buf_ch(&text, '\n');
        if (p->file)
            buf_printf(&text, "%s:%d:%d: ", p->file, p->line, p->column);
        buf_c(&text, p->text);
    }
    err_set(err, ERR_CONFIG, "%.*s", STR_ARG(buf_view(&text)));
    buf_fini(&text);
    return ERR_CONFIG;
}
