/* Which split each row belongs to.
 *
 * By time, backwards from the end: test, gap, validation, gap, train. The gap is label_after: no label of an earlier
 * split becomes known after the next one has begun. The end is the last moment all of whose labels can be known at the as-of time, so
 * that outcomes that show early are not over-represented.
 *
 * Benchmark days are held out for ever, wherever they lie, with the gap kept out of training on both sides. */
#include "base/clock.h"
#include "features/dataset_rows.h"

#define DAYS_MAX 1000000

struct bounds {
    int64_t train, train_end, validation, validation_end, test,
        end; /* half-open; empty: from == to */
};

bool dataset_is_benchmark_day(int64_t day, double hold_out, int64_t seed)
{
    struct {
        char tag[16];
        int64_t day, seed;
    } key = {"pawl.benchmark", day, seed};
    return (double)(hash64(&key, sizeof key, 0) >> 11) * 0x1p-53 < hold_out;
}

static struct bounds bounds_of(const struct dataset_work *d)
{
    const struct json *split = json_get(d->spec, "split");
    int64_t validation_us = json_get_int(split, "validation_us", 0),
            test_us = json_get_int(split, "test_us", 0);
    int64_t train_us = json_get_int(split, "train_us", -1);
    struct bounds b = {.end = d->max_us + 1};
    if (d->as_of_us != AT_US_NONE && d->as_of_us - d->gap_us < b.end)
        b.end = d->as_of_us - d->gap_us;
    b.test = b.end - test_us;
    b.validation_end = test_us > 0 ? b.test - d->gap_us : b.test;
    b.validation = b.validation_end - validation_us;
    b.train_end = validation_us > 0 ? b.validation - d->gap_us : b.validation;
    b.train = train_us >= 0 ? b.train_end - train_us : d->min_us;
    return b;
}

static void between(struct buf *sql, const char *split, int64_t from, int64_t to)
{
    buf_c(sql, " WHEN __t >= ");
    table_sql_time(sql, from);
    buf_c(sql, " AND __t < ");
    table_sql_time(sql, to);
    buf_printf(sql, " THEN '%s'", split);
}

static void case_by_time(struct dataset_work *d, struct buf *sql)
{
    struct bounds b = bounds_of(d);
    between(sql, "test", b.test, b.end);
    between(sql, "validation", b.validation, b.validation_end);
    between(sql, "train", b.train, b.train_end);
    between(sql, "-gap", b.train, b.end);
    buf_c(sql, " ELSE '-outside'");
}

static void case_by_group(struct dataset_work *d, struct buf *sql)
{
    const struct json *split = json_get(d->spec, "split");
    double test = json_get_f64(split, "test_share", 0),
           validation = json_get_f64(split, "validation_share", 0);
    static const char HASH[] =
        "CAST(md5_number_lower('pawl.group:' || __group) % 1000000 AS BIGINT)";
    buf_printf(
        sql,
        " WHEN __group IS NULL THEN '-outside' WHEN %s < %lld THEN 'test' WHEN %s < %lld THEN "
        "'validation' ELSE 'train'",
        HASH, (long long)(test * 1e6), HASH, (long long)((test + validation) * 1e6));
}

/* One row a day: is it held out, and which part of it lies too near to a held-out day to be trained on. A stretch around a
 * held-out day is at least a day long, so that it covers a day's beginning, its end, or all of it: never a middle. */
struct day_table {
    size_t n;
    int64_t *day, *early, *late; /* not to be trained on: t < early or t >= late */
    uint8_t *is_held_out, *is_later;
};

static bool day_table_make(struct arena *a, size_t n, struct day_table *t)
{
    *t = (struct day_table){.n = n,
                            .day = ARENA_NEW_N(a, int64_t, n),
                            .early = ARENA_NEW_N(a, int64_t, n),
                            .late = ARENA_NEW_N(a, int64_t, n),
                            .is_held_out = ARENA_NEW_N(a, uint8_t, n),
                            .is_later = ARENA_NEW_N(a, uint8_t, n)};
    return t->day && t->early && t->late && t->is_held_out && t->is_later;
}

