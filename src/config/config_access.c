#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/vec.h"
#include "config/config.h"

static ptrdiff_t member_index(const struct cfg_node *map, const char *key)
{
    if (map && map->type == CFG_MAP)
        for (size_t i = 0; i < map->n; i++)
            if (str_is(map->keys[i], key))
                return (ptrdiff_t)i;
    return -1;
}

const struct cfg_node *cfg_get(const struct cfg_node *map, const char *key)
{
    ptrdiff_t i = member_index(map, key);
    return i < 0 ? NULL : map->items[i];
}

const struct cfg_node *cfg_key_node(const struct cfg_node *map, const char *key)
{
    ptrdiff_t i = member_index(map, key);
    return i < 0 ? NULL : map->key_nodes[i];
}

/* ", did you mean \"x\"?" or nothing. */
static const char *suggestion(struct str given, const char *const *names, size_t n, char out[128])
{
    const char *near = str_nearest(given, names, n);
    struct buf text;
    out[0] = '\0';
    if (!near)
        return out;
    buf_init(&text, 127);
    buf_printf(&text, ", did you mean \"%s\"?", near);
    if (buf_ok(&text, NULL) == ERR_OK)
        memcpy(out, text.p, text.n + 1);
    buf_fini(&text);
    return out;
}

bool cfg_known_keys(const struct cfg_node *map, const char *const *names, size_t n,
                    struct cfg_problems *ps)
{
    char hint[128];
    bool is_good = true;
    if (!map || map->type != CFG_MAP)
        return true;
    for (size_t i = 0; i < map->n; i++) {
        bool is_known = false;
        for (size_t j = 0; j < n && !is_known; j++)
            is_known = str_is(map->keys[i], names[j]);
        if (is_known)
            continue;
        is_good = false;
        cfg_error(ps, map->key_nodes[i], "unknown key \"%.*s\"%s", STR_ARG(map->keys[i]),
                  suggestion(map->keys[i], names, n, hint));
    }
    return is_good;
}

const struct cfg_node *cfg_require(const struct cfg_node *map, const char *key,
                                   struct cfg_problems *ps)
{
    const struct cfg_node *n = cfg_get(map, key);
    if (!n && map)
        cfg_error(ps, map, "\"%s\" is missing here", key);
    return n;
}

static const char *kind_of(const struct cfg_node *n)
{
    static const char *const KINDS[CFG_TYPE_N] = {"nothing", "a value", "a list", "a map"};
    return KINDS[n->type];
}

/* The one sentence of all type problems; always false. */
static bool wrong(const struct cfg_node *n, const char *what, const char *wanted,
                  struct cfg_problems *ps)
{
    if (n->type == CFG_SCALAR)
        cfg_error(ps, n, "%s must be %s, and \"%.*s\" stands here", what, wanted,
                  (int)(n->text.n < 60 ? n->text.n : 60), n->text.p);
    else
        cfg_error(ps, n, "%s must be %s, and %s stands here", what, wanted, kind_of(n));
    return false;
}

bool cfg_is_map(const struct cfg_node *n, const char *what, struct cfg_problems *ps)
{
    return n && (n->type == CFG_MAP || wrong(n, what, "a map (key: value)", ps));
}

bool cfg_is_list(const struct cfg_node *n, const char *what, struct cfg_problems *ps)
{
    return n && (n->type == CFG_LIST || wrong(n, what, "a list", ps));
}

bool cfg_str(const struct cfg_node *n, const char *what, struct str *ret, struct cfg_problems *ps)
{
    if (!n)
        return false;
    if (n->type != CFG_SCALAR)
        return wrong(n, what, "a text", ps);
    *ret = n->text;
    return true;
}

