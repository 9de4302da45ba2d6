#include <stdio.h>
#include <stdlib.h>

#include "audit/chain_int.h"
#include "base/check.h"
#include "base/vec.h"

enum err_code audit_stored_head(struct db_tx *tx, struct audit_signed_head *ret, int64_t *ret_at_us,
                                struct err *err)
{
    struct db_rows *rows = NULL;
    *ret = (struct audit_signed_head){.seq = 0, .hash = AUDIT_GENESIS};
    *ret_at_us = 0;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT seq, hash, signature, at_us FROM audit_head WHERE id = 1", "");
    if (code != ERR_OK)
        return code;
    if (db_next(rows)) {
        ret->seq = db_i64(rows, 0);
        snprintf(ret->hash, sizeof(ret->hash), "%.*s", STR_ARG(db_str(rows, 1)));
        snprintf(ret->signature, sizeof(ret->signature), "%.*s", STR_ARG(db_str(rows, 2)));
        *ret_at_us = db_i64(rows, 3);
    }
    return db_done(rows, err);
}

struct head_args {
    struct audit_signed_head head;
    int64_t at_us, n_entries;
};

static enum err_code head_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct head_args *h = arg;
    enum err_code code = audit_stored_head(tx, &h->head, &h->at_us, err);
    if (code == ERR_OK)
        code = db_get_i64(tx, &h->n_entries, err,
                          "SELECT count(*) FROM (SELECT seq FROM audit LIMIT 1) AS first", "");
    return code;
}

/* The key at the first moment the store can be asked whether the chain is empty. */
static enum err_code key_ensure(struct audit_chain *c, struct err *err)
{
    struct head_args h;
    if (c->has_key)
        return ERR_OK;
    if (file_exists(c->key_path))
        return audit_key_ready(c, false, err);
    enum err_code code = db_read(c->db, head_fn, &h, err);
    return code == ERR_OK ? audit_key_ready(c, h.n_entries == 0 && h.head.seq == 0, err) : code;
}

enum err_code audit_open(struct db *db, const char *home, const struct clock *clock,
                         struct audit_chain **ret, struct err *err)
{
    char keys[PATH_BYTES];
    struct audit_chain *c = calloc(1, sizeof(*c));
    if (!c)
        return err_nomem(err);
    c->db = db;
    c->clock = *clock;
    c->published_seq = -1;
    mutex_init(&c->lock, "audit", AUDIT_RANK);
    snprintf(keys, sizeof(keys), "%s/keys", home);
    snprintf(c->key_path, sizeof(c->key_path), "%s/keys/audit.key", home);
    snprintf(c->head_path, sizeof(c->head_path), "%s/audit.head", home);
    enum err_code code = dir_make(keys, 0700, err);
    if (code == ERR_OK) {
        code = key_ensure(c, err);
        if (code == ERR_UNAVAILABLE)
            code = ERR_OK; /* the store is away: asked again at the first entry */
    }
    if (code != ERR_OK) {
        audit_close(c);
        return code;
    }
    *ret = c;
    return ERR_OK;
}

void audit_close(struct audit_chain *c)
{
    if (!c)
        return;
    explicit_bzero(c->key, sizeof(c->key));
    mutex_fini(&c->lock);
    free(c);
}

/* Takes the head's row lock and gives the link before the new one. */
static enum err_code head_take(struct db_tx *tx, struct audit_signed_head *ret, struct err *err)
{
    int64_t at_us;
    enum err_code code =
        db_exec(tx, err,
                "INSERT INTO audit_head(id, seq, hash, signature, at_us) VALUES (1, 0, ?, '', 0)"
                " ON CONFLICT (id) DO UPDATE SET seq = audit_head.seq",
                "s", AUDIT_GENESIS);
    return code == ERR_OK ? audit_stored_head(tx, ret, &at_us, err) : code;
}

static enum err_code detail_write(const struct json *detail, struct buf *out, struct err *err)
{
    return detail ? json_write(detail, JSON_CANONICAL, out, err) : ERR_OK;
}

static enum err_code entry_put(struct db_tx *tx, const struct audit_entry *e, const char *detail,
                               const char *signature, struct err *err)
{
    enum err_code code = db_exec(
        tx, err,
        "INSERT INTO audit(seq, at_us, actor, action, object, before_state, after_state, reason,"
        " detail, prev, hash, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iissssssssss", e->seq, e->at_us, e->actor, e->action, e->object, e->before, e->after,
        e->reason, detail, e->prev, e->hash, signature);
    if (code == ERR_OK)
        code = db_exec(tx, err,
                       "UPDATE audit_head SET seq = ?, hash = ?, signature = ?, at_us = ?"
                       " WHERE id = 1",
                       "issi", e->seq, e->hash, signature, e->at_us);
    return code;
}

