#include <stdlib.h>
#include <string.h>

#include "features/online_int.h"

enum err_code online_commit(struct online *o, MDB_txn *txn, struct err *err)
{
    atomic_fetch_add(&o->n_commits, 1);
    int lmdb = mdb_txn_commit(txn);
    return lmdb == 0 ? ERR_OK : online_lmdb_err(lmdb, err, "commit");
}

enum err_code online_write_init(struct online_write *w, struct online *o, const char *view,
                                const char *version, struct err *err)
{
    *w = (struct online_write){.o = o, .view = view, .version = version};
    buf_init(&w->list, ONLINE_LIST_BYTES_MAX);
    w->r = calloc(1, sizeof *w->r);
    w->heads = malloc(ONLINE_WRITE_CAP * sizeof *w->heads);
    w->rows = malloc(ONLINE_WRITE_CAP * sizeof *w->rows);
    w->is_new = malloc(ONLINE_WRITE_CAP * sizeof *w->is_new);
    return w->r && w->heads && w->rows && w->is_new ? ERR_OK : err_nomem(err);
}

void online_write_fini(struct online_write *w)
{
    free(w->r);
    free(w->heads);
    free(w->rows);
    free(w->is_new);
    buf_fini(&w->list);
}

enum err_code online_write_begin(struct online_write *w, struct err *err)
{
    int lmdb = mdb_txn_begin(w->o->env, NULL, 0, &w->txn);
    if (lmdb != 0)
        return online_lmdb_err(lmdb, err, "write");
    enum err_code rc = online_view_load(w->o, w->txn, w->view, w->version, w->r, err);
    if (rc == ERR_OK && w->r->head.is_dropped)
        rc = err_set(err, ERR_NOT_FOUND, "view '%s' version '%.12s' is being dropped", w->view,
                     w->version);
    if (rc != ERR_OK) {
        online_view_fini(w->r);
        mdb_txn_abort(w->txn);
    }
    return rc;
}

enum err_code online_write_end(struct online_write *w, enum err_code rc, struct err *err)
{
    if (rc == ERR_OK)
        rc = online_view_store(w->o, w->txn, w->view, w->version, w->r, err);
    online_view_fini(w->r);
    if (rc != ERR_OK) {
        mdb_txn_abort(w->txn);
        return rc;
    }
    return online_commit(w->o, w->txn, err);
}

enum err_code online_write_list(struct online_write *w, const uint8_t data_key[ONLINE_DATA_KEY],
                                struct str key, size_t first, size_t n, struct err *err)
{
    uint32_t n32 = (uint32_t)(n - first), key32 = (uint32_t)key.n, offset = 0;
    buf_reset(&w->list);
    buf_put(&w->list, &key32, sizeof key32);
    buf_put(&w->list, &n32, sizeof n32);
    buf_str(&w->list, key);
    for (size_t i = first; i < n; i++) {
        struct entry_head h = w->heads[i];
        h.offset = offset;
        offset += h.bytes;
        buf_put(&w->list, &h, sizeof h);
    }
    for (size_t i = first; i < n; i++)
        buf_put(&w->list, w->rows[i], w->heads[i].bytes);
    enum err_code rc = buf_ok(&w->list, err);
    if (rc != ERR_OK)
        return rc;
    uint8_t copy[ONLINE_DATA_KEY];
    memcpy(copy, data_key, sizeof copy);
    MDB_val k = {.mv_size = sizeof copy, .mv_data = copy},
            v = {.mv_size = w->list.n, .mv_data = w->list.p};
    int lmdb = mdb_put(w->txn, w->o->data, &k, &v, 0);
    return lmdb == 0 ? ERR_OK : online_lmdb_err(lmdb, err, "write");
}

bool online_list_is_sound(const struct list_view *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct entry_head h = online_list_head(l, i);
        if (h.offset > l->rows.n || h.bytes > l->rows.n - h.offset)
            return false;
    }
    return true;
}