/* [from, to) must not be trained on. */
static void day_table_cut(struct day_table *t, int64_t from, int64_t to)
{
    for (size_t i = 0; i < t->n; i++) {
        int64_t begin = t->day[i], end = begin + US_PER_DAY;
        if (to <= begin || from >= end)
            continue;
        if (from <= begin && to > t->early[i])
            t->early[i] = to;
        else if (from > begin && from < t->late[i])
            t->late[i] = from;
    }
}

static void day_table_fill(struct dataset_work *d, int64_t first, struct day_table *t)
{
    const struct json *bench = json_get(d->spec, "benchmark");
    double hold_out = json_get_f64(bench, "hold_out", 0);
    int64_t seed = json_get_int(bench, "seed", 0);
    for (size_t i = 0; i < t->n; i++) {
        t->day[i] = (first + (int64_t)i) * US_PER_DAY;
        t->early[i] = t->day[i];
        t->late[i] = t->day[i] + US_PER_DAY;
    }
    for (size_t i = 0; i < t->n; i++) {
        char text[TIME_TEXT_BYTES];
        if (!dataset_is_benchmark_day(first + (int64_t)i, hold_out, seed))
            continue;
        t->is_held_out[i] = 1;
        t->is_later[i] = d->until_us != AT_US_NONE && t->day[i] >= d->until_us;
        day_table_cut(t, t->day[i] - d->gap_us, t->day[i] + US_PER_DAY + d->gap_us);
        (void)time_text(text, t->day[i]);
        text[10] = '\0';
        if (!t->is_later[i])
            json_add(d->fs->a, d->benchmark_days, json_cstr(d->fs->a, text));
    }
}

static enum err_code day_table_put(struct dataset_work *d, struct err *err)
{
    int64_t first = floor_div_i64(d->min_us, US_PER_DAY),
            last = floor_div_i64(d->max_us, US_PER_DAY);
    struct day_table t;
    d->benchmark_days = json_arr(d->fs->a);
    if (last - first >= DAYS_MAX)
        return err_set(err, ERR_RANGE, "the rows' times span %lld days; at most %d",
                       (long long)(last - first), DAYS_MAX);
    if (!day_table_make(d->fs->a, (size_t)(last - first + 1), &t))
        return arena_err(d->fs->a, err);
    day_table_fill(d, first, &t);
    struct column cols[] = {
        {.name = "day", .type = VAL_TIME, .n = t.n, .u.i = t.day},
        {.name = "early", .type = VAL_TIME, .n = t.n, .u.i = t.early},
        {.name = "late", .type = VAL_TIME, .n = t.n, .u.i = t.late},
        {.name = "is_held_out", .type = VAL_BOOL, .n = t.n, .u.b = t.is_held_out},
        {.name = "is_later", .type = VAL_BOOL, .n = t.n, .u.b = t.is_later}};
    return table_put(d->fs->t, "__day", cols, sizeof cols / sizeof *cols, err);
}

static void sample_sql(struct dataset_work *d, struct buf *sql)
{
    const struct json *sample = json_get(d->spec, "sample");
    for (int s = 0; s < DS_SPLIT_N; s++) {
        const char *name = dataset_split_name((enum dataset_split)s);
        double share = json_get_f64(sample, name, 1);
        if (share < 1)
            buf_printf(sql,
                       " WHEN __where = '%s' AND CAST(md5_number_lower('pawl.sample:' || __row) %% "
                       "1000000 AS BIGINT) "
                       ">= %lld THEN '-sampled_out'",
                       name, (long long)(share * 1e6));
    }
}

