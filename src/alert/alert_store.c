#include <stdio.h>

#include "alert/alert_int.h"
#include "base/check.h"
#include "base/vec.h"

static enum err_code next_id(struct db_tx *tx, const char *sql, int64_t *ret, struct err *err)
{
    return db_get_i64(tx, ret, err, sql, "");
}

static int64_t time_or_none(const struct db_rows *r, int col)
{
    return db_is_null(r, col) ? AT_US_NONE : db_i64(r, col);
}

enum err_code alert_row(const struct db_rows *r, struct arena *a, struct alert *ret,
                        struct err *err)
{
    struct alert al = {
        .id = db_i64(r, 0),
        .rule = db_dup(r, 1, a),
        .object = db_dup(r, 2, a),
        .project = db_dup(r, 3, a),
        .endpoint = db_dup(r, 4, a),
        .severity = (enum alert_severity)db_i64(r, 5),
        .state = (enum alert_state)db_i64(r, 6),
        .summary = db_dup(r, 7, a),
        .description = db_dup(r, 8, a),
        .owner = db_dup(r, 9, a),
        .runbook = db_dup(r, 10, a),
        .starts_us = db_i64(r, 12),
        .fired_us = db_i64(r, 13),
        .updated_us = db_i64(r, 14),
        .acked_us = time_or_none(r, 15),
        .resolved_us = time_or_none(r, 16),
        .acked_by = db_dup(r, 17, a),
        .note = db_dup(r, 18, a),
        .resolution = db_dup(r, 19, a),
        .n_reports = db_i64(r, 20),
    };
    if (al.rule == NULL || al.object == NULL || al.summary == NULL)
        return arena_err(a, err);
    if (!db_is_null(r, 11)) {
        struct json *evidence = NULL;
        const enum err_code code = json_read(db_str(r, 11), a, &evidence, err);
        if (code != ERR_OK)
            return err_wrap(err, "evidence of alert %lld", (long long)al.id);
        al.evidence = evidence;
    }
    *ret = al;
    return ERR_OK;
}

/* ERR_NOT_FOUND when the query has no row. */
static enum err_code one(struct db_rows *rows, struct arena *a, struct alert *ret, struct err *err)
{
    enum err_code code = ERR_NOT_FOUND;
    if (db_next(rows))
        code = alert_row(rows, a, ret, err);
    else
        (void)err_set(err, ERR_NOT_FOUND, "no such alert");
    struct err end = ERR_INIT;
    const enum err_code ended = db_done(rows, &end);
    if (ended != ERR_OK) {
        *err = end;
        return ended;
    }
    return code;
}

static enum err_code open_alert(struct db_tx *tx, const char *rule, const char *object,
                                struct arena *a, struct alert *ret, struct err *err)
{
    struct db_rows *rows = NULL;
    const enum err_code code = db_query(
        tx, &rows, err,
        "SELECT " ALERT_COLUMNS " FROM alerts WHERE rule = ? AND object = ? AND is_open = 1", "ss",
        rule, object);
    return code == ERR_OK ? one(rows, a, ret, err) : code;
}

enum err_code alert_get(struct db_tx *tx, int64_t id, struct arena *a, struct alert *ret,
                        struct err *err)
{
    struct db_rows *rows = NULL;
    enum err_code code =
        db_query(tx, &rows, err, "SELECT " ALERT_COLUMNS " FROM alerts WHERE id = ?", "i", id);
    if (code == ERR_OK)
        code = one(rows, a, ret, err);
    return code == ERR_NOT_FOUND ? err_set(err, code, "there is no alert %lld", (long long)id)
                                 : code;
}

