/* Reading an inference request. `data` may stand before `shape` and `datatype`: it is then read when both are known. */
#include <math.h>
#include <string.h>

#include "api/oip_int.h"
#include "api/scan.h"
#include "base/check.h"
#include "base/vec.h"

#define DIMS_MAX       8
#define NAME_MAX_BYTES 512
#define NESTING_MAX    8

struct tensor_in {
    struct str name;
    enum tensor_type type; /* TENSOR_TYPE_N: not given */
    int64_t shape[DIMS_MAX];
    size_t n_dims;
    const char *data;     /* where its array begins; NULL: none */
    int64_t binary_bytes; /* -1: not binary */
    struct value *values;
    size_t n_values;
};

struct reader {
    struct scan scan;
    struct str raw; /* what is left of the raw tensors */
    struct oip_request *q;
};

/* ---- one element ---- */

static bool int_fits(enum tensor_type type, int64_t v)
{
    static const struct {
        int64_t lo, hi;
    } range[TENSOR_TYPE_N] = {
        [TENSOR_UINT8] = {0, UINT8_MAX},         [TENSOR_UINT16] = {0, UINT16_MAX},
        [TENSOR_UINT32] = {0, UINT32_MAX},       [TENSOR_UINT64] = {0, INT64_MAX},
        [TENSOR_INT8] = {INT8_MIN, INT8_MAX},    [TENSOR_INT16] = {INT16_MIN, INT16_MAX},
        [TENSOR_INT32] = {INT32_MIN, INT32_MAX}, [TENSOR_INT64] = {INT64_MIN, INT64_MAX},
    };
    return v >= range[type].lo && v <= range[type].hi;
}

static bool int_item(struct scan *s, enum tensor_type type, struct value *v)
{
    if (!scan_number(s, v))
        return false;
    if (v->type == VAL_FLOAT && v->u.f == floor(v->u.f) && fabs(v->u.f) < 9007199254740992.0)
        *v = (struct value){VAL_INT, {.i = (int64_t)v->u.f}};
    if (v->type != VAL_INT)
        return scan_fail(s, ERR_INVALID, "%s needs whole numbers", TENSOR_TYPE_NAMES[type]);
    return int_fits(type, v->u.i) || scan_fail(s, ERR_RANGE, "%lld does not fit %s",
                                               (long long)v->u.i, TENSOR_TYPE_NAMES[type]);
}

/* "NaN", "Infinity", "-Infinity": JSON has no numbers for them. */
static bool float_text(struct scan *s, struct value *v)
{
    struct str text;
    struct err err = ERR_INIT;
    double f = 0;
    if (!scan_string(s, &text))
        return false;
    if (parse_f64(text, &f, &err) != ERR_OK || isfinite(f))
        return scan_fail(s, ERR_INVALID, "expected a number, found the text \"%.*s\"",
                         (int)(text.n < 40 ? text.n : 40), text.p);
    *v = (struct value){VAL_FLOAT, {.f = f}};
    return true;
}

static bool float_item(struct scan *s, struct value *v)
{
    if (scan_peek(s) == '"')
        return float_text(s, v);
    if (!scan_number(s, v))
        return false;
    if (v->type == VAL_INT)
        *v = (struct value){VAL_FLOAT, {.f = (double)v->u.i}};
    return true;
}

static bool bool_item(struct scan *s, struct value *v)
{
    struct value number;
    v->type = VAL_BOOL;
    char c = scan_peek(s);
    if (c != '0' && c != '1')
        return scan_bool(s, &v->u.b);
    if (!scan_number(s, &number))
        return false;
    v->u.b = number.type == VAL_INT && number.u.i == 1;
    return number.type == VAL_INT && (number.u.i | 1) == 1
               ? true
               : scan_fail(s, ERR_INVALID, "expected true or false");
}

static bool item(struct scan *s, enum tensor_type type, struct value *v)
{
    char c = scan_peek(s);
    if (c == 'n' && scan_null(s)) {
        v->type = VAL_NULL;
        return true;
    }
    switch (type) {
    case TENSOR_BOOL:
        return bool_item(s, v);
    case TENSOR_FP16:
    case TENSOR_FP32:
    case TENSOR_FP64:
        return float_item(s, v);
    case TENSOR_BYTES:
        v->type = VAL_STR;
        return c == '"' ? scan_string(s, &v->u.s) : scan_fail(s, ERR_INVALID, "BYTES needs texts");
    case TENSOR_UINT8:
    case TENSOR_UINT16:
    case TENSOR_UINT32:
    case TENSOR_UINT64:
    case TENSOR_INT8:
    case TENSOR_INT16:
    case TENSOR_INT32:
    case TENSOR_INT64:
        return int_item(s, type, v);
    case TENSOR_TYPE_N:
        break;
    }
    UNREACHABLE();
}