/* Table __marked: every row with its split, or with the reason, marked '-', why it is left out. */
static enum err_code mark_rows(struct dataset_work *d, struct err *err)
{
    struct buf *sql = &d->fs->sql;
    struct str by = json_get_str(json_get(d->spec, "split"), "by");
    bool has_label =
        json_get_str(d->spec, "label").n > 0 || json_get_str(d->spec, "label_source").n > 0;
    buf_c(sql, "CREATE TEMP TABLE __marked AS SELECT *, CASE");
    sample_sql(d, sql);
    buf_c(sql, " WHEN true THEN __where END AS __split FROM (SELECT a.*, CASE WHEN a.__t IS NULL "
               "THEN '-no_time'");
    if (d->as_of_us != AT_US_NONE) {
        buf_c(sql, " WHEN a.__known_at IS NULL OR a.__known_at > ");
        table_sql_time(sql, d->as_of_us);
        buf_c(sql, " THEN '-label_unknown'");
    }
    if (has_label)
        buf_c(sql, " WHEN a.__label IS NULL THEN '-label_null'");
    buf_c(sql, " WHEN b.is_later THEN '-later_benchmark' WHEN b.is_held_out AND __t < ");
    table_sql_time(sql, bounds_of(d).end);
    buf_c(sql, " THEN 'benchmark' WHEN (a.__t < b.early OR a.__t >= b.late)");
    if (str_is(by, "time")) { /* tests are never trained on: they may touch a benchmark day */
        buf_c(sql, " AND a.__t < ");
        table_sql_time(sql, bounds_of(d).test);
    }
    buf_c(sql, " THEN '-benchmark_gap'");
    if (str_is(by, "time"))
        case_by_time(d, sql);
    else if (str_is(by, "group"))
        case_by_group(d, sql);
    else
        buf_c(sql, " ELSE 'train'");
    buf_c(sql,
          " END AS __where FROM __all a LEFT JOIN __day b ON b.day = date_trunc('day', a.__t))");
    return fs_exec(d->fs, err);
}

static enum err_code count_marked(struct dataset_work *d, struct err *err)
{
    struct fsession *fs = d->fs;
    struct table_values v = {0};
    d->dropped = json_obj(fs->a);
    d->splits = json_obj(fs->a);
    buf_c(&fs->sql, "SELECT __split, count(*), min(__t), max(__t), avg(__label) FROM __marked "
                    "GROUP BY 1 ORDER BY 1");
    enum err_code code = fs_fetch(fs, 100, &v, err);
    for (size_t i = 0; code == ERR_OK && i < v.n_rows; i++) {
        const struct value *x = &v.p[i * v.n_cols];
        const char *name = str_dup(fs->a, x[0].u.s);
        if (!name)
            return arena_err(fs->a, err);
        if (name[0] == '-') {
            json_set(fs->a, d->dropped, name + 1, json_int(fs->a, x[1].u.i));
            continue;
        }
        struct json *s = json_obj(fs->a);
        json_set(fs->a, s, "rows", json_int(fs->a, x[1].u.i));
        json_set(fs->a, s, "from", json_time(fs->a, x[2].u.i));
        json_set(fs->a, s, "to", json_time(fs->a, x[3].u.i));
        if (x[4].type == VAL_FLOAT)
            json_set(fs->a, s, "label_mean", json_num(fs->a, x[4].u.f));
        json_set(fs->a, d->splits, name, s);
        d->n_rows += x[1].u.i;
    }
    return code;
}

enum err_code dataset_split_rows(struct dataset_work *d, struct err *err)
{
    enum err_code code = day_table_put(d, err);
    if (code == ERR_OK)
        code = mark_rows(d, err);
    if (code == ERR_OK)
        code = count_marked(d, err);
    if (code == ERR_OK && d->n_rows == 0) {
        struct buf why = {0};
        struct err ignored = ERR_INIT;
        buf_init(&why, 4096);
        (void)!json_write(d->dropped, JSON_COMPACT, &why, &ignored);
        code = err_set(err, ERR_EMPTY, "no row is left for the data set; rows left out: %.*s",
                       STR_ARG(buf_view(&why)));
        buf_fini(&why);
    }
    if (code != ERR_OK)
        return err_wrap(err, "splits of the data set");
    buf_c(&d->fs->sql, "CREATE TEMP TABLE __rows AS SELECT * EXCLUDE (__where) FROM __marked WHERE "
                       "__split NOT LIKE '-%'; DROP TABLE __marked; DROP TABLE __all");
    return fs_exec(d->fs, err);
}
