/* Walks the chain and names what does not hold.
 *
 * Each entry is judged by itself (does its hash cover what stands there?), by its neighbour (does
 * it follow on the one before?), and, once anything is wrong or the head is not the signed one, by
 * its signature: hashes can be computed anew by anybody, signatures only with the key. */
#include <stdio.h>

#include "audit/chain_int.h"
#include "base/vec.h"

struct verify {
    const struct audit_chain *chain;
    struct arena *arena;
    VEC(struct audit_finding) findings;
    int64_t n_entries, last_seq, last_at_us;
    char last_hash[DIGEST_HEX_BYTES];
    bool has_prev;
    struct audit_signed_head stored, file;
    bool has_file, must_check_signatures;
    bool file_seq_seen;
    enum err_code failed;
};

static void finding_add(struct verify *v, enum audit_fault fault, int64_t seq, int64_t until,
                        const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void finding_add(struct verify *v, enum audit_fault fault, int64_t seq, int64_t until,
                        const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (v->findings.n >= AUDIT_FINDINGS_MAX)
        return;
    struct audit_finding *f = VEC_ADD(v->arena, &v->findings);
    if (f)
        *f = (struct audit_finding){
            .fault = fault, .seq = seq, .until_seq = until, .text = str_dup(v->arena, str_c(text))};
    if (!f || !f->text)
        v->failed = ERR_LIMIT;
}

static void gap_judge(struct verify *v, const struct audit_entry *e)
{
    int64_t from = v->last_seq + 1, to = e->seq - 1;
    if (from == to)
        finding_add(v, AUDIT_REMOVED, from, to,
                    "entry %lld was removed: the chain goes from %lld to %lld", (long long)from,
                    (long long)v->last_seq, (long long)e->seq);
    else
        finding_add(v, AUDIT_REMOVED, from, to,
                    "entries %lld to %lld were removed: the chain goes from %lld to %lld",
                    (long long)from, (long long)to, (long long)v->last_seq, (long long)e->seq);
}

static void entry_judge(struct verify *v, const struct audit_row *r)
{
    const struct audit_entry *e = &r->entry;
    char hash[DIGEST_HEX_BYTES] = "";
    bool is_whole =
        audit_hash(e, r->detail_text, e->prev, hash, NULL) == ERR_OK && strcmp(hash, e->hash) == 0;
    bool follows = strcmp(e->prev, v->last_hash) == 0;
    if (e->seq != v->last_seq + 1)
        gap_judge(v, e);
    else if (is_whole && !follows)
        finding_add(v, AUDIT_INSERTED, e->seq, e->seq,
                    "entry %lld (%s of %s by %s) does not follow on entry %lld: one of the two was "
                    "put there or rewritten",
                    (long long)e->seq, e->action, e->object, e->actor, (long long)v->last_seq);
    if (!is_whole)
        finding_add(
            v, AUDIT_CHANGED, e->seq, e->seq,
            "entry %lld (now reads: %s of %s by %s) was changed: its content does not match "
            "its hash",
            (long long)e->seq, e->action, e->object, e->actor);
    else if (v->must_check_signatures && !audit_is_signed(v->chain, e->seq, e->hash, r->signature))
        finding_add(v, AUDIT_FORGED, e->seq, e->seq,
                    "entry %lld (%s of %s by %s) is not signed by this home's key: it was inserted "
                    "or rewritten",
                    (long long)e->seq, e->action, e->object, e->actor);
    if (v->has_file && e->seq == v->file.seq) {
        v->file_seq_seen = true;
        if (strcmp(e->hash, v->file.hash) != 0)
            finding_add(
                v, AUDIT_HEAD, e->seq, e->seq,
                "entry %lld is not the one that audit.head witnessed: the chain was computed "
                "anew at or before it",
                (long long)e->seq);
    }
    v->n_entries++;
    v->last_seq = e->seq;
    v->last_at_us = e->at_us;
    memcpy(v->last_hash, e->hash, sizeof(v->last_hash));
}

#define VERIFY_PAGE 1000

/* One page of the chain from a seq on; *ret_n rows were seen. */
static enum err_code page_walk(struct db_tx *tx, struct verify *v, size_t *ret_n, struct err *err)
{
    struct db_rows *rows = NULL;
    struct arena a;
    enum err_code loaded = ERR_OK;
    *ret_n = 0;
    enum err_code code = db_query(
        tx, &rows, err, "SELECT " AUDIT_COLUMNS " FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
        "ii", v->has_prev ? v->last_seq : INT64_MIN, (int64_t)VERIFY_PAGE);
    if (code != ERR_OK)
        return code;
    arena_init(&a, (size_t)64 << 20);
    while (loaded == ERR_OK && db_next(rows)) {
        struct audit_row row;
        arena_reset(&a);
        loaded = audit_row_load(rows, &a, &row, err);
        if (loaded == ERR_OK)
            entry_judge(v, &row);
        v->has_prev = true;
        (*ret_n)++;
    }
    arena_fini(&a);
    code = db_done(rows, loaded == ERR_OK ? err : NULL);
    return loaded != ERR_OK ? loaded : code;
}

static void walk_reset(struct verify *v)
{
    v->findings.n = 0;
    v->n_entries = v->last_seq = v->last_at_us = 0;
    v->has_prev = v->file_seq_seen = false;
    memcpy(v->last_hash, AUDIT_GENESIS, sizeof(v->last_hash));
}

static void head_judge(struct verify *v)
{
    const struct audit_signed_head *s = &v->stored, *f = &v->file;
    long long last = (long long)v->last_seq;
    if (s->seq > 0 && !audit_is_signed(v->chain, s->seq, s->hash, s->signature))
        finding_add(v, AUDIT_HEAD, s->seq, s->seq,
                    "the chain's head (entry %lld) is not signed by this home's key",
                    (long long)s->seq);
    if (v->last_seq < s->seq)
        finding_add(v, AUDIT_TRUNCATED, v->last_seq + 1, s->seq,
                    "the chain was cut: it ends at entry %lld and its head says %lld", last,
                    (long long)s->seq);
    else if (v->last_seq > s->seq)
        finding_add(v, AUDIT_INSERTED, s->seq + 1, v->last_seq,
                    "entries %lld to %lld stand behind the signed head: they were inserted",
                    (long long)s->seq + 1, last);
    else if (s->seq > 0 && strcmp(v->last_hash, s->hash) != 0)
        finding_add(v, AUDIT_HEAD, s->seq, s->seq,
                    "the last entry (%lld) is not the one that the head was signed for", last);
    if (!v->has_file) {
        finding_add(v, AUDIT_HEAD, 0, v->last_seq,
                    "the head file %s is gone or unreadable: a cut at the chain's end could not be "
                    "seen",
                    v->chain->head_path);
        return;
    }
    if (!audit_is_signed(v->chain, f->seq, f->hash, f->signature))
        finding_add(v, AUDIT_HEAD, f->seq, f->seq,
                    "the head file %s is not signed by this home's key", v->chain->head_path);
    else if (f->seq > v->last_seq && f->seq > s->seq)
        finding_add(v, AUDIT_TRUNCATED, v->last_seq + 1, f->seq,
                    "the chain was cut: it ends at entry %lld and audit.head witnessed %lld", last,
                    (long long)f->seq);
}

static enum err_code chain_walk(struct db_tx *tx, struct verify *v, struct err *err)
{
    size_t n = 0;
    enum err_code code;
    walk_reset(v);
    do
        code = page_walk(tx, v, &n, err);
    while (code == ERR_OK && n == VERIFY_PAGE);
    if (code == ERR_OK)
        head_judge(v);
    return code;
}

static enum err_code verify_fn(struct db_tx *tx, void *arg, struct err *err)
{
    struct verify *v = arg;
    int64_t at_us;
    enum err_code code = audit_stored_head(tx, &v->stored, &at_us, err);
    if (code == ERR_OK)
        code = chain_walk(tx, v, err);
    if (code == ERR_OK && v->findings.n > 0) {
        v->must_check_signatures = true;
        code = chain_walk(tx, v, err);
    }
    if (code == ERR_OK && v->failed != ERR_OK)
        code = arena_err(v->arena, err);
    return code;
}

enum err_code audit_verify(struct audit_chain *c, struct arena *a, struct audit_verdict *ret,
                           struct err *err)
{
    struct verify v = {.chain = c, .arena = a};
    enum err_code code = audit_key_ready(c, false, err);
    if (code != ERR_OK)
        return code;
    v.has_file = audit_head_file_read(c, &v.file, NULL) == ERR_OK;
    code = db_read(c->db, verify_fn, &v, err);
    if (code != ERR_OK)
        return code;
    *ret = (struct audit_verdict){.n_entries = v.n_entries,
                                  .head = {.seq = v.last_seq, .at_us = v.last_at_us},
                                  .findings = v.findings.p,
                                  .n_findings = v.findings.n};
    memcpy(ret->head.hash, v.last_hash, sizeof(ret->head.hash));
    return ERR_OK;
}

const char *audit_fault_name(enum audit_fault f)
{
    static const char *const NAMES[AUDIT_FAULT_N] = {
        [AUDIT_CHANGED] = "changed",     [AUDIT_REMOVED] = "removed", [AUDIT_INSERTED] = "inserted",
        [AUDIT_TRUNCATED] = "truncated", [AUDIT_FORGED] = "forged",   [AUDIT_HEAD] = "head",
    };
    return (unsigned)f < AUDIT_FAULT_N ? NAMES[f] : "unknown";
}
