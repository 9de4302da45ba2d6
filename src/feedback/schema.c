/* predictions/schemas.log: "PAWLSCH1", byte order, version, then frames as in a series, each a JSON document. Everything is
 * read at open and kept; there are as many as releases. */
#include "feedback/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "base/vec.h"
#include "feedback/frame.h"

#define SCHEMA_MAGIC   "PAWLSCH1"
#define SCHEMA_BYTES   (256u << 20)
#define RANK_SCHEMA    5300
#define FRAME_SCHEMA   2
#define SCHEMA_VERSION 1

struct schema_head {
    char magic[8];
    uint32_t byte_order, version;
};

struct schema_entry {
    struct record_schema schema;
    struct str text; /* canonical JSON */
};

struct schema_store {
    struct mutex mutex;
    struct arena arena;
    char *path;
    bool may_write;
    int fd;
    int64_t end;
    uint64_t seq;
    VEC(struct schema_entry *) entries;
};

/* ---- a schema as JSON ---- */

static struct json *names_json(const char *const *names, size_t n, struct arena *a)
{
    struct json *v = json_arr(a);
    for (size_t i = 0; i < n; i++)
        json_add(a, v, json_cstr(a, names[i]));
    return v;
}

static struct json *schema_doc(const struct record_schema *s, struct arena *a)
{
    struct json *v = json_obj(a), *fields = json_arr(a), *views = json_arr(a);
    for (size_t i = 0; i < s->n_fields; i++) {
        struct json *f = json_obj(a);
        json_set(a, f, "name", json_cstr(a, s->fields[i].name));
        json_add(a, fields,
                 json_set(a, f, "type", json_cstr(a, value_type_name(s->fields[i].type))));
    }
    for (size_t i = 0; i < s->n_views; i++) {
        struct json *w = json_obj(a);
        json_set(a, w, "name", json_cstr(a, s->views[i].name));
        json_set(a, w, "version", json_cstr(a, s->views[i].version));
        json_set(a, w, "first", json_int(a, s->views[i].first));
        json_add(a, views, json_set(a, w, "n", json_int(a, s->views[i].n)));
    }
    json_set(a, v, "release", json_int(a, s->release));
    json_set(a, v, "endpoint", json_cstr(a, s->endpoint));
    json_set(a, v, "digest", json_cstr(a, s->release_digest));
    json_set(a, v, "fields", fields);
    json_set(a, v, "request", json_int(a, (int64_t)s->n_request));
    json_set(a, v, "views", views);
    json_set(a, v, "inputs", names_json(s->inputs, s->n_inputs, a));
    return json_set(a, v, "outputs", names_json(s->outputs, s->n_outputs, a));
}

static const char **names_read(const struct json *list, struct arena *a, size_t *ret_n)
{
    size_t n = json_len(list);
    const char **names = ARENA_NEW_N(a, const char *, n);
    for (size_t i = 0; names && i < n; i++) {
        const struct json *v = json_at(list, i);
        names[i] = v->type == JSON_STR ? v->u.s.p : "";
    }
    *ret_n = n;
    return names;
}

static bool fields_read(const struct json *list, struct arena *a, struct record_schema *s)
{
    s->n_fields = json_len(list);
    struct record_field *f = ARENA_NEW_N(a, struct record_field, s->n_fields);
    for (size_t i = 0; f && i < s->n_fields; i++) {
        f[i].name = json_get_c(json_at(list, i), "name");
        if (!f[i].name || !value_type_from_name(json_get_str(json_at(list, i), "type"), &f[i].type))
            return false;
    }
    s->fields = f;
    return f != NULL;
}

