#include "cli/replay.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/replay_int.h"
#include "http/load.h"

#define REPLAY_BYTES     ((size_t)256 << 20)
#define LABELS_BYTES     ((size_t)64 << 20)
#define RECONNECT_MS     120000
#define REFUSALS_MAX     300
#define REFUSED_PAUSE_MS INT64_C(200)
#define ANSWER_IDLE_MS   600000 /* a barrier may train a model */

enum phase { PHASE_ROWS, PHASE_BARRIER, PHASE_CLOCK, PHASE_END };
enum kind { KIND_ROW, KIND_LABELS, KIND_CLOCK };

struct replay {
    const struct cli_target *target;
    struct replay_order order;
    struct replay_fields fields;
    struct replay_rows *rows;
    struct arena arena;
    enum phase phase;
    struct replay_row row;
    bool has_row, is_last;
    int64_t next_tick_us, goal_us, first_us, last_us; /* event time */
    int64_t started_ns;
    size_t n_under_way;
    struct buf body, labels;
    size_t n_buffered;
    bool is_again;         /* the labels buffered were sent, and refused for now */
    int n_refusals;        /* in a row */
    int64_t not_before_ns; /* of the next barrier's request */
    char *infer_path, *labels_path, *clock_path;
    uint64_t n_sent, n_answered, n_failed, n_labels, n_ticks;
    char first_failure[256];
    struct err err;
    enum err_code code;
};

static void fail(struct replay *r, enum err_code code, const char *what, int status,
                 struct str body)
{
    r->code = err_set(&r->err, code, "%s: %d %.*s", what, status,
                      (int)(body.n < 500 ? body.n : 500), body.p ? body.p : "");
    r->phase = PHASE_END;
}

/* ---- labels ---- */
static void label_keep(struct replay *r, const char *id)
{
    char value[NUM_TEXT_BYTES], known[TIME_TEXT_BYTES];

    if (!isfinite(r->row.label))
        return;
    (void)num_f64(value, r->row.label);
    buf_printf(&r->labels, "%s{\"client_id\":\"%s\",\"label\":%s",
               r->n_buffered ? "," : "{\"labels\":[", id, value);
    if (r->row.known_us != AT_US_NONE) {
        (void)time_text(known, r->row.known_us);
        buf_printf(&r->labels, ",\"known_at\":\"%s\"", known);
    }
    buf_ch(&r->labels, '}');
    r->n_buffered++;
}

static enum load_next send_labels(struct replay *r, struct load_request *ret)
{
    if (!r->is_again) { /* the same once more, when the server was not ready for it */
        buf_c(&r->labels, "]}");
        r->n_labels += r->n_buffered;
    }
    r->is_again = false;
    *ret = (struct load_request){.method = "POST",
                                 .path = r->labels_path,
                                 .bearer = r->target->token,
                                 .body = buf_view(&r->labels),
                                 .tag = KIND_LABELS};
    r->n_under_way++;
    return LOAD_REQUEST;
}

/* ---- the clock ---- */
static void barrier_at(struct replay *r, int64_t at_us)
{
    r->goal_us = at_us;
    r->phase = PHASE_BARRIER;
}

static enum load_next send_clock(struct replay *r, struct load_request *ret)
{
    char at[TIME_TEXT_BYTES];

    if (r->fields.clock_us != AT_US_NONE &&
        r->goal_us <= r->fields.clock_us) { /* an earlier replay was here */
        r->phase = r->is_last ? PHASE_END : PHASE_ROWS;
        return LOAD_WAIT;
    }
    (void)time_text(at, r->goal_us);
    buf_reset(&r->body);
    buf_printf(&r->body, "{\"to\":\"%s\"}", at);
    *ret = (struct load_request){.method = "POST",
                                 .path = r->clock_path,
                                 .bearer = r->target->token,
                                 .body = buf_view(&r->body),
                                 .tag = KIND_CLOCK};
    r->n_under_way++;
    r->phase = PHASE_CLOCK;
    return LOAD_REQUEST;
}

