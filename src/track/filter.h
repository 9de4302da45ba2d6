/* The filter language of searches, for whatever has attributes, tags and the like: text to SQL.
 *
 * A kind of thing (runs, experiments, models, versions) describes itself in one struct
 * filter_target: where its rows come from, its attributes and the tables its keyed parts lie in.
 * filter_sql puts the statement together; every value of the text is bound, never spliced.
 *
 *     struct filter_sql sql;
 *     code = filter_sql_make(&RUNS, query, arena, &sql, err);
 *     code = db_query_args(tx, &rows, err, sql.text, sql.args, sql.n_args);   // limit + 1 rows
 *     code = filter_next_token(&sql, n_rows, arena, &token, err);
 */
#ifndef PAWL_TRACK_FILTER_H
#define PAWL_TRACK_FILTER_H

#include "track/search.h"

enum filter_entity {
    FILTER_ATTRIBUTE,
    FILTER_METRIC,
    FILTER_PARAM,
    FILTER_TAG,
    FILTER_DATASET,
    FILTER_ENTITY_N
};
enum filter_op {
    FILTER_EQ,
    FILTER_NE,
    FILTER_LT,
    FILTER_LE,
    FILTER_GT,
    FILTER_GE,
    FILTER_LIKE,
    FILTER_ILIKE,
    FILTER_IN,
    FILTER_NOT_IN,
    FILTER_IS_NULL,
    FILTER_IS_NOT_NULL,
    FILTER_OP_N
};

struct filter_clause {
    enum filter_entity entity;
    const char *key; /* of the entity, or the attribute's name */
    enum filter_op op;
    bool is_number;
    double number;
    struct str *texts; /* one, or the list of IN */
    size_t n_texts;
};

/* ERR_PARSE says what was expected and at which character. */
enum err_code filter_parse(const char *text, struct arena *a, struct filter_clause **ret,
                           size_t *ret_n, struct err *err) MUST_CHECK;

struct filter_attribute {
    const char *name;
    const char *sql; /* expression over the target's tables */
    bool is_number;
};

/* Where the keyed parts of one kind lie. `exists`: table and condition with one ? for the key,
 * alias x; `join`: the same for ordering, with alias o#, where # stands for a number. */
struct filter_part {
    const char *exists, *value, *join, *order;
    bool is_number;
};

struct filter_target {
    const char *what;    /* "run", for messages */
    const char *columns; /* of SELECT */
    const char *from;
    const char *where;                         /* always holds: "r.is_deleted = 0"; NULL: none */
    const char *deleted;                       /* expression of the deleted flag; NULL: none */
    const struct filter_attribute *attributes; /* names that alias one another have the same sql */
    size_t n_attributes;
    struct filter_part parts[FILTER_ENTITY_N]; /* exists NULL: this kind has none */
    const struct filter_attribute *dataset;    /* name, digest, context; NULL: none */
    size_t n_dataset;
    const char *default_order; /* behind what the query asks for */
};

#define FILTER_ARGS_MAX 400
struct filter_sql {
    char *text;
    struct db_arg args[FILTER_ARGS_MAX];
    size_t n_args;
    int64_t offset, limit;
};
enum err_code filter_sql_make(const struct filter_target *t, const struct search_query *q,
                              struct arena *a, struct filter_sql *ret, struct err *err) MUST_CHECK;
/* NULL unless more rows than the limit came. */
enum err_code filter_next_token(const struct filter_sql *s, size_t n_rows, struct arena *a,
                                char **ret, struct err *err) MUST_CHECK;

#endif
