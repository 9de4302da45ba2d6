/* Reader connections, handed out one to a caller; each is opened when it is first needed. */
#include "db/db_int.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

struct db_readers {
    struct db *db;
    struct mutex lock; /* of the fields below */
    struct cond freed;
    struct db_conn *idle[DB_READERS_MAX];
    int n_idle, n_made;
};

enum err_code db_readers_open(struct db *db, struct db_readers **ret, struct err *err)
{
    struct db_readers *r = calloc(1, sizeof(*r));
    if (!r)
        return err_nomem(err);
    r->db = db;
    mutex_init(&r->lock, "db readers", DB_RANK_READERS);
    cond_init(&r->freed);
    *ret = r;
    return ERR_OK;
}

void db_readers_close(struct db_readers *r)
{
    if (!r)
        return;
    CHECK(r->n_idle == r->n_made);
    for (int i = 0; i < r->n_idle; i++)
        r->db->drv->conn_free(r->idle[i]);
    cond_fini(&r->freed);
    mutex_fini(&r->lock);
    free(r);
}

/* An idle connection or leave to make one (*ret NULL). */
static enum err_code reader_take(struct db_readers *r, struct db_conn **ret, struct err *err)
{
    enum err_code code = ERR_OK;
    int64_t until_ns = mono_ns() + r->db->busy_ms * 1000000;
    *ret = NULL;
    mutex_lock(&r->lock);
    while (r->n_idle == 0 && r->n_made >= r->db->n_readers && code == ERR_OK) {
        int64_t left_ms = (until_ns - mono_ns()) / 1000000;
        if (left_ms <= 0)
            code =
                err_set(err, ERR_BUSY, "all %d reader connections to the metadata store are busy",
                        r->db->n_readers);
        else
            cond_wait(&r->freed, &r->lock, left_ms);
    }
    if (code == ERR_OK && r->n_idle > 0)
        *ret = r->idle[--r->n_idle];
    else if (code == ERR_OK)
        r->n_made++;
    mutex_unlock(&r->lock);
    return code;
}

static void reader_give(struct db_readers *r, struct db_conn *conn)
{
    mutex_lock(&r->lock);
    if (conn)
        r->idle[r->n_idle++] = conn;
    else
        r->n_made--;
    cond_signal(&r->freed);
    mutex_unlock(&r->lock);
}

enum err_code db_readers_call(struct db_readers *r, db_fn fn, void *arg, struct err *err)
{
    struct db *db = r->db;
    struct db_conn *conn = NULL;
    struct db_tx tx;
    enum db_fate fate;
    enum err_code code = db_ensure_ready(db, err);
    if (code == ERR_OK)
        code = reader_take(r, &conn, err);
    if (code != ERR_OK)
        return code;
    if (!conn)
        code = db->drv->conn_new(db, DB_MODE_READ, &conn, err);
    if (code == ERR_OK)
        code = db->drv->begin(conn, err);
    if (code == ERR_OK) {
        db_tx_init(&tx, db, db->drv, conn, DB_MODE_READ);
        code = db_tx_run(&tx, fn, arg, err);
        if (code == ERR_OK)
            code = db->drv->commit(conn, &fate, err);
        else
            db->drv->rollback(conn);
    }
    reader_give(r, conn);
    return code;
}
