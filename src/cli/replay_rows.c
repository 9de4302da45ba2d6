/* The files' rows: a thread has a worker read them in pieces, a bounded queue holds some, the sender takes them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "cli/replay_int.h"
#include "job/worker.h"

#define PIECES_MAX      16
#define PIECE_BYTES_MAX ((size_t)64 << 20)
#define READ_TIMEOUT_MS (INT64_C(24) * 3600 * 1000)

struct piece {
    struct arena arena;
    struct json *doc;
    size_t file;
    uint64_t first; /* row number in the file of its first row */
};

struct replay_rows {
    const struct replay_order *order;
    struct worker_pool *pool;
    struct queue *pieces;
    pthread_t thread;
    bool is_started;
    atomic_bool is_cancelled;
    struct piece *now;
    size_t row;
    /* the reading thread's */
    size_t file;
    uint64_t n_file_rows;
    struct err err;
    enum err_code code; /* read after the queue was closed */
};

static void piece_free(struct piece *p)
{
    if (!p)
        return;
    arena_fini(&p->arena);
    free(p);
}

static enum err_code take_piece(void *arg, const char *kind, const struct json *v, struct err *err)
{
    struct replay_rows *r = arg;
    struct piece *p = calloc(1, sizeof(*p));

    (void)kind;
    if (!p)
        return err_nomem(err);
    arena_init(&p->arena, PIECE_BYTES_MAX);
    p->doc = json_copy(&p->arena, v);
    p->file = r->file;
    p->first = r->n_file_rows;
    r->n_file_rows += json_len(json_get(v, "rows"));
    while (!queue_push_wait(r->pieces, p, 100))
        if (atomic_load(&r->is_cancelled)) {
            piece_free(p);
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
    return ERR_OK;
}

static enum err_code read_file(struct replay_rows *r, const char *path, struct arena *a,
                               struct err *err)
{
    const struct replay_order *o = r->order;
    struct json *args = json_obj(a), *done;
    char full[PATH_BYTES];
    struct worker_call call = {.op = "monitor.replay",
                               .args = args,
                               .timeout_ms = READ_TIMEOUT_MS,
                               .is_cancelled = &r->is_cancelled,
                               .on_record = take_piece,
                               .arg = r};

    if (!realpath(path, full))
        return err_errno(err, ERR_NOT_FOUND, "%s", path);
    json_set(a, args, "file", json_cstr(a, full));
    json_set(a, args, "time", json_cstr(a, o->time));
    json_set(a, args, "label", json_cstr(a, o->label));
    json_set(a, args, "known_at", json_cstr(a, o->known_at));
    json_set(a, args, "label_after_us", json_int(a, o->label_after_us));
    return worker_pool_call(r->pool, &call, a, &done, err);
}

static void *reader_main(void *arg)
{
    struct replay_rows *r = arg;
    struct arena a;

    arena_init(&a, PIECE_BYTES_MAX);
    for (r->file = 0; r->file < r->order->n_files && r->code == ERR_OK; r->file++) {
        r->n_file_rows = 0;
        r->code = read_file(r, r->order->files[r->file], &a, &r->err);
        arena_reset(&a);
    }
    arena_fini(&a);
    queue_close(r->pieces);
    return NULL;
}

enum err_code replay_rows_open(const struct replay_order *o, struct replay_rows **ret,
                               struct err *err)
{
    struct worker_pool_options opt = {.n_max = 1, .idle_ms = 60000};
    struct replay_rows *r = calloc(1, sizeof(*r));

    if (!r)
        return err_nomem(err);
    r->order = o;
    r->pieces = queue_new("replay", PIECES_MAX);
    if (!r->pieces || worker_pool_open(&opt, &r->pool, err) != ERR_OK ||
        thread_start(&r->thread, "replay.read", reader_main, r, err) != ERR_OK) {
        enum err_code code = r->pieces ? err->code : err_nomem(err);
        replay_rows_close(r);
        return code;
    }
    r->is_started = true;
    *ret = r;
    return ERR_OK;
}

void replay_rows_close(struct replay_rows *r)
{
    struct piece *p;

    if (!r)
        return;
    atomic_store(&r->is_cancelled, true);
    while (r->pieces && (p = queue_pop(r->pieces, 0)) != NULL)
        piece_free(p);
    if (r->is_started)
        (void)pthread_join(r->thread, NULL);
    while (r->pieces && (p = queue_pop(r->pieces, 0)) != NULL)
        piece_free(p);
    piece_free(r->now);
    if (r->pieces)
        queue_free(r->pieces);
    if (r->pool)
        worker_pool_close(r->pool);
    free(r);
}

static int64_t int_at(const struct json *list, size_t i)
{
    const struct json *v = json_at(list, i);

    return v && v->type == JSON_INT ? v->u.i : AT_US_NONE;
}

enum replay_next replay_rows_next(struct replay_rows *r, struct replay_row *ret)
{
    double label = NAN;

    if (r->now && r->row >= json_len(json_get(r->now->doc, "rows"))) {
        piece_free(r->now);
        r->now = NULL;
    }
    if (!r->now) {
        bool is_closed = queue_is_closed(
            r->pieces); /* asked before the pop: what was pushed before closing is seen */
        r->now = queue_pop(r->pieces, 0);
        r->row = 0;
        if (!r->now)
            return is_closed ? REPLAY_END : REPLAY_LATER;
    }
    if (!json_as_f64(json_at(json_get(r->now->doc, "label"), r->row), &label))
        label = NAN;
    *ret = (struct replay_row){.columns = json_get(r->now->doc, "columns"),
                               .values = json_at(json_get(r->now->doc, "rows"), r->row),
                               .at_us = int_at(json_get(r->now->doc, "at"), r->row),
                               .known_us = int_at(json_get(r->now->doc, "known"), r->row),
                               .label = label,
                               .seq = r->now->first + r->row,
                               .file = r->now->file};
    r->row++;
    return REPLAY_ROW;
}

enum err_code replay_rows_err(struct replay_rows *r, struct err *err)
{
    if (r->code == ERR_OK)
        return ERR_OK;
    return err_set(err, r->code, "%s", r->err.msg);
}