/* ---- rows ---- */
static bool take_row(struct replay *r, int64_t *ret_wait_ms)
{
    if (r->has_row)
        return true;
    switch (replay_rows_next(r->rows, &r->row)) {
    case REPLAY_ROW:
        r->has_row = true;
        return true;
    case REPLAY_LATER:
        *ret_wait_ms = 2;
        return false;
    case REPLAY_END:
        break;
    }
    r->is_last = true;
    if (replay_rows_err(r->rows, &r->err) != ERR_OK) {
        r->code = r->err.code;
        r->phase = PHASE_END;
    } else if (r->first_us == AT_US_NONE && r->order.until_us == AT_US_NONE) {
        r->phase = PHASE_END;
    } else {
        barrier_at(r, r->order.until_us != AT_US_NONE ? r->order.until_us : r->next_tick_us);
    }
    return false;
}

/* The first row: everything before its tick is due first (the online store gets its first values). */
static bool is_first_row(struct replay *r)
{
    if (r->first_us != AT_US_NONE)
        return false;
    r->first_us = r->row.at_us;
    r->started_ns = mono_ns();
    r->next_tick_us = floor_div_i64(r->row.at_us, r->order.tick_us) * r->order.tick_us;
    return true;
}

/* Milliseconds until the row is due at the asked speed. */
static int64_t too_early_ms(const struct replay *r)
{
    double due_ns;

    if (!(r->order.speed > 0))
        return 0;
    due_ns = (double)(r->row.at_us - r->first_us) * 1e3 / r->order.speed;
    return (int64_t)((due_ns - (double)(mono_ns() - r->started_ns)) / 1e6);
}

static enum load_next send_row(struct replay *r, struct load_request *ret, int64_t *ret_wait_ms)
{
    char id[64];
    int64_t early;

    if (!take_row(r, ret_wait_ms))
        return r->phase == PHASE_END ? LOAD_END : LOAD_WAIT;
    (void)is_first_row(r);
    if (r->row.at_us >= r->next_tick_us) {
        barrier_at(r, r->next_tick_us);
        r->next_tick_us += r->order.tick_us;
        return LOAD_WAIT;
    }
    early = too_early_ms(r);
    if (early > 0) {
        *ret_wait_ms = early;
        return LOAD_WAIT;
    }
    replay_id(&r->order, &r->row, id);
    buf_reset(&r->body);
    replay_body(&r->fields, &r->row, id, &r->body);
    label_keep(r, id);
    r->has_row = false;
    r->last_us = r->row.at_us;
    r->n_sent++;
    r->n_under_way++;
    *ret = (struct load_request){.method = "POST",
                                 .path = r->infer_path,
                                 .bearer = r->target->token,
                                 .body = buf_view(&r->body),
                                 .tag = KIND_ROW};
    return LOAD_REQUEST;
}

static enum load_next replay_step(struct replay *r, struct load_request *ret, int64_t *ret_wait_ms)
{
    switch (r->phase) {
    case PHASE_ROWS:
        return send_row(r, ret, ret_wait_ms);
    case PHASE_BARRIER:
        if (r->n_under_way > 0)
            return LOAD_WAIT;
        if (mono_ns() < r->not_before_ns) {
            *ret_wait_ms = REFUSED_PAUSE_MS;
            return LOAD_WAIT;
        }
        return r->n_buffered > 0 ? send_labels(r, ret) : send_clock(r, ret);
    case PHASE_CLOCK:
        if (r->n_under_way == 0)
            r->phase = r->is_last ? PHASE_END : PHASE_ROWS;
        return LOAD_WAIT;
    case PHASE_END:
        break;
    }
    return LOAD_END;
}

static enum load_next on_next(void *arg, struct load_request *ret, int64_t *ret_wait_ms)
{
    struct replay *r = arg;
    enum load_next next = LOAD_WAIT;

