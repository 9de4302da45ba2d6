#include "alert/sender.h"

struct json *alert_json(const struct alert *al, struct arena *a)
{
    struct json *v = json_obj(a);
    json_set(a, v, "id", json_int(a, al->id));
    json_set(a, v, "rule", json_cstr(a, al->rule));
    json_set(a, v, "object", json_cstr(a, al->object));
    json_set(a, v, "severity", json_cstr(a, alert_severity_name(al->severity)));
    json_set(a, v, "state", json_cstr(a, alert_state_name(al->state)));
    json_set(a, v, "summary", json_cstr(a, al->summary));
    json_set(a, v, "description", json_cstr(a, al->description));
    json_set(a, v, "owner", json_cstr(a, al->owner));
    json_set(a, v, "runbook", json_cstr(a, al->runbook));
    json_set(a, v, "project", json_cstr(a, al->project));
    json_set(a, v, "endpoint", json_cstr(a, al->endpoint));
    json_set(a, v, "starts_at", json_time(a, al->starts_us));
    json_set(a, v, "fired_at", json_time(a, al->fired_us));
    json_set(a, v, "updated_at", json_time(a, al->updated_us));
    json_set(a, v, "acknowledged_at", json_time(a, al->acked_us));
    json_set(a, v, "acknowledged_by", json_cstr(a, al->acked_by));
    json_set(a, v, "note", json_cstr(a, al->note));
    json_set(a, v, "resolved_at", json_time(a, al->resolved_us));
    json_set(a, v, "resolution", json_cstr(a, al->resolution));
    json_set(a, v, "reports", json_int(a, al->n_reports));
    if (al->evidence != NULL)
        json_set(a, v, "evidence", json_copy(a, al->evidence));
    return v;
}

static void label(struct arena *a, struct json *labels, const char *name, const char *value)
{
    if (value != NULL)
        json_set(a, labels, name, json_cstr(a, value));
}

/* One alert in the shape that every receiver of Alertmanager webhooks reads. */
static struct json *alert_entry(const struct alert *al, const struct json *labels,
                                const struct json *annotations, const char *url, struct arena *a)
{
    struct json *v = json_obj(a);
    const bool is_over = al->state == ALERT_RESOLVED;
    char identity[2 * sizeof(uint64_t) + 1];
    const struct str rule = str_c(al->rule), object = str_c(al->object);
    const uint64_t h = hash64(object.p, object.n, hash64(rule.p, rule.n, 0));
    hex_encode(&h, sizeof(h), identity);
    json_set(a, v, "status", json_cstr(a, is_over ? "resolved" : "firing"));
    json_set(a, v, "labels", json_copy(a, labels));
    json_set(a, v, "annotations", json_copy(a, annotations));
    json_set(a, v, "startsAt", json_time(a, al->starts_us));
    json_set(a, v, "endsAt",
             is_over ? json_time(a, al->resolved_us) : json_cstr(a, "0001-01-01T00:00:00Z"));
    json_set(a, v, "generatorURL", json_cstr(a, url));
    json_set(a, v, "fingerprint", json_cstr(a, identity));
    return v;
}

static struct json *webhook_labels(const struct alert *al, struct arena *a)
{
    struct json *labels = json_obj(a);
    label(a, labels, "alertname", al->rule);
    label(a, labels, "object", al->object);
    label(a, labels, "severity", alert_severity_name(al->severity));
    label(a, labels, "project", al->project);
    label(a, labels, "endpoint", al->endpoint);
    return labels;
}

struct json *alert_webhook_json(const struct alert *al, const char *receiver,
                                const char *external_url, struct arena *a)
{
    const char *base = external_url != NULL ? external_url : "";
    const char *url = str_printf(a, "%s/alerts/%lld", base, (long long)al->id);
    struct json *labels = webhook_labels(al, a), *notes = json_obj(a);
    label(a, notes, "summary", al->summary);
    label(a, notes, "description", al->description);
    label(a, notes, "owner", al->owner);
    label(a, notes, "runbook_url", al->runbook);
    label(a, notes, "resolution", al->resolution);
    struct json *v = json_obj(a), *group = json_obj(a);
    label(a, group, "alertname", al->rule);
    json_set(a, v, "version", json_cstr(a, "4"));
    json_set(a, v, "groupKey",
             json_fmt(a, "{}:{alertname=\"%s\",object=\"%s\"}", al->rule, al->object));
    json_set(a, v, "truncatedAlerts", json_int(a, 0));
    json_set(a, v, "status", json_cstr(a, al->state == ALERT_RESOLVED ? "resolved" : "firing"));
    json_set(a, v, "receiver", json_cstr(a, receiver));
    json_set(a, v, "groupLabels", group);
    json_set(a, v, "commonLabels", labels);
    json_set(a, v, "commonAnnotations", notes);
    json_set(a, v, "externalURL", json_cstr(a, base));
    json_set(a, v, "alerts", json_add(a, json_arr(a), alert_entry(al, labels, notes, url, a)));
    return v;
}
