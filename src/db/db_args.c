#include "db/db_int.h"

#include <math.h>

#include "base/check.h"

static bool is_text_storable(struct str s)
{
    return s.n == 0 || (memchr(s.p, 0, s.n) == NULL && str_utf8_valid(s));
}

enum err_code db_args_check(const struct db_arg *args, size_t n, struct err *err)
{
    if (n > DB_ARGS_MAX)
        return err_set(err, ERR_TOO_LARGE, "a statement binds %zu values, more than %d", n,
                       DB_ARGS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (args[i].kind == 'f' && isnan(args[i].u.f))
            return err_set(err, ERR_INVALID,
                           "value %zu of the statement is NaN, which SQL cannot keep: store value "
                           "and kind apart",
                           i + 1);
        if (args[i].kind == 't' && !is_text_storable(args[i].u.t))
            return err_set(err, ERR_INVALID,
                           "value %zu of the statement is not text: it holds a NUL or is not UTF-8",
                           i + 1);
    }
    return ERR_OK;
}

enum err_code db_args_read(struct db_arg *args, size_t *ret_n, const char *kinds, va_list ap,
                           struct err *err)
{
    size_t n = strlen(kinds);
    CHECK(n <= DB_KINDS_MAX);
    for (size_t i = 0; i < n; i++) {
        args[i].kind = kinds[i];
        switch (kinds[i]) {
        case 'i':
            args[i].u.i = va_arg(ap, int64_t);
            break;
        case 'f':
            args[i].u.f = va_arg(ap, double);
            break;
        case 's':
            args[i].u.t = str_c(va_arg(ap, const char *));
            args[i].kind = args[i].u.t.p ? 't' : 'n';
            break;
        case 't':
            args[i].u.t = va_arg(ap, struct str);
            args[i].kind = args[i].u.t.p ? 't' : 'n';
            break;
        case 'b':
            args[i].u.t = va_arg(ap, struct str);
            break;
        case 'n':
            break;
        default:
            UNREACHABLE();
        }
    }
    *ret_n = n;
    return db_args_check(args, n, err);
}

uint64_t db_stmt_key(const char *sql, const struct db_arg *args, size_t n)
{
    uint64_t key = hash64(sql, strlen(sql), n);
    for (size_t i = 0; i < n; i++)
        key = key * 31 + (uint64_t)args[i].kind;
    return key ? key : 1;
}
