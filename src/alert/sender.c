/* The outbox is the truth: a message is sent, then marked. A crash in between sends it twice (receivers
 * deduplicate by fingerprint and status), never not at all. */
#include "alert/sender.h"

#include <stdlib.h>

#include "alert/alert_int.h"
#include "alert/sender_int.h"
#include "base/thread.h"
#include "base/vec.h"

#define BATCH          64
#define PAUSE_FIRST_US (5 * US_PER_S)
#define PAUSE_MAX_US   (10 * US_PER_MIN)
#define GIVE_UP_US     US_PER_DAY
#define REPEAT_US      (4 * US_PER_HOUR)
#define LOOK_MS        1000

struct alert_sender {
    struct alert_sender_options opt;
    struct mutex mutex;
    struct cond wake;
    pthread_t thread;
    bool has_thread, is_stopping, is_woken;
};

struct message {
    int64_t id, receiver_id, n_attempts, created_us, due_us;
    enum receiver_kind kind;
    const char *url;
    bool is_resolved;
    struct alert alert;
};

struct batch {
    int64_t now_us;
    struct arena *arena;
    VEC(struct message) messages;
};

static enum err_code message_read(const struct db_rows *r, struct arena *a, struct message *m,
                                  int64_t *ret_alert, struct err *err)
{
    m->id = db_i64(r, 0);
    *ret_alert = db_i64(r, 1);
    m->receiver_id = db_i64(r, 2);
    m->is_resolved = db_i64(r, 3) != 0;
    m->n_attempts = db_i64(r, 4);
    m->created_us = db_i64(r, 5);
    m->due_us = db_i64(r, 6);
    m->kind = (enum receiver_kind)db_i64(r, 7);
    m->url = db_dup(r, 8, a);
    return m->url == NULL ? arena_err(a, err) : ERR_OK;
}

static enum err_code batch_read(struct db_tx *tx, void *arg, struct err *err)
{
    struct batch *b = arg;
    int64_t alerts[BATCH];
    struct db_rows *rows = NULL;
    enum err_code code =
        db_query(tx, &rows, err,
                 "SELECT o.id, o.alert_id, o.receiver_id, o.is_resolved, o.n_attempts, "
                 "o.created_us, o.due_us, r.kind, r.url FROM alert_outbox o JOIN "
                 "alert_receivers r ON r.id = o.receiver_id WHERE o.state = 0 AND "
                 "o.due_us <= ? ORDER BY o.due_us, o.id LIMIT ?",
                 "ii", b->now_us, (int64_t)BATCH);
    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && b->messages.n < BATCH && db_next(rows)) {
        struct message *m = VEC_ADD(b->arena, &b->messages);
        code = m == NULL ? arena_err(b->arena, err)
                         : message_read(rows, b->arena, m, &alerts[b->messages.n - 1], err);
    }
    struct err end = ERR_INIT;
    const enum err_code ended = db_done(rows, &end);
    if (code == ERR_OK && ended != ERR_OK) {
        *err = end;
        code = ended;
    }
    for (size_t i = 0; i < b->messages.n && code == ERR_OK; i++)
        code = alert_get(tx, alerts[i], b->arena, &b->messages.p[i].alert, err);
    return code;
}

/* ${NAME} in an address is taken from the environment now: the store never holds the value. */
enum err_code alert_url_expand(const char *url, struct buf *out, struct err *err)
{
    const char *p = url;
    for (;;) {
        const char *open = strstr(p, "${"), *close = open != NULL ? strchr(open, '}') : NULL;
        if (close == NULL)
            break;
        char name[128];
        const size_t n = (size_t)(close - open) - 2;
        if (n == 0 || n >= sizeof(name))
            return err_set(err, ERR_CONFIG, "%s: a name of 1 to 127 letters belongs into ${}", url);
        memcpy(name, open + 2, n);
        name[n] = '\0';
        const char *value = getenv(name);
        if (value == NULL)
            return err_set(err, ERR_CONFIG,
                           "the environment has no %s, which the receiver %s needs", name, url);
        buf_put(out, p, (size_t)(open - p));
        buf_c(out, value);
        p = close + 1;
    }
    buf_c(out, p);
    return buf_ok(out, err);
}