/* ---- data ---- */

static bool too_many(struct scan *s, size_t n_max)
{
    return scan_fail(s, ERR_INVALID, "data has more than the %zu values that shape says", n_max);
}

static bool starts_number(char c)
{
    return (unsigned char)(c - '0') <= 9 || c == '-';
}

/* Plain numbers one after the other: nearly all bytes of nearly all requests. Ends before the comma of anything else. */
static bool number_run(struct scan *s, struct tensor_in *t, size_t n_max)
{
    for (;;) {
        if (t->n_values == n_max)
            return too_many(s, n_max);
        if (!float_item(s, &t->values[t->n_values++]))
            return false;
        if (scan_peek(s) != ',')
            return true;
        const char *comma = s->p++;
        if (!starts_number(scan_peek(s))) {
            s->p = comma;
            return true;
        }
    }
}

static bool element(struct scan *s, struct tensor_in *t, size_t n_max, int depth);

/* Flat or nested, row-major: nesting is not looked at beyond its depth, the count decides. */
static bool items(struct scan *s, struct tensor_in *t, size_t n_max, int depth)
{
    bool is_first = true;
    if (depth > NESTING_MAX)
        return scan_fail(s, ERR_LIMIT, "data is nested more than %d deep", NESTING_MAX);
    if (!scan_array(s))
        return false;
    while (scan_item(s, &is_first))
        if (!element(s, t, n_max, depth))
            return false;
    return s->err->code == ERR_OK;
}

static bool element(struct scan *s, struct tensor_in *t, size_t n_max, int depth)
{
    bool is_float = t->type == TENSOR_FP16 || t->type == TENSOR_FP32 || t->type == TENSOR_FP64;
    char c = scan_peek(s);
    if (c == '[')
        return items(s, t, n_max, depth + 1);
    if (is_float && starts_number(c))
        return number_run(s, t, n_max);
    if (t->n_values == n_max)
        return too_many(s, n_max);
    return item(s, t->type, &t->values[t->n_values++]);
}

/* rows * columns of the shape: [n], [n,k], and any further dimensions of 1. */
static bool shape_read(struct scan *s, const struct tensor_in *t, size_t *ret_rows,
                       size_t *ret_cols)
{
    uint64_t rows = 1, cols = 1;
    if (t->n_dims == 0)
        return scan_fail(s, ERR_INVALID, "input \"%.*s\" has no shape", STR_ARG(t->name));
    for (size_t i = 0; i < t->n_dims; i++) {
        if (t->shape[i] < 0 || t->shape[i] > INT32_MAX)
            return scan_fail(s, ERR_RANGE, "input \"%.*s\": shape[%zu] is %lld", STR_ARG(t->name),
                             i, (long long)t->shape[i]);
        if (i >= 2 && t->shape[i] != 1)
            return scan_fail(s, ERR_UNSUPPORTED,
                             "input \"%.*s\" has %zu dimensions; rows and columns are understood",
                             STR_ARG(t->name), t->n_dims);
    }
    rows = (uint64_t)t->shape[0];
    cols = t->n_dims > 1 ? (uint64_t)t->shape[1] : 1;
    if (cols == 0 && rows > 0)
        return scan_fail(s, ERR_INVALID, "input \"%.*s\" has no columns", STR_ARG(t->name));
    *ret_rows = (size_t)rows;
    *ret_cols = (size_t)(cols ? cols : 1);
    return true;
}

static bool data_read(struct reader *r, struct tensor_in *t, size_t n)
{
    struct scan *s = &r->scan;
    const char *back = s->p;
    if (n >
        (size_t)(s->end -
                 s->start)) /* each value has at least a byte: never allocate for a shape alone */
        return scan_fail(s, ERR_INVALID,
                         "input \"%.*s\": shape says %zu values, more than the body can hold",
                         STR_ARG(t->name), n);
    t->values = ARENA_NEW_N(s->a, struct value, n);
    if (!t->values) {
        arena_err(s->a, s->err);
        return false;
    }
    s->p = t->data;
    if (!items(s, t, n, 0)) {
        err_wrap(s->err, "input \"%.*s\", value %zu", STR_ARG(t->name),
                 t->n_values ? t->n_values - 1 : 0);
        return false;
    }
    s->p = back > s->p ? back : s->p;
    if (t->n_values != n)
        return scan_fail(s, ERR_INVALID, "input \"%.*s\": shape says %zu values, data has %zu",
                         STR_ARG(t->name), n, t->n_values);
    return true;
}

