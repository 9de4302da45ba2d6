/* Loading a release: bytes from the store, digests, plan, engine, regression set. */
#include "serve/runtime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "blob/tree.h"
#include "serve/runtime_int.h"

static struct runtime *runtime_new(struct online *online)
{
    struct runtime *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    atomic_store(&r->n_refs, 1);
    arena_init(&r->arena, RUNTIME_ARENA_BYTES);
    r->online = online;
    r->threshold = (double)NAN;
    return r;
}

static void runtime_free(struct runtime *r)
{
    for (size_t i = 0; i < RUNTIME_SLOTS; i++)
        runtime_scratch_free(atomic_load(&r->scratches[i]));
    engine_close(r->engine);
    arena_fini(&r->arena);
    free(r);
}

struct runtime *runtime_ref(struct runtime *r)
{
    CHECK(atomic_fetch_add(&r->n_refs, 1) > 0);
    return r;
}

void runtime_unref(struct runtime *r)
{
    if (r && atomic_fetch_sub(&r->n_refs, 1) == 1)
        runtime_free(r);
}

static enum err_code runtime_open(struct runtime *r, const char *dir, const struct digest *expect,
                                  struct err *err)
{
    r->dir = str_dup(&r->arena, str_c(dir));
    if (!r->dir)
        return arena_err(&r->arena, err);
    if (engine_open(dir, expect, &r->engine, err) != ERR_OK)
        return err->code;
    r->n_outputs = engine_n_outputs(r->engine);
    if (!engine_is_inline(r->engine))
        return err_set(err, ERR_UNSUPPORTED, "the engine %s does not answer in line",
                       engine_kind(r->engine));
    if (runtime_plan_open(r, err) != ERR_OK || runtime_schema_make(r, err) != ERR_OK)
        return err->code;
    return runtime_regression_check(r, err);
}

enum err_code runtime_load_dir(const char *dir, const struct digest *expect, double threshold,
                               struct online *online, struct runtime **ret, struct err *err)
{
    struct runtime *r = runtime_new(online);
    if (!r)
        return err_nomem(err);
    r->threshold = threshold;
    if (runtime_open(r, dir, expect, err) != ERR_OK) {
        runtime_unref(r);
        return err->code;
    }
    *ret = r;
    return ERR_OK;
}

static enum err_code digest_get(const struct json *doc, const char *key, struct digest *ret,
                                struct err *err)
{
    struct str hex;
    if (json_need_str(doc, key, &hex, err) != ERR_OK || digest_parse(hex, ret, err) != ERR_OK)
        return err_wrap(err, "release document");
    return ERR_OK;
}

/* The tree's files below cache_dir/<tree>; made aside and renamed, so that a directory is whole. */
static enum err_code tree_fetch(const struct runtime_source *src, const struct digest *tree,
                                const char *dir, struct err *err)
{
    char aside[PATH_BYTES], random[DIGEST_HEX_BYTES];
    uint8_t bytes[8];
    if (dir_make(src->cache_dir, 0700, err) != ERR_OK)
        return err->code;
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, random);
    snprintf(aside, sizeof aside, "%s/.%s", src->cache_dir, random);
    if (tree_materialize(src->blobs, tree, aside, err) != ERR_OK)
        return err->code;
    if (rename(aside, dir) == 0)
        return ERR_OK;
    if (!dir_exists(dir)) /* else somebody else was faster */
        return err_set(err, ERR_IO, "put the model's files into %s", dir);
    return dir_remove(aside, err);
}

/* Opens the kept directory; when it was damaged there, once more from the store. */
static enum err_code runtime_fetch(struct runtime *r, const struct runtime_source *src,
                                   struct err *err)
{
    struct digest model, tree;
    char hex[DIGEST_HEX_BYTES], dir[PATH_BYTES];
    if (digest_get(r->doc, "model", &model, err) != ERR_OK ||
        digest_get(r->doc, "tree", &tree, err) != ERR_OK)
        return err->code;
    digest_hex(&tree, hex);
    snprintf(dir, sizeof dir, "%s/%s", src->cache_dir, hex);
    bool was_there = dir_exists(dir);
    if (!was_there && tree_fetch(src, &tree, dir, err) != ERR_OK)
        return err->code;
    enum err_code code = runtime_open(r, dir, &model, err);
    if (!was_there || code == ERR_OK || code == ERR_REFUSED || code == ERR_NOMEM)
        return code;
    engine_close(r->engine);
    r->engine = NULL;
    err_reset(err);
    if (dir_remove(dir, err) != ERR_OK || tree_fetch(src, &tree, dir, err) != ERR_OK)
        return err->code;
    return runtime_open(r, dir, &model, err);
}

enum err_code runtime_load(const struct runtime_source *src, int64_t release,
                           const struct json *doc, struct runtime **ret, struct err *err)
{
    struct runtime *r = runtime_new(src->online);
    if (!r)
        return err_nomem(err);
    r->release = release;
    r->doc = json_copy(&r->arena, doc);
    r->threshold = json_get_f64(r->doc, "threshold", (double)NAN);
    if (runtime_fetch(r, src, err) != ERR_OK) {
        runtime_unref(r);
        return err_wrap(err, "load release r%lld", (long long)release);
    }
    *ret = r;
    return ERR_OK;
}

int64_t runtime_release(const struct runtime *r)
{
    return r->release;
}

const struct json *runtime_doc(const struct runtime *r)
{
    return r->doc;
}

const char *runtime_dir(const struct runtime *r)
{
    return r->dir;
}

const struct plan *runtime_plan(const struct runtime *r)
{
    return r->plan;
}

const struct engine *runtime_engine(const struct runtime *r)
{
    return r->engine;
}

const struct record_schema *runtime_schema(const struct runtime *r)
{
    return &r->schema;
}

double runtime_threshold(const struct runtime *r)
{
    return r->threshold;
}

size_t runtime_n_outputs(const struct runtime *r)
{
    return r->n_outputs;
}

const char *runtime_output_name(const struct runtime *r, size_t i)
{
    CHECK(i < r->schema.n_outputs);
    return r->schema.outputs[i];
}

size_t runtime_regression_rows(const struct runtime *r)
{
    return r->n_regression_rows;
}