static bool views_read(const struct json *list, struct arena *a, struct record_schema *s)
{
    s->n_views = json_len(list);
    struct record_view *w = ARENA_NEW_N(a, struct record_view, s->n_views);
    for (size_t i = 0; w && i < s->n_views; i++) {
        const struct json *v = json_at(list, i);
        int64_t first = json_get_int(v, "first", -1), n = json_get_int(v, "n", -1);
        if (first < 0 || n < 0 || (uint64_t)first + (uint64_t)n > s->n_fields ||
            !json_get_c(v, "name"))
            return false;
        w[i] = (struct record_view){json_get_c(v, "name"), json_get_c(v, "version"),
                                    (uint32_t)first, (uint32_t)n};
    }
    s->views = w;
    return w != NULL;
}

static enum err_code schema_read(const struct json *v, struct arena *a, struct record_schema *ret,
                                 struct err *err)
{
    struct record_schema s = {.release = json_get_int(v, "release", 0),
                              .endpoint = json_get_c(v, "endpoint"),
                              .release_digest = json_get_c(v, "digest"),
                              .n_request = (size_t)json_get_int(v, "request", 0)};
    bool is_ok = s.release >= 0 && s.endpoint && fields_read(json_get(v, "fields"), a, &s) &&
                 views_read(json_get(v, "views"), a, &s) && s.n_request <= s.n_fields;
    s.inputs = names_read(json_get(v, "inputs"), a, &s.n_inputs);
    s.outputs = names_read(json_get(v, "outputs"), a, &s.n_outputs);
    if (!is_ok || !s.inputs || !s.outputs)
        return err_set(err, ERR_CORRUPT, "the schema of release %lld cannot be read",
                       (long long)s.release);
    *ret = s;
    return ERR_OK;
}

/* ---- the store ---- */

static enum err_code entry_add(struct schema_store *s, struct str text, struct err *err)
{
    struct json *doc;
    struct schema_entry *e = ARENA_NEW(&s->arena, struct schema_entry);
    char *copy = str_dup(&s->arena, text);
    if (!e || !copy)
        return arena_err(&s->arena, err);
    e->text = str_n(copy, text.n);
    if (json_read(e->text, &s->arena, &doc, err) != ERR_OK ||
        schema_read(doc, &s->arena, &e->schema, err) != ERR_OK)
        return err->code;
    struct schema_entry **p = VEC_ADD(&s->arena, &s->entries);
    if (!p)
        return arena_err(&s->arena, err);
    *p = e;
    return ERR_OK;
}

static enum err_code head_check(struct schema_store *s, struct str all, struct err *err)
{
    struct schema_head h;
    if (all.n < sizeof h)
        return err_set(err, ERR_CORRUPT, "%s is shorter than its head", s->path);
    memcpy(&h, all.p, sizeof h);
    if (memcmp(h.magic, SCHEMA_MAGIC, sizeof h.magic) != 0 || h.byte_order != BYTE_ORDER_MARK ||
        h.version != SCHEMA_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "%s is not a file of schemas that this program reads",
                       s->path);
    return ERR_OK;
}

static enum err_code store_load(struct schema_store *s, struct err *err)
{
    struct arena tmp;
    struct str all;
    struct frame f;
    arena_init(&tmp, SCHEMA_BYTES);
    enum err_code code = file_read(s->path, SCHEMA_BYTES, &tmp, &all, err);
    if (code == ERR_OK)
        code = head_check(s, all, err);
    size_t at = sizeof(struct schema_head);
    while (code == ERR_OK &&
           frame_parse((const unsigned char *)all.p + at, all.n - at, &f) == FRAME_OK) {
        code = entry_add(s, str_n((const char *)f.payload, f.payload_bytes), err);
        at += SERIES_FRAME_HEAD + f.payload_bytes;
        s->seq = f.seq;
    }
    s->end = (int64_t)at;
    arena_fini(&tmp);
    return code;
}

static enum err_code store_make(struct schema_store *s, struct err *err)
{
    struct schema_head h = {.byte_order = BYTE_ORDER_MARK, .version = SCHEMA_VERSION};
    memcpy(h.magic, SCHEMA_MAGIC, sizeof h.magic);
    s->end = (int64_t)sizeof h;
    return file_write(s->path, str_n((const char *)&h, sizeof h), 0600, err);
}

