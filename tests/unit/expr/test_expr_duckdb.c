/* Random typed expressions over random rows, against DuckDB itself: nulls, NaN, infinities, extreme ints and times.
 * Rows on which DuckDB fails (overflow, ln of 0), where ours makes a null, are not compared. Operations known to differ by design are not made:
 * lower/upper beyond ASCII, hash_bucket, geo_distance_km. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duckdb.h>

#include "base/hash.h"
#include "expr_try.h"
#include "test.h"

#define N_ROWS  24
#define N_EXPRS 1000
#define N_COLS  10

/* The few calls that are used, from the library that the program itself uses. */
#define CALLS(X)                                                                                   \
    X(duckdb_open)                                                                                 \
    X(duckdb_connect)                                                                              \
    X(duckdb_disconnect)                                                                           \
    X(duckdb_close)                                                                                \
    X(duckdb_query)                                                                                \
    X(duckdb_destroy_result)                                                                       \
    X(duckdb_result_error)                                                                         \
    X(duckdb_fetch_chunk)                                                                          \
    X(duckdb_destroy_data_chunk)                                                                   \
    X(duckdb_data_chunk_get_vector)                                                                \
    X(duckdb_vector_get_data)                                                                      \
    X(duckdb_vector_get_validity) X(duckdb_column_type) X(duckdb_data_chunk_get_size)

static struct {
#define FIELD(name) __typeof__(&name) name;
    CALLS(FIELD)
} duck;

static duckdb_database database;
static duckdb_connection connection;

static bool duck_load(void)
{
    const char *path = getenv("PAWL_DUCKDB");
    void *lib = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!lib)
        return false;
#define LOAD(name)                                                                                 \
    *(void **)&duck.name = dlsym(lib, #name);                                                      \
    assert_non_null(duck.name);
    CALLS(LOAD)
    return true;
}

static const struct expr_column COLS[N_COLS] = {
    {"i", VAL_INT},  {"j", VAL_INT}, {"f", VAL_FLOAT}, {"g", VAL_FLOAT}, {"b", VAL_BOOL},
    {"c", VAL_BOOL}, {"s", VAL_STR}, {"u", VAL_STR},   {"t", VAL_TIME},  {"w", VAL_TIME},
};
static struct value rows[N_ROWS][N_COLS];

/* ---- random rows ---- */

static struct value random_value(struct rng *r, enum value_type type)
{
    static const int64_t INTS[] = {0, 1, -1, 2, 7, 10, 100, -15, INT64_MAX, INT64_MIN, 1000000007};
    static const double FLOATS[] = {0.0,     -0.0, 1.0, -1.5,     0.5,       2.5, 1e300,
                                    -1e-300, 1e19, NAN, INFINITY, -INFINITY, 3.25};
    static const char *const STRINGS[] = {"",
                                          "a",
                                          "ab",
                                          "abc",
                                          "Hello",
                                          "h\xc3\xa9llo",
                                          "\xe2\x82\xac"
                                          "100",
                                          " x ",
                                          "B"};
    static const int64_t TIMES[] = {0,
                                    1,
                                    -1,
                                    983693700000000,
                                    983692800000000,
                                    -62135596800000000,
                                    253402300799999999,
                                    951782400000000,
                                    1735689599999999,
                                    -86400000001};
    struct value v = {.type = type};
    if (rng_below(r, 8) == 0)
        v.type = VAL_NULL;
    if (type == VAL_BOOL)
        v.u.b = rng_below(r, 2);
    else if (type == VAL_INT)
        v.u.i = rng_below(r, 3) ? (int64_t)rng_below(r, 50) - 20 : INTS[rng_below(r, 11)];
    else if (type == VAL_FLOAT)
        v.u.f = rng_below(r, 3) ? rng_normal(r) * 10 : FLOATS[rng_below(r, 13)];
    else if (type == VAL_STR)
        v.u.s = str_c(STRINGS[rng_below(r, 9)]);
    else
        v.u.i = rng_below(r, 2) ? TIMES[rng_below(r, 10)] : (int64_t)rng_below(r, 2000000000000000);
    return v;
}

static void sql_value(struct buf *out, const struct value *v)
{
    char n[NUM_TEXT_BYTES];
    if (v->type == VAL_NULL)
        buf_c(out, "NULL");
    else if (v->type == VAL_BOOL)
        buf_c(out, v->u.b ? "true" : "false");
    else if (v->type == VAL_INT)
        buf_printf(out, "'%lld'::BIGINT", (long long)v->u.i);
    else if (v->type == VAL_FLOAT)
        num_f64(n, v->u.f), buf_printf(out, "'%s'::DOUBLE", n);
    else if (v->type == VAL_STR)
        buf_printf(out, "'%.*s'", STR_ARG(v->u.s));
    else
        buf_printf(out, "make_timestamp(%lld::BIGINT)", (long long)v->u.i);
}

