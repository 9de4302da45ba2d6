/* Putting: a piece of the batch is sorted by key and order, each key's list is read once, merged
 * and written once. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "features/online_int.h"

/* One new row, with its key and its columns in the piece's buffers. */
struct new_row {
    struct hash128 hash;
    struct entry_head head; /* offset and bytes in `payload` */
    uint32_t key_at, key_bytes, ordinal;
};

struct put {
    struct online_write w;
    const struct online_batch *b;
    struct online_put_stats stats; /* of the committed pieces */
    struct online_put_stats piece; /* with the piece in hand */
    struct new_row *rows;
    size_t n;
    struct value *vals; /* of one row */
    struct buf keys, payload;
};

static enum err_code put_init(struct put *p, struct online *o, const struct online_batch *b,
                              struct err *err)
{
    memset(p, 0, sizeof *p);
    p->b = b;
    buf_init(&p->keys, UINT32_MAX);
    buf_init(&p->payload, UINT32_MAX);
    enum err_code rc = online_write_init(&p->w, o, b->view, b->version, err);
    p->rows = malloc(ONLINE_BATCH_ROWS * sizeof *p->rows);
    p->vals = calloc(ONLINE_COLUMNS_MAX, sizeof *p->vals);
    if (rc == ERR_OK && (!p->rows || !p->vals))
        return err_nomem(err);
    return rc;
}

static void put_fini(struct put *p)
{
    online_write_fini(&p->w);
    free(p->rows);
    free(p->vals);
    buf_fini(&p->keys);
    buf_fini(&p->payload);
}

/* By key, then by (time, known at), then as they came. */
static int by_key_and_order(const void *x, const void *y)
{
    const struct new_row *a = x, *b = y;
    if (a->hash.hi != b->hash.hi)
        return a->hash.hi < b->hash.hi ? -1 : 1;
    if (a->hash.lo != b->hash.lo)
        return a->hash.lo < b->hash.lo ? -1 : 1;
    int order = online_entry_cmp(&a->head, &b->head);
    return order ? order : (a->ordinal > b->ordinal) - (a->ordinal < b->ordinal);
}

/* False: a part of the key is null. */
static bool encode_key(struct put *p, size_t row)
{
    size_t start = p->keys.n;
    for (size_t i = 0; i < p->w.r->head.n_entity_keys; i++) {
        struct value v = column_value(&p->b->keys[i], row);
        if (v.type == VAL_NULL) {
            p->keys.n = start;
            return false;
        }
        value_key_bytes(&v, &p->keys);
    }
    return true;
}

/* False: the row has a null key or time. */
static bool encode_row(struct put *p, size_t row)
{
    const struct online_batch *b = p->b;
    struct value time = column_value(b->time, row);
    struct value known = b->known_at ? column_value(b->known_at, row) : time;
    size_t key_at = p->keys.n, row_at = p->payload.n, n_columns = p->w.r->head.n_columns;
    if (time.type == VAL_NULL || known.type == VAL_NULL || !encode_key(p, row))
        return false;
    for (size_t i = 0; i < n_columns; i++)
        p->vals[i] = column_value(&b->values[i], row);
    online_row_put(&p->payload, p->w.r->columns, p->vals, n_columns);
    p->rows[p->n] = (struct new_row){
        .hash = hash128(p->keys.p + key_at, p->keys.n - key_at),
        .head = {time.u.i, known.u.i, (uint32_t)row_at, (uint32_t)(p->payload.n - row_at)},
        .key_at = (uint32_t)key_at,
        .key_bytes = (uint32_t)(p->keys.n - key_at),
        .ordinal = (uint32_t)p->n,
    };
    p->n++;
    return true;
}

