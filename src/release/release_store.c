/* Releases in the database: documents, drafts, moves. */
#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/vec.h"
#include "release/release.h"

#define RELEASE_DOC_BYTES_MAX ((size_t)16 << 20)
#define RELEASE_FORMAT        1

enum err_code release_doc(const struct release_parts *p, struct arena *a, struct json **ret,
                          struct digest *ret_digest, struct err *err)
{
    struct json *o = json_obj(a);

    json_set(a, o, "format", json_int(a, RELEASE_FORMAT));
    json_set(a, o, "kind", json_cstr(a, RELEASE_KIND_NAMES[p->kind]));
    json_set(a, o, "endpoint", json_cstr(a, p->endpoint));
    json_set(a, o, "model", json_cstr(a, p->model_digest));
    json_set(a, o, "tree", json_cstr(a, p->tree_digest));
    json_set(a, o, "views", json_copy(a, p->views));
    if (isfinite(p->threshold))
        json_set(a, o, "threshold", json_num(a, p->threshold));
    json_set(a, o, "serving", json_copy(a, p->serving));
    json_set(a, o, "environment", json_copy(a, p->environment));
    json_set(a, o, "signature", json_copy(a, p->signature));
    if (json_digest(o, "release", ret_digest, err) != ERR_OK)
        return err_wrap(err, "name the release of %s", p->endpoint);
    *ret = o;
    return ERR_OK;
}

/* ---- JSON columns ---- */
static enum err_code text_of(const struct json *v, struct buf *b, struct err *err)
{
    buf_init(b, RELEASE_DOC_BYTES_MAX);
    return v ? json_write(v, JSON_COMPACT, b, err) : ERR_OK;
}

static enum err_code column_json(const struct db_rows *rows, int col, struct arena *a,
                                 const struct json **ret, struct err *err)
{
    struct json *v = NULL;

    if (!db_is_null(rows, col) && db_str(rows, col).n > 0 &&
        json_read(db_str(rows, col), a, &v, err) != ERR_OK)
        return err->code;
    *ret = v;
    return ERR_OK;
}

static int name_of(struct str s, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (str_is(s, names[i]))
            return i;
    return -1;
}

#define RELEASE_COLUMNS                                                                            \
    "number, endpoint, kind, state, digest, doc, parent, author, reason, project, revision, "      \
    "model, model_version, "                                                                       \
    "run_id, report, approvals, policy_changes, created_us"

static enum err_code release_row(const struct db_rows *rows, struct arena *a, struct release *ret,
                                 struct err *err)
{
    int kind = name_of(db_str(rows, 2), RELEASE_KIND_NAMES, RELEASE_KIND_N);
    int state = name_of(db_str(rows, 3), RELEASE_STATE_NAMES, RELEASE_STATE_N);

    *ret = (struct release){
        .number = db_i64(rows, 0), .parent = db_i64(rows, 6), .created_us = db_i64(rows, 17)};
    if (kind < 0 || state < 0)
        return err_set(err, ERR_CORRUPT, "r%lld has kind \"%.*s\" and state \"%.*s\"",
                       (long long)ret->number, STR_ARG(db_str(rows, 2)), STR_ARG(db_str(rows, 3)));
    ret->endpoint = db_dup(rows, 1, a);
    ret->kind = (enum release_kind)kind;
    ret->state = (enum release_state)state;
    ret->digest = db_dup(rows, 4, a);
    ret->author = db_dup(rows, 7, a);
    ret->reason = db_dup(rows, 8, a);
    ret->project = db_dup(rows, 9, a);
    ret->revision = db_dup(rows, 10, a);
    ret->model = db_dup(rows, 11, a);
    ret->model_version = db_dup(rows, 12, a);
    ret->run_id = db_dup(rows, 13, a);
    if (column_json(rows, 5, a, &ret->doc, err) != ERR_OK ||
        column_json(rows, 14, a, &ret->report, err) != ERR_OK ||
        column_json(rows, 15, a, &ret->approvals, err) != ERR_OK)
        return err->code;
    return column_json(rows, 16, a, &ret->policy_changes, err);
}

/* ---- reading ---- */
struct get_arg {
    int64_t number, limit;
    const char *endpoint;
    struct arena *a;
    VEC(struct release) found;
};

static enum err_code list_rows(struct db_rows *rows, struct get_arg *g, struct err *err)
{
    enum err_code code = ERR_OK;

    while (code == ERR_OK && db_next(rows)) {
        struct release *r = VEC_ADD(g->a, &g->found);
        code = r ? release_row(rows, g->a, r, err) : arena_err(g->a, err);
    }
    if (db_done(rows, code == ERR_OK ? err : NULL) != ERR_OK && code == ERR_OK)
        return err->code;
    return code;
}