static void run_sql(const char *sql)
{
    duckdb_result res;
    if (duck.duckdb_query(connection, sql, &res) != DuckDBSuccess)
        fail_msg("%s: %s", sql, duck.duckdb_result_error(&res));
    duck.duckdb_destroy_result(&res);
}

static void make_table(struct rng *r)
{
    struct buf sql;
    buf_init(&sql, 1 << 20);
    run_sql("CREATE TABLE x (row INTEGER, i BIGINT, j BIGINT, f DOUBLE, g DOUBLE, b BOOLEAN, c "
            "BOOLEAN, s VARCHAR, "
            "u VARCHAR, t TIMESTAMP, w TIMESTAMP)");
    for (size_t row = 0; row < N_ROWS; row++) {
        buf_reset(&sql);
        buf_printf(&sql, "INSERT INTO x VALUES (%zu", row);
        for (size_t k = 0; k < N_COLS; k++) {
            rows[row][k] = random_value(r, COLS[k].type);
            buf_c(&sql, ", ");
            sql_value(&sql, &rows[row][k]);
        }
        buf_c(&sql, ")");
        run_sql(sql.p);
    }
    buf_fini(&sql);
}

/* ---- random expressions, in our words and in SQL ---- */

/* {A} {B} {C}: operands of the types listed; the first letter is the result. i f b s t; n: i or f. */
struct form {
    const char *types, *ours, *sql; /* sql NULL: the same */
};

