#include "alert/receiver.h"

#include "base/check.h"
#include "base/vec.h"

static const char *const KINDS[RECEIVER_KIND_N] = {"webhook", "alertmanager"};
static const char *const SEVERITIES[] = {"page", "ticket", "report"};
static const char *const KEYS[] = {"webhook", "alertmanager", "severity", "resolved"};

const char *receiver_kind_name(enum receiver_kind k)
{
    CHECK(k < RECEIVER_KIND_N);
    return KINDS[k];
}

static void severities_decode(const struct cfg_node *n, struct alert_receiver_spec *ret,
                              struct arena *a, struct cfg_problems *ps)
{
    struct str *names = NULL;
    size_t n_names = 0;
    if (n == NULL || !cfg_str_list(n, "severity", a, &names, &n_names, ps))
        return;
    ret->severities = 0;
    for (size_t i = 0; i < n_names; i++) {
        unsigned s = 0;
        while (s < ALERT_SEVERITY_N && !str_is(names[i], SEVERITIES[s]))
            s++;
        if (s == ALERT_SEVERITY_N)
            cfg_error(ps, n, "severity is page, ticket or report, not \"%.*s\"", STR_ARG(names[i]));
        else
            ret->severities |= 1u << s;
    }
}

static bool receiver_decode(const struct cfg_node *n, struct arena *a,
                            struct alert_receiver_spec *ret, struct cfg_problems *ps)
{
    if (!cfg_is_map(n, "a receiver of alerts", ps) || !cfg_known_keys(n, KEYS, ARRAY_LEN(KEYS), ps))
        return false;
    const struct cfg_node *url[RECEIVER_KIND_N];
    size_t n_urls = 0;
    ret->severities = (1u << ALERT_PAGE) | (1u << ALERT_TICKET);
    ret->tells_resolved = true;
    for (int k = 0; k < RECEIVER_KIND_N; k++) {
        url[k] = cfg_get(n, KINDS[k]);
        struct str text;
        if (url[k] == NULL || !cfg_str(url[k], KINDS[k], &text, ps))
            continue;
        n_urls++;
        ret->kind = (enum receiver_kind)k;
        ret->url = str_dup(a, text);
        const bool is_url = str_starts(text, STR("http://")) || str_starts(text, STR("https://")) ||
                            str_starts(text, STR("${"));
        if (!is_url)
            cfg_error(ps, url[k], "%s: \"%.*s\" is not an http:// or https:// address", KINDS[k],
                      STR_ARG(text));
    }
    if (n_urls != 1)
        cfg_error(ps, n, "a receiver has exactly one of webhook: and alertmanager:");
    severities_decode(cfg_get(n, "severity"), ret, a, ps);
    (void)cfg_bool(cfg_get(n, "resolved"), "resolved", &ret->tells_resolved, ps);
    return n_urls == 1;
}

void alert_spec_decode(const struct cfg_node *section, const struct cfg_node *root, struct arena *a,
                       struct alert_spec *ret, struct cfg_problems *ps)
{
    (void)root;
    VEC(struct alert_receiver_spec) found = {0};
    *ret = (struct alert_spec){NULL, 0};
    if (section == NULL || !cfg_is_list(section, "alerts", ps))
        return;
    for (size_t i = 0; i < section->n; i++) {
        struct alert_receiver_spec one = {0};
        if (!receiver_decode(section->items[i], a, &one, ps))
            continue;
        struct alert_receiver_spec *slot = VEC_ADD(a, &found);
        if (slot != NULL)
            *slot = one;
    }
    ret->receivers = found.p;
    ret->n = found.n;
}