bool cfg_i64(const struct cfg_node *n, const char *what, int64_t min, int64_t max, int64_t *ret,
             struct cfg_problems *ps)
{
    int64_t v = 0;
    if (!n)
        return false;
    if (n->type != CFG_SCALAR || parse_i64(n->text, &v, NULL) != ERR_OK)
        return wrong(n, what, "a whole number", ps);
    if (v < min || v > max) {
        cfg_error(ps, n, "%s must be between %lld and %lld, and %lld stands here", what,
                  (long long)min, (long long)max, (long long)v);
        return false;
    }
    *ret = v;
    return true;
}

static bool in_range(const struct cfg_node *n, const char *what, double min, double max, double v,
                     struct cfg_problems *ps)
{
    char lo[NUM_TEXT_BYTES], hi[NUM_TEXT_BYTES], is[NUM_TEXT_BYTES];
    if (v >= min && v <= max)
        return true;
    num_f64(lo, min);
    num_f64(hi, max);
    num_f64(is, v);
    cfg_error(ps, n, "%s must be between %s and %s, and %s stands here", what, lo, hi, is);
    return false;
}

bool cfg_f64(const struct cfg_node *n, const char *what, double min, double max, double *ret,
             struct cfg_problems *ps)
{
    double v = 0;
    if (!n)
        return false;
    if (n->type != CFG_SCALAR || parse_f64(n->text, &v, NULL) != ERR_OK || isnan(v))
        return wrong(n, what, "a number", ps);
    if (!in_range(n, what, min, max, v, ps))
        return false;
    *ret = v;
    return true;
}

bool cfg_ratio(const struct cfg_node *n, const char *what, double *ret, struct cfg_problems *ps)
{
    double v = 0;
    if (!n)
        return false;
    if (n->type != CFG_SCALAR || parse_ratio(n->text, &v, NULL) != ERR_OK)
        return wrong(n, what, "a share such as 1% or 0.01", ps);
    *ret = v;
    return true;
}

bool cfg_duration_us(const struct cfg_node *n, const char *what, int64_t *ret,
                     struct cfg_problems *ps)
{
    int64_t v = 0;
    if (!n)
        return false;
    if (n->type != CFG_SCALAR || parse_duration_us(n->text, &v, NULL) != ERR_OK)
        return wrong(n, what, "a duration such as 36h, 10m or 7d", ps);
    *ret = v;
    return true;
}

bool cfg_bool(const struct cfg_node *n, const char *what, bool *ret, struct cfg_problems *ps)
{
    bool v = false;
    if (!n)
        return false;
    if (n->type != CFG_SCALAR || parse_bool(n->text, &v, NULL) != ERR_OK)
        return wrong(n, what, "true or false", ps);
    *ret = v;
    return true;
}

bool cfg_enum(const struct cfg_node *n, const char *what, const char *const *names, size_t n_names,
              int *ret, struct cfg_problems *ps)
{
    char hint[128];
    struct buf all;
    if (!n)
        return false;
    for (size_t i = 0; n->type == CFG_SCALAR && i < n_names; i++)
        if (str_is(n->text, names[i])) {
            *ret = (int)i;
            return true;
        }
    buf_init(&all, 400);
    for (size_t i = 0; i < n_names; i++)
        buf_printf(&all, "%s%s", i == 0 ? "" : i + 1 == n_names ? " or " : ", ", names[i]);
    if (n->type == CFG_SCALAR)
        cfg_error(ps, n, "%s must be %.*s, and \"%.*s\" stands here%s", what,
                  STR_ARG(buf_view(&all)), (int)(n->text.n < 60 ? n->text.n : 60), n->text.p,
                  suggestion(n->text, names, n_names, hint));
    else
        cfg_error(ps, n, "%s must be %.*s, and %s stands here", what, STR_ARG(buf_view(&all)),
                  kind_of(n));
    buf_fini(&all);
    return false;
}

