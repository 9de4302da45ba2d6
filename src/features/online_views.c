/* The list of view versions, and dropping one. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "features/online_int.h"

static enum err_code copy_info(const char *key, size_t key_bytes, const struct view_record *r,
                               struct arena *a, struct online_view_info *ret, struct err *err)
{
    size_t view_bytes = strnlen(key + 1, key_bytes - 1);
    *ret = (struct online_view_info){
        .view = str_dup(a, str_n(key + 1, view_bytes)),
        .version = str_dup(a, str_n(key + view_bytes + 2, key_bytes - view_bytes - 2)),
        .n_keys = r->head.n_keys,
        .n_puts = r->head.n_puts,
        .newest_us = r->head.newest_us,
        .newest_known_us = r->head.newest_known_us,
        .history = (int)r->head.history,
        .n_columns = r->head.n_columns,
        .n_entity_keys = r->head.n_entity_keys,
        .columns = ARENA_NEW_N(a, struct online_column, r->head.n_columns),
    };
    if (!ret->view || !ret->version || !ret->columns)
        return arena_err(a, err);
    for (size_t i = 0; i < ret->n_columns; i++) {
        ret->columns[i] =
            (struct online_column){str_dup(a, str_c(r->columns[i].name)), r->columns[i].type};
        if (!ret->columns[i].name)
            return arena_err(a, err);
    }
    return ERR_OK;
}

struct view_list {
    struct arena *arena;
    struct online_view_info *p;
    size_t n, cap;
    bool is_dropped; /* wanted: those being dropped, or the others */
};

static enum err_code add_view(struct view_list *l, MDB_val key, const struct view_record *r,
                              struct err *err)
{
    if ((r->head.is_dropped != 0) != l->is_dropped)
        return ERR_OK;
    if (l->n == l->cap) {
        size_t more = l->cap ? 2 * l->cap : 16;
        l->p = arena_grow(l->arena, l->p, l->cap * sizeof *l->p, more * sizeof *l->p);
        l->cap = more;
    }
    if (!l->p)
        return arena_err(l->arena, err);
    return copy_info(key.mv_data, key.mv_size, r, l->arena, &l->p[l->n++], err);
}

static enum err_code list_views(MDB_cursor *cursor, struct view_list *l, struct view_record *r,
                                struct err *err)
{
    MDB_val k = online_val("v", 1), v;
    enum err_code rc = ERR_OK;
    int lmdb = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == ERR_OK && lmdb == 0 && k.mv_size >= 4 && *(const char *)k.mv_data == 'v') {
        rc = online_view_parse(v, "?", r, err);
        if (rc == ERR_OK)
            rc = add_view(l, k, r, err);
        online_view_fini(r);
        lmdb = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    if (rc == ERR_OK && lmdb != 0 && lmdb != MDB_NOTFOUND)
        return online_lmdb_err(lmdb, err, "list views");
    return rc;
}

static enum err_code views_with(struct online *o, struct view_list *l, struct err *err)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    struct view_record *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(err);
    int lmdb = mdb_txn_begin(o->env, NULL, MDB_RDONLY, &txn);
    if (lmdb == 0)
        lmdb = mdb_cursor_open(txn, o->meta, &cursor);
    enum err_code rc =
        lmdb == 0 ? list_views(cursor, l, r, err) : online_lmdb_err(lmdb, err, "list views");
    if (cursor)
        mdb_cursor_close(cursor);
    if (txn)
        mdb_txn_abort(txn);
    free(r);
    return rc;
}

enum err_code online_views(struct online *o, struct arena *a, struct online_view_info **ret,
                           size_t *ret_n, struct err *err)
{
    struct view_list l = {.arena = a};
    enum err_code rc = views_with(o, &l, err);
    if (rc == ERR_OK) {
        *ret = l.p;
        *ret_n = l.n;
    }
    return rc;
}

/* ---- dropping: marked first, so that reads stop; then in pieces; what a crash leaves is finished
 * at open ---- */

