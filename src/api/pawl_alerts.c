/* alerts ls, show, ack. */
#include <stdio.h>

#include "alert/alert.h"
#include "alert/receiver.h"
#include "alert/sender.h"
#include "api/op_handlers.h"
#include "api/services.h"
#include "audit/chain.h"

#define ALERTS_LIMIT_MAX 5000

static enum err_code db_of(const struct op_call *call, struct db **ret, struct err *err)
{
    *ret = call->sv->db;
    return services_need(*ret, "the database", err);
}

struct list_args {
    struct alert_query q;
    struct arena *arena;
    struct alert *alerts;
    struct alert_receiver_state *receivers;
    size_t n_alerts, n_receivers;
};

static enum err_code list_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct list_args *l = arg;
    enum err_code code = alert_list(tx, &l->q, l->arena, &l->alerts, &l->n_alerts, err);
    if (code == ERR_OK)
        code = alert_receiver_states(tx, l->arena, &l->receivers, &l->n_receivers, err);
    return code;
}

enum err_code op_alerts_list(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    struct arena *a = call->arena;
    struct db *db = NULL;
    struct list_args l = {.q = {.project = json_get_c(in, "project"),
                                .endpoint = json_get_c(in, "endpoint"),
                                .rule = json_get_c(in, "rule"),
                                .is_open_only = !json_get_bool(in, "all", false),
                                .limit = json_get_int(in, "limit", 0)},
                          .arena = a};
    enum err_code code = db_of(call, &db, err);
    if (code == ERR_OK && (l.q.limit < 1 || l.q.limit > ALERTS_LIMIT_MAX))
        code = err_set(err, ERR_USAGE, "limit must be 1 to %d", ALERTS_LIMIT_MAX);
    if (code == ERR_OK)
        code = db_read(db, list_fn, &l, err);
    if (code != ERR_OK)
        return code;
    struct json *alerts = json_arr(a), *receivers = json_arr(a);
    for (size_t i = 0; i < l.n_alerts; i++)
        json_add(a, alerts, alert_json(&l.alerts[i], a));
    for (size_t i = 0; i < l.n_receivers; i++)
        json_add(a, receivers, alert_receiver_state_json(&l.receivers[i], a));
    *ret = json_set(a, json_set(a, json_obj(a), "alerts", alerts), "receivers", receivers);
    return ERR_OK;
}

struct one_args {
    int64_t id, at_us;
    const char *actor, *note;
    struct audit_chain *chain;
    struct arena *arena;
    struct alert alert;
};

static enum err_code show_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct one_args *o = arg;
    return alert_get(tx, o->id, o->arena, &o->alert, err);
}

enum err_code op_alerts_show(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    struct db *db = NULL;
    struct one_args o = {.id = json_get_int(in, "alert", 0), .arena = call->arena};
    enum err_code code = db_of(call, &db, err);
    if (code == ERR_OK)
        code = db_read(db, show_fn, &o, err);
    if (code == ERR_OK)
        *ret = alert_json(&o.alert, call->arena);
    return code;
}

/* The acknowledgement and its audit entry, together. */
static enum err_code ack_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct one_args *o = arg;
    char object[48];
    snprintf(object, sizeof(object), "alert:%lld", (long long)o->id);
    struct audit_entry e = {
        .actor = o->actor, .action = "alert.ack", .object = object, .reason = o->note};
    enum err_code code = alert_ack(tx, o->id, o->actor, o->note, o->at_us, err);
    if (code == ERR_OK && o->chain)
        code = audit_append(o->chain, tx, &e, NULL, err);
    return code == ERR_OK ? show_fn(tx, o, err) : code;
}

enum err_code op_alerts_ack(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct db *db = NULL;
    struct alert_sender *sender = call->sv->sender;
    struct one_args o = {.id = json_get_int(in, "alert", 0),
                         .at_us = clock_now_us(call->sv->clock),
                         .actor = call->actor,
                         .note = json_get_c(in, "note"),
                         .chain = call->sv->audit,
                         .arena = call->arena};
    enum err_code code = db_of(call, &db, err);
    if (code == ERR_OK)
        code = db_write(db, ack_fn, &o, err);
    if (code == ERR_OK && o.chain)
        code = audit_publish(o.chain, err);
    if (code != ERR_OK)
        return code;
    if (sender)
        alert_sender_wake(sender);
    *ret = alert_json(&o.alert, call->arena);
    return ERR_OK;
}
