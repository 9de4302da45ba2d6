/* validate.run: the rules of one source on its rows. Everything that one row decides (nulls, type, range, set, pattern,
 * expression) is counted in a single pass of filtered aggregates; uniqueness and membership in another source take a query
 * each. Only a rule that fails costs another look, for its first rows. */
#include "base/check.h"
#include "data/data_worker.h"
#include "data/profile.h"
#include "data/scan.h"
#include "validate/check_int.h"

struct run {
    struct worker *w;
    struct arena *a;
    struct table *t;
    const struct json *args, *rules;
    const char *source; /* quoted name of the view */
    const char *source_rows;
    struct table_column *cols;
    size_t n_cols;
    int64_t n_rows;
    struct json *out; /* list of results */
};

static const struct table_column *column_of(const struct run *r, struct str name)
{
    for (size_t i = 0; i < r->n_cols; i++)
        if (str_eq(str_c(r->cols[i].name), name))
            return &r->cols[i];
    return NULL;
}

static void ident(struct buf *b, const struct json *rule, size_t i)
{
    table_sql_ident(b, json_at(json_get(rule, "columns"), i)->u.s);
}

static void sql_json_value(struct buf *b, const struct json *v)
{
    char text[NUM_TEXT_BYTES];
    double f;
    if (v->type == JSON_STR && !json_as_f64(v, &f))
        table_sql_text(b, v->u.s);
    else if (v->type == JSON_BOOL)
        buf_c(b, v->u.b ? "true" : "false");
    else if (v->type == JSON_INT)
        buf_put(b, text, num_i64(text, v->u.i));
    else if (json_as_f64(v, &f))
        buf_put(b, text, num_f64(text, f));
    else
        buf_c(b, "NULL");
}

/* ---- when a row fails; an empty predicate: the schema alone fails every row, or none ---- */

static void range_end(struct buf *b, const struct json *rule, const char *key, const char *time_key,
                      const char *op)
{
    const struct json *params = json_get(rule, "params");
    const int64_t at_us = json_get_time(params, time_key);
    if (at_us == AT_US_NONE && json_get(params, key) == NULL)
        return;
    buf_c(b, " OR ");
    ident(b, rule, 0);
    buf_printf(b, " %s ", op);
    if (at_us != AT_US_NONE)
        table_sql_time(b, at_us);
    else
        sql_json_value(b, json_get(params, key));
}

static void range_predicate(struct buf *b, const struct json *rule)
{
    ident(b, rule, 0);
    buf_c(b, " IS NOT NULL AND (false");
    range_end(b, rule, "min", "min_time", "<");
    range_end(b, rule, "max", "max_time", ">");
    buf_c(b, ")");
}

/* What a value that is not of the declared type looks like, by what the column is. */
static void type_predicate(const struct run *r, struct buf *b, const struct json *rule)
{
    static const struct {
        const char *type, *sql;
        enum value_type value;
    } TYPES[] = {{"integer", "BIGINT", VAL_INT},
                 {"number", "DOUBLE", VAL_FLOAT},
                 {"bool", "BOOLEAN", VAL_BOOL},
                 {"timestamp", "TIMESTAMP", VAL_TIME},
                 {"string", "VARCHAR", VAL_STR}};
    const struct str want = json_get_str(json_get(rule, "params"), "type");
    const struct table_column *c = column_of(r, json_at(json_get(rule, "columns"), 0)->u.s);
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(TYPES) && !str_is(want, TYPES[i].type))
        i++;
    const bool is_number = c->type == VAL_INT || c->type == VAL_FLOAT;
    if (c->type == TYPES[i].value || (TYPES[i].value == VAL_FLOAT && is_number)) {
        buf_c(b, "false");
    } else if (c->type == VAL_FLOAT && TYPES[i].value == VAL_INT) {
        ident(b, rule, 0);
        buf_c(b, " <> trunc(");
        ident(b, rule, 0);
        buf_c(b, ")");
    } else if (c->type == VAL_STR) {
        ident(b, rule, 0);
        buf_c(b, " IS NOT NULL AND TRY_CAST(");
        ident(b, rule, 0);
        buf_printf(b, " AS %s) IS NULL", TYPES[i].sql);
    } else {
        ident(b, rule, 0);
        buf_c(b, " IS NOT NULL");
    }
}