static const struct form FORMS[] = {
    {"iii", "({A} + {B})", NULL},
    {"fnf", "({A} + {B})", NULL},
    {"iii", "({A} - {B})", NULL},
    {"ffn", "({A} - {B})", NULL},
    {"iii", "({A} * {B})", NULL},
    {"ffn", "({A} * {B})", NULL},
    {"fnn", "({A} / {B})", NULL},
    {"iii", "({A} // {B})", NULL},
    {"iii", "({A} % {B})", NULL},
    {"fff", "({A} % {B})", NULL},
    {"ii", "(-{A})", NULL},
    {"ff", "(-{A})", NULL},
    {"ii", "abs({A})", NULL},
    {"ff", "abs({A})", NULL},
    {"in", "sign({A})", "sign({A})::BIGINT"},
    {"fn", "floor({A})", "floor({A}::DOUBLE)"},
    {"fn", "ceil({A})", "ceil({A}::DOUBLE)"},
    {"ff", "round({A})", NULL},
    {"ii", "round({A})", NULL},
    {"ff", "round({A}, 2)", NULL},
    {"ff", "round({A}, -1)", NULL},
    {"if", "int({A})", "({A})::BIGINT"},
    {"ib", "int({A})", "({A})::BIGINT"},
    {"fb", "float({A})", "({A}::INT)::DOUBLE"},
    {"iii", "greatest({A}, {B})", NULL},
    {"fnf", "greatest({A}, {B})", NULL},
    {"fffn", "least({A}, {B}, {C})", NULL},
    {"sss", "least({A}, {B})", NULL},
    {"ttt", "greatest({A}, {B})", NULL},
    {"fn", "ln({A})", NULL},
    {"fn", "log10({A})", NULL},
    {"fn", "log2({A})", NULL},
    {"fn", "exp({A})", NULL},
    {"fn", "sqrt({A})", NULL},
    {"fn", "cbrt({A})", NULL},
    {"fnn", "pow({A}, {B})", NULL},
    {"fn", "sin({A})", NULL},
    {"fn", "cos({A})", NULL},
    {"fnn", "atan2({A}, {B})", NULL},
    {"fn", "radians({A})", NULL},
    {"bf", "isnan({A})", NULL},
    {"bf", "isinf({A})", NULL},
    {"bf", "isfinite({A})", NULL},
    {"bii", "({A} = {B})", NULL},
    {"bnf", "({A} = {B})", NULL},
    {"bff", "({A} < {B})", NULL},
    {"bfn", "({A} >= {B})", NULL},
    {"bss", "({A} < {B})", NULL},
    {"bss", "({A} <> {B})", NULL},
    {"btt", "({A} <= {B})", NULL},
    {"bbb", "({A} = {B})", NULL},
    {"bbb", "({A} > {B})", NULL},
    {"bbb", "({A} and {B})", NULL},
    {"bbb", "({A} or {B})", NULL},
    {"bb", "(not {A})", NULL},
    {"bn", "({A} is null)", NULL},
    {"bs", "({A} is not null)", NULL},
    {"biii", "({A} in ({B}, {C}))", NULL},
    {"bsss", "({A} not in ({B}, {C}, null))", NULL},
    {"bfff", "({A} in ({B}, {C}))", NULL},
    {"biii", "({A} between {B} and {C})", NULL},
    {"bfff", "({A} not between {B} and {C})", NULL},
    {"ibii", "case when {A} then {B} else {C} end", NULL},
    {"fbfi", "case when {A} then {B} else {C} end", NULL},
    {"sbs", "case when {A} then {B} end", NULL},
    {"iiii", "case {A} when {B} then {C} else 5 end", NULL},
    {"ibii", "if({A}, {B}, {C})", NULL},
    {"tbtt", "if({A}, {B}, {C})", NULL},
    {"iii", "coalesce({A}, {B})", NULL},
    {"fff", "coalesce({A}, {B}, 1.5e0)", NULL},
    {"sss", "coalesce({A}, {B})", NULL},
    {"iii", "nullif({A}, {B})", NULL},
    {"fff", "nullif({A}, {B})", NULL},
    {"sss", "({A} || {B})", NULL},
    {"ss", "trim({A})", NULL},
    {"is", "length({A})", NULL},
    {"ssii", "substr({A}, {B} % 8, {C} % 5)", NULL},
    {"ssi", "substr({A}, {B} % 8)", NULL},
    {"bss", "contains({A}, {B})", NULL},
    {"bss", "starts_with({A}, {B})", NULL},
    {"bss", "ends_with({A}, {B})", NULL},
    {"it", "year({A})", NULL},
    {"it", "quarter({A})", NULL},
    {"it", "month({A})", NULL},
    {"it", "day({A})", NULL},
    {"it", "hour({A})", NULL},
    {"it", "minute({A})", NULL},
    {"it", "second({A})", NULL},
    {"it", "dayofweek({A})", NULL},
    {"it", "isodow({A})", NULL},
    {"it", "dayofyear({A})", NULL},
    {"ft", "epoch({A})", NULL},
    {"it", "epoch_ms({A})", NULL},
    {"it", "epoch_us({A})", NULL},
    {"itt", "date_diff('hour', {A}, {B})", NULL},
    {"itt", "date_diff('day', {A}, {B})", NULL},
    {"itt", "date_diff('month', {A}, {B})", NULL},
    {"itt", "date_diff('year', {A}, {B})", NULL},
    {"itt", "date_diff('second', {A}, {B})", NULL},
    {"itt", "date_diff('quarter', {A}, {B})", NULL},
    {"itt", "date_sub('hour', {A}, {B})", NULL},
    {"itt", "date_sub('day', {A}, {B})", NULL},
    {"tt", "date_trunc('hour', {A})", NULL},
    {"tt", "date_trunc('day', {A})", "date_trunc('day', {A})::TIMESTAMP"},
    {"tt", "date_trunc('week', {A})", "date_trunc('week', {A})::TIMESTAMP"},
    {"tt", "date_trunc('month', {A})", "date_trunc('month', {A})::TIMESTAMP"},
};
#define N_FORMS (sizeof FORMS / sizeof FORMS[0])

static void grow(struct rng *r, char type, int depth, struct buf *ours, struct buf *sql);

/* A column or a constant. */
static void leaf(struct rng *r, char type, struct buf *ours, struct buf *sql)
{
    static const char TYPES[] = "iiffbbsstt";
    if (rng_below(r, 4) == 0 && (type == 'i' || type == 'f')) {
        int v = (int)rng_below(r, 20) - 5;
        buf_printf(ours, type == 'i' ? "%d" : "%d.5", v);
        buf_printf(sql, type == 'i' ? "(%d)::BIGINT" : "(%d.5)::DOUBLE", v);
        return;
    }
    size_t k;
    do {
        k = rng_below(r, N_COLS);
    } while (TYPES[k] != type);
    buf_c(ours, COLS[k].name);
    buf_c(sql, COLS[k].name);
}

/* Replaces {A} {B} {C} by operands grown once. */
static void fill(struct buf *out, const char *pattern, const struct buf *operands)
{
    for (const char *p = pattern; *p; p++) {
        if (p[0] == '{') {
            buf_str(out, buf_view(&operands[p[1] - 'A']));
            p += 2;
        } else {
            buf_ch(out, *p);
        }
    }
}

