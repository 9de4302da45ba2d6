/* Universal Binary JSON, draft 12, behind the pull interface: what XGBoost writes by default since
 * 2.1. Markers used: { } [ ] $ # S C i U I l L d D T F Z N; numbers are big-endian. */
#include <string.h>

#include "model/doc.h"

static enum err_code take(struct doc *d, size_t n, const char **ret, struct err *err)
{
    if ((size_t)(d->end - d->p) < n)
        return doc_err(d, err, "the file ends inside a value");
    *ret = d->p;
    d->p += n;
    return ERR_OK;
}

static enum err_code take_u64(struct doc *d, size_t n_bytes, uint64_t *ret, struct err *err)
{
    const char *p = "";
    enum err_code rc = take(d, n_bytes, &p, err);
    if (rc != ERR_OK)
        return rc;
    uint64_t v = 0;
    for (size_t i = 0; i < n_bytes; i++)
        v = (v << 8) | (uint8_t)p[i];
    *ret = v;
    return ERR_OK;
}

/* Marker of the value in hand: from the typed container, looked at before, or the next byte ('N' is
 * skipped). */
static enum err_code marker(struct doc *d, char *ret, struct err *err)
{
    while (!d->next_type) {
        const char *p = "";
        enum err_code rc = take(d, 1, &p, err);
        if (rc != ERR_OK)
            return rc;
        d->next_type = *p == 'N' ? '\0' : *p;
    }
    *ret = d->next_type;
    return ERR_OK;
}

/* Bytes of a number of that type; 0: it is no number. */
static size_t number_bytes(char type)
{
    switch (type) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static float float_of(char type, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float f;
    double wide;
    if (type == 'd') {
        memcpy(&f, &low, sizeof f);
        return f;
    }
    memcpy(&wide, &bits, sizeof wide);
    return (float)wide;
}

static enum err_code number_of(struct doc *d, char type, struct doc_number *ret, struct err *err)
{
    uint64_t u = 0;
    size_t n = number_bytes(type);
    if (n == 0)
        return doc_err(d, err, "a number is expected here");
    enum err_code rc = take_u64(d, n, &u, err);
    if (rc != ERR_OK)
        return rc;
    if (type == 'd' || type == 'D') {
        *ret = (struct doc_number){false, 0, float_of(type, u)};
        return ERR_OK;
    }
    unsigned shift = (unsigned)(64 - 8 * n); /* signs are extended, but of 'U' */
    ret->is_int = true;
    ret->i = type == 'U' ? (int64_t)u : (int64_t)(u << shift) >> shift;
    ret->f = (float)ret->i;
    return ERR_OK;
}

/* A length: an integer with its own marker. */
static enum err_code length(struct doc *d, int64_t *ret, struct err *err)
{
    const char *type = "";
    struct doc_number n = {0};
    enum err_code rc = take(d, 1, &type, err);
    if (rc == ERR_OK)
        rc = number_of(d, *type, &n, err);
    if (rc == ERR_OK && (!n.is_int || n.i < 0))
        return doc_err(d, err, "a length is expected here");
    if (rc == ERR_OK)
        *ret = n.i;
    return rc;
}

static enum err_code ubj_peek(struct doc *d, enum doc_kind *ret, struct err *err)
{
    static const struct {
        char type;
        enum doc_kind kind;
    } KINDS[] = {{'{', DOC_OBJECT}, {'[', DOC_ARRAY},  {'S', DOC_STRING}, {'C', DOC_STRING},
                 {'T', DOC_BOOL},   {'F', DOC_BOOL},   {'Z', DOC_NULL},   {'i', DOC_NUMBER},
                 {'U', DOC_NUMBER}, {'I', DOC_NUMBER}, {'l', DOC_NUMBER}, {'L', DOC_NUMBER},
                 {'d', DOC_NUMBER}, {'D', DOC_NUMBER}};
    char type;
    enum err_code rc = marker(d, &type, err);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (KINDS[i].type == type) {
            *ret = KINDS[i].kind;
            return ERR_OK;
        }
    }
    return doc_err(d, err, "unknown type of value");
}