static enum err_code get_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct get_arg *g = arg;
    struct db_rows *rows;
    enum err_code code;

    g->found.n = 0;
    code = db_query(tx, &rows, err, "SELECT " RELEASE_COLUMNS " FROM releases WHERE number = ?",
                    "i", g->number);
    return code == ERR_OK ? list_rows(rows, g, err) : code;
}

enum err_code release_get(struct db *db, int64_t number, struct arena *a, struct release *ret,
                          struct err *err)
{
    struct get_arg g = {.number = number, .a = a};

    if (!db)
        return err_set(err, ERR_UNAVAILABLE, "the database is away: r%lld cannot be read",
                       (long long)number);
    if (db_read(db, get_read, &g, err) != ERR_OK)
        return err->code;
    if (g.found.n == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no release r%lld; `pawl releases ls` lists them",
                       (long long)number);
    *ret = g.found.p[0];
    return ERR_OK;
}

static enum err_code list_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct get_arg *g = arg;
    struct db_rows *rows;
    enum err_code code;

    g->found.n = 0;
    code = db_query(tx, &rows, err,
                    "SELECT " RELEASE_COLUMNS
                    " FROM releases WHERE (? = '' OR endpoint = ?) ORDER BY number DESC LIMIT ?",
                    "ssi", g->endpoint, g->endpoint, g->limit);
    return code == ERR_OK ? list_rows(rows, g, err) : code;
}

enum err_code release_list(struct db *db, const char *endpoint, int64_t limit, struct arena *a,
                           struct release **ret, size_t *ret_n, struct err *err)
{
    struct get_arg g = {.endpoint = endpoint ? endpoint : "", .limit = limit, .a = a};

    if (db_read(db, list_read, &g, err) != ERR_OK)
        return err->code;
    *ret = g.found.p;
    *ret_n = g.found.n;
    return ERR_OK;
}

/* ---- creating ---- */
struct create_arg {
    const struct release_new *n;
    char digest[DIGEST_HEX_BYTES];
    struct buf doc, changes;
    int64_t number;
};

static enum err_code find_draft(struct db_tx *tx, struct create_arg *c, bool *ret_is_there,
                                struct err *err)
{
    enum err_code code =
        db_get_i64(tx, &c->number, err,
                   "SELECT number FROM releases WHERE digest = ? AND parent = ? AND endpoint = ? "
                   "AND state IN ('draft', 'gated', 'approved') ORDER BY number DESC LIMIT 1",
                   "sis", c->digest, c->n->parent, json_get_c(c->n->doc, "endpoint"));

    *ret_is_there = code == ERR_OK;
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code create_write(struct db_tx *tx, void *arg, struct err *err)
{
    struct create_arg *c = arg;
    const struct release_new *n = c->n;
    bool is_there;
    enum err_code code = find_draft(tx, c, &is_there, err);

    if (code != ERR_OK || is_there)
        return code;
    err_reset(err);
    code = db_get_i64(tx, &c->number, err, "SELECT COALESCE(MAX(number), 0) + 1 FROM releases", "");
    if (code != ERR_OK)
        return code;
    return db_exec(tx, err,
                   "INSERT INTO releases (number, endpoint, kind, state, digest, doc, parent, "
                   "author, reason, project, revision, "
                   "model, model_version, run_id, policy_changes, created_us, updated_us) "
                   "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   "issss"
                   "tisssssss"
                   "sii",
                   c->number, json_get_c(n->doc, "endpoint"), json_get_c(n->doc, "kind"),
                   RELEASE_STATE_NAMES[RELEASE_DRAFT], c->digest, buf_view(&c->doc), n->parent,
                   n->author, n->reason, n->project, n->revision, n->model, n->model_version,
                   n->run_id, c->changes.n ? c->changes.p : NULL, n->at_us, n->at_us);
}

enum err_code release_create(struct db *db, const struct release_new *n, int64_t *ret_number,
                             struct err *err)
{
    struct create_arg c = {.n = n};
    struct digest d;
    enum err_code code = json_digest(n->doc, "release", &d, err);

    if (code != ERR_OK)
        return code;
    digest_hex(&d, c.digest);
    code = text_of(n->doc, &c.doc, err);
    if (code == ERR_OK)
        code = text_of(n->policy_changes, &c.changes, err);
    if (code == ERR_OK)
        code = db ? db_write(db, create_write, &c, err)
                  : err_set(err, ERR_UNAVAILABLE, "the database is away");
    if (code == ERR_OK)
        *ret_number = c.number;
    buf_fini(&c.doc);
    buf_fini(&c.changes);
    return code;
}

/* ---- moving ---- */
struct move_arg {
    int64_t number, at_us;
    enum release_state to;
    const char *actor, *reason;
};

static enum err_code state_of(struct db_tx *tx, int64_t number, enum release_state *ret,
                              struct err *err)
{
    struct db_rows *rows;
    int state = -1;
    enum err_code code =
        db_query(tx, &rows, err, "SELECT state FROM releases WHERE number = ?", "i", number);