enum err_code schema_store_open(const char *path, bool may_write, struct schema_store **ret,
                                struct err *err)
{
    struct schema_store *s = calloc(1, sizeof *s);
    enum err_code code = ERR_OK;
    if (!s)
        return err_nomem(err);
    s->fd = -1;
    s->may_write = may_write;
    arena_init(&s->arena, SCHEMA_BYTES);
    mutex_init(&s->mutex, "feedback.schema", RANK_SCHEMA);
    s->path = str_dup(&s->arena, str_c(path));
    if (!s->path)
        code = arena_err(&s->arena, err);
    else if (file_exists(path))
        code = store_load(s, err);
    else if (may_write)
        code = store_make(s, err);
    if (code == ERR_OK && may_write) {
        s->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (s->fd < 0 || ftruncate(s->fd, (off_t)s->end) != 0) /* a torn tail goes */
            code = err_errno(err, errno, "open %s", path);
    }
    if (code != ERR_OK) {
        schema_store_close(s);
        return code;
    }
    *ret = s;
    return ERR_OK;
}

void schema_store_close(struct schema_store *s)
{
    if (!s)
        return;
    fd_close(&s->fd);
    mutex_fini(&s->mutex);
    arena_fini(&s->arena);
    free(s);
}

static struct schema_entry *entry_find(const struct schema_store *s, int64_t release)
{
    for (size_t i = s->entries.n; i-- > 0;)
        if (s->entries.p[i]->schema.release == release)
            return s->entries.p[i];
    return NULL;
}

/* Another process wrote on: what is behind our end. */
static void store_refresh(struct schema_store *s)
{
    struct err ignored = ERR_INIT;
    int64_t size = 0;
    if (s->may_write || file_size(s->path, &size, &ignored) != ERR_OK || size <= s->end)
        return;
    s->entries.n = 0;
    if (store_load(s, &ignored) != ERR_OK)
        return;
}

const struct record_schema *schema_store_get(struct schema_store *s, int64_t release)
{
    mutex_lock(&s->mutex);
    struct schema_entry *e = entry_find(s, release);
    if (!e) {
        store_refresh(s);
        e = entry_find(s, release);
    }
    mutex_unlock(&s->mutex);
    return e ? &e->schema : NULL;
}

static enum err_code store_append(struct schema_store *s, struct str text, struct err *err)
{
    unsigned char *p = malloc(SERIES_FRAME_HEAD + text.n);
    if (!p)
        return err_nomem(err);
    memcpy(p + SERIES_FRAME_HEAD, text.p, text.n);
    series_frame_seal(p, FRAME_SCHEMA, 0, s->seq + 1, (uint32_t)text.n);
    ssize_t n = pwrite(s->fd, p, SERIES_FRAME_HEAD + text.n, (off_t)s->end);
    free(p);
    if (n != (ssize_t)(SERIES_FRAME_HEAD + text.n) || fdatasync(s->fd) != 0)
        return err_errno(err, n < 0 ? errno : ENOSPC, "append to %s", s->path);
    s->end += n;
    s->seq++;
    return ERR_OK;
}

static enum err_code put_locked(struct schema_store *s, int64_t release, struct str text,
                                struct err *err)
{
    const struct schema_entry *e = entry_find(s, release);
    if (e && str_eq(e->text, text))
        return ERR_OK;
    if (e)
        return err_set(err, ERR_CONFLICT, "release r%lld was logged with other fields before",
                       (long long)release);
    if (!s->may_write)
        return err_set(err, ERR_REFUSED, "%s is open for reading", s->path);
    if (store_append(s, text, err) != ERR_OK)
        return err->code;
    return entry_add(s, text, err);
}

