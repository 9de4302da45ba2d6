/* What a decision makes of an endpoint's state: one function per kind, pure, so that replaying decisions gives the
 * same states.
 *
 *            live ---rollout_start--> rolling --finish--> live (candidate)
 *             |  ^                     |   ^ \--step, pause
 *      rollback  +------abort----------+---+
 *             v
 *            live (earlier release), on hold
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "serve/serve_int.h"

const char *const SERVE_DECISION_NAMES[SERVE_DECISION_N] = {
    "live",           "rollout_start", "rollout_step", "rollout_pause",
    "rollout_finish", "rollout_abort", "rollback",     "hold",
    "resume",         "fallback",      "drop"};

struct decide {
    const struct serve_decision *d;
    struct endpoint_state *s; /* becomes the state after */
    int64_t now_us;
    struct arena *a;
};

bool decision_is_urgent(enum serve_decision_kind kind)
{
    return kind == SERVE_ROLLBACK || kind == SERVE_ROLLOUT_ABORT || kind == SERVE_ROLLOUT_PAUSE ||
           kind == SERVE_HOLD;
}

/* The live release changes: its term ends, another begins. */
static enum err_code term_begin(struct decide *c, int64_t release, const struct json *doc,
                                bool is_rollback, struct err *err)
{
    struct endpoint_state *s = c->s;
    size_t keep = s->n_history < ENDPOINT_HISTORY_MAX ? s->n_history : ENDPOINT_HISTORY_MAX - 1;
    struct endpoint_term *h = ARENA_NEW_N(c->a, struct endpoint_term, keep + 1);
    if (!h)
        return arena_err(c->a, err);
    if (keep)
        memcpy(h, s->history + (s->n_history - keep), keep * sizeof *h);
    if (keep && s->live) {
        h[keep - 1].to_us = c->now_us;
        h[keep - 1].was_rolled_back = is_rollback;
    }
    h[keep] = (struct endpoint_term){release, doc, c->now_us, AT_US_NONE, false};
    s->history = h;
    s->n_history = keep + 1;
    s->live = release;
    s->live_doc = doc;
    return ERR_OK;
}

static enum err_code need_release(const struct decide *c, struct err *err)
{
    if (c->d->release <= 0 || !c->d->doc)
        return err_set(err, ERR_INVALID, "this decision needs a release and its document");
    return ERR_OK;
}

static enum err_code need_no_hold(const struct decide *c, struct err *err)
{
    bool is_over = c->s->hold_until_us != AT_US_NONE && c->s->hold_until_us <= c->now_us;
    if (c->s->is_held && !is_over)
        return err_set(err, ERR_REFUSED, "endpoint %s is on hold (%s): resume it first", c->s->name,
                       c->s->hold_reason ? c->s->hold_reason : "no reason given");
    return ERR_OK;
}

static enum err_code need_rollout(const struct decide *c, struct err *err)
{
    if (!c->s->has_rollout)
        return err_set(err, ERR_REFUSED, "endpoint %s has no rollout in progress", c->s->name);
    return ERR_OK;
}

static enum err_code on_live(struct decide *c, struct err *err)
{
    if (need_release(c, err) != ERR_OK)
        return err->code;
    if (c->s->has_rollout)
        return err_set(err, ERR_REFUSED, "endpoint %s has a rollout in progress: abort it first",
                       c->s->name);
    if (c->s->live == c->d->release)
        return err_set(err, ERR_REFUSED, "r%lld is live on %s already", (long long)c->d->release,
                       c->s->name);
    return term_begin(c, c->d->release, c->d->doc, false, err);
}

static enum err_code share_check(const struct serve_decision *d, struct err *err)
{
    if (d->share < 0 || d->share > ASSIGN_BUCKETS)
        return err_set(err, ERR_RANGE, "a share lies between 0 and %d, not %d", ASSIGN_BUCKETS,
                       d->share);
    if (d->n_sticky > ASSIGN_KEYS_MAX)
        return err_set(err, ERR_LIMIT, "at most %d fields can be sticky, not %zu", ASSIGN_KEYS_MAX,
                       d->n_sticky);
    return ERR_OK;
}

