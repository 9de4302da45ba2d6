/* The writer thread and its group commit.
 *
 * Requests wait in a list; the thread takes all that are there (at most DB_GROUP_MAX), runs each in
 * a savepoint of one transaction, and commits once: many small writers share one sync. While it
 * commits, the next group gathers. When the group as a whole fails (the disk is full, the
 * connection went away), nothing of it is in the store, and each request is run once more by
 * itself, so that one request's size or fault is not another's failure. */
#include "db/db_int.h"

#include <stdlib.h>

#include "base/check.h"

enum req_state { REQ_WAITING, REQ_TAKEN, REQ_DONE };

struct req {
    db_fn fn;
    void *arg;
    enum req_state state;
    enum err_code code;
    struct err err;
    struct cond done;
    struct req *next;
};

struct db_writer {
    struct db *db;
    struct db_conn *conn; /* the thread's */
    pthread_t thread;
    struct mutex lock; /* of the fields below and of every req's state */
    struct cond more;
    struct req *head, **tail;
    bool is_stopping;
};

static void req_fail(struct req *r, const struct err *err)
{
    r->code = err->code;
    r->err = *err;
}

/* One request inside the group's transaction. False when the transaction is lost. */
static bool part_run(struct db_writer *w, struct req *r, bool is_alone)
{
    struct db_tx tx;
    const struct db_driver *drv = w->db->drv;
    struct err local = ERR_INIT;
    db_tx_init(&tx, w->db, drv, w->conn, DB_MODE_WRITE);
    if (!is_alone && drv->run(w->conn, "SAVEPOINT part", &local) != ERR_OK)
        return false;
    err_reset(&r->err);
    r->code = db_tx_run(&tx, r->fn, r->arg, &r->err);
    if (!drv->is_in_tx(w->conn))
        return false;
    if (is_alone)
        return true;
    if (r->code != ERR_OK && drv->run(w->conn, "ROLLBACK TO SAVEPOINT part", &local) != ERR_OK)
        return false;
    return drv->run(w->conn, "RELEASE SAVEPOINT part", &local) == ERR_OK;
}

enum group_end {
    GROUP_DONE,  /* every request has its answer */
    GROUP_RERUN, /* nothing is in the store: run those without an answer again */
};

/* The answer of all that would have succeeded. */
static void group_fail(struct req **reqs, size_t n, const struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (reqs[i]->code == ERR_OK)
            req_fail(reqs[i], err);
}

static enum group_end group_try(struct db_writer *w, struct req **reqs, size_t n, struct err *err)
{
    const struct db_driver *drv = w->db->drv;
    enum db_fate fate = DB_FATE_UNDONE;
    for (size_t i = 0; i < n; i++)
        reqs[i]->code = ERR_OK;
    if (drv->begin(w->conn, err) != ERR_OK) {
        group_fail(reqs, n, err);
        return GROUP_DONE;
    }
    for (size_t i = 0; i < n; i++)
        if (!part_run(w, reqs[i], n == 1)) {
            err_set(err, reqs[i]->code != ERR_OK ? reqs[i]->code : ERR_UNAVAILABLE, "%s",
                    reqs[i]->code != ERR_OK ? reqs[i]->err.msg : "the transaction was lost");
            drv->rollback(w->conn);
            return GROUP_RERUN;
        }
    if (n == 1 && reqs[0]->code != ERR_OK) {
        drv->rollback(w->conn);
        return GROUP_DONE;
    }
    if (drv->commit(w->conn, &fate, err) == ERR_OK)
        return GROUP_DONE;
    if (fate == DB_FATE_UNDONE)
        return GROUP_RERUN;
    err_wrap(err, "the write may or may not have been made: the connection broke at its end");
    group_fail(reqs, n, err);
    return GROUP_DONE;
}