static void in_predicate(struct buf *b, const struct json *rule)
{
    const struct json *params = json_get(rule, "params"), *values = json_get(params, "values");
    ident(b, rule, 0);
    buf_c(b, " IS NOT NULL AND ");
    ident(b, rule, 0);
    buf_c(b, " NOT IN (");
    if (values != NULL) {
        for (size_t i = 0; i < json_len(values); i++) {
            buf_c(b, i ? ", " : "");
            sql_json_value(b, json_at(values, i));
        }
        if (json_len(values) == 0)
            buf_c(b, "NULL) OR (true");
    } else {
        buf_c(b, "SELECT ");
        table_sql_ident(b, json_get_str(params, "column"));
        buf_c(b, " FROM ");
        table_sql_ident(b, json_get_str(params, "source"));
        buf_c(b, " WHERE ");
        table_sql_ident(b, json_get_str(params, "column"));
        buf_c(b, " IS NOT NULL");
    }
    buf_c(b, ")");
}

static bool kind_is(const struct json *rule, enum check_kind k)
{
    return str_is(json_get_str(rule, "kind"), check_kind_name(k));
}

/* False: the rule is not one of rows. */
static bool row_predicate(const struct run *r, struct buf *b, const struct json *rule)
{
    const struct json *params = json_get(rule, "params");
    if (kind_is(rule, CHECK_NULLS)) {
        ident(b, rule, 0);
        buf_c(b, " IS NULL");
    } else if (kind_is(rule, CHECK_TYPE)) {
        type_predicate(r, b, rule);
    } else if (kind_is(rule, CHECK_RANGE)) {
        range_predicate(b, rule);
    } else if (kind_is(rule, CHECK_IN)) {
        in_predicate(b, rule);
    } else if (kind_is(rule, CHECK_PATTERN)) {
        buf_c(b, "NOT regexp_full_match(CAST(");
        ident(b, rule, 0);
        buf_c(b, " AS VARCHAR), ");
        table_sql_text(b, json_get_str(params, "regex"));
        buf_c(b, ")");
    } else if (kind_is(rule, CHECK_EXPRESSION)) {
        /* As in SQL's CHECK, a row of which the truth is not known passes. */
        buf_printf(b, "NOT coalesce((%.*s\n), true)", STR_ARG(json_get_str(params, "sql")));
    } else {
        return false;
    }
    return true;
}

static bool is_in_one_pass(const struct json *rule)
{
    const struct json *params = json_get(rule, "params");
    return !kind_is(rule, CHECK_IN) || json_get(params, "values") != NULL;
}

/* ---- results ---- */

static struct json *result_begin(const struct run *r, const struct json *rule)
{
    static const char *const KEYS[] = {"name", "kind", "columns", "on_fail"};
    struct json *v = json_obj(r->a);
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        json_set(r->a, v, KEYS[i], json_copy(r->a, json_get(rule, KEYS[i])));
    return v;
}

static void verdict(const struct run *r, struct json *v, bool is_good)
{
    json_set(r->a, v, "verdict", json_cstr(r->a, is_good ? "pass" : "fail"));
}

static enum err_code fetch(struct run *r, struct buf *sql, size_t max_rows,
                           struct table_values *ret, struct err *err)
{
    enum err_code code = buf_ok(sql, err);
    if (code == ERR_OK)
        code = table_fetch(r->t, TABLE_SQL(sql->p), max_rows, r->a, ret, err);
    buf_reset(sql);
    return code;
}

#define COLUMNS_SHOWN 8

/* The columns whose values tell why a row fails: the rule's own, else the first of the source. */
static const struct json *shown_columns(const struct run *r, const struct json *rule)
{
    const struct json *columns = json_get(rule, "columns");
    if (json_len(columns) > 0)
        return columns;
    struct json *first = json_arr(r->a);
    for (size_t i = 0; i < r->n_cols && i < COLUMNS_SHOWN; i++)
        json_add(r->a, first, json_cstr(r->a, r->cols[i].name));
    return first;
}

/* "row 41 (7985), ..." into the message, and [{row, values}] beside it. */
static void show_rows(const struct run *r, const struct json *columns,
                      const struct table_values *found, struct json *v, struct buf *text)
{
    struct json *rows = json_arr(r->a);
    for (size_t i = 0; i < found->n_rows; i++) {
        const struct value *cells = &found->p[i * found->n_cols];
        struct json *one = json_obj(r->a), *values = json_obj(r->a);
        json_set(r->a, one, "row", json_int(r->a, cells[0].u.i));
        buf_printf(text, "%s %lld", i ? "," : "; first rows:", (long long)cells[0].u.i);
        for (size_t k = 0; k + 1 < found->n_cols && k < json_len(columns); k++) {
            struct json *cell = profile_value_json(r->a, &cells[k + 1]);
            const char *name = str_dup(r->a, json_at(columns, k)->u.s);
            if (name == NULL)
                continue;
            if (cell != NULL)
                json_set(r->a, values, name, cell);
            else
                json_set_null(r->a, values, name);
            buf_c(text, k ? ", " : " (");
            if (cell == NULL || json_write(cell, JSON_COMPACT, text, NULL) != ERR_OK)
                buf_c(text, "null");
        }
        buf_c(text, found->n_cols > 1 && json_len(columns) > 0 ? ")" : "");
        json_set(r->a, one, "values", values);
        json_add(r->a, rows, one);
    }
    json_set(r->a, v, "rows", rows);
}