    *ret_wait_ms = 0;
    /* Moves that send nothing (a phase that is over) are gone through at once. */
    for (enum phase before = PHASE_END;
         next == LOAD_WAIT && before != r->phase && *ret_wait_ms == 0;) {
        before = r->phase;
        next = replay_step(r, ret, ret_wait_ms);
    }
    if (next == LOAD_WAIT && *ret_wait_ms == 0)
        *ret_wait_ms = 50;
    return next;
}

static bool on_done(void *arg, uint64_t tag, int status, struct str body)
{
    struct replay *r = arg;

    r->n_under_way--;
    if (tag == KIND_ROW) {
        r->n_answered += status == 200 ? 1 : 0;
        r->n_failed += status == 200 ? 0 : 1;
        if (status != 200 && r->first_failure[0] == '\0')
            (void)snprintf(r->first_failure, sizeof(r->first_failure), "%d %.*s", status,
                           (int)(body.n < 200 ? body.n : 200), body.p ? body.p : "");
        return true;
    }
    if (status == 200 || status == 201) {
        r->n_ticks += tag == KIND_CLOCK ? 1 : 0;
        r->n_refusals = 0;
        if (tag == KIND_LABELS) {
            buf_reset(&r->labels);
            r->n_buffered = 0;
        }
        return true;
    }
    if (status == 503 && r->n_refusals++ < REFUSALS_MAX) { /* a server that has just come back */
        r->phase = PHASE_BARRIER;
        r->is_again = tag == KIND_LABELS;
        r->not_before_ns = mono_ns() + REFUSED_PAUSE_MS * 1000000;
        return true;
    }
    fail(r, status == 0 ? ERR_UNAVAILABLE : ERR_REFUSED,
         tag == KIND_CLOCK ? "advance the clock" : "push labels", status, body);
    return false;
}

/* ---- beginning and end ---- */
static enum err_code parse_url(const char *url, struct arena *a, char **ret_host, int *ret_port,
                               struct err *err)
{
    struct str rest = str_c(url), host;
    int64_t port;

    if (!str_starts(rest, STR("http://")))
        return err_set(err, ERR_UNSUPPORTED,
                       "replay speaks plain HTTP to a server on this machine, not to %s", url);
    rest = str_n(rest.p + 7, rest.n - 7);
    host = str_split(&rest, ':');
    if (!rest.p || parse_i64(str_split(&rest, '/'), &port, NULL) != ERR_OK)
        port = 80;
    *ret_host = str_dup(a, host);
    *ret_port = (int)port;
    return *ret_host ? ERR_OK : arena_err(a, err);
}

static void print_summary(const struct replay *r, const struct load_stats *s,
                          const struct cli_globals *g)
{
    struct arena a;
    struct buf out;
    struct json *o;
    struct err err = ERR_INIT;
    double seconds = (double)(mono_ns() - r->started_ns) / 1e9;

    arena_init(&a, REPLAY_BYTES);
    buf_init(&out, REPLAY_BYTES);
    o = json_obj(&a);
    json_set(&a, o, "endpoint", json_cstr(&a, r->order.endpoint));
    json_set(&a, o, "sent", json_int(&a, (int64_t)r->n_sent));
    json_set(&a, o, "answered", json_int(&a, (int64_t)r->n_answered));
    json_set(&a, o, "failed", json_int(&a, (int64_t)r->n_failed));
    json_set(&a, o, "first_failure", r->first_failure[0] ? json_cstr(&a, r->first_failure) : NULL);
    json_set(&a, o, "labels", json_int(&a, (int64_t)r->n_labels));
    json_set(&a, o, "ticks", json_int(&a, (int64_t)r->n_ticks));
    json_set(&a, o, "retried", json_int(&a, (int64_t)s->n_retried));
    json_set(&a, o, "reconnects", json_int(&a, (int64_t)s->n_reconnects));
    json_set(&a, o, "from", json_time(&a, r->first_us));
    json_set(&a, o, "to", json_time(&a, r->last_us));
    json_set(&a, o, "clock", json_time(&a, r->goal_us));
    json_set(&a, o, "seconds", json_num(&a, seconds));
    if (g->is_json && json_write(o, JSON_PRETTY, &out, &err) == ERR_OK)
        (void)fwrite(out.p, 1, out.n, stdout);
    else if (!g->is_json)
        printf("%" PRIu64 " requests sent, %" PRIu64 " answered, %" PRIu64 " failed; %" PRIu64
               " labels, %" PRIu64 " ticks in %.1f s\n",
               r->n_sent, r->n_answered, r->n_failed, r->n_labels, r->n_ticks, seconds);
    buf_fini(&out);
    arena_fini(&a);
}