static enum err_code salt_set(struct endpoint_rollout *r, const char *salt, struct err *err)
{
    uint8_t random[(SALT_BYTES - 1) / 2];
    if (!salt) {
        random_bytes(random, sizeof random);
        hex_encode(random, sizeof random, r->salt);
        return ERR_OK;
    }
    if (!*salt || strlen(salt) >= sizeof r->salt)
        return err_set(err, ERR_INVALID, "a salt has 1 to %zu characters", sizeof r->salt - 1);
    snprintf(r->salt, sizeof r->salt, "%s", salt);
    return ERR_OK;
}

static enum err_code on_start(struct decide *c, struct err *err)
{
    const struct serve_decision *d = c->d;
    if (need_release(c, err) != ERR_OK || need_no_hold(c, err) != ERR_OK ||
        share_check(d, err) != ERR_OK)
        return err->code;
    if (!c->s->live)
        return err_set(err, ERR_REFUSED, "endpoint %s has no live release to roll out against",
                       c->s->name);
    if (c->s->has_rollout)
        return err_set(err, ERR_REFUSED, "endpoint %s has a rollout of r%lld in progress",
                       c->s->name, (long long)c->s->rollout.candidate);
    if (d->release == c->s->live)
        return err_set(err, ERR_REFUSED, "r%lld is live on %s already", (long long)d->release,
                       c->s->name);
    struct endpoint_rollout r = {.candidate = d->release,
                                 .doc = d->doc,
                                 .step = d->step,
                                 .share = d->share,
                                 .n_sticky = d->n_sticky,
                                 .fuse = d->fuse,
                                 .fuse_min = d->fuse_min > 0 ? d->fuse_min : FUSE_MIN,
                                 .started_us = c->now_us,
                                 .plan = d->plan};
    r.sticky_by = ARENA_NEW_N(c->a, const char *, d->n_sticky);
    if (!r.sticky_by)
        return arena_err(c->a, err);
    for (size_t i = 0; i < d->n_sticky; i++)
        r.sticky_by[i] = d->sticky_by[i];
    if (salt_set(&r, d->salt, err) != ERR_OK)
        return err->code;
    c->s->rollout = r;
    c->s->has_rollout = true;
    return ERR_OK;
}

static enum err_code on_step(struct decide *c, struct err *err)
{
    if (need_rollout(c, err) != ERR_OK || share_check(c->d, err) != ERR_OK ||
        need_no_hold(c, err) != ERR_OK)
        return err->code;
    c->s->rollout.step = c->d->step;
    c->s->rollout.share = c->d->share;
    c->s->rollout.is_paused = false;
    return ERR_OK;
}

static enum err_code on_pause(struct decide *c, struct err *err)
{
    if (need_rollout(c, err) != ERR_OK)
        return err->code;
    c->s->rollout.is_paused = true;
    return ERR_OK;
}

static enum err_code on_finish(struct decide *c, struct err *err)
{
    if (need_rollout(c, err) != ERR_OK || need_no_hold(c, err) != ERR_OK)
        return err->code;
    c->s->has_rollout = false;
    return term_begin(c, c->s->rollout.candidate, c->s->rollout.doc, false, err);
}

static enum err_code on_abort(struct decide *c, struct err *err)
{
    if (need_rollout(c, err) != ERR_OK)
        return err->code;
    c->s->has_rollout = false;
    return ERR_OK;
}

static void hold(struct decide *c)
{
    c->s->is_held = true;
    c->s->hold_reason = c->d->reason;
    c->s->hold_until_us = c->d->kind == SERVE_HOLD ? c->d->until_us : AT_US_NONE;
}