static void grow(struct rng *r, char type, int depth, struct buf *ours, struct buf *sql)
{
    type = type == 'n' ? (rng_below(r, 2) ? 'i' : 'f') : type;
    if (depth == 0 || rng_below(r, 5) == 0) {
        leaf(r, type, ours, sql);
        return;
    }
    const struct form *form;
    do {
        form = &FORMS[rng_below(r, N_FORMS)];
    } while (form->types[0] != type);
    struct buf a[3], b[3];
    for (size_t i = 0; i < 3; i++) {
        buf_init(&a[i], 1 << 16);
        buf_init(&b[i], 1 << 16);
    }
    for (size_t i = 1; form->types[i]; i++)
        grow(r, form->types[i], depth - 1, &a[i - 1], &b[i - 1]);
    fill(ours, form->ours, a);
    fill(sql, form->sql ? form->sql : form->ours, b);
    for (size_t i = 0; i < 3; i++) {
        buf_fini(&a[i]);
        buf_fini(&b[i]);
    }
}

/* ---- one expression ---- */

static struct value duck_value(duckdb_vector v, duckdb_type type, size_t row)
{
    struct value out = {.type = VAL_NULL};
    uint64_t *valid = duck.duckdb_vector_get_validity(v);
    const void *data = duck.duckdb_vector_get_data(v);
    if (valid && !(valid[row / 64] >> (row % 64) & 1))
        return out;
    if (type == DUCKDB_TYPE_BOOLEAN)
        return (struct value){.type = VAL_BOOL, .u.b = ((const bool *)data)[row]};
    if (type == DUCKDB_TYPE_BIGINT)
        return (struct value){.type = VAL_INT, .u.i = ((const int64_t *)data)[row]};
    if (type == DUCKDB_TYPE_TIMESTAMP)
        return (struct value){.type = VAL_TIME, .u.i = ((const int64_t *)data)[row]};
    if (type == DUCKDB_TYPE_DOUBLE)
        return (struct value){.type = VAL_FLOAT, .u.f = ((const double *)data)[row]};
    assert_int_equal(type, DUCKDB_TYPE_VARCHAR);
    const duckdb_string_t *s = &((const duckdb_string_t *)data)[row];
    uint32_t n = s->value.inlined.length;
    return (struct value){.type = VAL_STR,
                          .u.s =
                              str_n(n <= 12 ? s->value.inlined.inlined : s->value.pointer.ptr, n)};
}

/* DuckDB fails for the whole query: *ret_failed. Rows are asked one by one then. */
static bool ask(const char *sql, size_t row, const struct value *got, const char *ours)
{
    struct buf q;
    duckdb_result res;
    buf_init(&q, 1 << 17);
    buf_printf(&q, "SELECT %s FROM x WHERE row = %zu", sql, row);
    bool is_ok = duck.duckdb_query(connection, q.p, &res) == DuckDBSuccess;
    if (is_ok) {
        duckdb_data_chunk chunk = duck.duckdb_fetch_chunk(res);
        assert_non_null(chunk);
        struct value want = duck_value(duck.duckdb_data_chunk_get_vector(chunk, 0),
                                       duck.duckdb_column_type(&res, 0), 0);
        if (!value_same(&want, got)) {
            char a[NUM_TEXT_BYTES], b[NUM_TEXT_BYTES];
            num_f64(a, want.u.f);
            num_f64(b, got->u.f);
            fail_msg("%s row %zu: DuckDB %s %lld %s '%.*s', ours %s %lld %s '%.*s'", ours, row,
                     value_type_name(want.type), (long long)want.u.i, a,
                     want.type == VAL_STR ? (int)want.u.s.n : 0,
                     want.type == VAL_STR ? want.u.s.p : "", value_type_name(got->type),
                     (long long)got->u.i, b, got->type == VAL_STR ? (int)got->u.s.n : 0,
                     got->type == VAL_STR ? got->u.s.p : "");
        }
        duck.duckdb_destroy_data_chunk(&chunk);
    }
    duck.duckdb_destroy_result(&res);
    buf_fini(&q);
    return is_ok;
}