static enum err_code ubj_enter(struct doc *d, bool is_object, struct err *err)
{
    char type;
    enum err_code rc = marker(d, &type, err);
    if (rc != ERR_OK)
        return rc;
    if (type != (is_object ? '{' : '['))
        return doc_err(d, err,
                       is_object ? "an object is expected here" : "an array is expected here");
    d->next_type = 0;
    struct doc_frame f = {.is_object = is_object};
    if (d->p < d->end && *d->p == '$') {
        const char *p = "";
        rc = take(d, 2, &p, err);
        if (rc != ERR_OK)
            return rc;
        f.elem_type = p[1];
        if (!f.elem_type || strchr("TFZN", f.elem_type)) /* no bytes: the count could be anything */
            return doc_err(d, err, "a typed list of this type is not expected");
        if (d->p >= d->end || *d->p != '#')
            return doc_err(d, err, "a typed list needs a count");
    }
    if (d->p < d->end && *d->p == '#') {
        d->p++;
        f.is_counted = true;
        rc = length(d, &f.n_left, err);
    }
    return rc == ERR_OK ? doc_push(d, f, err) : rc;
}

static enum err_code ubj_text(struct doc *d, struct str *ret, struct err *err)
{
    int64_t n = 0;
    enum err_code rc = length(d, &n, err);
    const char *p = NULL;
    if (rc == ERR_OK)
        rc = take(d, (size_t)n, &p, err);
    if (rc == ERR_OK)
        *ret = str_n(p, (size_t)n);
    return rc;
}

static enum err_code ubj_next(struct doc *d, struct str *ret_key, bool *ret_more, struct err *err)
{
    struct doc_frame *f = &d->frames[d->n_frames - 1];
    bool is_end =
        f->is_counted ? f->n_left == 0 : d->p < d->end && *d->p == (f->is_object ? '}' : ']');
    *ret_more = !is_end;
    d->next_type = 0;
    if (is_end) {
        d->p += !f->is_counted;
        d->n_frames--;
        return ERR_OK;
    }
    f->n_left--;
    d->next_type = f->elem_type;
    return f->is_object ? ubj_text(d, ret_key, err) : ERR_OK;
}

static enum err_code ubj_string(struct doc *d, struct str *ret, struct err *err)
{
    char type;
    enum err_code rc = marker(d, &type, err);
    if (rc != ERR_OK)
        return rc;
    if (type != 'S' && type != 'C')
        return doc_err(d, err, "a string is expected here");
    d->next_type = 0;
    if (type == 'S')
        return ubj_text(d, ret, err);
    const char *p = "";
    rc = take(d, 1, &p, err);
    if (rc == ERR_OK)
        *ret = str_n(p, 1);
    return rc;
}

static enum err_code ubj_number(struct doc *d, struct doc_number *ret, struct err *err)
{
    char type;
    enum err_code rc = marker(d, &type, err);
    d->next_type = 0;
    return rc == ERR_OK ? number_of(d, type, ret, err) : rc;
}

static enum err_code ubj_boolean(struct doc *d, bool *ret, struct err *err)
{
    char type;
    enum err_code rc = marker(d, &type, err);
    if (rc != ERR_OK)
        return rc;
    if (type != 'T' && type != 'F')
        return doc_err(d, err, "true or false is expected here");
    d->next_type = 0;
    *ret = type == 'T';
    return ERR_OK;
}

static enum err_code ubj_null(struct doc *d, struct err *err)
{
    char type;
    enum err_code rc = marker(d, &type, err);
    if (rc == ERR_OK && type != 'Z')
        return doc_err(d, err, "null is expected here");
    d->next_type = 0;
    return rc;
}

static const struct doc_ops UBJSON_OPS = {ubj_peek,   ubj_enter,   ubj_next, ubj_string,
                                          ubj_number, ubj_boolean, ubj_null};

void doc_init_ubjson(struct doc *d, struct str bytes, struct arena *a)
{
    memset(d, 0, sizeof *d);
    d->ops = &UBJSON_OPS;
    d->start = d->p = bytes.p;
    d->end = bytes.p + bytes.n;
    d->arena = a;
}
