/* The `checks` section. One entry may hold several expectations over several columns; each (expectation, column)
 * becomes a rule of its own with a name that says it whole, so that a verdict needs no context. */
#include "base/check.h"
#include "base/vec.h"
#include "validate/check_int.h"

static const char *const KEYS[] = {"column",     "columns",      "nulls",  "type",  "range",
                                   "in",         "pattern",      "unique", "rows",  "freshness",
                                   "expression", "distribution", "schema", "extra", "on_fail",
                                   "share",      "name"};
static const char *const ON_FAIL[] = {"block", "warn"};
static const char *const TYPES[] = {"integer", "number", "string", "bool", "timestamp"};
static const char *const TYPE_WORDS[] = {"integer",   "int",    "bigint", "number", "float",
                                         "double",    "string", "text",   "bool",   "boolean",
                                         "timestamp", "date",   "time"};
static const int TYPE_OF_WORD[] = {0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const char *const KINDS[CHECK_KIND_N] = {"nulls",      "type",         "range", "in",
                                                "pattern",    "unique",       "rows",  "freshness",
                                                "expression", "distribution", "schema"};

const char *check_kind_name(enum check_kind k)
{
    CHECK(k < CHECK_KIND_N);
    return KINDS[k];
}

struct entry {
    const struct cfg_node *node;
    struct str *columns;
    size_t n_columns;
    bool is_block;
    double tolerate; /* share of failing rows that is accepted */
    const char *name;
    struct arena *a;
    struct cfg_problems *ps;
};

typedef VEC(struct check_rule) rule_list;

static void add_rule(const struct entry *e, rule_list *out, enum check_kind kind,
                     const struct str *columns, size_t n_columns, struct json *params)
{
    struct check_rule *r = VEC_ADD(e->a, out);
    if (r == NULL)
        return;
    struct buf name;
    buf_init(&name, 4096);
    if (e->name != NULL) {
        buf_c(&name, e->name);
    } else {
        for (size_t i = 0; i < n_columns; i++)
            buf_printf(&name, "%s%.*s", i ? ", " : "", STR_ARG(columns[i]));
        buf_printf(&name, "%s%s", n_columns ? " " : "", KINDS[kind]);
        const struct str text = json_get_str(params, "text");
        if (text.n > 0)
            buf_printf(&name, " %.*s", STR_ARG(text));
    }
    struct str *own = ARENA_NEW_N(e->a, struct str, n_columns);
    for (size_t i = 0; own != NULL && i < n_columns; i++)
        own[i] = columns[i];
    if (json_get(params, "tolerate") == NULL && e->tolerate > 0)
        json_set(e->a, params, "tolerate", json_num(e->a, e->tolerate));
    *r = (struct check_rule){.kind = kind,
                             .name = str_c(str_dup(e->a, buf_view(&name))),
                             .columns = own,
                             .n_columns = own != NULL ? n_columns : 0,
                             .is_block = e->is_block,
                             .params = params,
                             .node = e->node};
    buf_fini(&name);
}

static void add_each(const struct entry *e, rule_list *out, enum check_kind kind,
                     const struct json *params)
{
    for (size_t i = 0; i < e->n_columns; i++)
        add_rule(e, out, kind, &e->columns[i], 1, json_copy(e->a, params));
}

static bool needs_columns(const struct entry *e, const struct cfg_node *n, const char *key)
{
    if (e->n_columns > 0)
        return true;
    cfg_error(e->ps, n, "%s: needs column: or columns: beside it", key);
    return false;
}

/* "<= 1%", ">= 1000", "99.9%": the sign (0 when absent) and the number behind it. */
static bool bound_text(const struct cfg_node *n, const char *what, struct str *ret_sign,
                       struct str *ret, struct cfg_problems *ps)
{
    struct str s;
    if (!cfg_str(n, what, &s, ps))
        return false;
    s = str_trim(s);
    *ret_sign = STR_NONE;
    if (str_starts(s, STR("<=")) || str_starts(s, STR(">=")) || str_starts(s, STR("=="))) {
        *ret_sign = str_n(s.p, 2);
        s = str_trim(str_n(s.p + 2, s.n - 2));
    }
    *ret = s;
    return true;
}

static void decode_nulls(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    struct str sign, text;
    struct err err = ERR_INIT;
    int64_t count;
    double share;
    if (n == NULL || !needs_columns(e, n, "nulls") || !bound_text(n, "nulls", &sign, &text, e->ps))
        return;
    struct json *params = json_obj(e->a);
    json_set(e->a, params, "text", json_fmt(e->a, "<= %.*s", STR_ARG(text)));
    if (str_is(sign, ">=") || str_is(sign, "==")) {
        cfg_error(e->ps, n,
                  "nulls: gives the most that is accepted: a count, or a share such as \"<= 1%%\"");
        return;
    }
    if (parse_i64(text, &count, &err) == ERR_OK && count >= 0)
        json_set(e->a, params, "max_count", json_int(e->a, count));
    else if (parse_ratio(text, &share, &err) == ERR_OK && share >= 0 && share <= 1)
        json_set(e->a, params, "tolerate", json_num(e->a, share));
    else
        cfg_error(e->ps, n, "nulls: \"%.*s\" is neither a count nor a share such as \"<= 1%%\"",
                  STR_ARG(text));
    add_each(e, out, CHECK_NULLS, params);
}

static void decode_type(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    int word;
    if (n == NULL || !needs_columns(e, n, "type") ||
        !cfg_enum(n, "type", TYPE_WORDS, ARRAY_LEN(TYPE_WORDS), &word, e->ps))
        return;
    struct json *params = json_obj(e->a);
    json_set(e->a, params, "type", json_cstr(e->a, TYPES[TYPE_OF_WORD[word]]));
    json_set(e->a, params, "text", json_cstr(e->a, TYPES[TYPE_OF_WORD[word]]));
    add_each(e, out, CHECK_TYPE, params);
}

/* A bound of a range: a number, a time, or null for an open end. */
static void range_bound(const struct entry *e, const struct cfg_node *n, const char *key,
                        struct json *params)
{
    struct err err = ERR_INIT;
    double number;
    int64_t at_us;
    if (n->type == CFG_NULL || (n->type == CFG_SCALAR && str_is(n->text, "null")))
        return;
    if (n->type == CFG_SCALAR && parse_f64(n->text, &number, &err) == ERR_OK)
        json_set(e->a, params, key, json_num(e->a, number));
    else if (n->type == CFG_SCALAR && parse_time_us(n->text, &at_us, &err) == ERR_OK)
        json_set(e->a, params, str_is(str_c(key), "min") ? "min_time" : "max_time",
                 json_time(e->a, at_us));
    else
        cfg_error(e->ps, n, "range: a bound is a number, a time, or null for none");
}

static void decode_range(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    if (n == NULL || !needs_columns(e, n, "range") || !cfg_is_list(n, "range", e->ps))
        return;
    if (n->n != 2) {
        cfg_error(e->ps, n, "range: [lowest, highest] has two bounds, here are %zu", n->n);
        return;
    }
    struct json *params = json_obj(e->a);
    range_bound(e, n->items[0], "min", params);
    range_bound(e, n->items[1], "max", params);
    json_set(
        e->a, params, "text",
        json_fmt(e->a, "[%.*s, %.*s]", STR_ARG(n->items[0]->text), STR_ARG(n->items[1]->text)));
    const double lo = json_get_f64(params, "min", 0), hi = json_get_f64(params, "max", 0);
    if (json_get(params, "min") != NULL && json_get(params, "max") != NULL && lo > hi)
        cfg_error(e->ps, n, "range: %g is above %g", lo, hi);
    add_each(e, out, CHECK_RANGE, params);
}

static void decode_in(const struct entry *e, const struct cfg_node *n,
                      const struct sources_spec *sources, rule_list *out)
{
    if (n == NULL || !needs_columns(e, n, "in"))
        return;
    struct json *params = json_obj(e->a);
    if (n->type == CFG_LIST) {
        json_set(e->a, params, "values", cfg_json(n, e->a));
        json_set(e->a, params, "text", json_fmt(e->a, "%zu values", n->n));
        add_each(e, out, CHECK_IN, params);
        return;
    }
    struct str text;
    if (!cfg_str(n, "in", &text, e->ps))
        return;
    struct str column = text;
    const struct str source = str_split(&column, '.');
    if (column.p == NULL || column.n == 0)
        cfg_error(e->ps, n, "in: is a list of values or source.column, not \"%.*s\"",
                  STR_ARG(text));
    else if (sources != NULL && sources_spec_find(sources, source) == NULL)
        cfg_error(e->ps, n, "in: there is no source %.*s", STR_ARG(source));
    json_set(e->a, params, "source", json_str(e->a, source));
    json_set(e->a, params, "column", json_str(e->a, column.p != NULL ? column : STR("")));
    json_set(e->a, params, "text", json_str(e->a, text));
    add_each(e, out, CHECK_IN, params);
}

static void decode_text(const struct entry *e, const char *key, enum check_kind kind,
                        rule_list *out)
{
    const struct cfg_node *n = cfg_get(e->node, key);
    struct str text;
    if (n == NULL || (kind == CHECK_PATTERN && !needs_columns(e, n, key)) ||
        !cfg_str(n, key, &text, e->ps))
        return;
    struct json *params = json_obj(e->a);
    json_set(e->a, params, kind == CHECK_PATTERN ? "regex" : "sql", json_str(e->a, text));
    json_set(e->a, params, "text", json_str(e->a, text));
    if (kind == CHECK_PATTERN)
        add_each(e, out, kind, params);
    else
        add_rule(e, out, kind, e->columns, e->n_columns, params);
}

static void decode_unique(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    bool is_unique = false;
    if (n == NULL || !needs_columns(e, n, "unique") || !cfg_bool(n, "unique", &is_unique, e->ps))
        return;
    if (!is_unique)
        cfg_error(e->ps, n, "unique: is true, or left out");
    else
        add_rule(e, out, CHECK_UNIQUE, e->columns, e->n_columns, json_obj(e->a));
}

static void decode_rows(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    struct str sign, text;
    struct err err = ERR_INIT;
    int64_t bound;
    struct json *params = json_obj(e->a);
    if (n == NULL)
        return;
    if (n->type == CFG_LIST && n->n == 2) {
        static const char *const ENDS[] = {"min", "max"};
        for (size_t i = 0; i < 2; i++)
            if (cfg_i64(n->items[i], "rows", 0, INT64_MAX, &bound, e->ps))
                json_set(e->a, params, ENDS[i], json_int(e->a, bound));
        json_set(
            e->a, params, "text",
            json_fmt(e->a, "[%.*s, %.*s]", STR_ARG(n->items[0]->text), STR_ARG(n->items[1]->text)));
    } else if (bound_text(n, "rows", &sign, &text, e->ps)) {
        if (parse_i64(text, &bound, &err) != ERR_OK || bound < 0 || sign.n == 0)
            cfg_error(e->ps, n, "rows: is \">= N\", \"<= N\", \"== N\" or [lowest, highest]");
        if (!str_is(sign, "<="))
            json_set(e->a, params, "min", json_int(e->a, bound));
        if (!str_is(sign, ">="))
            json_set(e->a, params, "max", json_int(e->a, bound));
        json_set(e->a, params, "text", json_fmt(e->a, "%.*s %.*s", STR_ARG(sign), STR_ARG(text)));
    }
    add_rule(e, out, CHECK_ROWS, NULL, 0, params);
}

static void decode_freshness(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    int64_t limit_us;
    if (n == NULL || !cfg_duration_us(n, "freshness", &limit_us, e->ps))
        return;
    struct json *params = json_obj(e->a);
    json_set(e->a, params, "limit_us", json_int(e->a, limit_us));
    json_set(e->a, params, "text", json_fmt(e->a, "<= %.*s", STR_ARG(n->text)));
    add_rule(e, out, CHECK_FRESHNESS, NULL, 0, params);
}

static void decode_distribution(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    static const char *const FORM[] = {"against", "psi"};
    struct str against = STR("previous");
    double psi = 0.2;
    if (n == NULL || !needs_columns(e, n, "distribution") ||
        !cfg_is_map(n, "distribution", e->ps) || !cfg_known_keys(n, FORM, ARRAY_LEN(FORM), e->ps))
        return;
    if (cfg_get(n, "against") != NULL)
        (void)cfg_str(cfg_get(n, "against"), "against", &against, e->ps);
    if (cfg_get(n, "psi") != NULL)
        (void)cfg_f64(cfg_get(n, "psi"), "psi", 0, 100, &psi, e->ps);
    struct json *params = json_obj(e->a);
    json_set(e->a, params, "against", json_str(e->a, against));
    json_set(e->a, params, "psi", json_num(e->a, psi));
    json_set(e->a, params, "text", json_fmt(e->a, "psi <= %g against %.*s", psi, STR_ARG(against)));
    add_each(e, out, CHECK_DISTRIBUTION, params);
}

static void decode_schema(const struct entry *e, const struct cfg_node *n, rule_list *out)
{
    struct str *names = NULL;
    size_t n_names = 0;
    bool may_have_extra = true;
    if (n == NULL || !cfg_str_list(n, "schema", e->a, &names, &n_names, e->ps))
        return;
    (void)cfg_bool(cfg_get(e->node, "extra"), "extra", &may_have_extra, e->ps);
    struct json *params = json_obj(e->a);
    json_set(e->a, params, "extra", json_bool(e->a, may_have_extra));
    add_rule(e, out, CHECK_SCHEMA, names, n_names, params);
}

static bool entry_begin(struct entry *e)
{
    int on_fail = 0;
    struct str sign, text, name;
    struct err err = ERR_INIT;
    double share;
    if (!cfg_is_map(e->node, "a check", e->ps) ||
        !cfg_known_keys(e->node, KEYS, ARRAY_LEN(KEYS), e->ps))
        return false;
    const struct cfg_node *one = cfg_get(e->node, "column"), *many = cfg_get(e->node, "columns");
    if (one != NULL && many != NULL)
        cfg_error(e->ps, many, "a check has column: or columns:, not both");
    if (one != NULL || many != NULL)
        (void)cfg_str_list(one != NULL ? one : many, one != NULL ? "column" : "columns", e->a,
                           &e->columns, &e->n_columns, e->ps);
    (void)cfg_enum(cfg_get(e->node, "on_fail"), "on_fail", ON_FAIL, ARRAY_LEN(ON_FAIL), &on_fail,
                   e->ps);
    e->is_block = on_fail == 0;
    const struct cfg_node *least = cfg_get(e->node, "share");
    if (least != NULL && bound_text(least, "share", &sign, &text, e->ps)) {
        if (str_is(sign, "<=") || parse_ratio(text, &share, &err) != ERR_OK || share < 0 ||
            share > 1)
            cfg_error(e->ps, least,
                      "share: is the least share of rows that must hold, such as \">= 99.9%%\"");
        else
            e->tolerate = 1 - share;
    }
    if (cfg_get(e->node, "name") != NULL && cfg_str(cfg_get(e->node, "name"), "name", &name, e->ps))
        e->name = str_dup(e->a, name);
    return true;
}

static void entry_decode(const struct cfg_node *node, const struct sources_spec *sources,
                         struct arena *a, rule_list *out, struct cfg_problems *ps)
{
    struct entry e = {.node = node, .is_block = true, .a = a, .ps = ps};
    const size_t n_before = out->n, n_errors = ps->n_errors;
    if (!entry_begin(&e))
        return;
    decode_nulls(&e, cfg_get(node, "nulls"), out);
    decode_type(&e, cfg_get(node, "type"), out);
    decode_range(&e, cfg_get(node, "range"), out);
    decode_in(&e, cfg_get(node, "in"), sources, out);
    decode_text(&e, "pattern", CHECK_PATTERN, out);
    decode_text(&e, "expression", CHECK_EXPRESSION, out);
    decode_unique(&e, cfg_get(node, "unique"), out);
    decode_rows(&e, cfg_get(node, "rows"), out);
    decode_freshness(&e, cfg_get(node, "freshness"), out);
    decode_distribution(&e, cfg_get(node, "distribution"), out);
    decode_schema(&e, cfg_get(node, "schema"), out);
    if (out->n == n_before && ps->n_errors == n_errors)
        cfg_error(ps, node,
                  "this check expects nothing: add nulls, type, range, in, pattern, unique, rows, "
                  "freshness, "
                  "expression, distribution or schema");
}

void checks_spec_decode(const struct cfg_node *section, const struct cfg_node *root,
                        const struct sources_spec *sources, struct arena *a,
                        struct checks_spec *ret, struct cfg_problems *ps)
{
    (void)root;
    VEC(struct checks_of_source) found = {0};
    *ret = (struct checks_spec){NULL, 0};
    if (section == NULL || !cfg_is_map(section, "checks", ps))
        return;
    for (size_t i = 0; i < section->n; i++) {
        const struct cfg_node *list = section->items[i];
        rule_list rules = {0};
        if (sources != NULL && sources_spec_find(sources, section->keys[i]) == NULL)
            cfg_error(ps, section->key_nodes[i], "checks: there is no source %.*s",
                      STR_ARG(section->keys[i]));
        if (!cfg_is_list(list, "the checks of a source", ps))
            continue;
        for (size_t k = 0; k < list->n; k++)
            entry_decode(list->items[k], sources, a, &rules, ps);
        struct checks_of_source *c = VEC_ADD(a, &found);
        if (c != NULL)
            *c = (struct checks_of_source){section->keys[i], rules.p, rules.n};
    }
    ret->p = found.p;
    ret->n = found.n;
}

const struct checks_of_source *checks_spec_find(const struct checks_spec *s, struct str source)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->p[i].source, source))
            return &s->p[i];
    return NULL;
}

struct json *checks_json(const struct checks_of_source *c, struct arena *a)
{
    struct json *list = json_arr(a);
    for (size_t i = 0; i < c->n; i++) {
        const struct check_rule *r = &c->p[i];
        struct json *v = json_obj(a), *columns = json_arr(a);
        for (size_t k = 0; k < r->n_columns; k++)
            json_add(a, columns, json_str(a, r->columns[k]));
        json_set(a, v, "kind", json_cstr(a, check_kind_name(r->kind)));
        json_set(a, v, "name", json_str(a, r->name));
        json_set(a, v, "columns", columns);
        json_set(a, v, "on_fail", json_cstr(a, ON_FAIL[r->is_block ? 0 : 1]));
        json_set(a, v, "params", json_copy(a, r->params));
        json_add(a, list, v);
    }
    return list;
}
