/* Reading the log record by record: readers, finding by name, counting, the last ones. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "feedback/frame.h"
#include "feedback/log_int.h"

#define READER_ARENA_BYTES (64u << 20)
#define QUERY_MAX          10000
#define FOUND_MAX          16
#define RELEASES_MAX       4096

struct log_reader {
    struct series_reader *r;
    struct arena arena; /* of the present record */
};

enum err_code log_reader_open(struct series *s, const struct log_pos *from, struct log_reader **ret,
                              struct err *err)
{
    struct log_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_nomem(err);
    arena_init(&r->arena, READER_ARENA_BYTES);
    if (series_reader_open(s, from, &r->r, err) != ERR_OK) {
        free(r);
        return err->code;
    }
    *ret = r;
    return ERR_OK;
}

void log_reader_close(struct log_reader *r)
{
    if (!r)
        return;
    series_reader_close(r->r);
    arena_fini(&r->arena);
    free(r);
}

enum err_code log_reader_next(struct log_reader *r, int64_t timeout_ms, bool *ret_is_there,
                              struct prediction_record *ret, struct log_pos *ret_next,
                              struct err *err)
{
    struct series_frame f;
    arena_reset(&r->arena);
    if (series_reader_next(r->r, timeout_ms, ret_is_there, &f, err) != ERR_OK)
        return err->code;
    if (!*ret_is_there)
        return ERR_OK;
    if (record_decode(f.payload, &r->arena, ret, err) != ERR_OK)
        return err->code;
    *ret_next = f.next;
    return ERR_OK;
}

enum err_code shadow_append(struct series *shadow, uint64_t seq, const struct prediction_record *r,
                            struct log_pos *ret_pos, struct err *err)
{
    unsigned char *p = malloc(record_bytes_max(r));
    if (!p)
        return err_nomem(err);
    size_t n = record_encode(r, p);
    enum err_code code =
        series_append(shadow, FRAME_RECORD, 0, seq, str_n((const char *)p, n), ret_pos, err);
    free(p);
    return code;
}

static bool same_name(const struct prediction_record *r, const uint8_t *id, struct str endpoint,
                      struct str client_id, uint32_t row)
{
    if (r->row != row || r->status == RECORD_ERROR)
        return false;
    if (id)
        return memcmp(r->id, id, sizeof r->id) == 0;
    return str_eq(r->client_id, client_id) && str_eq(r->endpoint, endpoint);
}

struct wanted {
    uint64_t key;
    const uint8_t *id;
    struct str endpoint, client_id;
    uint32_t row;
};