/* The failing share against what is tolerated, with the first rows; `failing_sql` selects from source_rows. */
static enum err_code judge_share(struct run *r, const struct json *rule, int64_t n_failing,
                                 const char *failing_sql, struct err *err)
{
    const struct json *params = json_get(rule, "params");
    const double tolerate = json_get_f64(params, "tolerate", 0);
    const int64_t max_count = json_get_int(params, "max_count", -1);
    const double share = r->n_rows > 0 ? (double)n_failing / (double)r->n_rows : 0;
    const bool is_good = max_count >= 0 ? n_failing <= max_count : share <= tolerate + 1e-12;
    struct json *v = result_begin(r, rule);
    struct buf text, sql;
    enum err_code code = ERR_OK;
    buf_init(&text, 8192);
    buf_init(&sql, VALIDATE_SQL_MAX);
    verdict(r, v, is_good || r->n_rows == 0);
    if (r->n_rows == 0)
        json_set(r->a, v, "verdict", json_cstr(r->a, "no_evidence"));
    json_set(r->a, v, "failing", json_int(r->a, n_failing));
    json_set(r->a, v, "observed", json_num(r->a, share));
    json_set(r->a, v, "limit",
             max_count >= 0 ? json_int(r->a, max_count) : json_num(r->a, tolerate));
    buf_printf(&text, "%.*s: %lld of %lld rows (%.4g %%) fail", STR_ARG(json_get_str(rule, "name")),
               (long long)n_failing, (long long)r->n_rows, 100 * share);
    if (max_count >= 0)
        buf_printf(&text, ", %lld accepted", (long long)max_count);
    else
        buf_printf(&text, ", %.4g %% accepted", 100 * tolerate);
    if (!is_good) {
        struct table_values found = {0};
        const struct json *shown = shown_columns(r, rule);
        buf_c(&sql, "SELECT __row");
        for (size_t k = 0; k < json_len(shown); k++) {
            buf_c(&sql, ", ");
            table_sql_ident(&sql, json_at(shown, k)->u.s);
        }
        buf_printf(&sql, " FROM %s WHERE %s ORDER BY __row LIMIT %d", r->source_rows, failing_sql,
                   VALIDATE_ROWS_SHOWN);
        code = fetch(r, &sql, VALIDATE_ROWS_SHOWN, &found, err);
        if (code == ERR_OK)
            show_rows(r, shown, &found, v, &text);
    }
    json_set(r->a, v, "message", json_str(r->a, buf_view(&text)));
    json_add(r->a, r->out, v);
    buf_fini(&text);
    buf_fini(&sql);
    return code == ERR_OK ? code : err_wrap(err, "check %.*s", STR_ARG(json_get_str(rule, "name")));
}

/* ---- the passes ---- */

static enum err_code row_rules(struct run *r, struct err *err)
{
    const size_t n = json_len(r->rules);
    const char **predicates = ARENA_NEW_N(r->a, const char *, n + 1);
    struct buf sql, one;
    struct table_values got = {0};
    enum err_code code = predicates == NULL ? arena_err(r->a, err) : ERR_OK;
    buf_init(&sql, VALIDATE_SQL_MAX);
    buf_init(&one, VALIDATE_SQL_MAX);
    buf_c(&sql, "SELECT count(*)");
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const struct json *rule = json_at(r->rules, i);
        buf_reset(&one);
        if (!row_predicate(r, &one, rule))
            continue;
        predicates[i] = str_dup(r->a, buf_view(&one));
        if (predicates[i] == NULL)
            code = arena_err(r->a, err);
        else if (is_in_one_pass(rule))
            buf_printf(&sql, ", count(*) FILTER (WHERE %s)", predicates[i]);
    }
    buf_printf(&sql, " FROM %s", r->source);
    if (code == ERR_OK)
        code = fetch(r, &sql, 1, &got, err);
    size_t at = 0;
    if (code == ERR_OK)
        r->n_rows = got.p[at++].u.i;
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const struct json *rule = json_at(r->rules, i);
        int64_t n_failing;
        if (predicates[i] == NULL)
            continue;
        if (is_in_one_pass(rule)) {
            n_failing = got.p[at++].u.i;
        } else {
            struct table_values count = {0};
            buf_printf(&sql, "SELECT count(*) FROM %s WHERE %s", r->source, predicates[i]);
            code = fetch(r, &sql, 1, &count, err);
            n_failing = code == ERR_OK ? count.p[0].u.i : 0;
        }
        if (code == ERR_OK)
            code = judge_share(r, rule, n_failing, predicates[i], err);
    }
    buf_fini(&sql);
    buf_fini(&one);
    return code;
}

