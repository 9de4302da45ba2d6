/* Reading both logs to their ends, and labels that are known only later. */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "monitor/monitor_int.h"

#define PENDING_MAX ((size_t)1 << 22)

int64_t mon_record_time(const struct monitor *m, const struct prediction_record *r)
{
    return m->opt.is_replay && r->event_us != AT_US_NONE ? r->event_us : r->wall_us;
}

int64_t mon_now(struct monitor *m, const char *endpoint)
{
    if (m->drain_endpoint && strcmp(m->drain_endpoint, endpoint) == 0)
        return m->drain_us;
    return m->opt.is_replay ? serve_clock(m->opt.serve, endpoint) : clock_now_us(&m->opt.clock);
}

/* ---- labels that are not known yet ---- */
void pending_key(const struct label_record *l, char out[DIGEST_HEX_BYTES])
{
    struct buf b;
    struct digest d;

    buf_init(&b, 1 << 20);
    buf_put(&b, l->id, sizeof(l->id));
    buf_printf(&b, "%u/%lld/%lld/", l->row, (long long)l->known_us, (long long)l->wall_us);
    buf_str(&b, l->client_id);
    buf_ch(&b, '/');
    buf_str(&b, l->endpoint);
    buf_ch(&b, '/');
    buf_str(&b, l->keys);
    digest_of(b.p ? b.p : "", b.n, &d);
    digest_hex(&d, out);
    buf_fini(&b);
}

static struct str text_put(char **at, struct str s)
{
    struct str copy = {*at, s.n};

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

enum err_code pending_add(struct monitor *m, const struct label_record *l, bool is_saved,
                          struct err *err)
{
    struct str class_name = l->label.type == VAL_STR ? l->label.u.s : STR_NONE;
    struct pending_label *p;
    char *at;

    if (m->n_pending >= PENDING_MAX)
        return err_set(err, ERR_LIMIT, "more than %zu labels wait for their known time",
                       PENDING_MAX);
    if (m->n_pending == m->cap_pending) {
        size_t cap = m->cap_pending ? m->cap_pending * 2 : 256;
        struct pending_label **grown = realloc(m->pending, cap * sizeof(struct pending_label *));
        if (!grown)
            return err_nomem(err);
        m->pending = grown;
        m->cap_pending = cap;
    }
    p = calloc(1, sizeof(*p));
    at = malloc(l->endpoint.n + l->client_id.n + l->keys.n + l->name.n + class_name.n + 1);
    if (!p || !at) {
        free(p);
        free(at);
        return err_nomem(err);
    }
    p->label = *l;
    p->texts = at;
    p->is_saved = is_saved;
    p->label.endpoint = text_put(&at, l->endpoint);
    p->label.client_id = text_put(&at, l->client_id);
    p->label.keys = text_put(&at, l->keys);
    p->label.name = text_put(&at, l->name);
    if (l->label.type == VAL_STR)
        p->label.label.u.s = text_put(&at, class_name);
    m->pending[m->n_pending++] = p;
    return ERR_OK;
}

/* Remembers that the stored row of an applied label must go with the next commit. */
static enum err_code applied_add(struct monitor *m, const struct label_record *l, struct err *err)
{
    char key[DIGEST_HEX_BYTES];

    if (m->n_applied == m->cap_applied) {
        size_t cap = m->cap_applied ? m->cap_applied * 2 : 256;
        char **grown = realloc(m->applied, cap * sizeof(char *));
        if (!grown)
            return err_nomem(err);
        m->applied = grown;
        m->cap_applied = cap;
    }
    pending_key(l, key);
    m->applied[m->n_applied] = strdup(key);
    if (!m->applied[m->n_applied])
        return err_nomem(err);
    m->n_applied++;
    return ERR_OK;
}

static int by_known(const void *pa, const void *pb)
{
    const struct pending_label *a = *(struct pending_label *const *)pa,
                               *b = *(struct pending_label *const *)pb;
    char ka[DIGEST_HEX_BYTES], kb[DIGEST_HEX_BYTES];

    if (a->label.known_us != b->label.known_us)
        return a->label.known_us < b->label.known_us ? -1 : 1;
    pending_key(&a->label, ka);
    pending_key(&b->label, kb);
    return strcmp(ka, kb);
}

enum err_code pending_apply(struct monitor *m, struct err *err)
{
    size_t n_due = 0;
    enum err_code code = ERR_OK;

    for (size_t i = 0; i < m->n_pending; i++) { /* due ones to the front */
        char name[ENDPOINT_NAME_MAX + 1];
        struct pending_label *p = m->pending[i];
        size_t n = p->label.endpoint.n < sizeof(name) ? p->label.endpoint.n : sizeof(name) - 1;
        memcpy(name, p->label.endpoint.p, n);
        name[n] = '\0';
        if (p->label.known_us <= mon_now(m, name)) {
            m->pending[i] = m->pending[n_due];
            m->pending[n_due++] = p;
        }
    }
    /* In order of known time, whatever the order of arrival: the fold is then the same in every run. */
    if (n_due > 1)
        qsort(m->pending, n_due, sizeof(struct pending_label *), by_known);
    for (size_t i = 0; i < n_due && code == ERR_OK; i++) {
        code = fold_label(m, &m->pending[i]->label, err);
        if (code == ERR_OK && m->pending[i]->is_saved)
            code = applied_add(m, &m->pending[i]->label, err);
    }
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < n_due; i++) {
        free(m->pending[i]->texts);
        free(m->pending[i]);
    }
    if (n_due > 0)
        memmove(m->pending, m->pending + n_due,
                (m->n_pending - n_due) * sizeof(struct pending_label *));
    m->n_pending -= n_due;
    m->telemetry.n_pending_labels = m->n_pending;
    return ERR_OK;
}

/* ---- both logs ---- */
static enum err_code run_records(struct monitor *m, struct err *err)
{
    for (;;) {
        struct prediction_record r;
        struct log_pos next;
        bool is_there = false;
        struct arena_mark mark = arena_mark(&m->scratch);
        enum err_code code = log_reader_next(m->records, 0, &is_there, &r, &next, err);
        if (code != ERR_OK || !is_there)
            return code;
        code = fold_record(m, &r, err);
        arena_release(&m->scratch, mark);
        if (code != ERR_OK)
            return code;
        m->record_pos = next;
        m->telemetry.n_records++;
        m->telemetry.n_uncommitted++;
    }
}

static enum err_code run_labels(struct monitor *m, struct err *err)
{
    for (;;) {
        struct label_record l;
        struct log_pos next;
        bool is_there = false;
        enum err_code code = label_reader_next(m->labels, 0, &is_there, &l, &next, err);
        if (code != ERR_OK || !is_there)
            return code;
        if (l.known_us == AT_US_NONE)
            l.known_us = l.wall_us;
        code = pending_add(m, &l, false, err);
        if (code != ERR_OK)
            return code;
        m->label_pos = next;
        m->telemetry.n_uncommitted++;
    }
}

enum err_code fold_run(struct monitor *m, struct err *err)
{
    if (!m->is_loaded)
        return err_set(err, ERR_UNAVAILABLE,
                       "the monitor waits for the database: its sums are there");
    /* Records first: a label's prediction was logged before it. */
    if (run_records(m, err) != ERR_OK || run_labels(m, err) != ERR_OK)
        return err->code;
    return pending_apply(m, err);
}