static enum err_code replay_run(struct replay *r, struct load_stats *stats, struct err *err)
{
    struct load_options opt = {.n_connections = r->order.n_connections,
                               .pipeline = r->order.pipeline,
                               .n_retries = 100,
                               .reconnect_ms = RECONNECT_MS,
                               .idle_ms = ANSWER_IDLE_MS};
    struct load_calls calls = {.arg = r, .next = on_next, .done = on_done};
    struct load *load = NULL;
    char *host;
    enum err_code code = parse_url(r->target->url, &r->arena, &host, &opt.port, err);

    if (code != ERR_OK)
        return code;
    opt.host = host;
    code = load_open(&opt, &load, err);
    if (code == ERR_OK)
        code = load_run(load, &calls, err);
    if (load)
        load_stats(load, stats);
    load_close(load);
    if (r->code != ERR_OK)
        return err_set(err, r->code, "%s", r->err.msg);
    return code;
}

static enum err_code replay_begin(struct replay *r, struct err *err)
{
    const char *e = r->order.endpoint;

    if (!r->target->url)
        return err_set(err, ERR_UNAVAILABLE,
                       "no server runs on this home: start one with `pawl up`, then replay");
    if (replay_fields_get(r->target, e, &r->arena, &r->fields, err) != ERR_OK)
        return err->code;
    r->infer_path = str_printf(&r->arena, "/v2/models/%s/infer", e);
    r->labels_path = str_printf(&r->arena, "/api/pawl/v1/endpoints/%s/labels", e);
    r->clock_path = str_printf(&r->arena, "/api/pawl/v1/endpoints/%s/clock", e);
    return replay_rows_open(&r->order, &r->rows, err);
}

int cli_replay(const struct cli_globals *g, const struct cli_target *t, int n, char **args)
{
    struct replay *r = calloc(1, sizeof(*r));
    struct load_stats stats = {0};
    struct err err = ERR_INIT;
    enum err_code code;

    if (!r)
        return err_exit_status(ERR_NOMEM);
    r->target = t;
    r->first_us = r->last_us = r->goal_us = AT_US_NONE;
    r->started_ns = mono_ns();
    arena_init(&r->arena, REPLAY_BYTES);
    buf_init(&r->body, LABELS_BYTES);
    buf_init(&r->labels, LABELS_BYTES);
    code = replay_parse(n, args, &r->order, &err);
    if (code == ERR_OK)
        code = replay_begin(r, &err);
    if (code == ERR_OK)
        code = replay_run(r, &stats, &err);
    if (r->n_sent > 0 || code == ERR_OK)
        print_summary(r, &stats, g);
    if (code != ERR_OK)
        (void)fprintf(stderr, "pawl replay: %s\n", err.msg);
    else if (r->n_failed > 0)
        code = ERR_NO;
    replay_rows_close(r->rows);
    buf_fini(&r->body);
    buf_fini(&r->labels);
    arena_fini(&r->arena);
    free(r);
    return err_exit_status(code);
}
