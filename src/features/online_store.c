/* The environment, its views, and what takes values out again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "features/online_int.h"

#define READERS_DEFAULT 512

struct format_record {
    char magic[8];
    uint32_t version, byte_order;
};
static const struct format_record FORMAT = {"PAWLONL", ONLINE_FORMAT, 0x01020304};

enum err_code online_lmdb_err(int rc, struct err *err, const char *what)
{
    if (rc == MDB_MAP_FULL)
        return err_set(err, ERR_LIMIT,
                       "online store: %s: the map is full; open it with a larger one", what);
    if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID)
        return err_set(err, ERR_CORRUPT, "online store: %s: %s", what, mdb_strerror(rc));
    if (rc == ENOMEM)
        return err_nomem(err);
    return err_set(err, ERR_IO, "online store: %s: %s", what, mdb_strerror(rc));
}

bool online_meta_key(const char *view, const char *version, char out[ONLINE_META_KEY_MAX],
                     size_t *ret_n)
{
    size_t a = strlen(view), b = strlen(version);
    if (a == 0 || b == 0 || a + b + 2 > ONLINE_META_KEY_MAX)
        return false;
    out[0] = 'v';
    memcpy(out + 1, view, a + 1);
    memcpy(out + a + 2, version, b);
    *ret_n = a + b + 2;
    return true;
}

/* ---- view records ---- */

static enum err_code damaged_view(struct err *err, const char *view)
{
    return err_set(err, ERR_CORRUPT, "online store: the record of view '%s' is damaged", view);
}

/* Names and types behind the head: for each column its type (1 byte), its length (1 byte) and its
 * name. */
static enum err_code parse_columns(struct str rest, const char *view, struct view_record *ret,
                                   struct err *err)
{
    ret->names = malloc(rest.n + 1);
    if (!ret->names)
        return err_nomem(err);
    char *to = ret->names;
    for (size_t i = 0; i < ret->head.n_columns; i++) {
        size_t n = rest.n >= 2 ? (uint8_t)rest.p[1] : 0;
        if (rest.n < 2 + n || n == 0 || (uint8_t)rest.p[0] >= VAL_TYPE_N)
            return damaged_view(err, view);
        ret->columns[i] = (struct online_column){to, (enum value_type)rest.p[0]};
        memcpy(to, rest.p + 2, n);
        to[n] = '\0';
        to += n + 1;
        rest = str_n(rest.p + 2 + n, rest.n - 2 - n);
    }
    return ERR_OK;
}

enum err_code online_view_parse(MDB_val v, const char *view, struct view_record *ret,
                                struct err *err)
{
    ret->names = NULL;
    if (v.mv_size < sizeof ret->head)
        return damaged_view(err, view);
    memcpy(&ret->head, v.mv_data, sizeof ret->head);
    if (ret->head.n_columns > ONLINE_COLUMNS_MAX)
        return damaged_view(err, view);
    struct str rest =
        str_n((const char *)v.mv_data + sizeof ret->head, v.mv_size - sizeof ret->head);
    enum err_code rc = parse_columns(rest, view, ret, err);
    if (rc != ERR_OK)
        online_view_fini(ret);
    return rc;
}

void online_view_fini(struct view_record *r)
{
    free(r->names);
    r->names = NULL;
}

enum err_code online_view_load(struct online *o, MDB_txn *txn, const char *view,
                               const char *version, struct view_record *ret, struct err *err)
{
    char key[ONLINE_META_KEY_MAX];
    size_t n;
    ret->names = NULL;
    if (!online_meta_key(view, version, key, &n))
        return err_set(err, ERR_INVALID, "view '%s' version '%s': names are empty or too long",
                       view, version);
    MDB_val k = online_val(key, n), v;
    int rc = mdb_get(txn, o->meta, &k, &v);
    if (rc == MDB_NOTFOUND)
        return err_set(err, ERR_NOT_FOUND, "view '%s' version '%.12s' is not in the online store",
                       view, version);
    if (rc != 0)
        return online_lmdb_err(rc, err, "read a view");
    return online_view_parse(v, view, ret, err);
}

