/* Private to features/, in the child: the point-in-time join.
 *
 * Only keys and times are joined as of; what is found is a row number of the view, by which the columns are fetched at the
 * end: a wide view costs no more in the join than a narrow one (bench/README: 6.3 s instead of 8.9 s for 1M x 10M x 10).
 *
 * A view's row becomes usable at max(time, known_at). Where every row is known at its time, that is its time, and the newest row is
 * the nearest; otherwise a running maximum over (time, known_at) in order of usability tells, for each moment that
 * something became usable, which row is then the newest. */
#ifndef PAWL_FEATURES_PIT_JOIN_H
#define PAWL_FEATURES_PIT_JOIN_H

#include "features/fsession.h"

struct pit_view {
    const struct json *info;
    size_t index;         /* tables __v<index>, __n<index> */
    struct json *columns; /* texts: wanted by any look-up */
    int64_t n_rows;
};

struct pit_lookup {
    size_t view;             /* index in views */
    struct str as;           /* prefix of its columns */
    const struct json *from; /* texts: columns of the rows, in the order of the view's entities */
    const struct json *columns; /* texts: wanted, in order */
    int64_t ttl_us;             /* -1: unlimited */
    int64_t n_matched;
};

struct pit_join {
    struct fsession *fs;
    struct pit_view *views;
    size_t n_views;
    struct pit_lookup *lookups;
    size_t n_lookups;
};

/* Adds a look-up of columns (texts; NULL: all) of a view; entity/from as dataset features have them. */
struct pit_want {
    struct str view, as;
    const struct json *entity, *from; /* NULL: columns of the entities' names */
    const struct json *columns;
};
enum err_code pit_init(struct pit_join *p, struct fsession *fs, size_t n_max,
                       struct err *err) MUST_CHECK;
enum err_code pit_add(struct pit_join *p, const struct pit_want *want, struct err *err) MUST_CHECK;
/* Distinct names of columns of the rows that the look-ups need. */
struct json *pit_key_columns(const struct pit_join *p);
/* Table __rows (__row, __t, key columns, others) becomes __j: the same with rn0, rn1 … */
enum err_code pit_run(struct pit_join *p, struct err *err) MUST_CHECK;
/* ", v0.x AS \"as.x\" …" for a select whose rows are `r`. */
void pit_select(struct pit_join *p);
/* " LEFT JOIN __v0 …", for a select from __j r. */
void pit_from(struct pit_join *p);
/* [{"name","as","version","rows","matched"}] */
struct json *pit_report(const struct pit_join *p);

#endif