static void group_run(struct db_writer *w, struct req **reqs, size_t n)
{
    struct err err = ERR_INIT;
    if (db_ensure_ready(w->db, &err) != ERR_OK) {
        for (size_t i = 0; i < n; i++)
            req_fail(reqs[i], &err);
        return;
    }
    if (group_try(w, reqs, n, &err) == GROUP_DONE)
        return;
    for (size_t i = 0; i < n; i++) {
        struct err alone = ERR_INIT;
        if (group_try(w, &reqs[i], 1, &alone) == GROUP_RERUN && reqs[i]->code == ERR_OK)
            req_fail(reqs[i], &alone);
    }
}

static size_t group_take(struct db_writer *w, struct req **reqs)
{
    size_t n = 0;
    while (w->head && n < DB_GROUP_MAX) {
        reqs[n] = w->head;
        reqs[n]->state = REQ_TAKEN;
        w->head = w->head->next;
        n++;
    }
    if (!w->head)
        w->tail = &w->head;
    return n;
}

static void *writer_main(void *arg)
{
    struct db_writer *w = arg;
    struct req *reqs[DB_GROUP_MAX];
    mutex_lock(&w->lock);
    for (;;) {
        while (!w->head && !w->is_stopping)
            cond_wait(&w->more, &w->lock, 1000);
        size_t n = group_take(w, reqs);
        if (n == 0)
            break;
        mutex_unlock(&w->lock);
        group_run(w, reqs, n);
        mutex_lock(&w->lock);
        for (size_t i = 0; i < n; i++) {
            reqs[i]->state = REQ_DONE;
            cond_signal(&reqs[i]->done);
        }
    }
    mutex_unlock(&w->lock);
    return NULL;
}

enum err_code db_writer_start(struct db *db, struct db_writer **ret, struct err *err)
{
    struct db_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return err_nomem(err);
    w->db = db;
    w->tail = &w->head;
    mutex_init(&w->lock, "db writer", DB_RANK_WRITER);
    cond_init(&w->more);
    enum err_code code = db->drv->conn_new(db, DB_MODE_WRITE, &w->conn, err);
    if (code == ERR_OK)
        code = thread_start(&w->thread, "db-writer", writer_main, w, err);
    if (code != ERR_OK) {
        db->drv->conn_free(w->conn);
        cond_fini(&w->more);
        mutex_fini(&w->lock);
        free(w);
        return code;
    }
    *ret = w;
    return ERR_OK;
}

void db_writer_stop(struct db_writer *w)
{
    if (!w)
        return;
    mutex_lock(&w->lock);
    w->is_stopping = true;
    cond_broadcast(&w->more);
    mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->db->drv->conn_free(w->conn);
    cond_fini(&w->more);
    mutex_fini(&w->lock);
    free(w);
}

/* Takes a request back that nobody has begun. */
static void req_withdraw(struct db_writer *w, struct req *r)
{
    struct req **at = &w->head;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    if (w->tail == &r->next)
        w->tail = at;
    r->code = err_set(&r->err, ERR_UNAVAILABLE,
                      "the metadata store took no write for %lld ms: earlier ones still wait",
                      (long long)(w->db->busy_ms + DB_QUEUE_WAIT_MS));
}

enum err_code db_writer_call(struct db_writer *w, db_fn fn, void *arg, struct err *err)
{
    struct req r = {.fn = fn, .arg = arg, .state = REQ_WAITING, .code = ERR_OK};
    CHECK(!pthread_equal(pthread_self(), w->thread));
    cond_init(&r.done);
    mutex_lock(&w->lock);
    CHECK(!w->is_stopping);
    *w->tail = &r;
    w->tail = &r.next;
    cond_signal(&w->more);
    int64_t wait_ms = w->db->busy_ms + DB_QUEUE_WAIT_MS;
    while (r.state != REQ_DONE)
        if (!cond_wait(&r.done, &w->lock, wait_ms) && r.state == REQ_WAITING) {
            req_withdraw(w, &r);
            break;
        }
    mutex_unlock(&w->lock);
    cond_fini(&r.done);
    if (r.code != ERR_OK && err)
        *err = r.err;
    return r.code;
}
