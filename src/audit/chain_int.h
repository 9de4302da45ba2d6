/* Inside audit/: key, hash of an entry, signed heads. */
#ifndef PAWL_AUDIT_CHAIN_INT_H
#define PAWL_AUDIT_CHAIN_INT_H

#include <stdatomic.h>

#include "audit/chain.h"
#include "base/file.h"
#include "base/thread.h"

#define AUDIT_KEY_BYTES     32
#define AUDIT_SIGNATURE_HEX 129 /* with NUL */
#define AUDIT_GENESIS       "0000000000000000000000000000000000000000000000000000000000000000"
#define AUDIT_RANK          400
#define AUDIT_COLUMNS                                                                              \
    "seq, at_us, actor, action, object, before_state, after_state, reason, detail, prev, hash, "   \
    "signature"

struct audit_chain {
    struct db *db;
    char key_path[PATH_BYTES], head_path[PATH_BYTES];
    struct clock clock;
    struct mutex lock;   /* of the fields below and of the head file */
    atomic_bool has_key; /* set once, under the lock */
    uint8_t key[AUDIT_KEY_BYTES];
    int64_t published_seq; /* of the head file; -1: not read yet */
};

/* An entry as it is stored, with its signature. */
struct audit_row {
    struct audit_entry entry;
    char *detail_text; /* as stored; NULL: none */
    char signature[AUDIT_SIGNATURE_HEX];
};

/* A head as the database or the head file tells it. */
struct audit_signed_head {
    int64_t seq;
    char hash[DIGEST_HEX_BYTES], signature[AUDIT_SIGNATURE_HEX];
};

/* ---- chain_sign.c ---- */
/* The key, read or (with an empty chain) made together with the first head file. */
enum err_code audit_key_ready(struct audit_chain *c, bool is_chain_empty,
                              struct err *err) MUST_CHECK;
enum err_code audit_sign(const struct audit_chain *c, int64_t seq, const char *hash,
                         char ret[AUDIT_SIGNATURE_HEX], struct err *err) MUST_CHECK;
bool audit_is_signed(const struct audit_chain *c, int64_t seq, const char *hash,
                     const char *signature);
/* SHA-256 of the kind "audit" over the canonical JSON of the fields and the hash before. */
enum err_code audit_hash(const struct audit_entry *e, const char *detail_text, const char *prev,
                         char ret[DIGEST_HEX_BYTES], struct err *err) MUST_CHECK;
enum err_code audit_head_file_read(const struct audit_chain *c, struct audit_signed_head *ret,
                                   struct err *err) MUST_CHECK;
enum err_code audit_head_file_write(const struct audit_chain *c, const struct audit_signed_head *h,
                                    struct err *err) MUST_CHECK;

/* ---- chain.c ---- */
enum err_code audit_row_load(const struct db_rows *rows, struct arena *a, struct audit_row *ret,
                             struct err *err) MUST_CHECK;
enum err_code audit_stored_head(struct db_tx *tx, struct audit_signed_head *ret, int64_t *ret_at_us,
                                struct err *err) MUST_CHECK;

#endif
