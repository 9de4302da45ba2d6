/* Which split each row belongs to.
 *
 * By time, backwards from the end: test, gap, validation, gap, train. The gap is label_after: no label of an earlier
 * split becomes known after the next one has begun. The end is the last moment all of whose labels can be known at the as-of time, so
 * that outcomes that show early are not over-represented.
 *
 * Benchmark days are held out for ever, wherever they lie, with the gap kept out of training on both sides. */
#include "base/clock.h"
#include "features/dataset_rows.h"

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

/* Days held out, and the stretches around them that training must not see. */
static enum err_code benchmark_tables(struct dataset_work *d, struct err *err)
{
    struct fsession *fs = d->fs;
    const struct json *bench = json_get(d->spec, "benchmark");
    double hold_out = json_get_f64(bench, "hold_out", 0);
    int64_t seed = json_get_int(bench, "seed", 0), stop = INT64_MIN;
    d->benchmark_days = json_arr(fs->a);
    buf_c(&fs->sql, "CREATE TEMP TABLE __day(day DATE, is_later BOOLEAN); CREATE TEMP TABLE "
                    "__around(__from TIMESTAMP, "
                    "__to TIMESTAMP)");
    enum err_code code = fs_exec(fs, err);
    int64_t first = floor_div_i64(d->min_us, US_PER_DAY),
            last = floor_div_i64(d->max_us, US_PER_DAY);
    for (int64_t day = first; code == ERR_OK && hold_out > 0 && day <= last; day++) {
        char text[TIME_TEXT_BYTES];
        bool is_later = d->until_us != AT_US_NONE && day * US_PER_DAY >= d->until_us;
        if (!dataset_is_benchmark_day(day, hold_out, seed))
            continue;
        (void)time_text(text, day * US_PER_DAY);
        text[10] = '\0';
        if (!is_later)
            json_add(fs->a, d->benchmark_days, json_cstr(fs->a, text));
        buf_printf(&fs->sql, "INSERT INTO __day VALUES (DATE '%s', %s)", text,
                   is_later ? "true" : "false");
        /* Overlapping stretches are cut, so that the nearest start tells whether a time lies in one. */
        int64_t from = day * US_PER_DAY - d->gap_us, to = (day + 1) * US_PER_DAY + d->gap_us;
        buf_c(&fs->sql, "; INSERT INTO __around VALUES (");
        table_sql_time(&fs->sql, from > stop ? from : stop);
        buf_c(&fs->sql, ", ");
        table_sql_time(&fs->sql, to);
        buf_ch(&fs->sql, ')');
        stop = to;
        code = fs_exec(fs, err);
    }
    return code;
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
    buf_c(sql, " WHEN b.is_later THEN '-later_benchmark' WHEN b.day IS NOT NULL AND __t < ");
    table_sql_time(sql, bounds_of(d).end);
    buf_c(sql, " THEN 'benchmark' WHEN w.__to > a.__t");
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
    buf_c(sql, " END AS __where FROM __all a LEFT JOIN __day b ON b.day = CAST(a.__t AS DATE) ASOF "
               "LEFT JOIN __around w "
               "ON a.__t >= w.__from)");
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
    enum err_code code = benchmark_tables(d, err);
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
                       "__split NOT LIKE '-%' "
                       "ORDER BY __row; DROP TABLE __marked; DROP TABLE __all");
    return fs_exec(d->fs, err);
}
