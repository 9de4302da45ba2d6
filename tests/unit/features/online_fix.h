/* A store in a fresh folder, and rows for one view in few words. */
#ifndef PAWL_TEST_FEATURES_ONLINE_FIX_H
#define PAWL_TEST_FEATURES_ONLINE_FIX_H

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "features/online.h"
#include "test.h"

struct online_fix {
    char dir[64];
    struct online *o;
    struct online_reader *r;
};

static inline void fix_open(struct online_fix *f)
{
    struct err err = ERR_INIT;
    ASSERT_OK(online_open(&(struct online_options){.dir = f->dir, .map_bytes = INT64_C(1) << 32},
                          &f->o, &err),
              &err);
    ASSERT_OK(online_reader_new(f->o, &f->r, &err), &err);
}

static inline void fix_close(struct online_fix *f)
{
    online_reader_free(f->r);
    online_close(f->o);
}

static inline void fix_init(struct online_fix *f)
{
    memcpy(f->dir, "/tmp/pawl-online-XXXXXX", 24);
    assert_non_null(mkdtemp(f->dir));
    fix_open(f);
}

static inline void fix_fini(struct online_fix *f)
{
    struct err err = ERR_INIT;
    fix_close(f);
    ASSERT_OK(dir_remove(f->dir, &err), &err);
}

#endif