/* Which term a rollback goes to; an aborted rollout needs none. */
static enum err_code rollback_to(struct decide *c, struct err *err)
{
    const struct endpoint_term *t = c->d->release > 0 ? endpoint_find_term(c->s, c->d->release)
                                                      : endpoint_rollback_target(c->s);
    const struct json *doc = c->d->doc ? c->d->doc : t ? t->doc : NULL;
    int64_t to = c->d->release > 0 ? c->d->release : t ? t->release : 0;
    if (to == 0)
        return err_set(err, ERR_REFUSED, "endpoint %s has no earlier release to roll back to",
                       c->s->name);
    if (!doc)
        return err_set(err, ERR_NOT_FOUND, "r%lld never served on %s", (long long)to, c->s->name);
    if (to == c->s->live)
        return err_set(err, ERR_REFUSED, "r%lld is live on %s already", (long long)to, c->s->name);
    return term_begin(c, to, doc, true, err);
}

static enum err_code on_rollback(struct decide *c, struct err *err)
{
    bool had_rollout = c->s->has_rollout;
    c->s->has_rollout = false;
    bool is_aborted = had_rollout && (c->d->release == 0 || c->d->release == c->s->live);
    if (!is_aborted && rollback_to(c, err) != ERR_OK)
        return err->code;
    if (!c->d->no_hold)
        hold(c);
    return ERR_OK;
}

static enum err_code on_hold(struct decide *c, struct err *err)
{
    (void)err;
    hold(c);
    return ERR_OK;
}

static enum err_code on_resume(struct decide *c, struct err *err)
{
    if (!c->s->is_held)
        return err_set(err, ERR_REFUSED, "endpoint %s is not on hold", c->s->name);
    c->s->is_held = false;
    c->s->hold_reason = NULL;
    c->s->hold_until_us = AT_US_NONE;
    return ERR_OK;
}

static enum err_code on_fallback(struct decide *c, struct err *err)
{
    (void)err;
    c->s->has_fallback = !isnan(c->d->fallback);
    c->s->fallback = c->d->fallback;
    return ERR_OK;
}

static enum err_code on_drop(struct decide *c, struct err *err)
{
    if (c->s->has_rollout)
        return err_set(err, ERR_REFUSED, "endpoint %s has a rollout in progress: abort it first",
                       c->s->name);
    return ERR_OK;
}

typedef enum err_code (*decide_fn)(struct decide *c, struct err *err);
static const decide_fn KINDS[SERVE_DECISION_N] = {
    [SERVE_LIVE] = on_live,
    [SERVE_ROLLOUT_START] = on_start,
    [SERVE_ROLLOUT_STEP] = on_step,
    [SERVE_ROLLOUT_PAUSE] = on_pause,
    [SERVE_ROLLOUT_FINISH] = on_finish,
    [SERVE_ROLLOUT_ABORT] = on_abort,
    [SERVE_ROLLBACK] = on_rollback,
    [SERVE_HOLD] = on_hold,
    [SERVE_RESUME] = on_resume,
    [SERVE_FALLBACK] = on_fallback,
    [SERVE_DROP] = on_drop,
};

enum err_code decide(const struct endpoint_state *before, const struct serve_decision *d,
                     int64_t now_us, struct arena *a, struct endpoint_state *ret, struct err *err)
{
    struct endpoint_state s = {.name = d->endpoint, .hold_until_us = AT_US_NONE};
    if (!endpoint_name_ok(d->endpoint))
        return err_set(
            err, ERR_INVALID,
            "\"%s\" is not a name for an endpoint: letters, digits, '.', '_' and '-', at most %d",
            d->endpoint ? d->endpoint : "", ENDPOINT_NAME_MAX);
    if (!before && d->kind != SERVE_LIVE && d->kind != SERVE_FALLBACK)
        return err_set(err, ERR_NOT_FOUND, "there is no endpoint %s", d->endpoint);
    if (before)
        s = *before;
    if (d->if_generation && s.generation != d->if_generation)
        return err_set(err, ERR_CONFLICT,
                       "endpoint %s was changed by another decision (generation %llu, not %llu)",
                       d->endpoint, (unsigned long long)s.generation,
                       (unsigned long long)d->if_generation);
    struct decide c = {d, &s, now_us, a};
    if (KINDS[d->kind](&c, err) != ERR_OK)
        return err->code;
    return endpoint_state_copy(&s, a, ret, err);
}
