/* Plays the upstream of the demo: cuts the flights file into what feeds would have delivered, a file a day.
 *
 *   demo-feed FLIGHTS.parquet OUT FROM TO SHARE
 *   demo-feed transform FILE.parquet SELECT      rewrites a file: SELECT reads it as read_parquet(?)
 *
 * OUT/flights/DAY.parquet   every flight of that day: what the source reads
 * OUT/board/DAY.parquet     another vendor's board: delay of the flights that landed, by origin and hour
 * OUT/requests/DAY.parquet  SHARE of the day's flights, by their hash, with an id each: what clients ask
 * FROM, TO                  days, TO not included: 2001-01-01 2001-05-01 */
#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "table/table.h"

struct feed {
    const char *kind, *columns, *table, *time;
    bool is_sampled;
};

static const struct feed FEEDS[] = {
    {"flights", "* EXCLUDE (n)", "flights", "date", false},
    {"board", "*", "board", "hour", false},
    {"requests", "'f' || n AS id, * EXCLUDE (n)", "flights", "date", true},
};

static const char FLIGHTS_SQL[] =
    "CREATE TABLE flights AS SELECT row_number() OVER () AS n, date, delay, distance, origin, "
    "destination FROM read_parquet(?) WHERE date >= ? AND date < ? ORDER BY date, n";
static const char BOARD_SQL[] =
    "CREATE TABLE board AS SELECT origin AS airport, date_trunc('hour', landed) + INTERVAL 1 HOUR "
    "AS "
    "hour, avg(delay) AS hold_minutes, count(*) AS movements FROM (SELECT *, date + to_minutes(45 "
    "+ "
    "distance // 7) AS landed FROM flights) GROUP BY ALL ORDER BY hour, airport";

static enum err_code write_day(struct table *t, const struct feed *f, int share, const char *out,
                               int64_t day_us, struct arena *a, struct err *err)
{
    char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];
    time_text(from, day_us);
    time_text(to, day_us + US_PER_DAY);
    const char *sample = f->is_sampled ? str_printf(a, " AND hash(n) %% 10000 < %d", share) : "";
    const char *sql = str_printf(a, "SELECT %s FROM %s WHERE %s >= '%.10s' AND %s < '%.10s'%s",
                                 f->columns, f->table, f->time, from, f->time, to, sample);
    const char *path = str_printf(a, "%s/%s/%.10s.parquet", out, f->kind, from);
    if (sample == NULL || sql == NULL || path == NULL)
        return arena_err(a, err);
    int64_t rows;
    return table_write_parquet(t, str_c(sql), path, &rows, err);
}

static enum err_code write_feeds(struct table *t, const char *out, int64_t from, int64_t to,
                                 int share, struct err *err)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(FEEDS) && code == ERR_OK; i++) {
        const char *dir = str_printf(&a, "%s/%s", out, FEEDS[i].kind);
        code = dir == NULL ? arena_err(&a, err) : dir_make(dir, 0755, err);
        for (int64_t day = from; day < to && code == ERR_OK; day += US_PER_DAY) {
            const struct arena_mark m = arena_mark(&a);
            code = write_day(t, &FEEDS[i], share, out, day, &a, err);
            arena_release(&a, m);
        }
    }
    arena_fini(&a);
    return code;
}

static enum err_code run(char **argv, struct err *err)
{
    int64_t from, to;
    double share;
    struct table *t = NULL;
    enum err_code code = parse_time_us(str_c(argv[3]), &from, err);
    if (code == ERR_OK)
        code = parse_time_us(str_c(argv[4]), &to, err);
    if (code == ERR_OK)
        code = parse_f64(str_c(argv[5]), &share, err);
    if (code == ERR_OK)
        code = table_open(&(struct table_options){.n_threads = 2}, &t, err);
    if (code == ERR_OK) {
        const struct value params[] = {
            {VAL_STR, {.s = str_c(argv[1])}}, {VAL_TIME, {.i = from}}, {VAL_TIME, {.i = to}}};
        code = table_exec(t, &(struct table_sql){FLIGHTS_SQL, params, ARRAY_LEN(params)}, err);
    }
    if (code == ERR_OK)
        code = table_exec(t, TABLE_SQL(BOARD_SQL), err);
    if (code == ERR_OK)
        code = write_feeds(t, argv[2], from, to, (int)(share * 10000), err);
    table_close(t);
    return code;
}

/* A feed that changes what it delivers. */
static enum err_code transform(char **argv, struct err *err)
{
    struct table *t = NULL;
    struct arena a;
    int64_t rows;
    arena_init(&a, 1 << 20);
    const struct value params[] = {{VAL_STR, {.s = str_c(argv[2])}}};
    const char *sql = str_printf(&a, "CREATE TABLE changed AS %s", argv[3]);
    enum err_code code = sql == NULL ? arena_err(&a, err)
                                     : table_open(&(struct table_options){.n_threads = 1}, &t, err);
    if (code == ERR_OK)
        code = table_exec(t, &(struct table_sql){sql, params, ARRAY_LEN(params)}, err);
    if (code == ERR_OK)
        code = table_write_parquet(t, STR("SELECT * FROM changed"), argv[2], &rows, err);
    table_close(t);
    arena_fini(&a);
    return code;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    const bool is_transform = argc == 4 && strcmp(argv[1], "transform") == 0;
    if (argc != 6 && !is_transform) {
        fprintf(stderr, "usage: demo-feed FLIGHTS.parquet OUT FROM TO SHARE\n"
                        "       demo-feed transform FILE.parquet SELECT\n");
        return err_exit_status(ERR_USAGE);
    }
    const enum err_code code = is_transform ? transform(argv, &err) : run(argv, &err);
    if (code != ERR_OK)
        fprintf(stderr, "demo-feed: %s\n", err.msg);
    return err_exit_status(code);
}