enum err_code alert_receivers_set(struct db_tx *tx, const char *project,
                                  const struct alert_spec *spec, int64_t at_us, struct err *err)
{
    (void)at_us;
    enum err_code code = db_exec(
        tx, err, "UPDATE alert_receivers SET is_active = 0 WHERE project = ?", "s", project);
    for (size_t i = 0; i < spec->n && code == ERR_OK; i++) {
        const struct alert_receiver_spec *r = &spec->receivers[i];
        code = db_exec(
            tx, err,
            "INSERT INTO alert_receivers(id, project, kind, url, severities, tells_resolved, "
            "is_active, n_sent, n_failed_in_row, n_given_up) VALUES ((SELECT COALESCE(MAX(id), "
            "0) + 1 FROM alert_receivers), ?, ?, ?, ?, ?, 1, 0, 0, 0) ON CONFLICT (project, "
            "kind, url) DO UPDATE SET is_active = 1, severities = excluded.severities, "
            "tells_resolved = excluded.tells_resolved",
            "sisii", project, (int64_t)r->kind, r->url, (int64_t)r->severities,
            (int64_t)r->tells_resolved);
    }
    return code;
}

static enum err_code state_row(const struct db_rows *r, struct arena *a,
                               struct alert_receiver_state *ret, struct err *err)
{
    *ret = (struct alert_receiver_state){
        .id = db_i64(r, 0),
        .project = db_dup(r, 1, a),
        .kind = (enum receiver_kind)db_i64(r, 2),
        .url = db_dup(r, 3, a),
        .is_active = db_i64(r, 4) != 0,
        .n_sent = db_i64(r, 5),
        .n_failed_in_row = db_i64(r, 6),
        .n_given_up = db_i64(r, 7),
        .last_ok_us = db_is_null(r, 8) ? AT_US_NONE : db_i64(r, 8),
        .last_error_us = db_is_null(r, 9) ? AT_US_NONE : db_i64(r, 9),
        .last_error = db_dup(r, 10, a),
        .n_waiting = db_i64(r, 11),
    };
    return ret->project == NULL || ret->url == NULL ? arena_err(a, err) : ERR_OK;
}

enum err_code alert_receiver_states(struct db_tx *tx, struct arena *a,
                                    struct alert_receiver_state **ret, size_t *ret_n,
                                    struct err *err)
{
    VEC(struct alert_receiver_state) found = {0};
    struct db_rows *rows = NULL;
    enum err_code code = db_query(tx, &rows, err,
                                  "SELECT id, project, kind, url, is_active, n_sent, "
                                  "n_failed_in_row, n_given_up, last_ok_us, "
                                  "last_error_us, last_error, (SELECT count(*) FROM alert_outbox o "
                                  "WHERE o.receiver_id = r.id AND "
                                  "o.state = 0) FROM alert_receivers r ORDER BY id",
                                  "");
    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct alert_receiver_state *s = VEC_ADD(a, &found);
        code = s == NULL ? arena_err(a, err) : state_row(rows, a, s, err);
    }
    struct err end = ERR_INIT;
    const enum err_code ended = db_done(rows, &end);
    if (code == ERR_OK && ended != ERR_OK) {
        *err = end;
        return ended;
    }
    if (code == ERR_OK) {
        *ret = found.p;
        *ret_n = found.n;
    }
    return code;
}

struct json *alert_receiver_state_json(const struct alert_receiver_state *s, struct arena *a)
{
    struct json *v = json_obj(a);
    json_set(a, v, "id", json_int(a, s->id));
    json_set(a, v, "project", json_cstr(a, s->project));
    json_set(a, v, "kind", json_cstr(a, receiver_kind_name(s->kind)));
    json_set(a, v, "url", json_cstr(a, s->url));
    json_set(a, v, "active", json_bool(a, s->is_active));
    json_set(a, v, "sent", json_int(a, s->n_sent));
    json_set(a, v, "waiting", json_int(a, s->n_waiting));
    json_set(a, v, "failed_in_row", json_int(a, s->n_failed_in_row));
    json_set(a, v, "given_up", json_int(a, s->n_given_up));
    json_set(a, v, "last_ok_at", json_time(a, s->last_ok_us));
    json_set(a, v, "last_error_at", json_time(a, s->last_error_us));
    json_set(a, v, "last_error", json_cstr(a, s->last_error));
    return v;
}
