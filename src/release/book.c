#include "release/book.h"

#include <stdio.h>

#include "base/check.h"

#define BOOK_BYTES_MAX ((size_t)256 << 20)

void book_init(struct book *b)
{
    *b = (struct book){0};
    arena_init(&b->arena, BOOK_BYTES_MAX);
}

void book_fini(struct book *b)
{
    arena_fini(&b->arena);
    *b = (struct book){0};
}

struct book_endpoint *book_find(struct book *b, const char *endpoint)
{
    struct book_endpoint *e = b->endpoints;

    while (e && strcmp(e->name, endpoint) != 0)
        e = e->next;
    return e;
}

static struct book_endpoint *book_get(struct book *b, const char *endpoint)
{
    struct book_endpoint *e = book_find(b, endpoint);

    if (e)
        return e;
    e = ARENA_NEW(&b->arena, struct book_endpoint);
    if (!e)
        return NULL;
    e->name = str_dup(&b->arena, str_c(endpoint));
    e->next = b->endpoints;
    b->endpoints = e;
    return e;
}

const struct book_origin *book_origin(const struct book_endpoint *e, int64_t release)
{
    for (size_t i = e->n_origins; i > 0; i--)
        if (e->origins[i - 1].release == release)
            return &e->origins[i - 1];
    return NULL;
}

static enum err_code origin_add(struct book *b, struct book_endpoint *e, int64_t release,
                                const struct json *extra, struct err *err)
{
    struct book_origin *grown;

    if (!json_get_c(extra, "revision") || book_origin(e, release))
        return ERR_OK;
    grown = arena_grow(&b->arena, e->origins, e->n_origins * sizeof(*grown),
                       (e->n_origins + 1) * sizeof(*grown));
    if (!grown)
        return arena_err(&b->arena, err);
    grown[e->n_origins++] =
        (struct book_origin){.release = release,
                             .project = str_dup(&b->arena, json_get_str(extra, "project")),
                             .revision = str_dup(&b->arena, json_get_str(extra, "revision"))};
    e->origins = grown;
    return ERR_OK;
}

static void stretch_add(struct book_endpoint *e, int step, int64_t at_us, uint64_t generation)
{
    if (e->n_stretches < WATCH_STRETCHES_MAX)
        e->stretches[e->n_stretches++] = (struct watch_stretch){step, at_us, generation};
}

/* ---- one record each ---- */
struct change {
    struct book *book;
    struct book_endpoint *e;
    uint64_t gen;
    int64_t event_us, release, before, after;
    const char *reason;
    const struct json *record, *extra;
};

static enum err_code on_start(struct change *c, struct err *err)
{
    const struct json *ro = json_path(c->record, "state.rollout");
    struct rollout *r = &c->e->rollout;

    *r = (struct rollout){.id = (int64_t)c->gen,
                          .endpoint = c->e->name,
                          .candidate = c->release,
                          .incumbent = c->before,
                          .started_us = c->event_us,
                          .reason = c->reason};
    if (rollout_plan_from_json(json_get(ro, "plan"), &c->book->arena, &r->plan, err) != ERR_OK)
        return err_wrap(err, "journal record %llu", (unsigned long long)c->gen);
    if (json_get_c(ro, "salt"))
        (void)snprintf(r->salt, sizeof(r->salt), "%s", json_get_c(ro, "salt"));
    for (int i = 0; i < EV_STEPS_MAX; i++)
        r->step_started_us[i] = AT_US_NONE;
    r->step = (int)json_get_int(ro, "step", 0);
    if (r->step < 0 || r->step >= r->plan.n_steps)
        return err_set(err, ERR_CORRUPT, "journal record %llu starts at step %d of %d",
                       (unsigned long long)c->gen, r->step, r->plan.n_steps);
    r->step_started_us[r->step] = c->event_us;
    r->state = r->before_pause =
        r->plan.steps[r->step].share == 0 ? ROLLOUT_SHADOW : ROLLOUT_CANARY;
    c->e->has_rollout = true;
    c->e->n_stretches = 0;
    stretch_add(c->e, r->step, c->event_us, c->gen);
    return origin_add(c->book, c->e, c->release, c->extra, err);
}

static enum err_code on_step(struct change *c, struct err *err)
{
    struct rollout *r = &c->e->rollout;
    int step = (int)json_get_int(json_path(c->record, "state.rollout"), "step", -1);

    if (!c->e->has_rollout || step < r->step || step > r->step + 1 || step >= r->plan.n_steps)
        return err_set(err, ERR_CORRUPT, "journal record %llu goes to step %d from step %d",
                       (unsigned long long)c->gen, step, r->step);
    if (step > r->step && r->state == ROLLOUT_PAUSED)
        r->state = r->before_pause;
    if (step > r->step)
        rollout_apply(r, ROLLOUT_NEXT, c->event_us);
    else if (r->state == ROLLOUT_PAUSED)
        r->state = r->before_pause;
    r->step_started_us[r->step] = c->event_us; /* a pause starts the window of its step anew */
    r->reason = c->reason;
    stretch_add(c->e, r->step, c->event_us, c->gen);
    return ERR_OK;
}

