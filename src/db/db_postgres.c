/* PostgreSQL behind the driver table.
 *
 * Statements are sent without blocking and waited for with a deadline, so that a server that hangs
 * is a lost connection and not a lost thread. Results are taken whole: a second statement may run
 * while the first one's rows are read. A connection that broke is made anew at the next begin; a
 * COMMIT whose answer was lost is looked up by its transaction's number, so that work is neither
 * lost nor done twice. Values and rows travel as text (exact for float8 since PostgreSQL 12), bytes
 * in binary. */
#include "db/db_int.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

#define PG_STATEMENT_MS 60000
#define PG_TEXT_OID     25
#define PG_INT8_OID     20
#define PG_FLOAT8_OID   701
#define PG_BYTEA_OID    17

struct db_conn {
    const struct db *db;
    enum db_mode mode;
    PGconn *pg; /* NULL: closed */
    int64_t deadline_ms;
    bool is_in_tx, is_broken;
    char xid[32]; /* of the running write transaction */
    unsigned next_name;
    struct db_stmts stmts;
};

struct pg_rows {
    struct db_rows base;
    PGresult *res;
    int row;      /* -1 before the first */
    char **blobs; /* decoded bytea, freed at the end */
    size_t n_blobs;
};

static void name_drop(void *owner, void *handle)
{
    free(handle); /* the server's half goes with the connection, or stays unused */
}

static void pg_close(struct db_conn *c)
{
    db_stmts_clear(&c->stmts);
    if (c->pg)
        PQfinish(c->pg);
    c->pg = NULL;
    c->is_in_tx = false;
    c->is_broken = false;
}

static enum err_code pg_lost(struct db_conn *c, const char *what, struct err *err)
{
    const char *said = c->pg ? PQerrorMessage(c->pg) : "";
    c->is_broken = true;
    c->is_in_tx = false;
    struct str text = str_trim(str_c(said));
    return err_set(err, ERR_UNAVAILABLE, "metadata store (PostgreSQL): %s%s%.*s", what,
                   text.n ? ": " : "", STR_ARG(text));
}

