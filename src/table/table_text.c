/* Text of SQL, and what a text of SQL names. */

#include "base/check.h"
#include "base/vec.h"
#include "table/table_int.h"

static void quoted(struct buf *out, struct str s, char quote)
{
    buf_ch(out, quote);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == quote)
            buf_ch(out, quote);
        buf_ch(out, s.p[i]);
    }
    buf_ch(out, quote);
}

void table_sql_ident(struct buf *out, struct str name)
{
    quoted(out, name, '"');
}

void table_sql_text(struct buf *out, struct str text)
{
    quoted(out, text, '\'');
}

void table_sql_time(struct buf *out, int64_t at_us)
{
    buf_printf(out, "make_timestamp(%lld)", (long long)at_us);
}

void table_sql_value(struct buf *out, const struct value *v)
{
    char text[NUM_TEXT_BYTES];
    switch (v->type) {
    case VAL_NULL:
        buf_c(out, "NULL");
        break;
    case VAL_BOOL:
        buf_c(out, v->u.b ? "true" : "false");
        break;
    case VAL_INT:
        buf_printf(out, "CAST('%lld' AS BIGINT)", (long long)v->u.i);
        break;
    case VAL_FLOAT:
        (void)num_f64(text, v->u.f);
        buf_printf(out, "CAST('%s' AS DOUBLE)", text);
        break;
    case VAL_TIME:
        table_sql_time(out, v->u.i);
        break;
    case VAL_STR:
        table_sql_text(out, v->u.s);
        break;
    case VAL_TYPE_N:
    default:
        UNREACHABLE();
    }
}

void table_sql_list(struct buf *out, const char *const *texts, size_t n)
{
    buf_ch(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_c(out, ", ");
        table_sql_text(out, str_c(texts[i]));
    }
    buf_ch(out, ']');
}

enum err_code table_check_select(struct table *t, struct str sql, struct err *err)
{
    struct buf text = {0};
    duckdb_extracted_statements list = NULL;
    duckdb_prepared_statement st = NULL;
    enum err_code code;
    buf_init(&text, 1 << 20);
    buf_str(&text, sql);
    code = buf_ok(&text, err);
    if (code != ERR_OK)
        goto done;
    if (text.n == 0) {
        code = err_set(err, ERR_INVALID, "the SQL is empty: write one SELECT");
        goto done;
    }
    idx_t n = t->lib->extract_statements(t->con, text.p, &list);
    if (n == 0) {
        const char *why = t->lib->extract_statements_error(list);
        code =
            why ? table_err(err, why) : err_set(err, ERR_INVALID, "no statement: write one SELECT");
        goto done;
    }
    if (n > 1) {
        code = err_set(err, ERR_INVALID, "%zu statements: write exactly one SELECT", (size_t)n);
        goto done;
    }
    code = table_prepare(t, TABLE_SQL(text.p), &st, err);
    if (code == ERR_OK && t->lib->prepared_statement_type(st) != DUCKDB_STATEMENT_TYPE_SELECT)
        code = err_set(err, ERR_INVALID, "only a SELECT is allowed here");
done:
    t->lib->destroy_prepare(&st);
    if (list)
        t->lib->destroy_extracted(&list);
    buf_fini(&text);
    return code;
}

typedef VEC(struct str) str_vec;

static bool add_once(struct arena *a, struct str **p, size_t *n, size_t *cap, struct str s)
{
    str_vec v = {*p, *n, *cap};
    for (size_t i = 0; i < v.n; i++)
        if (str_eq(v.p[i], s))
            return true;
    struct str *slot = VEC_ADD(a, &v);
    if (!slot)
        return false;
    *slot = s;
    *p = v.p;
    *n = v.n;
    *cap = v.cap;
    return true;
}

/* The serialised syntax tree is walked by DuckDB itself: it may be nested deeper than our reader allows. */
static const char NAMES_SQL[] =
    "WITH t AS MATERIALIZED (SELECT key, value, path, id FROM json_tree(json_serialize_sql(CAST(? "
    "AS VARCHAR))))"
    " SELECT key, CASE WHEN key = 'column_names' THEN json_extract_string(value, '$[#-1]')"
    "             ELSE json_extract_string(value, '$') END"
    " FROM t WHERE key IN ('column_names', 'table_name', 'error_message')"
    " AND (key <> 'table_name' OR json_extract_string(value, '$') NOT IN"
    "      (SELECT json_extract_string(value, '$') FROM t WHERE key = 'key' AND path LIKE "
    "'%cte_map%'))"
    " ORDER BY id";

enum err_code table_names_used(struct table *t, struct str sql, bool is_expression, struct arena *a,
                               struct table_names *ret, struct err *err)
{
    struct table_names names = {0};
    struct table_values rows = {0};
    struct buf text = {0};
    size_t cap_columns = 0, cap_tables = 0;
    enum err_code code;
    buf_init(&text, 1 << 20);
    buf_printf(&text, is_expression ? "SELECT (%.*s\n)" : "%.*s", STR_ARG(sql));
    code = buf_ok(&text, err);
    struct value arg = {.type = VAL_STR, .u.s = buf_view(&text)};
    if (code == ERR_OK)
        code = table_fetch(t, &(struct table_sql){NAMES_SQL, &arg, 1}, 100000, a, &rows, err);
    for (size_t i = 0; code == ERR_OK && i < rows.n_rows; i++) {
        struct str key = rows.p[2 * i].u.s;
        const struct value *v = &rows.p[2 * i + 1];
        bool is_ok = true;
        if (v->type != VAL_STR || v->u.s.n == 0)
            continue;
        if (str_is(key, "error_message"))
            code = err_set(err, ERR_INVALID, "%.*s", STR_ARG(v->u.s));
        else if (str_is(key, "table_name"))
            is_ok = add_once(a, &names.tables, &names.n_tables, &cap_tables, v->u.s);
        else
            is_ok = add_once(a, &names.columns, &names.n_columns, &cap_columns, v->u.s);
        if (!is_ok)
            code = arena_err(a, err);
    }
    buf_fini(&text);
    if (code == ERR_OK)
        *ret = names;
    return code;
}
