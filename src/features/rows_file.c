#include "features/rows_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hash.h"

/* ---- writing ---- */

struct rows_writer {
    FILE *file;
    char *path;
    struct buf row;
};

static void put_frame(struct rows_writer *w, struct str bytes)
{
    uint32_t n = (uint32_t)bytes.n, crc = crc32c(0, bytes.p, bytes.n);
    (void)fwrite(&n, sizeof n, 1, w->file);
    (void)fwrite(bytes.p, 1, bytes.n, w->file);
    (void)fwrite(&crc, sizeof crc, 1, w->file);
}

enum err_code rows_writer_open(const char *path, const struct json *header,
                               struct rows_writer **ret, struct err *err)
{
    uint32_t head[2] = {ROWS_FILE_FORMAT, ROWS_FILE_ORDER};
    struct rows_writer *w = calloc(1, sizeof *w);
    enum err_code code;
    if (!w)
        return err_nomem(err);
    buf_init(&w->row, ROWS_ROW_MAX);
    w->path = strdup(path);
    w->file = w->path ? fopen(path, "wbe") : NULL;
    if (!w->file) {
        code = err_errno(err, errno, "%s", path);
        goto fail;
    }
    code = json_write(header, JSON_COMPACT, &w->row, err);
    if (code == ERR_OK)
        code = buf_ok(&w->row, err);
    if (code != ERR_OK)
        goto fail;
    (void)fwrite(ROWS_FILE_MAGIC, 1, 8, w->file);
    (void)fwrite(head, sizeof head, 1, w->file);
    put_frame(w, buf_view(&w->row));
    *ret = w;
    return ERR_OK;
fail:
    if (w->file)
        (void)fclose(w->file);
    buf_fini(&w->row);
    free(w->path);
    free(w);
    return code;
}

static void put_value(struct buf *b, const struct value *v)
{
    uint32_t n;
    buf_ch(b, (char)v->type);
    switch (v->type) {
    case VAL_NULL:
        break;
    case VAL_BOOL:
        buf_ch(b, (char)v->u.b);
        break;
    case VAL_INT:
    case VAL_TIME:
    case VAL_FLOAT:
        buf_put(b, &v->u.i, 8);
        break;
    case VAL_STR:
        n = (uint32_t)v->u.s.n;
        buf_put(b, &n, sizeof n);
        buf_str(b, v->u.s);
        break;
    case VAL_TYPE_N:
    default:
        UNREACHABLE();
    }
}

enum err_code rows_writer_add(struct rows_writer *w, int64_t time_us, int64_t known_us,
                              const struct value *values, size_t n, struct err *err)
{
    buf_reset(&w->row);
    buf_put(&w->row, &time_us, 8);
    buf_put(&w->row, &known_us, 8);
    for (size_t i = 0; i < n; i++)
        put_value(&w->row, &values[i]);
    enum err_code code = buf_ok(&w->row, err);
    if (code == ERR_OK)
        put_frame(w, buf_view(&w->row));
    return code;
}

enum err_code rows_writer_close(struct rows_writer *w, bool is_good, struct err *err)
{
    enum err_code code = ERR_OK;
    if (is_good && (fflush(w->file) != 0 || ferror(w->file) || fsync(fileno(w->file)) != 0))
        code = err_errno(err, errno, "writing %s", w->path);
    if (fclose(w->file) != 0 && code == ERR_OK && is_good)
        code = err_errno(err, errno, "closing %s", w->path);
    if (code != ERR_OK || !is_good)
        (void)unlink(w->path);
    buf_fini(&w->row);
    free(w->path);
    free(w);
    return code;
}

/* ---- reading ---- */

struct feature_rows {
    FILE *file;
    char *path;
    struct arena arena; /* header */
    struct json *header;
    size_t n_keys, n_values;
    struct value *values; /* keys, then values */
    char *row;
    size_t row_cap;
    int64_t n_read, n_rows;
    bool is_damaged;
};

/* The next frame into f->row, NUL behind it; false at the end or on damage. */
static bool next_frame(struct feature_rows *f, size_t *ret_n)
{
    uint32_t n = 0, crc = 0;
    size_t got = fread(&n, 1, sizeof n, f->file);
    if (got == 0 && feof(f->file))
        return false;
    f->is_damaged = true;
    if (got != sizeof n || n > ROWS_ROW_MAX)
        return false;
    if ((size_t)n + 1 > f->row_cap) {
        char *p = realloc(f->row, (size_t)n + 1);
        if (!p)
            return false;
        f->row = p;
        f->row_cap = (size_t)n + 1;
    }
    if (fread(f->row, 1, n, f->file) != n || fread(&crc, 1, sizeof crc, f->file) != sizeof crc ||
        crc != crc32c(0, f->row, n))
        return false;
    f->row[n] = '\0';
    f->is_damaged = false;
    *ret_n = n;
    return true;
}