static void on_end(struct change *c, enum rollout_state state)
{
    if (!c->e->has_rollout)
        return;
    if (rollout_may_move(c->e->rollout.state, state))
        c->e->rollout.state = state;
    c->e->rollout.reason = c->reason;
    c->e->has_rollout = false;
}

static enum err_code on_kind(struct change *c, enum serve_decision_kind kind, struct err *err)
{
    switch (kind) {
    case SERVE_LIVE:
        on_end(c, ROLLOUT_ABORTED);
        return origin_add(c->book, c->e, c->release, c->extra, err);
    case SERVE_ROLLOUT_START:
        return on_start(c, err);
    case SERVE_ROLLOUT_STEP:
        return on_step(c, err);
    case SERVE_ROLLOUT_PAUSE:
        if (c->e->has_rollout && c->e->rollout.state != ROLLOUT_PAUSED) {
            rollout_apply(&c->e->rollout, ROLLOUT_PAUSE, c->event_us);
            c->e->rollout.reason = c->reason;
            stretch_add(c->e, -1, c->event_us, c->gen);
        }
        return ERR_OK;
    case SERVE_ROLLOUT_FINISH:
        if (c->e->rollout.state == ROLLOUT_PAUSED)
            c->e->rollout.state = c->e->rollout.before_pause;
        on_end(c, ROLLOUT_DONE);
        return ERR_OK;
    case SERVE_ROLLOUT_ABORT:
        on_end(c, ROLLOUT_ROLLED_BACK);
        return ERR_OK;
    case SERVE_ROLLBACK:
    case SERVE_DROP:
        on_end(c, ROLLOUT_ABORTED);
        return ERR_OK;
    case SERVE_HOLD:
    case SERVE_RESUME:
    case SERVE_FALLBACK:
        return ERR_OK;
    case SERVE_DECISION_N:
        break;
    }
    return err_set(err, ERR_CORRUPT, "journal record %llu has an unknown kind",
                   (unsigned long long)c->gen);
}

/* Release numbers are written as numbers or as "r12". */
static int64_t number_of(const struct json *v, const char *key)
{
    struct str s = json_get_str(v, key);
    int64_t n = json_get_int(v, key, 0);

    if (s.n > 1 && s.p[0] == 'r' && parse_i64(str_n(s.p + 1, s.n - 1), &n, NULL) != ERR_OK)
        return 0;
    return n;
}

enum err_code book_apply(struct book *b, uint64_t gen, int64_t at_us, const struct json *record,
                         struct err *err)
{
    struct change c = {.book = b, .gen = gen, .record = record, .extra = json_get(record, "extra")};
    /* What the decider says about event time wins over the clock, which at a barrier is moved last. */
    int64_t event_us = json_get_time(json_get(record, "extra"), "event_at");
    struct str kind = json_get_str(record, "kind");
    int k = 0;

    if (gen <= b->generation)
        return ERR_OK;
    while (k < SERVE_DECISION_N && !str_is(kind, SERVE_DECISION_NAMES[k]))
        k++;
    c.e = book_get(b, json_get_c(record, "endpoint") ? json_get_c(record, "endpoint") : "");
    c.reason = str_dup(&b->arena, json_get_str(record, "reason"));
    if (!c.e)
        return arena_err(&b->arena, err);
    if (event_us == AT_US_NONE)
        event_us = json_get_time(record, "event_at");
    c.event_us = event_us == AT_US_NONE ? at_us : event_us;
    c.release = number_of(record, "release");
    c.before = number_of(record, "before");
    c.after = number_of(record, "after");
    b->generation = gen;
    c.e->is_new = true;
    c.e->changed_us = c.event_us;
    c.e->live = c.after;
    return on_kind(&c, (enum serve_decision_kind)k, err);
}

bool book_watch(const struct book_endpoint *e, struct rollout_watch *ret)
{
    const struct rollout *r = &e->rollout;

    if (!e->has_rollout)
        return false;
    *ret = (struct rollout_watch){.rollout = r->id,
                                  .endpoint = e->name,
                                  .candidate = r->candidate,
                                  .incumbent = r->incumbent,
                                  .latency_limit_us = r->plan.latency_limit_us,
                                  .pair = r->plan.pair,
                                  .n_stretches = e->n_stretches};
    memcpy(ret->stretches, e->stretches, sizeof(ret->stretches));
    memcpy(ret->salt, r->salt, sizeof(ret->salt));
    for (int i = 0; i < r->plan.n_steps; i++) {
        ret->step_window_us[i] = r->plan.steps[i].window_us;
        ret->is_shadow[i] = r->plan.steps[i].share == 0;
    }
    return true;
}
