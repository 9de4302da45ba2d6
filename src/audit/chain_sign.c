/* The key, the hash of an entry and the signed head. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/chain_int.h"

#define SIGNATURE_BYTES 64
#define HEAD_FILE_BYTES 4096

static enum err_code key_make(struct audit_chain *c, struct err *err)
{
    char text[2 * AUDIT_KEY_BYTES + 2];
    struct audit_signed_head genesis = {.seq = 0, .hash = AUDIT_GENESIS};
    random_bytes(c->key, sizeof(c->key));
    hex_encode(c->key, sizeof(c->key), text);
    text[2 * AUDIT_KEY_BYTES] = '\n';
    text[2 * AUDIT_KEY_BYTES + 1] = '\0';
    /* The head file first: a key without one would look like a head that was taken away. */
    enum err_code code = audit_sign(c, 0, genesis.hash, genesis.signature, err);
    if (code == ERR_OK)
        code = audit_head_file_write(c, &genesis, err);
    if (code == ERR_OK)
        code = file_write(c->key_path, str_n(text, 2 * AUDIT_KEY_BYTES + 1), 0600, err);
    return code == ERR_OK ? code : err_wrap(err, "make the audit key");
}

static enum err_code key_read(struct audit_chain *c, struct err *err)
{
    struct arena a;
    struct str text;
    struct stat st;
    struct digest key;
    if (stat(c->key_path, &st) != 0)
        return err_errno(err, errno, "read the audit key %s", c->key_path);
    if ((st.st_mode & 077) != 0)
        return err_set(err, ERR_REFUSED,
                       "the audit key %s may be read by others: run chmod 600 on it", c->key_path);
    arena_init(&a, 4096);
    enum err_code code = file_read(c->key_path, 1024, &a, &text, err);
    if (code == ERR_OK)
        code = digest_parse(str_trim(text), &key, err);
    if (code == ERR_OK)
        memcpy(c->key, key.b, sizeof(c->key));
    arena_fini(&a);
    return code == ERR_OK ? code : err_wrap(err, "read the audit key %s", c->key_path);
}

enum err_code audit_key_ready(struct audit_chain *c, bool is_chain_empty, struct err *err)
{
    enum err_code code = ERR_OK;
    if (c->has_key)
        return ERR_OK;
    mutex_lock(&c->lock);
    if (!c->has_key) {
        if (file_exists(c->key_path))
            code = key_read(c, err);
        else if (is_chain_empty)
            code = key_make(c, err);
        else
            code = err_set(err, ERR_CORRUPT,
                           "the audit key %s is gone while the chain has entries: restore it from "
                           "a copy of the home",
                           c->key_path);
        c->has_key = code == ERR_OK;
    }
    mutex_unlock(&c->lock);
    return code;
}

/* What is signed: the place in the chain and its hash. */
static int head_text(char out[128], int64_t seq, const char *hash)
{
    return snprintf(out, 128, "pawl.audit-head.v1\n%lld %s", (long long)seq, hash);
}

enum err_code audit_sign(const struct audit_chain *c, int64_t seq, const char *hash,
                         char ret[AUDIT_SIGNATURE_HEX], struct err *err)
{
    char text[128];
    unsigned char sig[SIGNATURE_BYTES];
    size_t n_sig = sizeof(sig);
    int n = head_text(text, seq, hash);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, c->key, sizeof(c->key));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_ok = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
                 EVP_DigestSign(ctx, sig, &n_sig, (const unsigned char *)text, (size_t)n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!is_ok)
        return err_set(err, ERR_INTERNAL, "the audit head could not be signed");
    hex_encode(sig, sizeof(sig), ret);
    return ERR_OK;
}

static bool signature_decode(const char *hex, unsigned char out[SIGNATURE_BYTES])
{
    struct digest half;
    if (strlen(hex) != 2 * SIGNATURE_BYTES)
        return false;
    for (int i = 0; i < 2; i++) {
        if (digest_parse(str_n(hex + i * SIGNATURE_BYTES, SIGNATURE_BYTES), &half, NULL) != ERR_OK)
            return false;
        memcpy(out + i * DIGEST_BYTES, half.b, DIGEST_BYTES);
    }
    return true;
}

bool audit_is_signed(const struct audit_chain *c, int64_t seq, const char *hash,
                     const char *signature)
{
    char text[128];
    unsigned char sig[SIGNATURE_BYTES];
    int n = head_text(text, seq, hash);
    if (!signature_decode(signature, sig))
        return false;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, c->key, sizeof(c->key));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_ok =
        key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(ctx, sig, sizeof(sig), (const unsigned char *)text, (size_t)n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return is_ok;
}

enum err_code audit_hash(const struct audit_entry *e, const char *detail_text, const char *prev,
                         char ret[DIGEST_HEX_BYTES], struct err *err)
{
    struct arena a;
    struct digest d;
    arena_init(&a, (size_t)4 << 20);
    struct json *j = json_obj(&a);
    json_set(&a, j, "seq", json_int(&a, e->seq));
    json_set(&a, j, "at_us", json_int(&a, e->at_us));
    json_set(&a, j, "actor", json_cstr(&a, e->actor));
    json_set(&a, j, "action", json_cstr(&a, e->action));
    json_set(&a, j, "object", json_cstr(&a, e->object));
    json_set(&a, j, "before", json_cstr(&a, e->before));
    json_set(&a, j, "after", json_cstr(&a, e->after));
    json_set(&a, j, "reason", json_cstr(&a, e->reason));
    json_set(&a, j, "detail", json_cstr(&a, detail_text));
    json_set(&a, j, "prev", json_cstr(&a, prev));
    enum err_code code = json_digest(j, "audit", &d, err);
    if (code == ERR_OK)
        digest_hex(&d, ret);
    arena_fini(&a);
    return code;
}

enum err_code audit_head_file_read(const struct audit_chain *c, struct audit_signed_head *ret,
                                   struct err *err)
{
    struct arena a;
    struct str text, hash, signature;
    struct json *j = NULL;
    arena_init(&a, (size_t)64 << 10);
    enum err_code code = file_read(c->head_path, HEAD_FILE_BYTES, &a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, &a, &j, err);
    if (code == ERR_OK)
        code = json_need_int(j, "seq", &ret->seq, err);
    if (code == ERR_OK)
        code = json_need_str(j, "hash", &hash, err);
    if (code == ERR_OK)
        code = json_need_str(j, "signature", &signature, err);
    if (code == ERR_OK) {
        snprintf(ret->hash, sizeof(ret->hash), "%.*s", STR_ARG(hash));
        snprintf(ret->signature, sizeof(ret->signature), "%.*s", STR_ARG(signature));
    }
    arena_fini(&a);
    return code == ERR_OK ? code : err_wrap(err, "audit head file %s", c->head_path);
}

enum err_code audit_head_file_write(const struct audit_chain *c, const struct audit_signed_head *h,
                                    struct err *err)
{
    struct arena a;
    struct buf text;
    arena_init(&a, (size_t)64 << 10);
    buf_init(&text, HEAD_FILE_BYTES);
    struct json *j = json_obj(&a);
    json_set(&a, j, "seq", json_int(&a, h->seq));
    json_set(&a, j, "hash", json_cstr(&a, h->hash));
    json_set(&a, j, "signature", json_cstr(&a, h->signature));
    enum err_code code = json_write(j, JSON_PRETTY, &text, err);
    if (code == ERR_OK)
        code = file_write(c->head_path, buf_view(&text), 0600, err);
    buf_fini(&text);
    arena_fini(&a);
    return code;
}
