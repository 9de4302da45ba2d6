#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/file.h"

/* Fetching by name is slow in OpenSSL 3: once per process. */
static EVP_MD *sha256_md;
static pthread_once_t md_once = PTHREAD_ONCE_INIT;

static void md_fetch(void)
{
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static const EVP_MD *md_get(void)
{
    CHECK(pthread_once(&md_once, md_fetch) == 0);
    CHECK(sha256_md != NULL);
    return sha256_md;
}

struct sha256 {
    EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex2(h->ctx, md_get(), NULL) != 1) {
        sha256_free(h);
        return NULL;
    }
    return h;
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    CHECK(n == 0 || EVP_DigestUpdate(h->ctx, p, n) == 1);
}

void sha256_end(struct sha256 *h, struct digest *ret)
{
    CHECK(EVP_DigestFinal_ex(h->ctx, ret->b, NULL) == 1);
    CHECK(EVP_DigestInit_ex2(h->ctx, NULL, NULL) == 1);
}

void digest_of(const void *p, size_t n, struct digest *ret)
{
    CHECK(EVP_Digest(n ? p : "", n, ret->b, NULL, md_get(), NULL) == 1);
}

void digest_of_kind(const char *kind, struct str bytes, struct digest *ret)
{
    struct sha256 *h = sha256_new();
    CHECK(h != NULL);
    sha256_add(h, "pawl.", 5);
    sha256_add(h, kind, strlen(kind));
    sha256_add(h, ".v1\n", 4);
    sha256_add(h, bytes.p, bytes.n);
    sha256_end(h, ret);
    sha256_free(h);
}

enum err_code digest_of_file(const char *path, struct digest *ret, int64_t *ret_bytes,
                             struct err *err)
{
    enum { PIECE_BYTES = 1 << 17 };
    enum err_code code = ERR_OK;
    struct sha256 *h = sha256_new();
    unsigned char *piece = malloc(PIECE_BYTES);
    int64_t total = 0;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        code = err_errno(err, errno, "open %s", path);
        goto done;
    }
    if (!h || !piece) {
        code = err_nomem(err);
        goto done;
    }
    while ((n = read(fd, piece, PIECE_BYTES)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        sha256_add(h, piece, (size_t)n);
        total += n;
    }
    if (n < 0) {
        code = err_errno(err, errno, "read %s", path);
        goto done;
    }
    sha256_end(h, ret);
    if (ret_bytes)
        *ret_bytes = total;
done:
    fd_close(&fd);
    free(piece);
    sha256_free(h);
    return code;
}

void hex_encode(const void *p, size_t n, char *out)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[b[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[b[i] & 15];
    }
    out[2 * n] = '\0';
}

void digest_hex(const struct digest *d, char out[DIGEST_HEX_BYTES])
{
    hex_encode(d->b, DIGEST_BYTES, out);
}

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err_code digest_parse(struct str hex, struct digest *ret, struct err *err)
{
    struct digest d;
    bool is_good = hex.n == (size_t)2 * DIGEST_BYTES;
    for (size_t i = 0; is_good && i < DIGEST_BYTES; i++) {
        int hi = hex_value(hex.p[2 * i]), lo = hex_value(hex.p[2 * i + 1]);
        is_good = hi >= 0 && lo >= 0;
        d.b[i] = (uint8_t)(((unsigned)hi << 4) | (unsigned)lo);
    }
    if (!is_good)
        return err_set(err, ERR_PARSE, "\"%.*s\" is not a digest of 64 hexadecimal digits",
                       (int)(hex.n < 80 ? hex.n : 80), hex.n ? hex.p : "");
    *ret = d;
    return ERR_OK;
}

int digest_cmp(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_BYTES);
}

uint64_t hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(n ? p : "", n, seed);
}

struct hash128 hash128(const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(n ? p : "", n);
    return (struct hash128){h.low64, h.high64};
}