static enum err_code encode_rows(struct put *p, size_t first, size_t n, struct err *err)
{
    p->n = 0;
    buf_reset(&p->keys);
    buf_reset(&p->payload);
    for (size_t row = first; row < first + n; row++) {
        if (!encode_row(p, row)) {
            p->piece.n_skipped++;
            continue;
        }
        const struct new_row *last = &p->rows[p->n - 1];
        if (last->key_bytes > ONLINE_KEY_BYTES_MAX || last->head.bytes > ONLINE_ROW_BYTES_MAX)
            return err_set(
                err, ERR_LIMIT,
                "view '%s' row %zu: a key of %u bytes (limit %d), a value of %u bytes (limit %d)",
                p->b->view, row, last->key_bytes, ONLINE_KEY_BYTES_MAX, last->head.bytes,
                ONLINE_ROW_BYTES_MAX);
    }
    enum err_code rc = buf_ok(&p->keys, err);
    if (rc == ERR_OK)
        rc = buf_ok(&p->payload, err);
    if (rc == ERR_OK && p->n)
        qsort(p->rows, p->n, sizeof *p->rows, by_key_and_order);
    return rc;
}

/* Merges the old list with rows[0..n) of one key into the list in the making; a new one replaces an
 * old one of its time and known at. Returns how many there are. */
static size_t merge(struct put *p, const struct list_view *old, const struct new_row *rows,
                    size_t n)
{
    struct online_write *w = &p->w;
    size_t m = 0, i = 0, k = 0;
    while (i < old->n || k < n) {
        struct entry_head head = i < old->n ? online_list_head(old, i) : (struct entry_head){0};
        int order = i == old->n ? 1 : k == n ? -1 : online_entry_cmp(&head, &rows[k].head);
        i += order <= 0;
        if (order < 0) {
            w->heads[m] = head;
            w->rows[m] = old->rows.p + head.offset;
            w->is_new[m++] = false;
            continue;
        }
        bool is_repeat =
            m > 0 && w->is_new[m - 1] && online_entry_cmp(&w->heads[m - 1], &rows[k].head) == 0;
        bool is_replacing = is_repeat || order == 0;
        m -= is_repeat;
        p->piece.n_replaced += is_replacing;
        p->piece.n_stored += !is_replacing;
        p->piece.n_late += !is_replacing && i < old->n;
        w->heads[m] = rows[k].head;
        w->rows[m] = p->payload.p + rows[k].head.offset;
        w->is_new[m++] = true;
        k++;
    }
    return m;
}

/* The list of a key as it is stored; none: empty. */
static enum err_code read_list(struct online_write *w, uint8_t data_key[ONLINE_DATA_KEY],
                               struct str key, struct list_view *ret, bool *ret_is_there,
                               struct err *err)
{
    MDB_val k = {.mv_size = ONLINE_DATA_KEY, .mv_data = data_key}, v;
    int lmdb = mdb_get(w->txn, w->o->data, &k, &v);
    *ret = (struct list_view){.key = key};
    *ret_is_there = lmdb == 0;
    if (lmdb == MDB_NOTFOUND)
        return ERR_OK;
    if (lmdb != 0)
        return online_lmdb_err(lmdb, err, "write");
    if (!online_list_parse(str_n(v.mv_data, v.mv_size), ret) || !online_list_is_sound(ret) ||
        !str_eq(ret->key, key))
        return err_set(err, ERR_CORRUPT, "online store: the values of a key are damaged");
    return ERR_OK;
}

/* Counts the new ones that fall out before `first`; true when a new one stays. */
static bool count_kept(struct put *p, size_t first, size_t n)
{
    bool has_new = false;
    for (size_t i = 0; i < n; i++) {
        if (p->w.is_new[i] && i < first) {
            p->piece.n_too_old++;
            p->piece.n_stored--;
        }
        has_new |= p->w.is_new[i] && i >= first;
    }
    return has_new;
}

