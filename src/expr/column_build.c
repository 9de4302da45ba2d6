#include "expr/column_build.h"

#include "base/check.h"

enum err_code column_alloc(struct column *ret, const char *name, enum value_type type, size_t n,
                           struct arena *a, struct err *err)
{
    size_t width = type == VAL_BOOL || type == VAL_NULL ? 1
                   : type == VAL_STR                    ? sizeof(struct str)
                                                        : 8;
    struct column c = {.name = name, .type = type, .n = n, .valid = ARENA_NEW_N(a, uint8_t, n)};
    void *p = arena_array(a, n, width);
    if (!c.valid || !p)
        return arena_err(a, err);
    if (type == VAL_BOOL)
        c.u.b = p;
    else if (type == VAL_FLOAT)
        c.u.f = p;
    else if (type == VAL_STR)
        c.u.s = p;
    else
        c.u.i = p;
    *ret = c;
    return ERR_OK;
}

enum err_code column_put(struct column *c, size_t row, const struct value *v, struct arena *a,
                         struct err *err)
{
    c->valid[row] = v->type != VAL_NULL;
    if (v->type == VAL_NULL)
        return ERR_OK;
    CHECK(v->type == c->type);
    if (c->type == VAL_BOOL) {
        c->u.b[row] = v->u.b;
    } else if (c->type == VAL_FLOAT) {
        c->u.f[row] = v->u.f;
    } else if (c->type == VAL_STR) {
        char *copy = str_dup(a, v->u.s);
        if (!copy)
            return arena_err(a, err);
        c->u.s[row] = str_n(copy, v->u.s.n);
    } else {
        c->u.i[row] = v->u.i;
    }
    return ERR_OK;
}
