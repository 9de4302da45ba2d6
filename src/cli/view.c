#include "cli/view.h"

#include "base/check.h"

#define INDENT_MAX 6

static bool is_rows(const struct json *v)
{
    return v->type == JSON_ARR && v->u.arr.n > 0 && v->u.arr.items[0]->type == JSON_OBJ;
}

static bool is_scalar(const struct json *v)
{
    return v->type < JSON_ARR;
}

static void show_object(const struct cli_page *p, struct arena *a, const struct json *doc,
                        int depth);

static void spaces(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_ch(out, ' ');
}

static void show_name(const struct cli_page *p, struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        buf_ch(p->out, name.p[i] == '_' ? ' ' : name.p[i]);
}

/* A value that is not a table: behind its name, further lines below it. */
static void show_text(const struct cli_page *p, struct str text, size_t indent)
{
    for (struct str rest = text; rest.p;) {
        struct str line = str_split(&rest, '\n');
        if (!rest.p && line.n == 0 && text.n > 0 && line.p != text.p)
            break;
        buf_str(p->out, line);
        buf_ch(p->out, '\n');
        if (rest.n > 0)
            spaces(p->out, indent);
    }
}

static size_t widest_scalar(const struct json *doc)
{
    size_t width = 0;
    for (size_t i = 0; i < doc->u.obj.n; i++) {
        const struct json_member *m = &doc->u.obj.members[i];
        bool is_line = is_scalar(m->val) || (m->val->type == JSON_ARR && !is_rows(m->val));
        if (is_line && m->key.n > width)
            width = m->key.n;
    }
    return width;
}

static void show_rows(const struct cli_page *p, const struct json_member *m, int depth)
{
    struct buf text;
    struct cli_page inner = {&text, p->width};
    buf_init(&text, p->out->max);
    cli_table(&inner, m->val, NULL);
    for (struct str rest = buf_view(&text); rest.n > 0;) {
        struct str line = str_split(&rest, '\n');
        spaces(p->out, (size_t)depth * 2 + 2);
        buf_str(p->out, line);
        buf_ch(p->out, '\n');
    }
    buf_fini(&text);
}

static void show_member(const struct cli_page *p, struct arena *a, const struct json_member *m,
                        size_t width, int depth)
{
    struct str text;
    spaces(p->out, (size_t)depth * 2);
    show_name(p, m->key);
    if (is_rows(m->val)) {
        buf_ch(p->out, '\n');
        show_rows(p, m, depth);
    } else if (m->val->type == JSON_OBJ && m->val->u.obj.n > 0 && depth < INDENT_MAX) {
        buf_ch(p->out, '\n');
        show_object(p, a, m->val, depth + 1);
    } else {
        size_t used = cli_text_width(m->key);
        spaces(p->out, (width > used ? width - used : 0) + 2);
        cli_cell(a, m->key.p, m->val, &text);
        if (m->val->type >= JSON_ARR && json_len(m->val) == 0)
            text = STR("none");
        show_text(p, text, (size_t)depth * 2 + width + 2);
    }
}

static void show_object(const struct cli_page *p, struct arena *a, const struct json *doc,
                        int depth)
{
    size_t width = widest_scalar(doc);
    for (size_t i = 0; i < doc->u.obj.n; i++)
        show_member(p, a, &doc->u.obj.members[i], width, depth);
}

/* The one list that a document of kind {things: […], next: …} is about; NULL when it is something else. */
static const struct json_member *list_of(const struct json *doc)
{
    const struct json_member *found = NULL;
    for (size_t i = 0; i < doc->u.obj.n; i++) {
        const struct json_member *m = &doc->u.obj.members[i];
        if (m->val->type == JSON_OBJ || (m->val->type == JSON_ARR && found))
            return NULL;
        if (m->val->type == JSON_ARR && (m->val->u.arr.n == 0 || is_rows(m->val)))
            found = m;
    }
    return found;
}

static void show_list(const struct cli_page *p, struct arena *a, const struct json *doc,
                      const struct json_member *list, const char *const *columns)
{
    if (json_len(list->val) == 0) {
        buf_c(p->out, "no ");
        show_name(p, list->key);
        buf_ch(p->out, '\n');
    } else {
        cli_table(p, list->val, columns);
    }
    for (size_t i = 0; i < doc->u.obj.n; i++)
        if (&doc->u.obj.members[i] != list && doc->u.obj.members[i].val->type != JSON_NULL)
            show_member(p, a, &doc->u.obj.members[i], 0, 0);
}

void cli_view_generic(const struct cli_page *p, const struct json *doc, const char *const *columns)
{
    struct arena arena;
    struct str text;
    arena_init(&arena, 256U << 20);
    if (doc->type == JSON_OBJ && doc->u.obj.n == 0) {
        buf_c(p->out, "done\n");
    } else if (doc->type == JSON_OBJ && list_of(doc)) {
        show_list(p, &arena, doc, list_of(doc), columns);
    } else if (doc->type == JSON_OBJ) {
        show_object(p, &arena, doc, 0);
    } else if (doc->type == JSON_ARR && doc->u.arr.n == 0) {
        buf_c(p->out, "none\n");
    } else if (is_rows(doc)) {
        cli_table(p, doc, columns);
    } else {
        cli_cell(&arena, NULL, doc, &text);
        show_text(p, text, 0);
    }
    arena_fini(&arena);
}

void cli_view_show(const struct cli_page *p, const struct op_route *r, const struct json *doc)
{
    for (size_t i = 0; i < N_CLI_VIEWS; i++)
        if (r->command && strcmp(CLI_VIEWS[i].command, r->command) == 0) {
            CLI_VIEWS[i].show(p, doc);
            return;
        }
    cli_view_generic(p, doc, r->columns);
}
