/* Sessions: opening with limits, statements without rows, locking for a user's SQL. */
#include "table/table_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

/* The library's message begins with the kind of error. */
static const struct {
    const char *prefix;
    enum err_code code;
} KINDS[] = {
    {"Parser Error", ERR_INVALID},          {"Binder Error", ERR_INVALID},
    {"Catalog Error", ERR_INVALID},         {"Conversion Error", ERR_INVALID},
    {"Invalid Input Error", ERR_INVALID},   {"Out of Range Error", ERR_INVALID},
    {"Constraint Error", ERR_INVALID},      {"Syntax Error", ERR_INVALID},
    {"Mismatch Type Error", ERR_INVALID},   {"Parameter", ERR_INVALID},
    {"Permission Error", ERR_FORBIDDEN},    {"Out of Memory Error", ERR_LIMIT},
    {"INTERRUPT Error", ERR_CANCELLED},     {"Not implemented Error", ERR_UNSUPPORTED},
    {"Missing Extension", ERR_UNSUPPORTED}, {"INTERNAL Error", ERR_INTERNAL},
    {"FATAL Error", ERR_INTERNAL},          {"IO Error", ERR_IO},
};

static enum err_code kind_of(const char *text)
{
    struct str s = str_c(text);
    if (str_starts(s, STR("IO Error")) &&
        (str_find(s, STR("No files found")) >= 0 || str_find(s, STR("No such file")) >= 0))
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        if (str_starts(s, str_c(KINDS[i].prefix)))
            return KINDS[i].code;
    return ERR_INVALID;
}

enum err_code table_err(struct err *err, const char *text)
{
    char line[ERR_MSG_BYTES];
    size_t n = 0;
    if (!text)
        return err_set(err, ERR_INTERNAL, "DuckDB failed without a message");
    for (const char *p = text; *p && n + 3 < sizeof line; p++) {
        if (*p != '\n') {
            line[n++] = *p;
            continue;
        }
        if (strncmp(p + 1, "LINE ", 5) == 0)
            break; /* a picture of the statement follows */
        if (n > 0 && line[n - 1] != ' ' && p[1] && p[1] != '\n') {
            line[n++] = ';';
            line[n++] = ' ';
        }
    }
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == ';'))
        n--;
    line[n] = '\0';
    return err_set(err, kind_of(text), "%s", line);
}

static int64_t memory_default(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    if (pages <= 0 || size <= 0)
        return INT64_C(1) << 30;
    return (int64_t)pages * (int64_t)size / 4;
}

