/* Reading: one LMDB snapshot per request, renewed and reset; no allocation, no lock. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "features/online_int.h"

#define BEGIN_TRIES 1000

struct online_reader {
    struct online *o;
    MDB_txn *txn;
    uint64_t generation; /* of the views when the snapshot was taken, or a little before */
    bool is_open;
    struct buf key;
};

enum err_code online_reader_new(struct online *o, struct online_reader **ret, struct err *err)
{
    struct online_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(err);
    r->o = o;
    buf_init(&r->key, 2 * ONLINE_KEY_BYTES_MAX);
    int rc = mdb_txn_begin(o->env, NULL, MDB_RDONLY, &r->txn);
    if (rc != 0) {
        online_reader_free(r);
        if (rc == MDB_READERS_FULL)
            return err_set(err, ERR_LIMIT, "online store: more readers than it was opened for");
        return online_lmdb_err(rc, err, "read");
    }
    mdb_txn_reset(r->txn);
    *ret = r;
    return ERR_OK;
}

void online_reader_free(struct online_reader *r)
{
    if (!r)
        return;
    if (r->txn)
        mdb_txn_abort(r->txn);
    buf_fini(&r->key);
    free(r);
}

/* LMDB (0.9.24) copies the roots of the last transaction without looking whether the writer has
 * come round to that place again meanwhile: a reader that is preempted there for the length of two
 * commits may copy roots that are being written. It cannot have happened when no commit began while
 * the snapshot was taken; else it is taken again. */
enum err_code online_begin(struct online_reader *r, struct err *err)
{
    CHECK(!r->is_open);
    for (int i = 0; i < BEGIN_TRIES; i++) {
        uint64_t before = atomic_load(&r->o->n_commits);
        r->generation = atomic_load(&r->o->generation);
        int rc = mdb_txn_renew(r->txn);
        if (rc != 0)
            return online_lmdb_err(rc, err, "read");
        r->is_open = atomic_load(&r->o->n_commits) == before;
        if (r->is_open)
            return ERR_OK;
        mdb_txn_reset(r->txn);
    }
    return err_set(err, ERR_BUSY,
                   "online store: commits follow each other too fast to read between them");
}

void online_end(struct online_reader *r)
{
    CHECK(r->is_open);
    mdb_txn_reset(r->txn);
    r->is_open = false;
}

/* Which wanted column a stored one is. */
static int16_t wanted_index(const struct online_view_ref *ref, size_t stored, struct str name)
{
    if (!ref->columns)
        return stored < ref->n_columns ? (int16_t)stored : -1;
    for (size_t i = 0; i < ref->n_columns; i++) {
        if (str_is(name, ref->columns[i]))
            return (int16_t)i;
    }
    return -1;
}

/* Types and places of the stored columns; false: the record is damaged. */
static bool resolve_columns(struct online_view_ref *ref, struct str rest)
{
    for (size_t i = 0; i < ref->n_stored; i++) {
        if (rest.n < 2 || rest.n < 2 + (size_t)(uint8_t)rest.p[1])
            return false;
        struct str name = str_n(rest.p + 2, (uint8_t)rest.p[1]);
        ref->types[i] = (uint8_t)rest.p[0];
        ref->to[i] = wanted_index(ref, i, name);
        rest = str_n(name.p + name.n, rest.n - 2 - name.n);
    }
    return true;
}

