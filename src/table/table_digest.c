/* The name of typed rows. Bytes that are hashed: "pawl.rows.v1\n", then for each column its name and value type
 * (length-prefixed), then row after row: for each value one tag byte (0 null, else 1 + its type) and its bytes, numbers
 * little-endian, strings with a 32-bit length; every NaN is the same quiet one. Never the bytes of a Parquet file:
 * those depend on the library that wrote it (decision 5). */
#include "table/table_int.h"

#define DIGEST_BLOCK_BYTES (1 << 16)

struct row_hash {
    struct sha256 *sha;
    size_t n;
    uint8_t block[DIGEST_BLOCK_BYTES];
};

static void hash_bytes(struct row_hash *h, const void *p, size_t n)
{
    if (h->n + n > sizeof h->block) {
        sha256_add(h->sha, h->block, h->n);
        h->n = 0;
    }
    if (n > sizeof h->block) {
        sha256_add(h->sha, p, n);
        return;
    }
    if (n > 0)
        memcpy(h->block + h->n, p, n);
    h->n += n;
}

static void hash_text(struct row_hash *h, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    hash_bytes(h, &n, sizeof n);
    hash_bytes(h, s.p, s.n);
}

static void hash_value(struct row_hash *h, const struct column *c, size_t i)
{
    bool is_null = c->type == VAL_NULL || (c->valid && !c->valid[i]);
    uint8_t tag = is_null ? 0 : (uint8_t)(1 + c->type);
    hash_bytes(h, &tag, 1);
    if (is_null)
        return;
    if (c->type == VAL_STR) {
        hash_text(h, c->u.s[i]);
    } else if (c->type == VAL_BOOL) {
        hash_bytes(h, &c->u.b[i], 1);
    } else if (c->type == VAL_FLOAT && c->u.f[i] != c->u.f[i]) {
        uint64_t nan = UINT64_C(0x7ff8000000000000);
        hash_bytes(h, &nan, sizeof nan);
    } else {
        hash_bytes(h, &c->u.i[i], sizeof(int64_t));
    }
}

static void hash_header(struct row_hash *h, const struct table_rows *rows)
{
    static const char MAGIC[] = "pawl.rows.v1\n";
    hash_bytes(h, MAGIC, sizeof MAGIC - 1);
    for (size_t j = 0; j < table_rows_n_cols(rows); j++) {
        hash_text(h, str_c(table_rows_cols(rows)[j].name));
        hash_text(h, str_c(value_type_name(table_rows_cols(rows)[j].type)));
    }
}

enum err_code table_digest(struct table *t, struct str select, struct digest *ret,
                           int64_t *ret_rows, struct err *err)
{
    struct arena a = {0};
    struct table_rows *rows = NULL;
    struct table_chunk c = {0};
    struct digest d;
    int64_t n_rows = 0;
    enum err_code code;
    arena_init(&a, (size_t)1 << 24);
    struct row_hash *h = ARENA_NEW(&a, struct row_hash);
    char *text = str_dup(&a, select);
    if (!h || !text || !(h->sha = sha256_new())) {
        code = err_nomem(err);
        goto done;
    }
    code = table_query(t, TABLE_SQL(text), &rows, err);
    if (code != ERR_OK)
        goto done;
    hash_header(h, rows);
    while ((code = table_rows_next(rows, &c, err)) == ERR_OK && c.n_rows > 0) {
        for (size_t i = 0; i < c.n_rows; i++)
            for (size_t j = 0; j < c.n_cols; j++)
                hash_value(h, &c.cols[j], i);
        n_rows += (int64_t)c.n_rows;
    }
    if (code != ERR_OK)
        goto done;
    sha256_add(h->sha, h->block, h->n);
    sha256_end(h->sha, &d);
    *ret = d;
    *ret_rows = n_rows;
done:
    table_rows_close(rows);
    if (h)
        sha256_free(h->sha);
    arena_fini(&a);
    return code;
}
