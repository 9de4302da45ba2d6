/* The audit chain: every decision, in one order that cannot be rewritten without being found.
 *
 * An entry's hash covers its fields and the hash before it; the head (seq, hash) is signed
 * (Ed25519, key in home/keys/audit.key, mode 0600, never in the database) with every entry, and
 * once more in home/audit.head, outside the database. So a changed, removed, inserted or forged
 * entry, a chain cut at its end and a chain computed anew are found and named. Whoever holds the
 * key and both files can still lie: hence the head is printed in reports and alerts.
 *
 *     struct audit_entry e = {.actor = who, .action = "release.approve", .object = "release:r7",
 * .reason = why};
 *     code = audit_append(chain, tx, &e, NULL, err);    // in the transaction of the decision
 *     ... after the commit: audit_publish(chain, err);
 *
 * Threads: any. */
#ifndef PAWL_AUDIT_CHAIN_H
#define PAWL_AUDIT_CHAIN_H

#include "base/clock.h"
#include "base/hash.h"
#include "db/db.h"
#include "json/json.h"

struct audit_chain;

struct audit_entry {
    int64_t seq;        /* given by append */
    int64_t at_us;      /* 0: the chain's clock */
    const char *actor;  /* "local:alice"; never NULL */
    const char *action; /* "rollout.rollback"; never NULL */
    const char *object; /* "endpoint:delay", "release:r7", "model:flights/3"; never NULL */
    const char *before, *after, *reason;                 /* digests or short texts; NULL: none */
    const struct json *detail;                           /* NULL: none */
    char hash[DIGEST_HEX_BYTES], prev[DIGEST_HEX_BYTES]; /* filled when read */
};

/* Reads the key, or makes it together with the first head file when the chain is empty. */
enum err_code audit_open(struct db *db, const char *home, const struct clock *clock,
                         struct audit_chain **ret, struct err *err) MUST_CHECK;
void audit_close(struct audit_chain *c); /* accepts NULL */

/* Adds an entry inside the caller's transaction (the head's row is locked until its end). ret_seq
 * may be NULL. */
enum err_code audit_append(struct audit_chain *c, struct db_tx *tx, const struct audit_entry *e,
                           int64_t *ret_seq, struct err *err) MUST_CHECK;
/* Adds an entry in a transaction of its own and publishes the head. */
enum err_code audit_write(struct audit_chain *c, const struct audit_entry *e, int64_t *ret_seq,
                          struct err *err) MUST_CHECK;
/* Writes home/audit.head for the committed head; never moves it back. Call after a commit that
 * appended. */
enum err_code audit_publish(struct audit_chain *c, struct err *err) MUST_CHECK;

struct audit_head {
    int64_t seq;
    char hash[DIGEST_HEX_BYTES];
    int64_t at_us; /* of the entry; 0 when there is none */
};
enum err_code audit_head(struct audit_chain *c, struct audit_head *ret, struct err *err) MUST_CHECK;

struct audit_query {
    const char *object, *action, *actor; /* exact; a trailing "*" = prefix; NULL: any */
    int64_t since_us, until_us;          /* 0: open */
    int64_t before_seq;                  /* 0: from the newest */
    int64_t limit;                       /* > 0 */
};
/* Newest first. */
enum err_code audit_list(struct audit_chain *c, const struct audit_query *q, struct arena *a,
                         struct audit_entry **ret, size_t *ret_n, struct err *err) MUST_CHECK;
struct json *audit_entry_json(const struct audit_entry *e, struct arena *a);

enum audit_fault {
    AUDIT_CHANGED,
    AUDIT_REMOVED,
    AUDIT_INSERTED,
    AUDIT_TRUNCATED,
    AUDIT_FORGED,
    AUDIT_HEAD,
    AUDIT_FAULT_N
};
const char *audit_fault_name(enum audit_fault f); /* "changed" … */
struct audit_finding {
    enum audit_fault fault;
    int64_t seq, until_seq; /* the entries concerned; until_seq == seq for one */
    char *text; /* sentence that names entry, action and object as far as they are known */
};
#define AUDIT_FINDINGS_MAX 100
struct audit_verdict {
    int64_t n_entries;
    struct audit_head head; /* of the chain as it stands */
    struct audit_finding *findings;
    size_t n_findings; /* 0: the chain holds */
};
/* Walks the whole chain. Findings are not an error; not being able to read is. Cost: 2 µs an entry,
 * and 0.1 ms an entry for signatures when something is wrong. */
enum err_code audit_verify(struct audit_chain *c, struct arena *a, struct audit_verdict *ret,
                           struct err *err) MUST_CHECK;

#endif