enum err_code outbox_add(struct db_tx *tx, int64_t alert_id, bool is_resolved, int64_t at_us,
                         struct err *err)
{
    /* What waits for the same receiver and alert is overtaken: the message is built when it is sent. */
    enum err_code code = db_exec(
        tx, err, "UPDATE alert_outbox SET state = ?, done_us = ? WHERE alert_id = ? AND state = ?",
        "iiii", (int64_t)OUTBOX_OVERTAKEN, at_us, alert_id, (int64_t)OUTBOX_WAITING);
    int64_t id;
    if (code == ERR_OK)
        code = next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM alert_outbox", &id, err);
    if (code != ERR_OK)
        return code;
    return db_exec(
        tx, err,
        "INSERT INTO alert_outbox(id, alert_id, receiver_id, is_resolved, state, n_attempts, "
        "created_us, due_us) SELECT ? + row_number() OVER (ORDER BY r.id), a.id, r.id, ?, ?, "
        "0, ?, ? FROM alerts a JOIN alert_receivers r ON r.is_active = 1 AND (a.project IS "
        "NULL OR r.project = a.project) AND (r.severities / (CASE a.severity WHEN 0 THEN 1 "
        "WHEN 1 THEN 2 ELSE 4 END)) % 2 = 1 AND (? = 0 OR r.tells_resolved = 1) WHERE a.id = ?",
        "iiiiiii", id, (int64_t)is_resolved, (int64_t)OUTBOX_WAITING, at_us, at_us,
        (int64_t)is_resolved, alert_id);
}

static enum err_code evidence_text(const struct json *evidence, struct buf *out, struct err *err)
{
    buf_init(out, 1 << 20);
    return evidence == NULL ? ERR_OK : json_write(evidence, JSON_COMPACT, out, err);
}

static enum err_code alert_open(struct db_tx *tx, const struct alert *al, int64_t at_us,
                                int64_t *ret_id, struct err *err)
{
    int64_t id;
    struct buf evidence;
    enum err_code code = evidence_text(al->evidence, &evidence, err);
    if (code == ERR_OK)
        code = next_id(tx, "SELECT COALESCE(MAX(id), 0) + 1 FROM alerts", &id, err);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "INSERT INTO alerts(id, rule, object, is_open, project, endpoint, severity, state, "
            "summary, description, owner, runbook, evidence, starts_us, fired_us, updated_us, "
            "n_reports) VALUES (?,?,?,1,?,?,?,?,?,?,?,?,?,?,?,?,1)",
            "issssiisssssiii", id, al->rule, al->object, al->project, al->endpoint,
            (int64_t)al->severity, (int64_t)ALERT_FIRING, al->summary, al->description, al->owner,
            al->runbook, al->evidence != NULL ? evidence.p : NULL, al->starts_us, at_us, at_us);
    if (code == ERR_OK)
        code = outbox_add(tx, id, false, at_us, err);
    if (code == ERR_OK)
        *ret_id = id;
    buf_fini(&evidence);
    return code;
}

/* A severity that rose makes it firing again for the receivers, whoever had acknowledged it before. */
static enum err_code alert_update(struct db_tx *tx, const struct alert *old, const struct alert *al,
                                  int64_t at_us, struct err *err)
{
    const bool has_risen = al->severity < old->severity;
    const enum alert_severity severity = has_risen ? al->severity : old->severity;
    const enum alert_state state = has_risen ? ALERT_FIRING : old->state;
    struct buf evidence;
    enum err_code code = evidence_text(al->evidence, &evidence, err);
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "UPDATE alerts SET summary = ?, description = ?, owner = ?, runbook = ?, evidence = "
            "?, severity = ?, state = ?, updated_us = ?, n_reports = n_reports + 1 WHERE id = ?",
            "sssssiiii", al->summary, al->description, al->owner, al->runbook,
            al->evidence != NULL ? evidence.p : NULL, (int64_t)severity, (int64_t)state, at_us,
            old->id);
    if (code == ERR_OK && has_risen)
        code = outbox_add(tx, old->id, false, at_us, err);
    buf_fini(&evidence);
    return code;
}