enum err_code audit_append(struct audit_chain *c, struct db_tx *tx, const struct audit_entry *e,
                           int64_t *ret_seq, struct err *err)
{
    struct audit_signed_head head;
    struct audit_entry n = *e;
    char signature[AUDIT_SIGNATURE_HEX];
    struct buf detail;
    CHECK(e->actor && e->action && e->object);
    buf_init(&detail, (size_t)1 << 20);
    enum err_code code = detail_write(e->detail, &detail, err);
    if (code == ERR_OK)
        code = head_take(tx, &head, err);
    if (code == ERR_OK)
        code = audit_key_ready(c, head.seq == 0, err);
    if (code == ERR_OK) {
        const char *text = e->detail ? detail.p : NULL;
        n.seq = head.seq + 1;
        n.at_us = e->at_us ? e->at_us : clock_now_us(&c->clock);
        memcpy(n.prev, head.hash, sizeof(n.prev));
        code = audit_hash(&n, text, n.prev, n.hash, err);
        if (code == ERR_OK)
            code = audit_sign(c, n.seq, n.hash, signature, err);
        if (code == ERR_OK)
            code = entry_put(tx, &n, text, signature, err);
    }
    buf_fini(&detail);
    if (code == ERR_OK && ret_seq)
        *ret_seq = n.seq;
    return code == ERR_OK ? code : err_wrap(err, "audit %s of %s", e->action, e->object);
}

struct write_args {
    struct audit_chain *chain;
    const struct audit_entry *entry;
    int64_t seq;
};

static enum err_code write_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct write_args *w = arg;
    return audit_append(w->chain, tx, w->entry, &w->seq, err);
}

enum err_code audit_write(struct audit_chain *c, const struct audit_entry *e, int64_t *ret_seq,
                          struct err *err)
{
    struct write_args w = {.chain = c, .entry = e};
    enum err_code code = db_write(c->db, write_fn, &w, err);
    if (code == ERR_OK)
        code = audit_publish(c, err);
    if (code == ERR_OK && ret_seq)
        *ret_seq = w.seq;
    return code;
}

enum err_code audit_publish(struct audit_chain *c, struct err *err)
{
    struct head_args h;
    struct audit_signed_head file;
    enum err_code code = db_read(c->db, head_fn, &h, err);
    if (code != ERR_OK || h.head.seq == 0)
        return code;
    mutex_lock(&c->lock);
    if (c->published_seq < 0)
        c->published_seq = audit_head_file_read(c, &file, NULL) == ERR_OK ? file.seq : 0;
    if (h.head.seq > c->published_seq) {
        code = audit_head_file_write(c, &h.head, err);
        if (code == ERR_OK)
            c->published_seq = h.head.seq;
    }
    mutex_unlock(&c->lock);
    return code;
}

enum err_code audit_head(struct audit_chain *c, struct audit_head *ret, struct err *err)
{
    struct head_args h;
    enum err_code code = db_read(c->db, head_fn, &h, err);
    if (code != ERR_OK)
        return code;
    ret->seq = h.head.seq;
    ret->at_us = h.at_us;
    memcpy(ret->hash, h.head.hash, sizeof(ret->hash));
    return ERR_OK;
}

enum err_code audit_row_load(const struct db_rows *rows, struct arena *a, struct audit_row *ret,
                             struct err *err)
{
    struct audit_entry *e = &ret->entry;
    struct json *detail = NULL;
    *e = (struct audit_entry){.seq = db_i64(rows, 0),
                              .at_us = db_i64(rows, 1),
                              .actor = db_dup(rows, 2, a),
                              .action = db_dup(rows, 3, a),
                              .object = db_dup(rows, 4, a),
                              .before = db_dup(rows, 5, a),
                              .after = db_dup(rows, 6, a),
                              .reason = db_dup(rows, 7, a)};
    ret->detail_text = db_dup(rows, 8, a);
    snprintf(e->prev, sizeof(e->prev), "%.*s", STR_ARG(db_str(rows, 9)));
    snprintf(e->hash, sizeof(e->hash), "%.*s", STR_ARG(db_str(rows, 10)));
    snprintf(ret->signature, sizeof(ret->signature), "%.*s", STR_ARG(db_str(rows, 11)));
    if (!e->actor || !e->action || !e->object || (!db_is_null(rows, 8) && !ret->detail_text))
        return arena_err(a, err);
    /* A detail that no longer reads is a changed entry: its text still goes into the hash. */
    if (ret->detail_text && json_read(str_c(ret->detail_text), a, &detail, NULL) == ERR_OK)
        e->detail = detail;
    return ERR_OK;
}

