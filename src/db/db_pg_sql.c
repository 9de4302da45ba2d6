#include "db/db_int.h"

#include <stdio.h>
#include <stdlib.h>

/* Copies one quoted piece, from its opening to its closing quote. */
static const char *copy_quoted(const char *p, struct buf *out)
{
    char quote = *p;
    buf_ch(out, *p++);
    while (*p && *p != quote)
        buf_ch(out, *p++);
    if (*p)
        buf_ch(out, *p++);
    return p;
}

char *db_pg_sql(const char *sql)
{
    struct buf out;
    int n = 0;
    buf_init(&out, 1 << 20);
    for (const char *p = sql; *p;) {
        if (*p == '\'' || *p == '"') {
            p = copy_quoted(p, &out);
        } else if (*p == '?') {
            buf_printf(&out, "$%d", ++n);
            p++;
        } else {
            buf_ch(&out, *p++);
        }
    }
    char *text = buf_ok(&out, NULL) == ERR_OK ? strndup(out.p ? out.p : "", out.n) : NULL;
    buf_fini(&out);
    return text;
}

/* Longest prefix first within a class. */
static const struct {
    const char *prefix;
    enum err_code code;
} STATES[] = {
    {"23505", ERR_EXISTS},      {"23503", ERR_CONFLICT},    {"235", ERR_INVALID},
    {"22", ERR_INVALID},        {"40", ERR_UNAVAILABLE},    {"55P03", ERR_UNAVAILABLE},
    {"53100", ERR_IO},          {"53200", ERR_NOMEM},       {"53", ERR_UNAVAILABLE},
    {"57014", ERR_TIMEOUT},     {"57", ERR_UNAVAILABLE},    {"58", ERR_IO},
    {"08", ERR_UNAVAILABLE},    {"25006", ERR_UNAVAILABLE}, {"28", ERR_UNAVAILABLE},
    {"3D000", ERR_UNAVAILABLE}, {"42501", ERR_UNAVAILABLE}, {"54", ERR_TOO_LARGE},
    {"XX001", ERR_CORRUPT},     {"XX002", ERR_CORRUPT},
};

enum err_code db_pg_code(const char *sqlstate)
{
    for (size_t i = 0; sqlstate && i < sizeof(STATES) / sizeof(STATES[0]); i++)
        if (strncmp(sqlstate, STATES[i].prefix, strlen(STATES[i].prefix)) == 0)
            return STATES[i].code;
    return ERR_INTERNAL;
}