/* Deletes up to ONLINE_BATCH_ROWS keys of an id; *ret_more: there may be others. */
static enum err_code delete_piece(struct online *o, MDB_txn *txn, uint32_t id, bool *ret_more,
                                  struct err *err)
{
    uint8_t prefix[4] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    MDB_cursor *cursor;
    MDB_val k = online_val(prefix, 4), v;
    int lmdb = mdb_cursor_open(txn, o->data, &cursor);
    if (lmdb != 0)
        return online_lmdb_err(lmdb, err, "drop");
    size_t n = 0;
    lmdb = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (lmdb == 0 && memcmp(k.mv_data, prefix, 4) == 0 && n++ < ONLINE_BATCH_ROWS) {
        lmdb = mdb_cursor_del(cursor, 0);
        if (lmdb == 0)
            lmdb = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    *ret_more = n > ONLINE_BATCH_ROWS;
    return lmdb == 0 || lmdb == MDB_NOTFOUND ? ERR_OK : online_lmdb_err(lmdb, err, "drop");
}

enum drop_stage { DROP_MARK, DROP_VALUES, DROP_RECORD };

struct drop {
    struct online *o;
    const char *view, *version;
    struct view_record *r;
    bool has_more;
};

static enum err_code drop_in(struct drop *d, MDB_txn *txn, enum drop_stage stage, struct err *err)
{
    char key[ONLINE_META_KEY_MAX];
    size_t n;
    if (stage == DROP_VALUES)
        return delete_piece(d->o, txn, d->r->head.id, &d->has_more, err);
    if (stage == DROP_MARK) {
        enum err_code rc = online_view_load(d->o, txn, d->view, d->version, d->r, err);
        d->r->head.is_dropped = 1;
        return rc == ERR_OK ? online_view_store(d->o, txn, d->view, d->version, d->r, err) : rc;
    }
    CHECK(online_meta_key(d->view, d->version, key, &n));
    MDB_val k = online_val(key, n);
    int lmdb = mdb_del(txn, d->o->meta, &k, NULL);
    return lmdb == 0 || lmdb == MDB_NOTFOUND ? ERR_OK : online_lmdb_err(lmdb, err, "drop");
}

/* One transaction of a drop. */
static enum err_code drop_step(struct drop *d, enum drop_stage stage, struct err *err)
{
    MDB_txn *txn;
    int lmdb = mdb_txn_begin(d->o->env, NULL, 0, &txn);
    if (lmdb != 0)
        return online_lmdb_err(lmdb, err, "drop");
    enum err_code rc = drop_in(d, txn, stage, err);
    if (rc == ERR_OK)
        return online_commit(d->o, txn, err);
    mdb_txn_abort(txn);
    return rc;
}

static enum err_code drop_locked(struct online *o, const char *view, const char *version,
                                 struct err *err)
{
    struct drop d = {o, view, version, calloc(1, sizeof(struct view_record)), true};
    if (!d.r)
        return err_nomem(err);
    enum err_code rc = drop_step(&d, DROP_MARK, err);
    atomic_fetch_add(&o->generation, 1);
    while (rc == ERR_OK && d.has_more)
        rc = drop_step(&d, DROP_VALUES, err);
    if (rc == ERR_OK)
        rc = drop_step(&d, DROP_RECORD, err);
    online_view_fini(d.r);
    free(d.r);
    if (rc != ERR_NOT_FOUND)
        return rc;
    err_reset(err);
    return ERR_OK;
}

enum err_code online_drop(struct online *o, const char *view, const char *version, struct err *err)
{
    char key[ONLINE_META_KEY_MAX];
    size_t n;
    if (!online_meta_key(view, version, key, &n))
        return ERR_OK;
    mutex_lock(&o->writer);
    enum err_code rc = drop_locked(o, view, version, err);
    mutex_unlock(&o->writer);
    return rc;
}

enum err_code online_finish_drops(struct online *o, struct err *err)
{
    struct arena a;
    arena_init(&a, 64 << 20);
    struct view_list l = {.arena = &a, .is_dropped = true};
    enum err_code rc = views_with(o, &l, err);
    for (size_t i = 0; rc == ERR_OK && i < l.n; i++)
        rc = drop_locked(o, l.p[i].view, l.p[i].version, err);
    arena_fini(&a);
    return rc;
}
