/* The tree is built from the parser's events rather than from its documents, because every event carries the
 * position where it starts. An alias shares the anchored node; how much all aliases together repeat is bounded, so that
 * nested aliases cannot grow a small file into a large one. */
#include <libfyaml.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/vec.h"
#include "config/config.h"

#define CFG_NODES_MAX 100000 /* nodes of one file, aliases counted as often as they repeat */

struct anchor {
    struct str name;
    struct cfg_node *node;
    size_t n_nodes; /* below and including it */
};

struct reading {
    struct arena *arena;
    struct cfg_problems *problems;
    const char *file;
    struct fy_parser *parser;
    VEC(struct anchor) anchors;
    size_t n_nodes;
    bool is_refused; /* a problem was reported that ends the reading */
    bool is_full;    /* the arena is */
};

static enum cfg_type type_of(enum fy_event_type t)
{
    return t == FYET_MAPPING_START ? CFG_MAP : t == FYET_SEQUENCE_START ? CFG_LIST : CFG_SCALAR;
}

static struct cfg_node *node_at(struct reading *r, struct fy_event *e, enum cfg_type type)
{
    struct cfg_node *n = ARENA_NEW(r->arena, struct cfg_node);
    const struct fy_mark *mark = fy_event_start_mark(e);
    if (!n) {
        r->is_full = true;
        return NULL;
    }
    n->type = type;
    n->file = r->file;
    n->line = mark ? mark->line + 1 : 1;
    n->column = mark ? mark->column + 1 : 1;
    return n;
}

static struct cfg_node *refuse(struct reading *r, const struct cfg_node *at, const char *sentence)
{
    cfg_error(r->problems, at, "%s", sentence);
    r->is_refused = true;
    return NULL;
}

static struct str token_text(struct reading *r, struct fy_token *t)
{
    size_t n = 0;
    const char *p = t ? fy_token_get_text(t, &n) : NULL;
    char *copy = str_dup(r->arena, str_n(p ? p : "", p ? n : 0));
    r->is_full = r->is_full || !copy;
    return str_n(copy, copy && p ? n : 0);
}

static bool count_nodes(struct reading *r, const struct cfg_node *at, size_t n)
{
    r->n_nodes += n;
    if (r->n_nodes <= CFG_NODES_MAX)
        return true;
    refuse(r, at, "the file has more than 100000 values: split it");
    return false;
}

static struct cfg_node *read_node(struct reading *r, struct fy_event *e, int depth);

/* The next event's node; NULL at the container's end, or when the reading failed. */
static struct cfg_node *read_next(struct reading *r, int depth)
{
    struct cfg_node *n = NULL;
    struct fy_event *e = fy_parser_parse(r->parser);
    if (!e) {
        r->is_refused = true; /* the parser's own diagnosis says why */
        return NULL;
    }
    if (e->type != FYET_SEQUENCE_END && e->type != FYET_MAPPING_END)
        n = read_node(r, e, depth);
    fy_parser_event_free(r->parser, e);
    return n;
}

static bool is_stopped(const struct reading *r)
{
    return r->is_refused || r->is_full;
}

static void read_list(struct reading *r, struct cfg_node *list, int depth)
{
    VEC(struct cfg_node *) items = {0};
    struct cfg_node *item;
    while ((item = read_next(r, depth)) != NULL) {
        struct cfg_node **slot = VEC_ADD(r->arena, &items);
        if (!slot) {
            r->is_full = true;
            return;
        }
        *slot = item;
    }
    list->items = items.p;
    list->n = items.n;
}

static void check_twice(struct reading *r, const struct cfg_node *key, const struct str *keys,
                        size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(keys[i], key->text)) {
            cfg_error(r->problems, key, "\"%.*s\" stands here twice: keep one of them",
                      STR_ARG(key->text));
            return;
        }
}

static void read_map(struct reading *r, struct cfg_node *map, int depth)
{
    VEC(struct cfg_node *) values = {0};
    VEC(struct cfg_node *) key_nodes = {0};
    VEC(struct str) keys = {0};
    struct cfg_node *key;
    while ((key = read_next(r, depth)) != NULL) {
        if (key->type == CFG_LIST || key->type == CFG_MAP) {
            refuse(r, key, "a key must be a plain word");
            return;
        }
        check_twice(r, key, keys.p, keys.n);
        struct cfg_node *value = read_next(r, depth);
        struct cfg_node **v = VEC_ADD(r->arena, &values), **k = VEC_ADD(r->arena, &key_nodes);
        struct str *s = VEC_ADD(r->arena, &keys);
        r->is_full = r->is_full || !v || !k || !s;
        if (is_stopped(r))
            return;
        *v = value;
        *k = key;
        *s = key->text;
    }
    map->items = values.p;
    map->key_nodes = key_nodes.p;
    map->keys = keys.p;
    map->n = values.n;
}

static bool is_null_text(struct str s)
{
    return s.n == 0 || str_is(s, "~") || str_is(s, "null") || str_is(s, "Null") ||
           str_is(s, "NULL");
}

static void read_scalar(struct reading *r, struct cfg_node *n, struct fy_event *e)
{
    struct fy_token *t = e->scalar.value;
    n->text = token_text(r, t);
    enum fy_scalar_style style = t ? fy_token_scalar_style(t) : FYSS_PLAIN;
    n->is_quoted = style != FYSS_PLAIN;
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && n->column > 1)
        n->column--; /* the mark stands behind the quote */
    if (!n->is_quoted && is_null_text(n->text))
        n->type = CFG_NULL;
}

