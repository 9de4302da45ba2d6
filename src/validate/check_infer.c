/* A first draft of checks from what was seen: wide enough not to fail on the next file, narrow enough to notice a change
 * of unit or a new vocabulary. */
#include "base/check.h"
#include "validate/check.h"

#define FEW_VALUES 20
#define YAML_MAX   (4 << 20)

static void infer_number(struct buf *out, const struct json *p, bool is_integer)
{
    const double lo = json_get_f64(p, "min", 0), hi = json_get_f64(p, "max", 0),
                 room = (hi - lo) * 0.5;
    char text[NUM_TEXT_BYTES];
    buf_printf(out, ", type: %s, range: [", is_integer ? "integer" : "number");
    /* What was never negative stays so. */
    const double low = lo >= 0 ? (lo - room > 0 ? lo - room : 0) : lo - room, high = hi + room;
    buf_put(out, text, num_f64(text, is_integer ? (double)(int64_t)low : low));
    buf_c(out, ", ");
    buf_put(out, text, num_f64(text, is_integer ? (double)(int64_t)high + 1 : high));
    buf_c(out, "]");
}

static void infer_text(struct buf *out, const struct json *p, int64_t n_rows)
{
    const struct json *top = json_get(p, "top");
    int64_t covered = 0;
    for (size_t i = 0; i < json_len(top); i++)
        covered += json_get_int(json_at(top, i), "n", 0);
    if (json_len(top) == 0 || json_len(top) > FEW_VALUES ||
        covered + json_get_int(p, "nulls", 0) < n_rows)
        return;
    buf_c(out, ", in: [");
    for (size_t i = 0; i < json_len(top); i++) {
        buf_c(out, i ? ", " : "");
        json_write_str(out, json_get_str(json_at(top, i), "value"));
    }
    buf_c(out, "], on_fail: warn");
}

enum err_code checks_infer(const struct json *version_doc, struct arena *a, struct str *ret_yaml,
                           struct err *err)
{
    const struct json *columns = json_get(version_doc, "columns"),
                      *profile = json_get(version_doc, "profile");
    const int64_t n_rows = json_get_int(version_doc, "rows", 0);
    struct buf out;
    buf_init(&out, YAML_MAX);
    buf_printf(&out, "  %.*s:\n    - { rows: \">= %lld\" }   # seen: %lld\n",
               STR_ARG(json_get_str(version_doc, "source")), (long long)(n_rows / 2),
               (long long)n_rows);
    for (size_t i = 0; i < json_len(columns); i++) {
        const char *name = json_get_c(json_at(columns, i), "name");
        const struct str type = json_get_str(json_at(columns, i), "type");
        const struct json *p = name != NULL ? json_get(profile, name) : NULL;
        if (p == NULL)
            continue;
        const int64_t n_nulls = json_get_int(p, "nulls", 0);
        buf_c(&out, "    - { column: ");
        json_write_str(&out, str_c(name));
        if (n_nulls == 0)
            buf_c(&out, ", nulls: 0");
        else
            buf_printf(&out, ", nulls: \"<= %.2g%%\"",
                       150.0 * (double)n_nulls / (double)(n_rows > 0 ? n_rows : 1));
        if (str_is(type, "int") || str_is(type, "float"))
            infer_number(&out, p, str_is(type, "int"));
        else if (str_is(type, "string"))
            infer_text(&out, p, n_rows);
        buf_c(&out, " }\n");
    }
    enum err_code code = buf_ok(&out, err);
    char *text = code == ERR_OK ? str_dup(a, buf_view(&out)) : NULL;
    buf_fini(&out);
    if (code == ERR_OK && text == NULL)
        code = arena_err(a, err);
    if (code == ERR_OK)
        *ret_yaml = str_c(text);
    return code;
}