static enum err_code config_fill(const struct table_library *lib, const struct table_options *opt,
                                 duckdb_config config, struct err *err)
{
    char threads[NUM_TEXT_BYTES], memory[NUM_TEXT_BYTES + 8];
    int64_t memory_bytes = opt->memory_bytes > 0 ? opt->memory_bytes : memory_default();
    long n = opt->n_threads > 0 ? opt->n_threads : sysconf(_SC_NPROCESSORS_ONLN);
    (void)num_i64(threads, n > 0 ? n : 1);
    (void)snprintf(memory, sizeof memory, "%" PRId64 "MiB",
                   memory_bytes / (1 << 20) > 64 ? memory_bytes / (1 << 20) : 64);
    const char *const settings[][2] = {
        {"threads", threads},
        {"memory_limit", memory},
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"},
        {"temp_directory", opt->temp_dir ? opt->temp_dir : ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (lib->set_config(config, settings[i][0], settings[i][1]) != DuckDBSuccess)
            return err_set(err, ERR_INTERNAL, "DuckDB refused the setting %s=%s", settings[i][0],
                           settings[i][1]);
    return ERR_OK;
}

enum err_code table_open(const struct table_options *opt, struct table **ret, struct err *err)
{
    struct table *t = calloc(1, sizeof *t);
    duckdb_config config = NULL;
    char *text = NULL;
    enum err_code code;
    if (!t)
        return err_nomem(err);
    code = table_library_get(&t->lib, err);
    if (code != ERR_OK)
        goto done;
    if (t->lib->create_config(&config) != DuckDBSuccess) {
        code = err_nomem(err);
        goto done;
    }
    code = config_fill(t->lib, opt, config, err);
    if (code != ERR_OK)
        goto done;
    if (t->lib->open_ext(NULL, &t->db, config, &text) != DuckDBSuccess) {
        code = table_err(err, text);
        goto done;
    }
    if (t->lib->connect(t->db, &t->con) != DuckDBSuccess) {
        code = err_set(err, ERR_INTERNAL, "DuckDB gave no connection");
        goto done;
    }
    code = table_exec(
        t,
        TABLE_SQL(
            "SET TimeZone='UTC'; SET enable_progress_bar=false; SET parquet_metadata_cache=true"),
        err);
done:
    if (text)
        t->lib->free(text);
    if (config)
        t->lib->destroy_config(&config);
    if (code == ERR_OK)
        *ret = t;
    else
        table_close(t);
    return code;
}

void table_close(struct table *t)
{
    if (!t)
        return;
    CHECK(t->n_open_rows == 0);
    if (t->con)
        t->lib->disconnect(&t->con);
    if (t->db)
        t->lib->close(&t->db);
    free(t);
}

void table_interrupt(struct table *t)
{
    t->lib->interrupt(t->con);
}

static duckdb_state bind_one(const struct table_library *lib, duckdb_prepared_statement st, idx_t i,
                             const struct value *v)
{
    switch (v->type) {
    case VAL_NULL:
        return lib->bind_null(st, i);
    case VAL_BOOL:
        return lib->bind_boolean(st, i, v->u.b);
    case VAL_INT:
        return lib->bind_int64(st, i, v->u.i);
    case VAL_FLOAT:
        return lib->bind_double(st, i, v->u.f);
    case VAL_TIME:
        return lib->bind_timestamp(st, i, (duckdb_timestamp){v->u.i});
    case VAL_STR:
        return lib->bind_varchar_length(st, i, v->u.s.n ? v->u.s.p : "", v->u.s.n);
    case VAL_TYPE_N:
    default:
        UNREACHABLE();
    }
}

enum err_code table_prepare(struct table *t, const struct table_sql *q,
                            duckdb_prepared_statement *ret, struct err *err)
{
    if (t->lib->prepare(t->con, q->text, ret) != DuckDBSuccess)
        return table_err(err, t->lib->prepare_error(*ret));
    if (t->lib->nparams(*ret) != q->n_params)
        return err_set(err, ERR_INVALID, "the statement has %zu parameters, %zu were given",
                       (size_t)t->lib->nparams(*ret), q->n_params);
    for (size_t i = 0; i < q->n_params; i++)
        if (bind_one(t->lib, *ret, i + 1, &q->params[i]) != DuckDBSuccess)
            return err_set(err, ERR_INVALID, "parameter %zu (%s) cannot be bound", i + 1,
                           value_type_name(q->params[i].type));
    return ERR_OK;
}

enum err_code table_exec(struct table *t, const struct table_sql *q, struct err *err)
{
    enum err_code code = ERR_OK;
    if (q->n_params > 0) {
        struct table_rows *rows = NULL;
        struct table_chunk chunk = {0};
        code = table_query(t, q, &rows, err);
        while (code == ERR_OK && (code = table_rows_next(rows, &chunk, err)) == ERR_OK)
            if (chunk.n_rows == 0)
                break;
        table_rows_close(rows);
        return code;
    }
    duckdb_result result;
    memset(&result, 0, sizeof result);
    if (t->lib->query(t->con, q->text, &result) != DuckDBSuccess)
        code = table_err(err, t->lib->result_error(&result));
    t->lib->destroy_result(&result);
    return code;
}

enum err_code table_lock(struct table *t, const char *const *paths, size_t n, struct err *err)
{
    struct buf sql = {0};
    enum err_code code;
    buf_init(&sql, 16 << 20);
    buf_c(&sql, "SET allowed_paths=");
    table_sql_list(&sql, paths, n);
    buf_c(&sql, "; SET enable_external_access=false; SET lock_configuration=true");
    code = buf_ok(&sql, err);
    if (code == ERR_OK)
        code = table_exec(t, TABLE_SQL(sql.p), err);
    buf_fini(&sql);
    return code;
}