static enum err_code unique_rule(struct run *r, const struct json *rule, struct err *err)
{
    struct buf keys, sql;
    struct table_values got = {0};
    buf_init(&keys, VALIDATE_SQL_MAX);
    buf_init(&sql, VALIDATE_SQL_MAX);
    for (size_t k = 0; k < json_len(json_get(rule, "columns")); k++) {
        buf_c(&keys, k ? ", " : "");
        ident(&keys, rule, k);
    }
    const char *by = str_dup(r->a, buf_view(&keys));
    enum err_code code = by == NULL ? arena_err(r->a, err) : ERR_OK;
    if (code == ERR_OK) {
        buf_printf(&sql,
                   "SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM (SELECT count(*) AS n FROM "
                   "%s GROUP BY %s)",
                   r->source, by);
        code = fetch(r, &sql, 1, &got, err);
    }
    if (code == ERR_OK) {
        const char *repeated = str_printf(
            r->a, "(%s) IN (SELECT (%s) FROM %s GROUP BY %s HAVING count(*) > 1)",
            json_len(json_get(rule, "columns")) > 1 ? str_printf(r->a, "row(%s)", by) : by,
            json_len(json_get(rule, "columns")) > 1 ? str_printf(r->a, "row(%s)", by) : by,
            r->source, by);
        code = repeated == NULL ? arena_err(r->a, err)
                                : judge_share(r, rule, got.p[0].u.i, repeated, err);
    }
    buf_fini(&keys);
    buf_fini(&sql);
    return code;
}

static enum err_code rows_rule(struct run *r, const struct json *rule, struct err *err)
{
    const struct json *params = json_get(rule, "params");
    const int64_t min = json_get_int(params, "min", 0),
                  max = json_get_int(params, "max", INT64_MAX);
    struct json *v = result_begin(r, rule);
    (void)err;
    verdict(r, v, r->n_rows >= min && r->n_rows <= max);
    json_set(r->a, v, "observed", json_int(r->a, r->n_rows));
    json_set(r->a, v, "message",
             json_fmt(r->a, "%.*s: there are %lld rows", STR_ARG(json_get_str(rule, "name")),
                      (long long)r->n_rows));
    json_add(r->a, r->out, v);
    return ERR_OK;
}

static enum err_code freshness_rule(struct run *r, const struct json *rule, struct err *err)
{
    const int64_t limit_us = json_get_int(json_get(rule, "params"), "limit_us", 0);
    const int64_t at_us = json_get_time(r->args, "at");
    struct buf sql;
    struct table_values got = {0};
    char age[NUM_TEXT_BYTES], limit[NUM_TEXT_BYTES];
    buf_init(&sql, VALIDATE_SQL_MAX);
    buf_printf(&sql, "SELECT max(known_at) FROM %s WHERE known_at <= ", r->source);
    table_sql_time(&sql, at_us);
    const enum err_code code = fetch(r, &sql, 1, &got, err);
    buf_fini(&sql);
    if (code != ERR_OK)
        return code;
    struct json *v = result_begin(r, rule);
    const bool has_rows = got.p[0].type == VAL_TIME;
    const int64_t age_us = has_rows ? at_us - got.p[0].u.i : 0;
    duration_text(age, age_us);
    duration_text(limit, limit_us);
    verdict(r, v, has_rows && age_us <= limit_us);
    json_set(r->a, v, "observed", has_rows ? json_num(r->a, (double)age_us / US_PER_S) : NULL);
    json_set(r->a, v, "limit", json_num(r->a, (double)limit_us / US_PER_S));
    json_set(r->a, v, "message",
             has_rows ? json_fmt(r->a, "%.*s: the newest row is %s old, %s accepted",
                                 STR_ARG(json_get_str(rule, "name")), age, limit)
                      : json_fmt(r->a, "%.*s: there is no row yet",
                                 STR_ARG(json_get_str(rule, "name"))));
    json_add(r->a, r->out, v);
    return ERR_OK;
}