static enum err_code body_of(const struct alert_sender *s, const struct message *m, struct arena *a,
                             struct buf *out, struct err *err)
{
    struct json *v = alert_webhook_json(&m->alert, m->url, s->opt.external_url, a);
    if (s->opt.audit_head != NULL) {
        char *head = NULL;
        struct err ignored = ERR_INIT;
        /* The head is a witness, not a condition: without a database to ask, the alert goes out all the same. */
        if (s->opt.audit_head(s->opt.audit_arg, a, &head, &ignored) == ERR_OK) {
            struct json *notes = (struct json *)json_get(v, "commonAnnotations");
            json_set(a, notes, "audit_head", json_cstr(a, head));
        }
    }
    /* Alertmanager's own API takes the bare list. */
    const struct json *sent = m->kind == RECEIVER_ALERTMANAGER ? json_get(v, "alerts") : v;
    return json_write(sent, JSON_COMPACT, out, err);
}

static enum err_code send_one(const struct alert_sender *s, const struct message *m,
                              struct arena *a, struct err *err)
{
    struct buf url, body;
    int status = 0;
    buf_init(&url, 8192);
    buf_init(&body, 4 << 20);
    enum err_code code = alert_url_expand(m->url, &url, err);
    if (code == ERR_OK && m->kind == RECEIVER_ALERTMANAGER) {
        buf_c(&url, "/api/v2/alerts");
        code = buf_ok(&url, err);
    }
    if (code == ERR_OK)
        code = body_of(s, m, a, &body, err);
    if (code == ERR_OK)
        code = s->opt.post.post(s->opt.post.arg, url.p, buf_view(&body), &status, err);
    if (code == ERR_OK && (status < 200 || status > 299))
        code = err_set(err, ERR_UNAVAILABLE, "the receiver answered %d", status);
    buf_fini(&url);
    buf_fini(&body);
    return code;
}

struct outcome {
    const struct message *message;
    const char *error; /* NULL: sent */
    int64_t now_us;
};

/* A firing alert is told again later, until somebody takes it or it is over. */
static enum err_code repeat_later(struct db_tx *tx, const struct message *m, int64_t now_us,
                                  struct err *err)
{
    if (m->is_resolved || m->alert.state != ALERT_FIRING)
        return ERR_OK;
    const int64_t pause = m->kind == RECEIVER_ALERTMANAGER ? US_PER_MIN : REPEAT_US;
    return db_exec(
        tx, err,
        "INSERT INTO alert_outbox(id, alert_id, receiver_id, is_resolved, state, n_attempts, "
        "created_us, due_us) SELECT (SELECT MAX(id) + 1 FROM alert_outbox), ?, ?, 0, 0, 0, ?, ? "
        "WHERE EXISTS (SELECT 1 FROM alerts WHERE id = ? AND state = 0)",
        "iiiii", m->alert.id, m->receiver_id, now_us, now_us + pause, m->alert.id);
}

static enum err_code mark_sent(struct db_tx *tx, const struct outcome *o, struct err *err)
{
    const struct message *m = o->message;
    enum err_code code = db_exec(
        tx, err,
        "UPDATE alert_outbox SET state = ?, done_us = ?, n_attempts = n_attempts + 1 WHERE id = ?",
        "iii", (int64_t)OUTBOX_SENT, o->now_us, m->id);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "UPDATE alert_receivers SET n_sent = n_sent + 1, n_failed_in_row = 0, last_ok_us = ? "
            "WHERE id = ?",
            "ii", o->now_us, m->receiver_id);
    return code == ERR_OK ? repeat_later(tx, m, o->now_us, err) : code;
}