enum err_code alert_fire(struct db_tx *tx, const struct alert *al, int64_t at_us, int64_t *ret_id,
                         enum alert_change *ret_change, struct err *err)
{
    CHECK(al->rule != NULL && al->object != NULL && al->summary != NULL);
    struct arena a;
    struct alert old;
    int64_t id = 0;
    enum alert_change change = ALERT_OPENED;
    arena_init(&a, 4 << 20);
    enum err_code code = open_alert(tx, al->rule, al->object, &a, &old, err);
    if (code == ERR_NOT_FOUND) {
        code = alert_open(tx, al, at_us, &id, err);
    } else if (code == ERR_OK) {
        id = old.id;
        change = ALERT_UPDATED;
        code = alert_update(tx, &old, al, at_us, err);
    }
    arena_fini(&a);
    if (code != ERR_OK)
        return err_wrap(err, "alert %s of %s", al->rule, al->object);
    if (ret_id != NULL)
        *ret_id = id;
    if (ret_change != NULL)
        *ret_change = change;
    return ERR_OK;
}

enum err_code alert_resolve(struct db_tx *tx, const char *rule, const char *object, const char *why,
                            int64_t at_us, bool *ret_was_open, struct err *err)
{
    struct arena a;
    struct alert old;
    arena_init(&a, 4 << 20);
    enum err_code code = open_alert(tx, rule, object, &a, &old, err);
    const bool was_open = code == ERR_OK;
    if (was_open) {
        CHECK(alert_may_move(old.state, ALERT_RESOLVED));
        code =
            db_exec(tx, err,
                    "UPDATE alerts SET state = ?, is_open = NULL, resolved_us = ?, updated_us = ?, "
                    "resolution = ? WHERE id = ?",
                    "iiisi", (int64_t)ALERT_RESOLVED, at_us, at_us, why, old.id);
        if (code == ERR_OK)
            code = outbox_add(tx, old.id, true, at_us, err);
    } else if (code == ERR_NOT_FOUND) {
        code = ERR_OK;
    }
    arena_fini(&a);
    if (code == ERR_OK && ret_was_open != NULL)
        *ret_was_open = was_open;
    return code;
}

enum err_code alert_ack(struct db_tx *tx, int64_t id, const char *actor, const char *note,
                        int64_t at_us, struct err *err)
{
    struct arena a;
    struct alert al;
    arena_init(&a, 4 << 20);
    enum err_code code = alert_get(tx, id, &a, &al, err);
    if (code == ERR_OK && !alert_may_move(al.state, ALERT_ACKNOWLEDGED))
        code = err_set(err, ERR_CONFLICT, "alert %lld is %s already%s%s", (long long)id,
                       alert_state_name(al.state), al.acked_by != NULL ? " by " : "",
                       al.acked_by != NULL ? al.acked_by : "");
    if (code == ERR_OK)
        code = db_exec(
            tx, err,
            "UPDATE alerts SET state = ?, acked_us = ?, updated_us = ?, acked_by = ?, note = ? "
            "WHERE id = ?",
            "iiissi", (int64_t)ALERT_ACKNOWLEDGED, at_us, at_us, actor, note, id);
    arena_fini(&a);
    return code;
}

enum err_code alert_list(struct db_tx *tx, const struct alert_query *q, struct arena *a,
                         struct alert **ret, size_t *ret_n, struct err *err)
{
    VEC(struct alert) found = {0};
    struct db_rows *rows = NULL;
    enum err_code code = db_query(
        tx, &rows, err,
        "SELECT " ALERT_COLUMNS " FROM alerts WHERE (? IS NULL OR project = ?) AND (? IS NULL OR "
        "endpoint = ?) AND (? IS NULL OR object = ?) AND (? IS NULL OR rule = ?) AND (? = 0 OR "
        "is_open = 1) ORDER BY id DESC LIMIT ?",
        "ssssssssii", q->project, q->project, q->endpoint, q->endpoint, q->object, q->object,
        q->rule, q->rule, (int64_t)q->is_open_only, q->limit);
    if (code != ERR_OK)
        return code;
    while (code == ERR_OK && db_next(rows)) {
        struct alert *al = VEC_ADD(a, &found);
        code = al == NULL ? arena_err(a, err) : alert_row(rows, a, al, err);
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