static bool binary_read(struct reader *r, struct tensor_in *t, size_t n)
{
    if ((uint64_t)t->binary_bytes > r->raw.n)
        return scan_fail(&r->scan, ERR_INVALID,
                         "input \"%.*s\": binary_data_size is %lld, the body has %zu bytes left",
                         STR_ARG(t->name), (long long)t->binary_bytes, r->raw.n);
    struct str bytes = str_n(r->raw.p, (size_t)t->binary_bytes);
    r->raw.p += bytes.n;
    r->raw.n -= bytes.n;
    return oip_binary_values(bytes, t->type, n, t->name, r->scan.a, &t->values, r->scan.err) ==
           ERR_OK;
}

/* All of the tensor has been seen. */
static bool tensor_finish(struct reader *r, struct tensor_in *t, struct serve_tensor *out)
{
    struct scan *s = &r->scan;
    size_t rows = 0, cols = 0;
    if (!t->name.p)
        return scan_fail(s, ERR_INVALID, "an input has no name");
    if (t->type == TENSOR_TYPE_N)
        return scan_fail(s, ERR_INVALID, "input \"%.*s\" has no datatype", STR_ARG(t->name));
    if (!shape_read(s, t, &rows, &cols))
        return false;
    if (!t->data && t->binary_bytes < 0)
        return scan_fail(s, ERR_INVALID, "input \"%.*s\" has no data", STR_ARG(t->name));
    if (t->binary_bytes >= 0 ? !binary_read(r, t, rows * cols) : !data_read(r, t, rows * cols))
        return false;
    *out = (struct serve_tensor){t->name, t->type, rows, cols, t->values};
    return true;
}

/* ---- members ---- */

static bool type_read(struct scan *s, struct tensor_in *t)
{
    struct str name;
    if (!scan_string(s, &name))
        return false;
    for (t->type = 0; t->type < TENSOR_TYPE_N; t->type++)
        if (str_is(name, TENSOR_TYPE_NAMES[t->type]))
            return true;
    return scan_fail(
        s, ERR_UNSUPPORTED,
        "datatype \"%.*s\" is not one of BOOL, INT8 to INT64, UINT8 to UINT64, FP16 to "
        "FP64, BYTES",
        (int)(name.n < 40 ? name.n : 40), name.p);
}

static bool dims_read(struct scan *s, struct tensor_in *t)
{
    bool is_first = true;
    struct value v;
    if (!scan_array(s))
        return false;
    t->n_dims = 0;
    while (scan_item(s, &is_first)) {
        if (t->n_dims == DIMS_MAX)
            return scan_fail(s, ERR_LIMIT, "a shape has at most %d dimensions", DIMS_MAX);
        if (!scan_number(s, &v))
            return false;
        if (v.type != VAL_INT)
            return scan_fail(s, ERR_INVALID, "a shape is a list of whole numbers");
        t->shape[t->n_dims++] = v.u.i;
    }
    return s->err->code == ERR_OK;
}

static bool tensor_parameters(struct scan *s, struct tensor_in *t)
{
    bool is_first = true;
    struct str key;
    struct value v;
    if (scan_null(s))
        return true;
    if (!scan_object(s))
        return false;
    while (scan_member(s, &is_first, &key)) {
        if (!str_is(key, "binary_data_size")) {
            if (!scan_skip(s))
                return false;
            continue;
        }
        if (!scan_number(s, &v))
            return false;
        if (v.type != VAL_INT || v.u.i < 0)
            return scan_fail(s, ERR_INVALID, "binary_data_size is a number of bytes");
        t->binary_bytes = v.u.i;
    }
    return s->err->code == ERR_OK;
}

static bool name_read(struct scan *s, struct str *ret)
{
    if (!scan_string(s, ret))
        return false;
    return (ret->n > 0 && ret->n <= NAME_MAX_BYTES) ||
           scan_fail(s, ERR_INVALID, "a name has 1 to %d bytes", NAME_MAX_BYTES);
}

/* The array is checked for form now only when it has to be skipped; else it is read at once. */
static bool data_seen(struct reader *r, struct tensor_in *t)
{
    scan_peek(&r->scan);
    t->data = r->scan.p;
    return scan_skip(&r->scan);
}

