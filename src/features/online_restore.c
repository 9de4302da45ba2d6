/* Taking out what became known after a time: bad values are rolled back too. In pieces, each a
 * transaction. */
#include <string.h>

#include "base/check.h"
#include "features/online_int.h"

struct restore {
    struct online_write w;
    int64_t to_us, n_removed;
    uint8_t at[ONLINE_DATA_KEY + 1]; /* the next key is the first one that is not before this */
    size_t at_bytes;                 /* 0: not begun */
    bool is_done;
};

/* Keeps the entries known by to_us; an empty list is deleted. */
static enum err_code restore_key(struct restore *s, const uint8_t data_key[ONLINE_DATA_KEY],
                                 struct str record, struct err *err)
{
    struct online_write *w = &s->w;
    struct list_view l;
    size_t n = 0;
    if (!online_list_parse(record, &l) || !online_list_is_sound(&l))
        return err_set(err, ERR_CORRUPT, "online store: the values of a key are damaged");
    for (size_t i = 0; i < l.n; i++) {
        struct entry_head h = online_list_head(&l, i);
        if (h.known_us > s->to_us)
            continue;
        w->rows[n] = l.rows.p + h.offset;
        w->heads[n++] = h;
    }
    s->n_removed += (int64_t)(l.n - n);
    if (n == l.n)
        return ERR_OK;
    if (n)
        return online_write_list(w, data_key, l.key, 0, n, err);
    uint8_t copy[ONLINE_DATA_KEY];
    memcpy(copy, data_key, sizeof copy);
    MDB_val k = {.mv_size = sizeof copy, .mv_data = copy};
    w->r->head.n_keys--;
    int lmdb = mdb_del(w->txn, w->o->data, &k, NULL);
    return lmdb == 0 ? ERR_OK : online_lmdb_err(lmdb, err, "restore");
}

/* The next key of the view; is_done when there is none. */
static enum err_code next_key(struct restore *s, uint8_t ret_key[ONLINE_DATA_KEY],
                              struct str *ret_record, struct err *err)
{
    struct online_write *w = &s->w;
    MDB_cursor *cursor;
    MDB_val k = {.mv_size = s->at_bytes, .mv_data = s->at}, v;
    int lmdb = mdb_cursor_open(w->txn, w->o->data, &cursor);
    if (lmdb != 0)
        return online_lmdb_err(lmdb, err, "restore");
    lmdb = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (lmdb != 0 && lmdb != MDB_NOTFOUND)
        return online_lmdb_err(lmdb, err, "restore");
    s->is_done =
        lmdb == MDB_NOTFOUND || k.mv_size != ONLINE_DATA_KEY || memcmp(k.mv_data, s->at, 4) != 0;
    if (s->is_done)
        return ERR_OK;
    memcpy(ret_key, k.mv_data, ONLINE_DATA_KEY);
    memcpy(s->at, k.mv_data, ONLINE_DATA_KEY);
    s->at[ONLINE_DATA_KEY] = 0; /* the key and a zero byte: what follows it */
    s->at_bytes = sizeof s->at;
    *ret_record = str_n(v.mv_data, v.mv_size);
    return ERR_OK;
}

static enum err_code restore_piece(struct restore *s, struct err *err)
{
    struct view_head *view = &s->w.r->head;
    enum err_code rc = ERR_OK;
    if (s->at_bytes == 0) {
        online_data_key(view->id, STR(""), s->at); /* its first four bytes are the view's */
        s->at_bytes = 4;
    }
    for (size_t n = 0; rc == ERR_OK && !s->is_done && n < ONLINE_BATCH_ROWS; n++) {
        uint8_t data_key[ONLINE_DATA_KEY];
        struct str record = STR_NONE;
        rc = next_key(s, data_key, &record, err);
        if (rc == ERR_OK && !s->is_done)
            rc = restore_key(s, data_key, record, err);
    }
    /* Upper bounds: what is left is not newer than this. */
    view->newest_known_us = view->newest_known_us > s->to_us ? s->to_us : view->newest_known_us;
    view->newest_us = view->newest_us > s->to_us ? s->to_us : view->newest_us;
    return rc;
}

enum err_code online_restore(struct online *o, const char *view, const char *version, int64_t to_us,
                             int64_t *ret_n_removed, struct err *err)
{
    struct restore s = {.to_us = to_us};
    enum err_code rc = online_write_init(&s.w, o, view, version, err);
    mutex_lock(&o->writer);
    while (rc == ERR_OK && !s.is_done) {
        rc = online_write_begin(&s.w, err);
        if (rc == ERR_OK)
            rc = online_write_end(&s.w, restore_piece(&s, err), err);
    }
    mutex_unlock(&o->writer);
    online_write_fini(&s.w);
    if (rc == ERR_OK && ret_n_removed)
        *ret_n_removed = s.n_removed;
    return rc;
}