    if (code != ERR_OK)
        return code;
    if (db_next(rows))
        state = name_of(db_str(rows, 0), RELEASE_STATE_NAMES, RELEASE_STATE_N);
    if (db_done(rows, err) != ERR_OK)
        return err->code;
    if (state < 0)
        return err_set(err, ERR_NOT_FOUND, "there is no release r%lld", (long long)number);
    *ret = (enum release_state)state;
    return ERR_OK;
}

enum err_code release_move_tx(struct db_tx *tx, int64_t number, enum release_state to,
                              const char *actor, const char *reason, int64_t at_us, struct err *err)
{
    enum release_state from = RELEASE_DRAFT;

    if (state_of(tx, number, &from, err) != ERR_OK)
        return err->code;
    if (from == to)
        return ERR_OK;
    if (release_check_move(number, from, to, err) != ERR_OK)
        return err->code;
    if (db_exec(tx, err, "UPDATE releases SET state = ?, updated_us = ? WHERE number = ?", "sii",
                RELEASE_STATE_NAMES[to], at_us, number) != ERR_OK)
        return err->code;
    return db_exec(
        tx, err,
        "INSERT INTO release_moves (release, seq, from_state, to_state, actor, reason, at_us) "
        "SELECT ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ?, ?, ? FROM release_moves WHERE release = ?",
        "issss"
        "ii",
        number, RELEASE_STATE_NAMES[from], RELEASE_STATE_NAMES[to], actor, reason ? reason : "",
        at_us, number);
}

static enum err_code move_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct move_arg *m = arg;

    return release_move_tx(tx, m->number, m->to, m->actor, m->reason, m->at_us, err);
}

enum err_code release_move(struct db *db, int64_t number, enum release_state to, const char *actor,
                           const char *reason, int64_t at_us, struct err *err)
{
    struct move_arg m = {number, at_us, to, actor, reason};

    return db ? db_write(db, move_write, &m, err)
              : err_set(err, ERR_UNAVAILABLE, "the database is away");
}

/* ---- report and approvals ---- */
struct set_arg {
    int64_t number;
    const char *sql;
    struct buf text;
};

static enum err_code set_write(struct db_tx *tx, void *arg, struct err *err)
{
    const struct set_arg *s = arg;

    return db_exec(tx, err, s->sql, "ti", buf_view(&s->text), s->number);
}

static enum err_code set_json(struct db *db, int64_t number, const char *sql, const struct json *v,
                              struct err *err)
{
    struct set_arg s = {.number = number, .sql = sql};
    enum err_code code = text_of(v, &s.text, err);

    if (code == ERR_OK)
        code = db_write(db, set_write, &s, err);
    buf_fini(&s.text);
    return code;
}

enum err_code release_set_report(struct db *db, int64_t number, const struct json *report,
                                 struct err *err)
{
    return set_json(db, number, "UPDATE releases SET report = ? WHERE number = ?", report, err);
}

enum err_code release_set_approvals(struct db *db, int64_t number, const struct json *approvals,
                                    struct err *err)
{
    return set_json(db, number, "UPDATE releases SET approvals = ? WHERE number = ?", approvals,
                    err);
}

struct json *release_json(const struct release *r, struct arena *a)
{
    struct json *o = json_obj(a);

    json_set(a, o, "release", json_fmt(a, "r%lld", (long long)r->number));
    json_set(a, o, "endpoint", json_cstr(a, r->endpoint));
    json_set(a, o, "kind", json_cstr(a, RELEASE_KIND_NAMES[r->kind]));
    json_set(a, o, "state", json_cstr(a, RELEASE_STATE_NAMES[r->state]));
    json_set(a, o, "digest", json_cstr(a, r->digest));
    if (r->parent > 0)
        json_set(a, o, "parent", json_fmt(a, "r%lld", (long long)r->parent));
    json_set(a, o, "author", json_cstr(a, r->author));
    json_set(a, o, "reason", json_cstr(a, r->reason));
    json_set(a, o, "created", json_time(a, r->created_us));
    json_set(a, o, "project", json_cstr(a, r->project));
    json_set(a, o, "revision", json_cstr(a, r->revision));
    json_set(a, o, "model", json_cstr(a, r->model));
    json_set(a, o, "model_version", json_cstr(a, r->model_version));
    json_set(a, o, "run_id", json_cstr(a, r->run_id));
    json_set(a, o, "document", json_copy(a, r->doc));
    json_set(a, o, "gates", r->report ? json_copy(a, r->report) : NULL);
    json_set(a, o, "approvals", r->approvals ? json_copy(a, r->approvals) : NULL);
    return json_set(a, o, "policy_changes",
                    r->policy_changes ? json_copy(a, r->policy_changes) : NULL);
}
