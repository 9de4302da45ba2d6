/* Why a step ran: the two part documents side by side, leaf by leaf. */
#include "base/check.h"
#include "pipeline/graph.h"

#define TEXT_MAX    96
#define TEXT_BEFORE 24 /* bytes shown before the first difference of long texts */
#define CHANGES_MAX 50

/* A value as text, in a buffer of the caller's. */
static void leaf_text(const struct json *v, struct buf *out)
{
    buf_init(out, (size_t)1 << 20);
    if (v == NULL)
        return;
    if (v->type == JSON_STR)
        buf_str(out, v->u.s);
    else if (json_write(v, JSON_COMPACT, out, NULL) != ERR_OK)
        buf_c(out, "?");
}

static bool is_inside(const char *p)
{
    return ((unsigned char)*p & 0xC0) == 0x80;
}

/* For people: digests by their first twelve digits, long texts around the place `from` where they begin to differ. */
static struct json *leaf(struct str s, size_t from, struct arena *a)
{
    if (s.n == 64 && strspn(s.p, "0123456789abcdef") == 64)
        return json_str(a, str_n(s.p, 12));
    if (s.n <= TEXT_MAX)
        return json_str(a, s);
    size_t begin = from > TEXT_BEFORE ? from - TEXT_BEFORE : 0;
    while (begin > 0 && is_inside(s.p + begin))
        begin--;
    size_t n = s.n - begin < TEXT_MAX ? s.n - begin : TEXT_MAX;
    while (n > 0 && begin + n < s.n && is_inside(s.p + begin + n))
        n--;
    return json_fmt(a, "%s%.*s%s", begin > 0 ? "…" : "", (int)n, s.p + begin,
                    begin + n < s.n ? "…" : "");
}

static void change(struct json *list, const char *what, const struct json *from,
                   const struct json *to, struct arena *a)
{
    struct buf was, is;
    size_t same = 0;
    if (json_len(list) >= CHANGES_MAX)
        return;
    leaf_text(from, &was);
    leaf_text(to, &is);
    while (same < was.n && same < is.n && was.p[same] == is.p[same])
        same++;
    struct json *c = json_obj(a);
    (void)json_set(a, c, "what", json_cstr(a, what));
    (void)json_set(a, c, "from", from != NULL ? leaf(buf_view(&was), same, a) : NULL);
    (void)json_set(a, c, "to", to != NULL ? leaf(buf_view(&is), same, a) : NULL);
    (void)json_add(a, list, c);
    buf_fini(&was);
    buf_fini(&is);
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