static struct cfg_node *read_alias(struct reading *r, struct fy_event *e)
{
    struct cfg_node *at = node_at(r, e, CFG_NULL);
    struct str name = token_text(r, e->alias.anchor);
    if (is_stopped(r))
        return NULL;
    for (size_t i = r->anchors.n; i-- > 0;)
        if (str_eq(r->anchors.p[i].name, name))
            return count_nodes(r, at, r->anchors.p[i].n_nodes) ? r->anchors.p[i].node : NULL;
    cfg_error(r->problems, at, "*%.*s names nothing that was marked with &%.*s above it",
              STR_ARG(name), STR_ARG(name));
    r->is_refused = true;
    return NULL;
}

static void remember_anchor(struct reading *r, struct fy_token *t, struct cfg_node *n,
                            size_t before)
{
    if (!t || is_stopped(r))
        return;
    struct str name = token_text(r, t);
    struct anchor *a = VEC_ADD(r->arena, &r->anchors);
    if (a)
        *a = (struct anchor){name, n, r->n_nodes - before};
    else
        r->is_full = true;
}

static struct cfg_node *read_node(struct reading *r, struct fy_event *e, int depth)
{
    size_t before = r->n_nodes;
    if (e->type == FYET_ALIAS)
        return read_alias(r, e);
    struct cfg_node *n = node_at(r, e, type_of(e->type));
    if (!n || !count_nodes(r, n, 1))
        return NULL;
    if (depth > CFG_DEPTH_MAX)
        return refuse(r, n, "the file is nested too deep");
    if (fy_event_get_tag_token(e))
        return refuse(r, n, "tags (!…) are not read: write the value without one");
    if (e->type == FYET_SEQUENCE_START)
        read_list(r, n, depth + 1);
    else if (e->type == FYET_MAPPING_START)
        read_map(r, n, depth + 1);
    else
        read_scalar(r, n, e);
    remember_anchor(r, fy_event_get_anchor_token(e), n, before);
    return is_stopped(r) ? NULL : n;
}

/* The events of a stream: start, documents, end. One document is wanted. */
static struct cfg_node *read_stream(struct reading *r)
{
    struct cfg_node *root = NULL;
    int n_documents = 0;
    for (bool is_end = false; !is_end && !is_stopped(r);) {
        struct fy_event *e = fy_parser_parse(r->parser);
        is_end = !e || e->type == FYET_STREAM_END;
        if (e && e->type == FYET_DOCUMENT_START && ++n_documents == 2)
            refuse(r, node_at(r, e, CFG_NULL), "a second document (---) begins here: one is read");
        else if (e && (e->type == FYET_SCALAR || e->type == FYET_ALIAS ||
                       e->type == FYET_SEQUENCE_START || e->type == FYET_MAPPING_START))
            root = read_node(r, e, 1);
        if (e)
            fy_parser_event_free(r->parser, e);
    }
    return is_stopped(r) ? NULL : root;
}

static void report_syntax(struct reading *r, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *e;
    while ((e = fy_diag_errors_iterate(diag, &at)) != NULL) {
        struct cfg_node where = {.file = r->file,
                                 .line = e->line > 0 ? e->line : 1,
                                 .column = e->column > 0 ? e->column : 1};
        cfg_error(r->problems, &where, "this is not YAML: %s", e->msg ? e->msg : "cannot be read");
    }
    if (r->problems->n_errors == 0 && r->is_refused)
        cfg_error(r->problems, &(struct cfg_node){.file = r->file, .line = 1, .column = 1},
                  "this is not YAML");
}

static enum err_code read_with(struct reading *r, struct fy_diag *diag, struct str text,
                               struct cfg_node **ret, struct err *err)
{
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                        FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
                                        FYPCF_DISABLE_ACCELERATORS,
                               .diag = diag};
    r->parser = fy_parser_create(&cfg);
    if (!r->parser || fy_parser_set_string(r->parser, text.p, text.n) != 0) {
        fy_parser_destroy(r->parser);
        return err_nomem(err);
    }
    struct cfg_node *root = read_stream(r);
    report_syntax(r, diag);
    fy_parser_destroy(r->parser);
    if (r->is_full)
        return arena_err(r->arena, err);
    *ret = r->is_refused ? NULL : root;
    return ERR_OK;
}

enum err_code cfg_read(struct str text, const char *file, struct arena *a, struct cfg_node **ret,
                       struct cfg_problems *ps, struct err *err)
{
    char *kept_file = str_dup(a, str_c(file));
    struct reading r = {.arena = a, .problems = ps, .file = kept_file};
    struct cfg_node whole = {.file = kept_file, .line = 1, .column = 1};
    struct fy_diag_cfg diag_cfg;
    if (!kept_file)
        return arena_err(a, err);
    *ret = NULL;
    if (text.n > CFG_BYTES_MAX || !str_utf8_valid(text)) {
        cfg_error(ps, &whole,
                  text.n > CFG_BYTES_MAX ? "the file is larger than 1 MiB"
                                         : "the file is not UTF-8 text");
        return ERR_OK;
    }
    if (str_trim(text).n == 0) {
        cfg_error(ps, &whole, "the file is empty");
        return ERR_OK;
    }
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    if (!diag)
        return err_nomem(err);
    fy_diag_set_collect_errors(diag, true);
    enum err_code code = read_with(&r, diag, text, ret, err);
    fy_diag_destroy(diag);
    return code;
}