bool cfg_str_list(const struct cfg_node *n, const char *what, struct arena *a, struct str **ret,
                  size_t *ret_n, struct cfg_problems *ps)
{
    if (!n)
        return false;
    if (n->type != CFG_SCALAR && n->type != CFG_LIST)
        return wrong(n, what, "a text or a list of texts", ps);
    size_t count = n->type == CFG_SCALAR ? 1 : n->n;
    struct str *list = ARENA_NEW_N(a, struct str, count);
    bool is_good = list != NULL;
    if (!list)
        cfg_error(ps, n, "%s: out of memory", what);
    for (size_t i = 0; list && i < count; i++)
        is_good = cfg_str(n->type == CFG_SCALAR ? n : n->items[i], what, &list[i], ps) && is_good;
    if (!is_good)
        return false;
    *ret = list;
    *ret_n = count;
    return true;
}

static struct json *scalar_json(const struct cfg_node *n, struct arena *a)
{
    int64_t i = 0;
    double f = 0;
    bool b = false;
    if (n->is_quoted)
        return json_str(a, n->text);
    if (parse_bool(n->text, &b, NULL) == ERR_OK)
        return json_bool(a, b);
    if (parse_i64(n->text, &i, NULL) == ERR_OK)
        return json_int(a, i);
    if (parse_f64(n->text, &f, NULL) == ERR_OK)
        return json_num(a, f);
    return json_str(a, n->text);
}

struct json *cfg_json(const struct cfg_node *n, struct arena *a)
{
    if (!n || n->type == CFG_NULL)
        return json_null(a);
    if (n->type == CFG_SCALAR)
        return scalar_json(n, a);
    struct json *v = n->type == CFG_LIST ? json_arr(a) : json_obj(a);
    for (size_t i = 0; i < n->n; i++) {
        struct json *item = cfg_json(n->items[i], a);
        if (n->type == CFG_LIST)
            json_add(a, v, item);
        else
            json_set(a, v, n->keys[i].p, item);
    }
    return v;
}

static bool is_name_char(char c, bool is_first)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (!is_first && c >= '0' && c <= '9');
}

/* Length of "${NAME}" at the start of s, 0 when there is none. */
static size_t reference_len(struct str s)
{
    size_t n = 2;
    if (s.n < 4 || s.p[0] != '$' || s.p[1] != '{')
        return 0;
    while (n < s.n && is_name_char(s.p[n], n == 2))
        n++;
    return n > 2 && n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

static bool expand_into(const struct cfg_node *n, struct buf *out, struct cfg_problems *ps)
{
    struct str rest = n->text;
    bool is_good = true;
    while (rest.n > 0) {
        size_t len = reference_len(rest);
        if (len == 0) {
            buf_ch(out, rest.p[0]);
            rest = str_n(rest.p + 1, rest.n - 1);
            continue;
        }
        char name[256];
        struct str inner = str_n(rest.p + 2, len - 3);
        size_t name_n = inner.n < sizeof name ? inner.n : sizeof name - 1;
        memcpy(name, inner.p, name_n);
        name[name_n] = '\0';
        const char *value = getenv(name);
        if (!value) {
            cfg_error(ps, n, "the environment variable %s is not set", name);
            is_good = false;
        }
        buf_c(out, value ? value : "");
        rest = str_n(rest.p + len, rest.n - len);
    }
    return is_good;
}

bool cfg_expand(const struct cfg_node *n, struct arena *a, struct str *ret, struct cfg_problems *ps)
{
    struct buf text;
    struct str given;
    if (!cfg_str(n, "this", &given, ps))
        return false;
    buf_init(&text, CFG_BYTES_MAX);
    bool is_good = expand_into(n, &text, ps);
    char *copy = buf_ok(&text, NULL) == ERR_OK ? str_dup(a, buf_view(&text)) : NULL;
    if (!copy) {
        cfg_error(ps, n, "the expanded text does not fit in memory");
        is_good = false;
    }
    if (is_good)
        *ret = str_n(copy, text.n);
    buf_fini(&text);
    return is_good;
}