/* All new rows of one key. */
static enum err_code put_key(struct put *p, const struct new_row *rows, size_t n, struct err *err)
{
    uint8_t data_key[ONLINE_DATA_KEY];
    struct view_head *view = &p->w.r->head;
    struct str key = str_n(p->keys.p + rows->key_at, rows->key_bytes);
    struct list_view old;
    bool is_there = false;
    online_data_key(view->id, key, data_key);
    enum err_code rc = read_list(&p->w, data_key, key, &old, &is_there, err);
    if (rc != ERR_OK)
        return rc;
    size_t m = merge(p, &old, rows, n), first = m > view->history ? m - view->history : 0;
    if (!count_kept(p, first, m))
        return ERR_OK;
    view->n_keys += !is_there;
    for (size_t i = first; i < m; i++) {
        const struct entry_head *h = &p->w.heads[i];
        view->newest_us = h->time_us > view->newest_us ? h->time_us : view->newest_us;
        view->newest_known_us =
            h->known_us > view->newest_known_us ? h->known_us : view->newest_known_us;
    }
    return online_write_list(&p->w, data_key, key, first, m, err);
}

static enum err_code put_rows(struct put *p, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0, end; rc == ERR_OK && i < p->n; i = end) {
        end = i + 1;
        while (end < p->n &&
               memcmp(&p->rows[end].hash, &p->rows[i].hash, sizeof p->rows[i].hash) == 0)
            end++;
        rc = put_key(p, &p->rows[i], end - i, err);
    }
    return rc;
}

static enum err_code check_column(const struct online_batch *b, const struct column *c,
                                  enum value_type want, const char *what, struct err *err)
{
    bool is_ok =
        c->type == want || c->type == VAL_NULL || (c->type == VAL_INT && want == VAL_FLOAT);
    if (!is_ok)
        return err_set(err, ERR_INVALID, "view '%s': %s is %s, the store has it as %s", b->view,
                       what, value_type_name(c->type), value_type_name(want));
    if (c->n < b->n)
        return err_set(err, ERR_INVALID, "view '%s': %s has %zu rows of %zu", b->view, what, c->n,
                       b->n);
    return ERR_OK;
}

static enum err_code check_batch(const struct online_batch *b, const struct view_record *r,
                                 struct err *err)
{
    enum err_code rc = check_column(b, b->time, VAL_TIME, "the event time", err);
    if (rc == ERR_OK && b->known_at)
        rc = check_column(b, b->known_at, VAL_TIME, "known_at", err);
    for (size_t i = 0; rc == ERR_OK && i < r->head.n_columns; i++)
        rc = check_column(b, &b->values[i], r->columns[i].type, r->columns[i].name, err);
    return rc;
}

/* One piece, one transaction. */
static enum err_code put_piece(struct put *p, size_t first, struct err *err)
{
    size_t n = p->b->n - first < ONLINE_BATCH_ROWS ? p->b->n - first : ONLINE_BATCH_ROWS;
    enum err_code rc = online_write_begin(&p->w, err);
    if (rc != ERR_OK)
        return rc;
    p->piece = p->stats;
    rc = check_batch(p->b, p->w.r, err);
    if (rc == ERR_OK)
        rc = encode_rows(p, first, n, err);
    if (rc == ERR_OK)
        rc = put_rows(p, err);
    p->w.r->head.n_puts += p->piece.n_stored - p->stats.n_stored;
    rc = online_write_end(&p->w, rc, err);
    if (rc == ERR_OK)
        p->stats = p->piece;
    return rc;
}

enum err_code online_put(struct online *o, const struct online_batch *b,
                         struct online_put_stats *ret, struct err *err)
{
    struct put p;
    enum err_code rc = put_init(&p, o, b, err);
    for (size_t first = 0; rc == ERR_OK && first < b->n; first += ONLINE_BATCH_ROWS) {
        mutex_lock(&o->writer);
        rc = put_piece(&p, first, err);
        mutex_unlock(&o->writer);
    }
    if (ret)
        *ret = p.stats;
    put_fini(&p);
    return rc;
}