static enum err_code schema_rule(struct run *r, const struct json *rule, struct err *err)
{
    const struct json *columns = json_get(rule, "columns");
    struct json *v = result_begin(r, rule);
    struct buf text;
    size_t n_bad = 0;
    (void)err;
    buf_init(&text, 8192);
    for (size_t i = 0; i < json_len(columns); i++)
        if (column_of(r, json_at(columns, i)->u.s) == NULL)
            buf_printf(&text, "%s%.*s is missing", n_bad++ ? ", " : "",
                       STR_ARG(json_at(columns, i)->u.s));
    for (size_t k = 0; !json_get_bool(json_get(rule, "params"), "extra", true) && k < r->n_cols;
         k++) {
        bool is_known = str_is(str_c(r->cols[k].name), "known_at");
        for (size_t i = 0; i < json_len(columns) && !is_known; i++)
            is_known = str_eq(str_c(r->cols[k].name), json_at(columns, i)->u.s);
        if (!is_known)
            buf_printf(&text, "%s%s is not declared", n_bad++ ? ", " : "", r->cols[k].name);
    }
    verdict(r, v, n_bad == 0);
    json_set(r->a, v, "failing", json_int(r->a, (int64_t)n_bad));
    json_set(
        r->a, v, "message",
        json_fmt(r->a, "columns: %.*s", STR_ARG(n_bad ? buf_view(&text) : STR("as declared"))));
    json_add(r->a, r->out, v);
    buf_fini(&text);
    return ERR_OK;
}

static enum err_code rule_needs_columns(const struct run *r, const struct json *rule,
                                        struct err *err)
{
    const struct json *columns = json_get(rule, "columns");
    if (kind_is(rule, CHECK_SCHEMA))
        return ERR_OK;
    for (size_t i = 0; i < json_len(columns); i++)
        if (column_of(r, json_at(columns, i)->u.s) == NULL)
            return err_set(err, ERR_INVALID, "check %.*s: %s has no column %.*s",
                           STR_ARG(json_get_str(rule, "name")), r->source,
                           STR_ARG(json_at(columns, i)->u.s));
    return ERR_OK;
}

static enum err_code other_rules(struct run *r, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < json_len(r->rules) && code == ERR_OK; i++) {
        const struct json *rule = json_at(r->rules, i);
        if (kind_is(rule, CHECK_UNIQUE))
            code = unique_rule(r, rule, err);
        else if (kind_is(rule, CHECK_ROWS))
            code = rows_rule(r, rule, err);
        else if (kind_is(rule, CHECK_FRESHNESS))
            code = freshness_rule(r, rule, err);
        else if (kind_is(rule, CHECK_SCHEMA))
            code = schema_rule(r, rule, err);
    }
    return code;
}

static enum err_code run_open(struct run *r, struct err *err)
{
    const struct json *bindings = json_get(r->args, "bindings");
    const struct str name = json_get_str(json_at(bindings, 0), "name");
    struct buf b;
    if (name.n == 0)
        return err_set(err, ERR_INVALID, "validate.run: bindings is empty");
    buf_init(&b, 4096);
    table_sql_ident(&b, name);
    r->source = str_dup(r->a, buf_view(&b));
    buf_reset(&b);
    table_sql_ident(&b, str_c(str_printf(r->a, "%.*s__rows", STR_ARG(name))));
    r->source_rows = str_dup(r->a, buf_view(&b));
    buf_fini(&b);
    const char *all = str_printf(r->a, "SELECT * FROM %s", r->source);
    if (r->source == NULL || r->source_rows == NULL || all == NULL)
        return arena_err(r->a, err);
    enum err_code code = data_worker_session(r->args, &r->t, err);
    if (code == ERR_OK)
        code = data_scan_bind_all(r->t, bindings, NULL, 0, err);
    return code == ERR_OK ? table_describe(r->t, str_c(all), r->a, &r->cols, &r->n_cols, err)
                          : code;
}

enum err_code validate_run_op(struct worker *w, const struct json *args, struct json **ret,
                              struct err *err)
{
    struct run r = {.w = w, .a = worker_arena(w), .args = args, .rules = json_get(args, "rules")};
    r.out = json_arr(r.a);
    enum err_code code = run_open(&r, err);
    for (size_t i = 0; i < json_len(r.rules) && code == ERR_OK; i++)
        code = rule_needs_columns(&r, json_at(r.rules, i), err);
    if (code == ERR_OK)
        code = row_rules(&r, err);
    if (code == ERR_OK)
        code = other_rules(&r, err);
    table_close(r.t);
    if (code != ERR_OK)
        return code;
    *ret = json_set(r.a, json_set(r.a, json_obj(r.a), "rows", json_int(r.a, r.n_rows)), "rules",
                    r.out);
    return ERR_OK;
}