/* Waits until the socket is ready for what libpq wants. False at the deadline. */
static bool pg_wait(struct db_conn *c, short events, int64_t until_ns)
{
    for (;;) {
        int64_t left_ms = (until_ns - mono_ns()) / 1000000;
        if (left_ms <= 0)
            return false;
        struct pollfd fd = {.fd = PQsocket(c->pg), .events = events};
        int n = poll(&fd, 1, left_ms > 1000 ? 1000 : (int)left_ms);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

/* The next result of what was sent; *ret NULL when there is none left. */
static enum err_code pg_result(struct db_conn *c, int64_t until_ns, PGresult **ret, struct err *err)
{
    int pending = 1;
    while ((pending = PQflush(c->pg)) == 1)
        if (!pg_wait(c, POLLOUT | POLLIN, until_ns))
            return pg_lost(c, "took no statement before its deadline", err);
        else if (!PQconsumeInput(c->pg))
            return pg_lost(c, "connection lost", err);
    if (pending < 0)
        return pg_lost(c, "connection lost", err);
    while (PQisBusy(c->pg)) {
        if (!pg_wait(c, POLLIN, until_ns))
            return pg_lost(c, "gave no answer before its deadline", err);
        if (!PQconsumeInput(c->pg))
            return pg_lost(c, "connection lost", err);
    }
    *ret = PQgetResult(c->pg);
    return ERR_OK;
}

/* The last result of what was sent; every other is dropped. The first error wins. */
static enum err_code pg_collect(struct db_conn *c, PGresult **ret, struct err *err)
{
    int64_t until_ns = mono_ns() + c->deadline_ms * 1000000;
    PGresult *last = NULL, *next = NULL;
    enum err_code code;
    while ((code = pg_result(c, until_ns, &next, err)) == ERR_OK && next) {
        bool is_bad = last && PQresultStatus(last) == PGRES_FATAL_ERROR;
        PQclear(is_bad ? next : last);
        if (!is_bad)
            last = next;
    }
    if (code == ERR_OK && !last)
        code = pg_lost(c, "no answer", err);
    if (code != ERR_OK) {
        PQclear(last);
        return code;
    }
    *ret = last;
    return ERR_OK;
}

/* Turns an error result into our error; takes res in both cases unless it succeeded and ret is
 * given. */
static enum err_code pg_judge(struct db_conn *c, PGresult *res, const char *sql, PGresult **ret,
                              struct err *err)
{
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (ret)
            *ret = res;
        else
            PQclear(res);
        return ERR_OK;
    }
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    struct str text = str_trim(str_c(PQresultErrorMessage(res)));
    enum err_code code;
    if (PQstatus(c->pg) != CONNECTION_OK || !state)
        code = pg_lost(c, "connection lost", err);
    else if ((code = db_pg_code(state)) == ERR_INTERNAL)
        err_set(err, code, "metadata store (PostgreSQL): %.*s, in \"%s\"", STR_ARG(text), sql);
    else
        err_set(err, code, "metadata store (PostgreSQL): %.*s", STR_ARG(text));
    PQclear(res);
    return code;
}

/* Several statements without values, in one trip. */
static enum err_code pg_simple(struct db_conn *c, const char *sql, PGresult **ret, struct err *err)
{
    PGresult *res = NULL;
    if (!c->pg || c->is_broken)
        return pg_lost(c, "connection lost", err);
    if (!PQsendQuery(c->pg, sql))
        return pg_lost(c, "connection lost", err);
    enum err_code code = pg_collect(c, &res, err);
    return code == ERR_OK ? pg_judge(c, res, sql, ret, err) : code;
}

static enum err_code pg_run(struct db_conn *c, const char *sql, struct err *err)
{
    return pg_simple(c, sql, NULL, err);
}

static void ignore_notice(void *arg, const PGresult *res)
{
}

/* Connects within the busy deadline. */
static enum err_code pg_connect(struct db_conn *c, struct err *err)
{
    int64_t until_ns = mono_ns() + c->db->busy_ms * 1000000;
    char setup[256];
    pg_close(c);
    c->pg = PQconnectStart(c->db->url);
    if (!c->pg)
        return err_nomem(err);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (PQstatus(c->pg) != CONNECTION_BAD && step != PGRES_POLLING_OK &&
           step != PGRES_POLLING_FAILED) {
        if (!pg_wait(c, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ns))
            return pg_lost(c, "no connection before its deadline", err);
        step = PQconnectPoll(c->pg);
    }
    if (PQstatus(c->pg) != CONNECTION_OK)
        return pg_lost(c, "no connection", err);
    PQsetnonblocking(c->pg, 1);
    PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
    snprintf(setup, sizeof(setup),
             "SET lock_timeout = %lld; SET TIME ZONE 'UTC'; SET client_encoding = 'UTF8';"
             "SET extra_float_digits = 1; SET standard_conforming_strings = on",
             (long long)c->db->busy_ms);
    return pg_run(c, setup, err);
}

static enum err_code pg_conn_new(const struct db *db, enum db_mode mode, struct db_conn **ret,
                                 struct err *err)
{
    struct db_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return err_nomem(err);
    c->db = db;
    c->mode = mode;
    c->deadline_ms = PG_STATEMENT_MS;
    db_stmts_init(&c->stmts, name_drop, c);
    *ret = c;
    return ERR_OK;
}

static void pg_conn_free(struct db_conn *c)
{
    if (!c)
        return;
    pg_close(c);
    free(c);
}

static bool pg_is_in_tx(const struct db_conn *c)
{
    return c->is_in_tx && !c->is_broken;
}

static enum err_code pg_start(struct db_conn *c, struct err *err)
{
    PGresult *res = NULL;
    if (c->mode == DB_MODE_READ)
        return pg_run(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    enum err_code code = pg_simple(c, "BEGIN; SELECT pg_current_xact_id()::text", &res, err);
    if (code == ERR_OK) {
        snprintf(c->xid, sizeof(c->xid), "%s", PQgetvalue(res, 0, 0));
        PQclear(res);
    }
    return code;
}

/* A connection that died while idle is noticed only when it is used: the first failure connects
 * anew. */
static enum err_code pg_begin(struct db_conn *c, struct err *err)
{
    bool is_fresh = !c->pg || c->is_broken;
    enum err_code code = is_fresh ? pg_connect(c, err) : ERR_OK;
    if (code == ERR_OK)
        code = pg_start(c, err);
    if (code != ERR_OK && c->is_broken && !is_fresh) {
        code = pg_connect(c, err);
        if (code == ERR_OK)
            code = pg_start(c, err);
    }
    c->is_in_tx = code == ERR_OK;
    if (code != ERR_OK)
        c->is_broken = true;
    return code;
}

static void pg_rollback(struct db_conn *c)
{
    if (pg_is_in_tx(c) && pg_run(c, "ROLLBACK", NULL) != ERR_OK)
        c->is_broken = true;
    c->is_in_tx = false;
}

/* Asks a new connection what became of the transaction. */
static enum db_fate pg_fate(struct db_conn *c, bool *ret_is_committed)
{
    char sql[96], state[32] = "";
    PGresult *res = NULL;
    *ret_is_committed = false;
    snprintf(sql, sizeof(sql), "SELECT pg_xact_status('%s'::xid8)", c->xid);
    int64_t until_ns = mono_ns() + c->db->busy_ms * 1000000;
    do {
        if ((!c->pg || c->is_broken) && pg_connect(c, NULL) != ERR_OK)
            continue;
        if (pg_simple(c, sql, &res, NULL) != ERR_OK)
            continue;
        snprintf(state, sizeof(state), "%s", PQgetvalue(res, 0, 0));
        PQclear(res);
    } while ((state[0] == '\0' || strcmp(state, "in progress") == 0) && mono_ns() < until_ns);
    *ret_is_committed = strcmp(state, "committed") == 0;
    return *ret_is_committed || strcmp(state, "aborted") == 0 ? DB_FATE_UNDONE : DB_FATE_UNKNOWN;
}

static enum err_code pg_commit(struct db_conn *c, enum db_fate *ret_fate, struct err *err)
{
    PGresult *res = NULL;
    *ret_fate = DB_FATE_UNDONE;
    if (!pg_is_in_tx(c))
        return pg_lost(c, "connection lost", err);
    enum err_code code = pg_simple(c, "COMMIT", &res, err);
    c->is_in_tx = false;
    if (code == ERR_OK) {
        /* A spoiled transaction answers COMMIT with "ROLLBACK", and no error. */
        if (strcmp(PQcmdStatus(res), "COMMIT") != 0)
            code = err_set(err, ERR_INTERNAL, "metadata store (PostgreSQL): COMMIT was undone");
        PQclear(res);
        return code;
    }
    if (!c->is_broken || c->mode == DB_MODE_READ)
        return code;
    bool is_committed = false;
    *ret_fate = pg_fate(c, &is_committed);
    return is_committed ? ERR_OK : code;
}

static Oid oid_of(char kind)
{
    switch (kind) {
    case 'i':
        return PG_INT8_OID;
    case 'f':
        return PG_FLOAT8_OID;
    case 't':
        return PG_TEXT_OID;
    case 'b':
        return PG_BYTEA_OID;
    default:
        return 0;
    }
}

static enum err_code pg_make(struct db_conn *c, const char *name, const char *sql,
                             const struct db_arg *args, size_t n, struct err *err)
{
    Oid oids[DB_ARGS_MAX];
    PGresult *res = NULL;
    for (size_t i = 0; i < n; i++)
        oids[i] = oid_of(args[i].kind);
    char *text = db_pg_sql(sql);
    if (!text)
        return err_nomem(err);
    enum err_code code = ERR_OK;
    if (!PQsendPrepare(c->pg, name, text, (int)n, oids))
        code = pg_lost(c, "connection lost", err);
    if (code == ERR_OK)
        code = pg_collect(c, &res, err);
    if (code == ERR_OK)
        code = pg_judge(c, res, sql, NULL, err);
    free(text);
    return code;
}

/* The name of the prepared statement; *ret_slot NULL when the cache had no room (the name is then
 * the caller's). */
static enum err_code pg_prepare(struct db_conn *c, const char *sql, const struct db_arg *args,
                                size_t n, char **ret_name, struct db_stmt **ret_slot,
                                struct err *err)
{
    uint64_t key = db_stmt_key(sql, args, n);
    struct db_stmt *slot = db_stmts_find(&c->stmts, key, sql);
    if (slot) {
        *ret_name = slot->handle;
        *ret_slot = slot;
        return ERR_OK;
    }
    char name[24];
    snprintf(name, sizeof(name), "s%u", ++c->next_name);
    char *kept = strdup(name);
    enum err_code code = kept ? pg_make(c, name, sql, args, n, err) : err_nomem(err);
    if (code != ERR_OK) {
        free(kept);
        return code;
    }
    *ret_slot = db_stmts_put(&c->stmts, key, sql, kept);
    *ret_name = kept;
    return ERR_OK;
}

/* Values as libpq wants them; numbers are written into `text`. */
struct pg_values {
    const char *value[DB_ARGS_MAX];
    int length[DB_ARGS_MAX], format[DB_ARGS_MAX];
    struct buf text;
};

static enum err_code values_fill(struct pg_values *v, const struct db_arg *args, size_t n,
                                 struct err *err)
{
    size_t at[DB_ARGS_MAX];
    char num[NUM_TEXT_BYTES];
    for (size_t i = 0; i < n; i++) {
        at[i] = v->text.n;
        v->format[i] = args[i].kind == 'b';
        v->length[i] = (int)args[i].u.t.n;
        if (args[i].kind == 'i')
            buf_put(&v->text, num, num_i64(num, args[i].u.i) + 1);
        else if (args[i].kind == 'f')
            buf_put(&v->text, num, num_f64(num, args[i].u.f) + 1);
        else if (args[i].kind == 't') {
            buf_str(&v->text, args[i].u.t);
            buf_ch(&v->text, '\0');
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (args[i].kind == 'n')
            v->value[i] = NULL;
        else if (args[i].kind == 'b')
            v->value[i] = args[i].u.t.p ? args[i].u.t.p : "";
        else
            v->value[i] = v->text.p + at[i];
    }
    return buf_ok(&v->text, err);
}

static enum err_code pg_execute(struct db_conn *c, const char *sql, const struct db_arg *args,
                                size_t n, PGresult **ret, struct err *err)
{
    char *name = NULL;
    struct db_stmt *slot = NULL;
    if (!pg_is_in_tx(c))
        return pg_lost(c, "connection lost", err);
    enum err_code code = pg_prepare(c, sql, args, n, &name, &slot, err);
    if (code != ERR_OK)
        return code;
    struct pg_values *v = calloc(1, sizeof(*v));
    PGresult *res = NULL;
    if (!v)
        return err_nomem(err);
    buf_init(&v->text, (size_t)1 << 30);
    code = values_fill(v, args, n, err);
    if (code == ERR_OK &&
        !PQsendQueryPrepared(c->pg, name, (int)n, v->value, v->length, v->format, 0))
        code = pg_lost(c, "connection lost", err);
    if (code == ERR_OK)
        code = pg_collect(c, &res, err);
    if (code == ERR_OK)
        code = pg_judge(c, res, sql, ret, err);
    buf_fini(&v->text);
    free(v);
    if (!slot)
        free(name);
    return code;
}

static enum err_code pg_exec(struct db_conn *c, const char *sql, const struct db_arg *args,
                             size_t n, int64_t *ret_changes, struct err *err)
{
    PGresult *res = NULL;
    enum err_code code = pg_execute(c, sql, args, n, &res, err);
    if (code != ERR_OK)
        return code;
    int64_t changes = 0;
    const char *text = PQcmdTuples(res);
    if (*text)
        code = parse_i64(str_c(text), &changes, err);
    PQclear(res);
    if (code == ERR_OK)
        *ret_changes = changes;
    return code;
}

static enum err_code pg_query(struct db_conn *c, const char *sql, const struct db_arg *args,
                              size_t n, struct db_rows **ret, struct err *err)
{
    struct pg_rows *r = calloc(1, sizeof(*r));
    if (!r)
        return err_nomem(err);
    enum err_code code = pg_execute(c, sql, args, n, &r->res, err);
    if (code != ERR_OK) {
        free(r);
        return code;
    }
    r->row = -1;
    *ret = &r->base;
    return ERR_OK;
}

static struct pg_rows *pg_of(const struct db_rows *r)
{
    return (struct pg_rows *)(uintptr_t)r;
}

static bool pg_next(struct db_rows *base)
{
    struct pg_rows *r = pg_of(base);
    if (r->row + 1 >= PQntuples(r->res))
        return false;
    r->row++;
    return true;
}

static enum err_code pg_done(struct db_rows *base, struct err *err)
{
    struct pg_rows *r = pg_of(base);
    for (size_t i = 0; i < r->n_blobs; i++)
        PQfreemem(r->blobs[i]);
    free(r->blobs);
    PQclear(r->res);
    free(r);
    return ERR_OK;
}

static bool pg_is_null(const struct db_rows *r, int col)
{
    return PQgetisnull(pg_of(r)->res, pg_of(r)->row, col) != 0;
}

static struct str pg_str(const struct db_rows *base, int col)
{
    struct pg_rows *r = pg_of(base);
    if (pg_is_null(base, col))
        return STR_NONE;
    return str_n(PQgetvalue(r->res, r->row, col), (size_t)PQgetlength(r->res, r->row, col));
}

static double pg_f64(const struct db_rows *r, int col)
{
    double v = 0;
    struct str s = pg_str(r, col);
    return s.p && parse_f64(s, &v, NULL) == ERR_OK ? v : 0;
}

static int64_t pg_i64(const struct db_rows *r, int col)
{
    int64_t v = 0;
    struct str s = pg_str(r, col);
    if (str_is(s, "t"))
        return 1;
    if (s.p && parse_i64(s, &v, NULL) != ERR_OK)
        v = (int64_t)pg_f64(r, col);
    return v;
}

static struct str pg_blob(const struct db_rows *base, int col)
{
    struct pg_rows *r = pg_of(base);
    struct str text = pg_str(base, col);
    size_t n = 0;
    if (!text.p)
        return STR_NONE;
    char *bytes = (char *)PQunescapeBytea((const unsigned char *)text.p, &n);
    char **grown = bytes ? realloc(r->blobs, (r->n_blobs + 1) * sizeof(*grown)) : NULL;
    if (!grown) {
        PQfreemem(bytes);
        return STR_NONE;
    }
    r->blobs = grown;
    r->blobs[r->n_blobs++] = bytes;
    return str_n(bytes, n);
}

static void pg_set_deadline(struct db_conn *c, int64_t timeout_ms)
{
    c->deadline_ms = timeout_ms > 0 ? timeout_ms : PG_STATEMENT_MS;
}

const struct db_driver DB_POSTGRES = {
    .name = "postgresql",
    .conn_new = pg_conn_new,
    .conn_free = pg_conn_free,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .is_in_tx = pg_is_in_tx,
    .run = pg_run,
    .exec = pg_exec,
    .query = pg_query,
    .next = pg_next,
    .done = pg_done,
    .is_null = pg_is_null,
    .get_i64 = pg_i64,
    .get_f64 = pg_f64,
    .get_str = pg_str,
    .get_blob = pg_blob,
    .set_deadline = pg_set_deadline,
};