/* Looks the view version up in this snapshot and keeps what reading needs. */
static enum err_code resolve(struct online_reader *r, struct online_view_ref *ref, struct err *err)
{
    char key[ONLINE_META_KEY_MAX];
    size_t n;
    struct view_head head;
    ref->generation = r->generation;
    ref->id = 0;
    if (!online_meta_key(ref->view, ref->version, key, &n))
        return ERR_OK;
    MDB_val k = {.mv_size = n, .mv_data = key}, v;
    int rc = mdb_get(r->txn, r->o->meta, &k, &v);
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    if (rc != 0)
        return online_lmdb_err(rc, err, "read");
    bool is_ok = v.mv_size >= sizeof head;
    if (is_ok)
        memcpy(&head, v.mv_data, sizeof head);
    is_ok = is_ok && head.n_columns <= ONLINE_COLUMNS_MAX;
    if (is_ok && !head.is_dropped) {
        ref->n_stored = head.n_columns;
        ref->id = head.id;
        is_ok = resolve_columns(
            ref, str_n((const char *)v.mv_data + sizeof head, v.mv_size - sizeof head));
    }
    if (!is_ok)
        return err_set(err, ERR_CORRUPT, "online store: the record of view '%s' is damaged",
                       ref->view);
    return ERR_OK;
}

/* The newest entry with time <= t and known at <= t; false: none. */
static bool find_as_of(const struct list_view *l, int64_t t_us, struct entry_head *ret)
{
    size_t lo = 0, hi = l->n; /* entries before lo have time <= t, from hi on they have not */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (online_list_head(l, mid).time_us <= t_us)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t i = lo; i-- > 0;) {
        *ret = online_list_head(l, i);
        if (ret->known_us <= t_us)
            return true;
    }
    return false;
}

static enum err_code damaged(const struct online_view_ref *ref, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "online store: a value of view '%s' is damaged", ref->view);
}

static enum err_code get_list(struct online_reader *r, const struct online_view_ref *ref,
                              const struct online_query *q, struct list_view *ret, struct err *err)
{
    uint8_t key[ONLINE_DATA_KEY];
    ret->n = 0;
    buf_reset(&r->key);
    for (size_t i = 0; i < q->n_keys; i++) {
        if (q->keys[i].type == VAL_NULL)
            return ERR_OK;
        value_key_bytes(&q->keys[i], &r->key);
    }
    if (buf_ok(&r->key, NULL) != ERR_OK) {
        buf_fini(&r->key); /* a key longer than any that is stored */
        buf_init(&r->key, 2 * ONLINE_KEY_BYTES_MAX);
        return ERR_OK;
    }
    online_data_key(ref->id, buf_view(&r->key), key);
    MDB_val k = {.mv_size = sizeof key, .mv_data = key}, v;
    int rc = mdb_get(r->txn, r->o->data, &k, &v);
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    if (rc != 0)
        return online_lmdb_err(rc, err, "read");
    if (!online_list_parse(str_n(v.mv_data, v.mv_size), ret))
        return damaged(ref, err);
    if (!str_eq(ret->key, buf_view(&r->key)))
        ret->n = 0;
    return ERR_OK;
}

enum err_code online_get(struct online_reader *r, struct online_view_ref *view,
                         const struct online_query *q, struct value *vals, struct online_hit *ret,
                         struct err *err)
{
    struct list_view list;
    struct entry_head head;
    CHECK(r->is_open);
    *ret = (struct online_hit){ONLINE_NOT_FOUND, AT_US_NONE, AT_US_NONE};
    if (view->generation != r->generation) {
        enum err_code rc = resolve(r, view, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (view->id == 0)
        return ERR_OK;
    enum err_code rc = get_list(r, view, q, &list, err);
    if (rc != ERR_OK || list.n == 0 || !find_as_of(&list, q->t_us, &head))
        return rc;
    if (head.offset > list.rows.n || head.bytes > list.rows.n - head.offset ||
        !online_row_get(str_n(list.rows.p + head.offset, head.bytes), view, vals))
        return damaged(view, err);
    bool is_old = q->ttl_us > 0 && (uint64_t)q->t_us - (uint64_t)head.time_us > (uint64_t)q->ttl_us;
    *ret = (struct online_hit){is_old ? ONLINE_OUTSIDE_MAX_AGE : ONLINE_PRESENT, head.time_us,
                               head.known_us};
    return ERR_OK;
}
