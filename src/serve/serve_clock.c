/* Event clocks: system time, or on a replay home what was put last, kept in serving/clocks.json. */
#include <stdio.h>

#include "base/clock.h"
#include "serve/serve_int.h"

#define CLOCKS_BYTES (1u << 20)

int64_t clock_of(const struct serve *s, const struct endpoint_counters *c)
{
    int64_t at_us =
        s->opt.is_replay ? atomic_load_explicit(&c->clock_us, memory_order_relaxed) : AT_US_NONE;
    return at_us != AT_US_NONE ? at_us : clock_now_us(&CLOCK_SYSTEM);
}

int64_t serve_clock(struct serve *s, const char *endpoint)
{
    mutex_lock(&s->state_mutex);
    const struct serve_entry *e = entry_find(s, endpoint);
    int64_t at_us = e ? clock_of(s, &e->counters) : clock_now_us(&CLOCK_SYSTEM);
    mutex_unlock(&s->state_mutex);
    return at_us;
}

static void clocks_path(const struct serve *s, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/clocks.json", s->dir);
}

static enum err_code clocks_write(struct serve *s, struct err *err)
{
    char path[PATH_BYTES];
    struct arena a;
    struct buf b;
    arena_init(&a, CLOCKS_BYTES);
    buf_init(&b, CLOCKS_BYTES);
    struct json *doc = json_obj(&a);
    for (const struct serve_entry *e = s->entries; e; e = e->next)
        json_set(&a, doc, e->name, json_time(&a, atomic_load(&e->counters.clock_us)));
    clocks_path(s, path);
    enum err_code code = json_write(doc, JSON_PRETTY, &b, err);
    if (code == ERR_OK)
        code = file_write(path, buf_view(&b), 0600, err);
    buf_fini(&b);
    arena_fini(&a);
    return code;
}

enum err_code serve_clock_set(struct serve *s, const char *endpoint, int64_t at_us, struct err *err)
{
    enum err_code code = ERR_OK;
    char now[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];
    if (!s->opt.is_replay)
        return err_set(err, ERR_REFUSED,
                       "the clock of this home is the system's: make one with --replay to move it");
    mutex_lock(&s->apply_mutex);
    struct serve_entry *e = entry_find(s, endpoint);
    int64_t before = e ? atomic_load(&e->counters.clock_us) : AT_US_NONE;
    if (!e) {
        code = err_set(err, ERR_NOT_FOUND, "there is no endpoint %s", endpoint);
    } else if (before != AT_US_NONE && at_us < before) {
        time_text(now, before);
        time_text(to, at_us);
        code = err_set(err, ERR_REFUSED, "the clock of %s stands at %s and does not go back to %s",
                       endpoint, now, to);
    } else if (at_us != before) {
        atomic_store(&e->counters.clock_us, at_us);
        code = clocks_write(s, err);
    }
    mutex_unlock(&s->apply_mutex);
    return code;
}

enum err_code clocks_read(struct serve *s, struct err *err)
{
    char path[PATH_BYTES];
    struct arena a;
    struct str text;
    struct json *doc;
    clocks_path(s, path);
    if (!s->opt.is_replay || !file_exists(path))
        return ERR_OK;
    arena_init(&a, CLOCKS_BYTES);
    enum err_code code = file_read(path, CLOCKS_BYTES, &a, &text, err);
    if (code == ERR_OK)
        code = json_read(text, &a, &doc, err);
    for (struct serve_entry *e = s->entries; e && code == ERR_OK; e = e->next)
        atomic_store(&e->counters.clock_us, json_get_time(doc, e->name));
    arena_fini(&a);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "%s", path);
}