static bool tensor_member(struct reader *r, struct tensor_in *t, struct str key, bool *is_done,
                          struct serve_tensor *out)
{
    struct scan *s = &r->scan;
    if (str_is(key, "name"))
        return name_read(s, &t->name);
    if (str_is(key, "shape"))
        return dims_read(s, t);
    if (str_is(key, "datatype"))
        return type_read(s, t);
    if (str_is(key, "parameters"))
        return tensor_parameters(s, t);
    if (!str_is(key, "data"))
        return scan_skip(s);
    if (*is_done || t->data)
        return scan_fail(s, ERR_INVALID, "an input has data twice");
    if (!t->name.p || t->type == TENSOR_TYPE_N || t->n_dims == 0)
        return data_seen(r, t);
    scan_peek(s);
    t->data = s->p;
    *is_done = true;
    return tensor_finish(r, t, out);
}

static bool tensor_read(struct reader *r, struct serve_tensor *out)
{
    struct tensor_in t = {.type = TENSOR_TYPE_N, .binary_bytes = -1};
    struct scan *s = &r->scan;
    bool is_first = true, is_done = false;
    struct str key;
    if (!scan_object(s))
        return false;
    while (scan_member(s, &is_first, &key))
        if (!tensor_member(r, &t, key, &is_done, out))
            return false;
    if (s->err->code != ERR_OK)
        return false;
    return is_done || tensor_finish(r, &t, out);
}

static bool inputs_read(struct reader *r)
{
    struct scan *s = &r->scan;
    VEC(struct serve_tensor) v = {0};
    bool is_first = true;
    if (!scan_array(s))
        return false;
    while (scan_item(s, &is_first)) {
        struct serve_tensor *t = v.n < OIP_INPUTS_MAX ? VEC_ADD(s->a, &v) : NULL;
        if (!t)
            return scan_fail(s, ERR_LIMIT, "a request has at most %d inputs", OIP_INPUTS_MAX);
        if (!tensor_read(r, t))
            return false;
    }
    r->q->inputs = v.p;
    r->q->n_inputs = v.n;
    return s->err->code == ERR_OK;
}

static bool output_read(struct scan *s, struct str *ret)
{
    bool is_first = true;
    struct str key;
    if (!scan_object(s))
        return false;
    while (scan_member(s, &is_first, &key))
        if (str_is(key, "name") ? !name_read(s, ret) : !scan_skip(s))
            return false;
    return s->err->code == ERR_OK && (ret->p || scan_fail(s, ERR_INVALID, "an output has no name"));
}

static bool outputs_read(struct reader *r)
{
    struct scan *s = &r->scan;
    bool is_first = true;
    if (scan_null(s))
        return true;
    if (!scan_array(s))
        return false;
    while (scan_item(s, &is_first)) {
        if (r->q->n_outputs == OIP_OUTPUTS_MAX)
            return scan_fail(s, ERR_LIMIT, "at most %d outputs can be asked for", OIP_OUTPUTS_MAX);
        if (!output_read(s, &r->q->outputs[r->q->n_outputs++]))
            return false;
    }
    return s->err->code == ERR_OK;
}

static bool id_read(struct reader *r)
{
    struct scan *s = &r->scan;
    if (scan_null(s))
        return true;
    if (scan_peek(s) != '"')
        return scan_fail(s, ERR_INVALID, "id is a text");
    if (!scan_string(s, &r->q->id))
        return false;
    return r->q->id.n <= OIP_ID_MAX ||
           scan_fail(s, ERR_TOO_LARGE, "id has at most %d bytes", OIP_ID_MAX);
}

static bool request_member(struct reader *r, struct str key)
{
    if (str_is(key, "id"))
        return id_read(r);
    if (str_is(key, "inputs"))
        return inputs_read(r);
    if (str_is(key, "outputs"))
        return outputs_read(r);
    return scan_skip(&r->scan);
}

enum err_code oip_read(struct str json, struct str raw, struct arena *a, struct oip_request *ret,
                       struct err *err)
{
    struct reader r = {.raw = raw, .q = ret};
    bool is_first = true;
    struct str key;
    memset(ret, 0, sizeof *ret);
    scan_init(&r.scan, json, a, err);
    if (scan_peek(&r.scan) == 0)
        return err_set(err, ERR_INVALID, "the body is empty: send {\"inputs\": […]}");
    if (!scan_object(&r.scan))
        return err->code;
    while (scan_member(&r.scan, &is_first, &key))
        if (!request_member(&r, key))
            return err->code;
    scan_end(&r.scan);
    if (err->code == ERR_OK && r.raw.n > 0)
        return err_set(err, ERR_INVALID, "%zu bytes follow the last binary tensor", r.raw.n);
    return err->code;
}