/* All rows in one query where that works. False: DuckDB failed on some row. */
static bool ask_all(const char *sql, const struct value *got, const char *ours)
{
    struct buf q;
    duckdb_result res;
    buf_init(&q, 1 << 17);
    buf_printf(&q, "SELECT %s FROM x ORDER BY row", sql);
    bool is_ok = duck.duckdb_query(connection, q.p, &res) == DuckDBSuccess;
    for (size_t row = 0; is_ok && row < N_ROWS;) {
        duckdb_data_chunk chunk = duck.duckdb_fetch_chunk(res);
        assert_non_null(chunk);
        duckdb_vector v = duck.duckdb_data_chunk_get_vector(chunk, 0);
        for (size_t i = 0; i < duck.duckdb_data_chunk_get_size(chunk); i++, row++) {
            struct value want = duck_value(v, duck.duckdb_column_type(&res, 0), i);
            if (!value_same(&want, &got[row]))
                (void)ask(sql, row, &got[row], ours); /* says what differs */
        }
        duck.duckdb_destroy_data_chunk(&chunk);
    }
    duck.duckdb_destroy_result(&res);
    buf_fini(&q);
    return is_ok;
}

/* Row by row and as a chunk: the same bits. */
static void check_chunk(const struct expr *e, const struct value *got, struct arena *a)
{
    struct err err = ERR_INIT;
    struct column cols[N_COLS], out;
    const struct column *ptrs[N_COLS];
    static uint8_t valid[N_COLS][N_ROWS], bools[N_COLS][N_ROWS];
    static int64_t ints[N_COLS][N_ROWS];
    static double floats[N_COLS][N_ROWS];
    static struct str strings[N_COLS][N_ROWS];
    for (size_t k = 0; k < N_COLS; k++) {
        cols[k] = (struct column){COLS[k].name, COLS[k].type, N_ROWS, valid[k], {.i = ints[k]}};
        for (size_t row = 0; row < N_ROWS; row++) {
            const struct value *v = &rows[row][k];
            valid[k][row] = v->type != VAL_NULL;
            bools[k][row] = v->type == VAL_BOOL && v->u.b;
            ints[k][row] = v->u.i;
            floats[k][row] = v->u.f;
            strings[k][row] = v->u.s;
        }
        if (COLS[k].type == VAL_BOOL)
            cols[k].u.b = bools[k];
        else if (COLS[k].type == VAL_FLOAT)
            cols[k].u.f = floats[k];
        else if (COLS[k].type == VAL_STR)
            cols[k].u.s = strings[k];
        ptrs[k] = &cols[k];
    }
    ASSERT_OK(expr_eval_chunk(e, ptrs, N_ROWS, a, &out, &err), &err);
    for (size_t row = 0; row < N_ROWS; row++) {
        struct value v = column_value(&out, row);
        assert_true(value_same(&v, &got[row]));
    }
}

static void try_one(struct rng *r, size_t *n_failed)
{
    struct arena a;
    struct err err = ERR_INIT;
    struct buf ours, sql;
    struct expr *e;
    struct expr_state st;
    struct value got[N_ROWS];
    arena_init(&a, 1 << 26);
    buf_init(&ours, 1 << 16);
    buf_init(&sql, 1 << 16);
    grow(r, "ifbst"[rng_below(r, 5)], 1 + (int)rng_below(r, 4), &ours, &sql);
    if (ours.n <= EXPR_TEXT_MAX) {
        ASSERT_OK(expr_compile(buf_view(&ours), COLS, N_COLS, &a, &e, &err), &err);
        ASSERT_OK(expr_state_init(&st, e, &a, EXPR_TEXT_BYTES, &err), &err);
        for (size_t row = 0; row < N_ROWS; row++) {
            expr_eval(e, &st, rows[row], &got[row]);
            if (got[row].type == VAL_STR)
                got[row].u.s.p = str_dup(&a, got[row].u.s);
        }
        check_chunk(e, got, &a);
        if (!ask_all(sql.p, got, ours.p)) {
            for (size_t row = 0; row < N_ROWS; row++)
                *n_failed += !ask(sql.p, row, &got[row], ours.p);
        }
    }
    buf_fini(&ours);
    buf_fini(&sql);
    arena_fini(&a);
}

static void test_random(void **state)
{
    (void)state;
    struct rng r;
    size_t n_failed = 0;
    if (!duck_load())
        skip();
    assert_int_equal(duck.duckdb_open(NULL, &database), DuckDBSuccess);
    assert_int_equal(duck.duckdb_connect(database, &connection), DuckDBSuccess);
    run_sql("SET threads = 1");
    run_sql(
        "SET disabled_optimizers = 'expression_rewriter,statistics_propagation'"); /* evaluate what is written */
    rng_init(&r, 1);
    make_table(&r);
    for (size_t i = 0; i < N_EXPRS; i++)
        try_one(&r, &n_failed);
    print_message("# %d expressions on %d rows; DuckDB failed on %zu of the rows\n", N_EXPRS,
                  N_ROWS, n_failed);
    duck.duckdb_disconnect(&connection);
    duck.duckdb_close(&database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return RUN_TESTS(tests);
}