struct list_args {
    const struct audit_query *q;
    struct arena *arena;
    struct audit_entry *entries;
    size_t n;
};

/* "value" or "prefix*" as a condition on a column. */
static void condition_add(struct buf *sql, struct db_arg *args, size_t *n, const char *column,
                          const char *want)
{
    if (!want)
        return;
    size_t len = strlen(want);
    bool is_prefix = len > 0 && want[len - 1] == '*';
    buf_printf(sql, is_prefix ? " AND substr(%s, 1, %zu) = ?" : " AND %s = ?", column, len - 1);
    args[(*n)++] = (struct db_arg){.kind = 't', .u.t = str_n(want, is_prefix ? len - 1 : len)};
}

static void bound_add(struct buf *sql, struct db_arg *args, size_t *n, const char *text, int64_t v)
{
    if (v == 0)
        return;
    buf_c(sql, text);
    args[(*n)++] = (struct db_arg){.kind = 'i', .u.i = v};
}

static enum err_code list_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct list_args *l = arg;
    struct db_arg args[8];
    size_t n = 0;
    struct buf sql;
    struct db_rows *rows = NULL;
    VEC(struct audit_entry) v = {0};
    buf_init(&sql, 4096);
    buf_c(&sql, "SELECT " AUDIT_COLUMNS " FROM audit WHERE 1 = 1");
    condition_add(&sql, args, &n, "object", l->q->object);
    condition_add(&sql, args, &n, "action", l->q->action);
    condition_add(&sql, args, &n, "actor", l->q->actor);
    bound_add(&sql, args, &n, " AND at_us >= ?", l->q->since_us);
    bound_add(&sql, args, &n, " AND at_us < ?", l->q->until_us);
    bound_add(&sql, args, &n, " AND seq < ?", l->q->before_seq);
    bound_add(&sql, args, &n, " ORDER BY seq DESC LIMIT ?", l->q->limit);
    enum err_code code = buf_ok(&sql, err);
    if (code == ERR_OK)
        code = db_query_args(tx, &rows, err, sql.p, args, n);
    buf_fini(&sql);
    if (code != ERR_OK)
        return code;
    enum err_code loaded = ERR_OK;
    while (loaded == ERR_OK && db_next(rows)) {
        struct audit_row row;
        loaded = audit_row_load(rows, l->arena, &row, err);
        struct audit_entry *e = loaded == ERR_OK ? VEC_ADD(l->arena, &v) : NULL;
        if (e)
            *e = row.entry;
        else if (loaded == ERR_OK)
            loaded = arena_err(l->arena, err);
    }
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    l->entries = v.p;
    l->n = v.n;
    return loaded != ERR_OK ? loaded : code;
}

enum err_code audit_list(struct audit_chain *c, const struct audit_query *q, struct arena *a,
                         struct audit_entry **ret, size_t *ret_n, struct err *err)
{
    struct list_args l = {.q = q, .arena = a};
    CHECK(q->limit > 0);
    enum err_code code = db_read(c->db, list_fn, &l, err);
    if (code == ERR_OK) {
        *ret = l.entries;
        *ret_n = l.n;
    }
    return code;
}

struct json *audit_entry_json(const struct audit_entry *e, struct arena *a)
{
    struct json *j = json_obj(a);
    json_set(a, j, "seq", json_int(a, e->seq));
    json_set(a, j, "time", json_time(a, e->at_us));
    json_set(a, j, "actor", json_cstr(a, e->actor));
    json_set(a, j, "action", json_cstr(a, e->action));
    json_set(a, j, "object", json_cstr(a, e->object));
    json_set(a, j, "before", json_cstr(a, e->before));
    json_set(a, j, "after", json_cstr(a, e->after));
    json_set(a, j, "reason", json_cstr(a, e->reason));
    json_set(a, j, "detail", e->detail ? json_copy(a, e->detail) : NULL);
    json_set(a, j, "hash", json_cstr(a, e->hash));
    return j;
}