enum err_code online_view_store(struct online *o, MDB_txn *txn, const char *view,
                                const char *version, const struct view_record *r, struct err *err)
{
    char key[ONLINE_META_KEY_MAX];
    size_t n;
    struct buf b;
    CHECK(online_meta_key(view, version, key, &n));
    buf_init(&b, 1 << 20);
    buf_put(&b, &r->head, sizeof r->head);
    for (size_t i = 0; i < r->head.n_columns; i++) {
        buf_ch(&b, (char)r->columns[i].type);
        buf_ch(&b, (char)strlen(r->columns[i].name));
        buf_c(&b, r->columns[i].name);
    }
    enum err_code rc = buf_ok(&b, err);
    if (rc == ERR_OK) {
        MDB_val k = online_val(key, n), v = online_val(b.p, b.n);
        int lmdb = mdb_put(txn, o->meta, &k, &v, 0);
        rc = lmdb == 0 ? ERR_OK : online_lmdb_err(lmdb, err, "write a view");
    }
    buf_fini(&b);
    return rc;
}

/* ---- opening ---- */

static enum err_code check_format(struct online *o, MDB_txn *txn, struct err *err)
{
    MDB_val k = online_val("format", 6), v;
    int rc = mdb_get(txn, o->meta, &k, &v);
    if (rc == MDB_NOTFOUND) {
        v = online_val(&FORMAT, sizeof FORMAT);
        rc = mdb_put(txn, o->meta, &k, &v, 0);
        return rc == 0 ? ERR_OK : online_lmdb_err(rc, err, "write the format");
    }
    if (rc != 0)
        return online_lmdb_err(rc, err, "read the format");
    struct format_record f;
    if (v.mv_size != sizeof f)
        return err_set(err, ERR_CORRUPT, "online store: its format record is damaged");
    memcpy(&f, v.mv_data, sizeof f);
    if (memcmp(&f, &FORMAT, sizeof f) != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "online store: written in format %u (byte order %08x), this program reads "
                       "%u (%08x): delete the "
                       "folder and materialise again",
                       f.version, f.byte_order, FORMAT.version, FORMAT.byte_order);
    return ERR_OK;
}

static enum err_code open_databases(struct online *o, struct err *err)
{
    MDB_txn *txn;
    int lmdb = mdb_txn_begin(o->env, NULL, 0, &txn);
    if (lmdb != 0)
        return online_lmdb_err(lmdb, err, "open");
    lmdb = mdb_dbi_open(txn, "meta", MDB_CREATE, &o->meta);
    if (lmdb == 0)
        lmdb = mdb_dbi_open(txn, "data", MDB_CREATE, &o->data);
    enum err_code rc = lmdb == 0 ? check_format(o, txn, err) : online_lmdb_err(lmdb, err, "open");
    if (rc != ERR_OK) {
        mdb_txn_abort(txn);
        return rc;
    }
    return online_commit(o, txn, err);
}

