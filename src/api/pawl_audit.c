/* audit ls, audit verify. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "audit/chain.h"

#define AUDIT_LIMIT_MAX 10000

static enum err_code chain_of(const struct op_call *call, struct audit_chain **ret, struct err *err)
{
    *ret = call->sv->audit;
    return services_need(*ret, "the audit chain", err);
}

static int64_t time_of(const struct json *in, const char *key)
{
    int64_t at = json_get_time(in, key);
    return at == AT_US_NONE ? 0 : at;
}

enum err_code op_audit_list(struct op_call *call, const struct json *in, struct json **ret,
                            struct err *err)
{
    struct arena *a = call->arena;
    struct audit_chain *chain = NULL;
    struct audit_entry *list = NULL;
    struct audit_head head;
    size_t n = 0;
    struct audit_query q = {.object = json_get_c(in, "object"),
                            .action = json_get_c(in, "action"),
                            .actor = json_get_c(in, "actor"),
                            .since_us = time_of(in, "since"),
                            .until_us = time_of(in, "until"),
                            .before_seq = json_get_int(in, "before", 0),
                            .limit = json_get_int(in, "limit", 0)};
    enum err_code code = chain_of(call, &chain, err);
    if (code == ERR_OK && (q.limit < 1 || q.limit > AUDIT_LIMIT_MAX))
        code = err_set(err, ERR_USAGE, "limit must be 1 to %d", AUDIT_LIMIT_MAX);
    if (code == ERR_OK)
        code = audit_list(chain, &q, a, &list, &n, err);
    if (code == ERR_OK)
        code = audit_head(chain, &head, err);
    if (code != ERR_OK)
        return code;
    struct json *entries = json_arr(a), *out = json_obj(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, entries, audit_entry_json(&list[i], a));
    json_set(a, out, "entries", entries);
    *ret = json_set(a, out, "head", json_fmt(a, "%lld %s", (long long)head.seq, head.hash));
    return ERR_OK;
}

enum err_code op_audit_verify(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct arena *a = call->arena;
    struct audit_chain *chain = NULL;
    struct audit_verdict v;
    enum err_code code = chain_of(call, &chain, err);
    if (code == ERR_OK)
        code = audit_verify(chain, a, &v, err);
    if (code != ERR_OK)
        return code;
    struct json *findings = json_arr(a), *out = json_obj(a);
    for (size_t i = 0; i < v.n_findings; i++) {
        struct json *f = json_obj(a);
        json_set(a, f, "fault", json_cstr(a, audit_fault_name(v.findings[i].fault)));
        json_set(a, f, "seq", json_int(a, v.findings[i].seq));
        json_set(a, f, "until_seq", json_int(a, v.findings[i].until_seq));
        json_add(a, findings, json_set(a, f, "text", json_cstr(a, v.findings[i].text)));
    }
    json_set(a, out, "holds", json_bool(a, v.n_findings == 0));
    json_set(a, out, "n_entries", json_int(a, v.n_entries));
    json_set(a, out, "head", json_fmt(a, "%lld %s", (long long)v.head.seq, v.head.hash));
    *ret = json_set(a, out, "findings", findings);
    if (v.n_findings > 0)
        return err_set(err, ERR_NO, "the audit chain was tampered with: %s", v.findings[0].text);
    return ERR_OK;
}