static enum err_code mark_failed(struct db_tx *tx, const struct outcome *o, struct err *err)
{
    const struct message *m = o->message;
    const bool is_over = o->now_us - m->created_us >= GIVE_UP_US;
    int64_t pause = PAUSE_FIRST_US;
    for (int64_t i = 0; i < m->n_attempts && pause < PAUSE_MAX_US; i++)
        pause *= 2;
    enum err_code code =
        db_exec(tx, err,
                "UPDATE alert_outbox SET state = ?, due_us = ?, n_attempts = n_attempts + 1, "
                "last_error = ? WHERE "
                "id = ?",
                "iisi", (int64_t)(is_over ? OUTBOX_GIVEN_UP : OUTBOX_WAITING),
                o->now_us + (pause < PAUSE_MAX_US ? pause : PAUSE_MAX_US), o->error, m->id);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "UPDATE alert_receivers SET n_failed_in_row = n_failed_in_row + 1, n_given_up = "
            "n_given_up + ?, last_error_us = ?, last_error = ? WHERE id = ?",
            "iisi", (int64_t)is_over, o->now_us, o->error, m->receiver_id);
    return code;
}

static enum err_code mark(struct db_tx *tx, void *arg, struct err *err)
{
    const struct outcome *o = arg;
    return o->error == NULL ? mark_sent(tx, o, err) : mark_failed(tx, o, err);
}

enum err_code alert_deliver_due(struct alert_sender *s, int64_t *ret_sent, struct err *err)
{
    struct arena a;
    int64_t n_sent = 0;
    arena_init(&a, 64 << 20);
    struct batch b = {.now_us = clock_now_us(s->opt.clock), .arena = &a};
    enum err_code code = db_read(s->opt.db, batch_read, &b, err);
    for (size_t i = 0; i < b.messages.n && code == ERR_OK; i++) {
        struct err failure = ERR_INIT;
        const enum err_code sent = send_one(s, &b.messages.p[i], &a, &failure);
        struct outcome o = {&b.messages.p[i], sent == ERR_OK ? NULL : failure.msg,
                            clock_now_us(s->opt.clock)};
        code = db_write(s->opt.db, mark, &o, err);
        n_sent += sent == ERR_OK;
    }
    arena_fini(&a);
    if (code == ERR_OK && ret_sent != NULL)
        *ret_sent = n_sent;
    return code;
}

enum err_code alert_sender_open(const struct alert_sender_options *opt, struct alert_sender **ret,
                                struct err *err)
{
    struct alert_sender *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return err_nomem(err);
    s->opt = *opt;
    mutex_init(&s->mutex, "alert.sender", 300);
    cond_init(&s->wake);
    *ret = s;
    return ERR_OK;
}

static void *sender_main(void *arg)
{
    struct alert_sender *s = arg;
    mutex_lock(&s->mutex);
    while (!s->is_stopping) {
        s->is_woken = false;
        mutex_unlock(&s->mutex);
        /* While the database is away nothing can be sent or marked: the next look tries again. */
        struct err err = ERR_INIT;
        (void)!alert_deliver_due(s, NULL, &err);
        mutex_lock(&s->mutex);
        if (!s->is_stopping && !s->is_woken)
            (void)cond_wait(&s->wake, &s->mutex, LOOK_MS);
    }
    mutex_unlock(&s->mutex);
    return NULL;
}

enum err_code alert_sender_start(struct alert_sender *s, struct err *err)
{
    const enum err_code code = thread_start(&s->thread, "alert.sender", sender_main, s, err);
    s->has_thread = code == ERR_OK;
    return code;
}

void alert_sender_wake(struct alert_sender *s)
{
    mutex_lock(&s->mutex);
    s->is_woken = true;
    cond_signal(&s->wake);
    mutex_unlock(&s->mutex);
}

void alert_sender_close(struct alert_sender *s)
{
    if (s == NULL)
        return;
    if (s->has_thread) {
        mutex_lock(&s->mutex);
        s->is_stopping = true;
        cond_signal(&s->wake);
        mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
    }
    cond_fini(&s->wake);
    mutex_fini(&s->mutex);
    free(s);
}