static enum err_code find(struct feedback_log *l, const struct wanted *w, struct arena *a,
                          struct prediction_record *ret, struct log_pos *ret_pos, struct err *err)
{
    struct log_pos at[FOUND_MAX];
    size_t n = 0;
    if (log_index_find(l->index, w->key, at, FOUND_MAX, &n, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        struct series_frame f;
        struct prediction_record r;
        if (series_read_at(l->series, &at[i], a, &f, err) != ERR_OK ||
            record_decode(f.payload, a, &r, err) != ERR_OK)
            return err->code;
        if (same_name(&r, w->id, w->endpoint, w->client_id, w->row)) {
            *ret = r;
            *ret_pos = at[i];
            return ERR_OK;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "the log holds no prediction of that id");
}

enum err_code feedback_log_find(struct feedback_log *l, const uint8_t id[16], uint32_t row,
                                struct arena *a, struct prediction_record *ret,
                                struct log_pos *ret_pos, struct err *err)
{
    struct wanted w = {.key = log_index_key(id, row), .id = id, .row = row};
    return find(l, &w, a, ret, ret_pos, err);
}

enum err_code feedback_log_find_client(struct feedback_log *l, struct str endpoint,
                                       struct str client_id, uint32_t row, struct arena *a,
                                       struct prediction_record *ret, struct log_pos *ret_pos,
                                       struct err *err)
{
    struct wanted w = {log_index_client_key(endpoint, client_id, row), NULL, endpoint, client_id,
                       row};
    return find(l, &w, a, ret, ret_pos, err);
}

bool record_matches(const struct prediction_record *r, const struct record_filter *f)
{
    int64_t at_us = r->event_us != AT_US_NONE ? r->event_us : r->wall_us;
    return (f->endpoint.n == 0 || str_eq(f->endpoint, r->endpoint)) &&
           (f->from_us == AT_US_NONE || at_us >= f->from_us) &&
           (f->to_us == AT_US_NONE || at_us < f->to_us) &&
           (f->release == 0 || f->release == r->release) &&
           (f->role < 0 || f->role == (int)r->role) &&
           (f->status < 0 || f->status == (int)r->status);
}

struct tally {
    struct {
        int64_t release;
        int64_t n;
    } by[RELEASES_MAX];
    size_t n;
};

static void tally_add(struct tally *t, int64_t release)
{
    size_t i = t->n;
    while (i > 0 && t->by[i - 1].release != release)
        i--;
    if (i == 0 && t->n < RELEASES_MAX) {
        t->by[t->n].release = release;
        t->by[t->n].n = 0;
        i = ++t->n;
    }
    if (i > 0)
        t->by[i - 1].n++;
}

enum err_code feedback_log_count(struct feedback_log *l, const struct record_filter *f,
                                 struct arena *a, uint64_t *ret_n, struct json **ret_by_release,
                                 struct err *err)
{
    struct log_pos from = {0}, next;
    struct log_reader *r = NULL;
    struct prediction_record rec;
    bool is_there = true;
    uint64_t n = 0;
    struct tally *t = ARENA_NEW(a, struct tally);
    if (!t)
        return arena_err(a, err);
    enum err_code code = log_reader_open(l->series, &from, &r, err);
    while (code == ERR_OK && is_there) {
        code = log_reader_next(r, 0, &is_there, &rec, &next, err);
        if (code == ERR_OK && is_there && record_matches(&rec, f)) {
            n++;
            tally_add(t, rec.release);
        }
    }
    log_reader_close(r);
    if (code != ERR_OK)
        return code;
    struct json *by = json_obj(a);
    for (size_t i = 0; i < t->n; i++)
        json_set(a, by, str_printf(a, "r%lld", (long long)t->by[i].release),
                 json_int(a, t->by[i].n));
    *ret_n = n;
    *ret_by_release = by;
    return ERR_OK;
}

/* Where the last `limit` matches are: a ring of positions filled by one scan. */
static enum err_code last_places(struct feedback_log *l, const struct record_filter *f,
                                 size_t limit, struct log_pos *ring, uint64_t *ret_n,
                                 struct err *err)
{
    struct log_pos at = {0}, next;
    struct log_reader *r = NULL;
    struct prediction_record rec;
    bool is_there = true;
    enum err_code code = log_reader_open(l->series, &at, &r, err);
    *ret_n = 0;
    while (code == ERR_OK && is_there) {
        at = series_reader_pos(r->r);
        code = log_reader_next(r, 0, &is_there, &rec, &next, err);
        if (code == ERR_OK && is_there && record_matches(&rec, f))
            ring[(*ret_n)++ % limit] = at;
    }
    log_reader_close(r);
    return code;
}

enum err_code feedback_log_query(struct feedback_log *l, const struct record_filter *f,
                                 size_t limit, struct arena *a, struct json **ret, struct err *err)
{
    uint64_t n = 0;
    if (limit == 0 || limit > QUERY_MAX)
        return err_set(err, ERR_RANGE, "between 1 and %d records can be shown, not %zu", QUERY_MAX,
                       limit);
    struct log_pos *ring = ARENA_NEW_N(a, struct log_pos, limit);
    if (!ring)
        return arena_err(a, err);
    if (last_places(l, f, limit, ring, &n, err) != ERR_OK)
        return err->code;
    struct json *list = json_arr(a);
    for (uint64_t i = n > limit ? n - limit : 0; i < n; i++) {
        struct series_frame frame;
        struct prediction_record rec;
        if (series_read_at(l->series, &ring[i % limit], a, &frame, err) != ERR_OK ||
            record_decode(frame.payload, a, &rec, err) != ERR_OK)
            return err->code;
        json_add(a, list, record_json(&rec, schema_store_get(l->schemas, rec.release), a));
    }
    *ret = list;
    return ERR_OK;
}