static enum err_code read_header(struct feature_rows *f, struct err *err)
{
    char magic[8];
    uint32_t head[2];
    size_t n = 0;
    if (fread(magic, 1, sizeof magic, f->file) != sizeof magic ||
        memcmp(magic, ROWS_FILE_MAGIC, sizeof magic) != 0)
        return err_set(err, ERR_CORRUPT, "%s is not a file of feature rows", f->path);
    if (fread(head, sizeof head, 1, f->file) != 1 || head[0] != ROWS_FILE_FORMAT ||
        head[1] != ROWS_FILE_ORDER)
        return err_set(err, ERR_UNSUPPORTED, "%s was written in another format or byte order",
                       f->path);
    if (!next_frame(f, &n))
        return err_set(err, ERR_CORRUPT, "%s: damaged header", f->path);
    char *text = str_dup(&f->arena, str_n(f->row, n)); /* the tree may point into its text */
    if (!text)
        return arena_err(&f->arena, err);
    enum err_code code = json_read(str_n(text, n), &f->arena, &f->header, err);
    if (code != ERR_OK)
        return err_wrap(err, "%s: header", f->path);
    f->n_keys = json_len(json_get(f->header, "entity"));
    f->n_values = json_len(json_get(f->header, "columns"));
    f->n_rows = json_get_int(f->header, "rows", -1);
    f->values = ARENA_NEW_N(&f->arena, struct value, f->n_keys + f->n_values);
    return f->values ? ERR_OK : arena_err(&f->arena, err);
}

enum err_code feature_rows_open(const char *path, struct feature_rows **ret, struct err *err)
{
    struct feature_rows *f = calloc(1, sizeof *f);
    enum err_code code;
    if (!f)
        return err_nomem(err);
    arena_init(&f->arena, 64 << 20);
    f->path = str_dup(&f->arena, str_c(path));
    f->file = fopen(path, "rbe");
    if (!f->path)
        code = arena_err(&f->arena, err);
    else if (!f->file)
        code = err_errno(err, errno, "%s", path);
    else
        code = read_header(f, err);
    if (code != ERR_OK) {
        struct err ignored = ERR_INIT;
        (void)!feature_rows_close(f, &ignored);
        return code;
    }
    *ret = f;
    return ERR_OK;
}

const struct json *feature_rows_header(const struct feature_rows *f)
{
    return f->header;
}

/* One value at *p; false when the row is too short or the type is none. */
static bool get_value(const char **p, const char *end, struct value *ret)
{
    uint32_t n;
    if (*p >= end || (unsigned char)**p >= VAL_TYPE_N)
        return false;
    ret->type = (enum value_type)(unsigned char)*(*p)++;
    size_t left = (size_t)(end - *p);
    switch (ret->type) {
    case VAL_NULL:
        return true;
    case VAL_BOOL:
        if (left < 1)
            return false;
        ret->u.b = *(*p)++ != 0;
        return true;
    case VAL_STR:
        if (left < sizeof n)
            return false;
        memcpy(&n, *p, sizeof n);
        if (left - sizeof n < n)
            return false;
        ret->u.s = str_n(*p + sizeof n, n);
        *p += sizeof n + n;
        return true;
    case VAL_INT:
    case VAL_TIME:
    case VAL_FLOAT:
    case VAL_TYPE_N:
    default:
        if (left < 8)
            return false;
        memcpy(&ret->u.i, *p, 8);
        *p += 8;
        return true;
    }
}

bool feature_rows_next(struct feature_rows *f, struct feature_row *ret)
{
    size_t n = 0;
    if (f->is_damaged || !next_frame(f, &n))
        return false;
    const char *p = f->row + 16, *end = f->row + n;
    f->is_damaged = n < 16;
    for (size_t i = 0; !f->is_damaged && i < f->n_keys + f->n_values; i++)
        f->is_damaged = !get_value(&p, end, &f->values[i]);
    f->is_damaged |= p != end;
    if (f->is_damaged)
        return false;
    memcpy(&ret->time_us, f->row, 8);
    memcpy(&ret->known_us, f->row + 8, 8);
    ret->keys = f->values;
    ret->values = f->values + f->n_keys;
    f->n_read++;
    return true;
}

enum err_code feature_rows_close(struct feature_rows *f, struct err *err)
{
    enum err_code code = ERR_OK;
    if (!f)
        return ERR_OK;
    if (f->is_damaged)
        code = err_set(err, ERR_CORRUPT, "%s: row %lld is damaged", f->path ? f->path : "",
                       (long long)f->n_read);
    else if (f->header && f->n_rows >= 0 && feof(f->file) && f->n_read != f->n_rows)
        code = err_set(err, ERR_CORRUPT, "%s ends after %lld of %lld rows", f->path,
                       (long long)f->n_read, (long long)f->n_rows);
    if (f->file)
        (void)fclose(f->file);
    free(f->row);
    arena_fini(&f->arena);
    free(f);
    return code;
}