enum err_code schema_store_put(struct schema_store *s, const struct record_schema *schema,
                               struct err *err)
{
    struct arena tmp;
    struct buf b;
    arena_init(&tmp, SCHEMA_BYTES);
    buf_init(&b, SERIES_FRAME_MAX);
    enum err_code code = json_write(schema_doc(schema, &tmp), JSON_CANONICAL, &b, err);
    if (code == ERR_OK) {
        mutex_lock(&s->mutex);
        code = put_locked(s, schema->release, buf_view(&b), err);
        mutex_unlock(&s->mutex);
    }
    buf_fini(&b);
    arena_fini(&tmp);
    return code;
}

/* ---- a record for people ---- */

struct json *record_value_json(const struct value *v, struct arena *a)
{
    switch (v->type) {
    case VAL_BOOL:
        return json_bool(a, v->u.b);
    case VAL_INT:
        return json_int(a, v->u.i);
    case VAL_FLOAT:
        return json_num(a, v->u.f);
    case VAL_TIME:
        return json_time(a, v->u.i);
    case VAL_STR:
        return json_str(a, v->u.s);
    case VAL_NULL:
    case VAL_TYPE_N:
        break;
    }
    return json_null(a);
}

static struct json *values_json(const struct prediction_record *r,
                                const struct record_schema *schema, struct arena *a)
{
    struct json *v = json_obj(a);
    for (uint32_t i = 0; i < r->n_values; i++) {
        const char *name =
            schema && i < schema->n_fields ? schema->fields[i].name : str_printf(a, "%u", i);
        if (!name)
            return v;
        if (r->values[i].type == VAL_NULL)
            json_set_null(a, v, name);
        else
            json_set(a, v, name, record_value_json(&r->values[i], a));
    }
    return v;
}

static struct json *lookups_json(const struct prediction_record *r,
                                 const struct record_schema *schema, struct arena *a)
{
    static const char *const names[LOOKUP_N] = {"PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE", "GIVEN",
                                                "NO_STORE"};
    struct json *v = json_obj(a);
    for (uint32_t i = 0; i < r->n_lookups; i++) {
        const char *view =
            schema && i < schema->n_views ? schema->views[i].name : str_printf(a, "%u", i);
        if (view && r->lookups[i] < LOOKUP_N)
            json_set(a, v, view, json_cstr(a, names[r->lookups[i]]));
    }
    return v;
}

struct json *record_json(const struct prediction_record *r, const struct record_schema *schema,
                         struct arena *a)
{
    char name[RECORD_NAME_BYTES];
    struct json *v = json_obj(a), *scores = json_arr(a);
    record_name(r->id, r->row, name);
    json_set(a, v, "prediction_id", json_cstr(a, name));
    if (r->client_id.n)
        json_set(a, v, "client_id", json_str(a, r->client_id));
    json_set(a, v, "endpoint", json_str(a, r->endpoint));
    json_set(a, v, "release", json_fmt(a, "r%lld", (long long)r->release));
    json_set(a, v, "role", json_cstr(a, ROLE_NAMES[r->role]));
    json_set(a, v, "status", json_cstr(a, RECORD_STATUS_NAMES[r->status]));
    json_set(a, v, "time", json_time(a, r->event_us));
    json_set(a, v, "logged_at", json_time(a, r->wall_us));
    json_set(a, v, "bucket", json_int(a, r->bucket));
    json_set(a, v, "latency_us", json_int(a, r->latency_us));
    for (uint32_t i = 0; i < r->n_scores; i++)
        json_add(a, scores, json_num(a, r->scores[i]));
    json_set(a, v, r->n_scores == 1 ? "score" : "scores",
             r->n_scores == 1 ? json_num(a, r->scores[0]) : scores);
    if (r->decision == r->decision)
        json_set(a, v, "decision", json_num(a, r->decision));
    json_set(a, v, "request", values_json(r, schema, a));
    if (r->n_lookups)
        json_set(a, v, "lookups", lookups_json(r, schema, a));
    return v;
}
