/* Why a step ran: the two part documents side by side, leaf by leaf. */
#include "base/check.h"
#include "pipeline/graph.h"

#define TEXT_MAX    96
#define CHANGES_MAX 50

/* A leaf for people: digests by their first twelve digits, long texts cut. */
static struct json *leaf(const struct json *v, struct arena *a)
{
    struct buf out;
    struct json *ret = NULL;
    if (v == NULL)
        return NULL;
    buf_init(&out, (size_t)1 << 20);
    if (v->type == JSON_STR)
        buf_str(&out, v->u.s);
    else if (json_write(v, JSON_COMPACT, &out, NULL) != ERR_OK)
        buf_c(&out, "…");
    struct str s = buf_view(&out);
    bool is_hex = s.n == 64 && strspn(s.p, "0123456789abcdef") == 64;
    if (is_hex) {
        ret = json_str(a, str_n(s.p, 12));
    } else if (s.n > TEXT_MAX) {
        size_t n = TEXT_MAX;
        while (n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
            n--;
        ret = json_fmt(a, "%.*s…", (int)n, s.p);
    } else {
        ret = json_str(a, s);
    }
    buf_fini(&out);
    return ret;
}

static void change(struct json *list, const char *what, const struct json *from,
                   const struct json *to, struct arena *a)
{
    if (json_len(list) >= CHANGES_MAX)
        return;
    struct json *c = json_obj(a);
    (void)json_set(a, c, "what", json_cstr(a, what));
    (void)json_set(a, c, "from", leaf(from, a));
    (void)json_set(a, c, "to", leaf(to, a));
    (void)json_add(a, list, c);
}

static void diff(struct json *list, const char *path, const struct json *from,
                 const struct json *to, struct arena *a);

static void diff_objects(struct json *list, const char *path, const struct json *from,
                         const struct json *to, struct arena *a)
{
    for (size_t i = 0; i < json_len(from); i++) {
        const struct json_member *m = &from->u.obj.members[i];
        const char *key = str_dup(a, m->key);
        const char *sub = str_printf(a, "%s%s%s", path, path[0] != '\0' ? "." : "", key);
        if (key != NULL && sub != NULL)
            diff(list, sub, m->val, json_get(to, key), a);
    }
    for (size_t i = 0; i < json_len(to); i++) {
        const struct json_member *m = &to->u.obj.members[i];
        const char *key = str_dup(a, m->key);
        const char *sub = str_printf(a, "%s%s%s", path, path[0] != '\0' ? "." : "", key);
        if (key != NULL && sub != NULL && json_get(from, key) == NULL)
            change(list, sub, NULL, m->val, a);
    }
}

static void diff(struct json *list, const char *path, const struct json *from,
                 const struct json *to, struct arena *a)
{
    if (from != NULL && to != NULL && json_eq(from, to))
        return;
    bool is_both_objects =
        from != NULL && to != NULL && from->type == JSON_OBJ && to->type == JSON_OBJ;
    bool is_same_list = from != NULL && to != NULL && from->type == JSON_ARR &&
                        to->type == JSON_ARR && json_len(from) == json_len(to);
    if (is_both_objects) {
        diff_objects(list, path, from, to, a);
    } else if (is_same_list) {
        for (size_t i = 0; i < json_len(from); i++) {
            const char *sub = str_printf(a, "%s[%zu]", path, i);
            if (sub != NULL)
                diff(list, sub, json_at(from, i), json_at(to, i), a);
        }
    } else {
        change(list, path, from, to, a);
    }
}

struct json *parts_diff(const struct json *old, const struct json *now, struct arena *a)
{
    struct json *list = json_arr(a);
    if (old == NULL) {
        struct json *c = json_obj(a);
        (void)json_set(a, c, "what", json_cstr(a, "first time"));
        return json_add(a, list, c);
    }
    diff(list, "", old, now, a);
    return list;
}