static enum err_code open_env(struct online *o, const struct online_options *opt, struct err *err)
{
    int64_t map_bytes = opt->map_bytes ? opt->map_bytes : ONLINE_MAP_BYTES;
    unsigned readers = opt->n_readers_max > 0 ? (unsigned)opt->n_readers_max : READERS_DEFAULT;
    int rc = mdb_env_create(&o->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(o->env, (size_t)map_bytes);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(o->env, readers);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(o->env, 4);
    if (rc == 0) /* readers belong to objects, not threads; look-ups are random */
        rc = mdb_env_open(o->env, opt->dir, MDB_NOTLS | MDB_NORDAHEAD, 0600);
    if (rc != 0)
        return online_lmdb_err(rc, err, opt->dir);
    int n_dead;
    rc = mdb_reader_check(o->env, &n_dead); /* slots of processes that were killed */
    return rc == 0 ? ERR_OK : online_lmdb_err(rc, err, "check readers");
}

enum err_code online_open(const struct online_options *opt, struct online **ret, struct err *err)
{
    struct online *o = calloc(1, sizeof *o);
    if (!o)
        return err_nomem(err);
    mutex_init(&o->writer, "online.writer", ONLINE_MUTEX_RANK);
    atomic_init(&o->generation, 1);
    enum err_code rc = dir_make(opt->dir, 0700, err);
    if (rc == ERR_OK)
        rc = open_env(o, opt, err);
    if (rc == ERR_OK)
        rc = open_databases(o, err);
    if (rc == ERR_OK)
        rc = online_finish_drops(o, err);
    if (rc != ERR_OK) {
        online_close(o);
        return rc;
    }
    *ret = o;
    return ERR_OK;
}

void online_close(struct online *o)
{
    if (!o)
        return;
    if (o->env)
        mdb_env_close(o->env);
    mutex_fini(&o->writer);
    free(o);
}

/* ---- declaring ---- */

static enum err_code next_id(struct online *o, MDB_txn *txn, uint32_t *ret, struct err *err)
{
    MDB_val k = online_val("next", 4), v;
    uint32_t id = 1;
    int rc = mdb_get(txn, o->meta, &k, &v);
    if (rc == 0 && v.mv_size == sizeof id)
        memcpy(&id, v.mv_data, sizeof id);
    else if (rc != MDB_NOTFOUND)
        return rc == 0 ? err_set(err, ERR_CORRUPT, "online store: the count of views is damaged")
                       : online_lmdb_err(rc, err, "declare");
    uint32_t next = id + 1;
    v = online_val(&next, sizeof next);
    rc = mdb_put(txn, o->meta, &k, &v, 0);
    if (rc != 0)
        return online_lmdb_err(rc, err, "declare");
    *ret = id;
    return ERR_OK;
}

static bool is_same_columns(const struct view_record *r, const struct online_schema *s)
{
    bool is_same = r->head.n_columns == s->n_columns && r->head.n_entity_keys == s->n_keys;
    for (size_t i = 0; is_same && i < s->n_columns; i++)
        is_same = r->columns[i].type == s->columns[i].type &&
                  strcmp(r->columns[i].name, s->columns[i].name) == 0;
    return is_same;
}

static enum err_code check_schema(const struct online_schema *s, struct err *err)
{
    char key[ONLINE_META_KEY_MAX];
    size_t n;
    if (!online_meta_key(s->view, s->version, key, &n))
        return err_set(err, ERR_INVALID, "view '%s': its name and version are empty or too long",
                       s->view);
    if (s->n_columns == 0 || s->n_columns > ONLINE_COLUMNS_MAX || s->n_keys == 0 ||
        s->n_keys > ONLINE_KEYS_MAX)
        return err_set(err, ERR_LIMIT, "view '%s': %zu columns (1 to %d) and %zu keys (1 to %d)",
                       s->view, s->n_columns, ONLINE_COLUMNS_MAX, s->n_keys, ONLINE_KEYS_MAX);
    if (s->history < 0 || s->history > ONLINE_HISTORY_MAX)
        return err_set(err, ERR_RANGE, "view '%s': a history of %d values; 1 to %d are possible",
                       s->view, s->history, ONLINE_HISTORY_MAX);
    for (size_t i = 0; i < s->n_columns; i++) {
        size_t name_bytes = strlen(s->columns[i].name);
        if (name_bytes == 0 || name_bytes > UINT8_MAX)
            return err_set(err, ERR_INVALID,
                           "view '%s': column %zu has a name of %zu bytes (1 to 255)", s->view, i,
                           name_bytes);
    }
    return ERR_OK;
}

/* Writes the new or changed record within txn. */
static enum err_code declare_in(struct online *o, MDB_txn *txn, const struct online_schema *s,
                                struct view_record *r, struct err *err)
{
    uint32_t history = s->history ? (uint32_t)s->history : ONLINE_HISTORY_DEFAULT;
    enum err_code rc = online_view_load(o, txn, s->view, s->version, r, err);
    if (rc == ERR_OK && !is_same_columns(r, s))
        return err_set(err, ERR_CONFLICT,
                       "view '%s' version '%.12s' is in the online store with other columns",
                       s->view, s->version);
    if (rc == ERR_NOT_FOUND) {
        r->head = (struct view_head){.n_entity_keys = (uint32_t)s->n_keys,
                                     .n_columns = (uint32_t)s->n_columns,
                                     .newest_us = AT_US_NONE,
                                     .newest_known_us = AT_US_NONE};
        memcpy(r->columns, s->columns, s->n_columns * sizeof *s->columns);
        rc = next_id(o, txn, &r->head.id, err);
    }
    r->head.history = history;
    return rc == ERR_OK ? online_view_store(o, txn, s->view, s->version, r, err) : rc;
}

enum err_code online_declare(struct online *o, const struct online_schema *s, struct err *err)
{
    MDB_txn *txn = NULL;
    enum err_code rc = check_schema(s, err);
    if (rc != ERR_OK)
        return rc;
    struct view_record *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(err);
    mutex_lock(&o->writer);
    int lmdb = mdb_txn_begin(o->env, NULL, 0, &txn);
    rc = lmdb == 0 ? declare_in(o, txn, s, r, err) : online_lmdb_err(lmdb, err, "declare");
    if (rc == ERR_OK) {
        rc = online_commit(o, txn, err);
        atomic_fetch_add(&o->generation, 1);
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    mutex_unlock(&o->writer);
    online_view_fini(r);
    free(r);
    return rc;
}
