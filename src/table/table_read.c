/* From a vector of the library to a struct column: the physical type is looked at, never assumed. */
#include "table/table_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

struct type_row {
    duckdb_type id;
    const char *name;
    enum value_type type; /* VAL_TYPE_N: cannot be read */
};

static const struct type_row TYPES[] = {
    {DUCKDB_TYPE_BOOLEAN, "BOOLEAN", VAL_BOOL},
    {DUCKDB_TYPE_TINYINT, "TINYINT", VAL_INT},
    {DUCKDB_TYPE_SMALLINT, "SMALLINT", VAL_INT},
    {DUCKDB_TYPE_INTEGER, "INTEGER", VAL_INT},
    {DUCKDB_TYPE_BIGINT, "BIGINT", VAL_INT},
    {DUCKDB_TYPE_UTINYINT, "UTINYINT", VAL_INT},
    {DUCKDB_TYPE_USMALLINT, "USMALLINT", VAL_INT},
    {DUCKDB_TYPE_UINTEGER, "UINTEGER", VAL_INT},
    {DUCKDB_TYPE_UBIGINT, "UBIGINT", VAL_INT},
    {DUCKDB_TYPE_HUGEINT, "HUGEINT", VAL_INT},
    {DUCKDB_TYPE_UHUGEINT, "UHUGEINT", VAL_INT},
    {DUCKDB_TYPE_FLOAT, "FLOAT", VAL_FLOAT},
    {DUCKDB_TYPE_DOUBLE, "DOUBLE", VAL_FLOAT},
    {DUCKDB_TYPE_DECIMAL, "DECIMAL", VAL_FLOAT},
    {DUCKDB_TYPE_DATE, "DATE", VAL_TIME},
    {DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP", VAL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_S, "TIMESTAMP_S", VAL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_MS, "TIMESTAMP_MS", VAL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_NS, "TIMESTAMP_NS", VAL_TIME},
    {DUCKDB_TYPE_TIMESTAMP_TZ, "TIMESTAMP WITH TIME ZONE", VAL_TIME},
    {DUCKDB_TYPE_VARCHAR, "VARCHAR", VAL_STR},
    {DUCKDB_TYPE_BLOB, "BLOB", VAL_STR},
    {DUCKDB_TYPE_ENUM, "ENUM", VAL_STR},
    {DUCKDB_TYPE_UUID, "UUID", VAL_STR},
    {DUCKDB_TYPE_TIME, "TIME", VAL_STR},
    {DUCKDB_TYPE_SQLNULL, "NULL", VAL_NULL},
    {DUCKDB_TYPE_INTERVAL, "INTERVAL", VAL_TYPE_N},
    {DUCKDB_TYPE_LIST, "LIST", VAL_TYPE_N},
    {DUCKDB_TYPE_STRUCT, "STRUCT", VAL_TYPE_N},
    {DUCKDB_TYPE_MAP, "MAP", VAL_TYPE_N},
    {DUCKDB_TYPE_ARRAY, "ARRAY", VAL_TYPE_N},
    {DUCKDB_TYPE_UNION, "UNION", VAL_TYPE_N},
    {DUCKDB_TYPE_BIT, "BIT", VAL_TYPE_N},
    {DUCKDB_TYPE_TIME_TZ, "TIME WITH TIME ZONE", VAL_TYPE_N},
};

static const struct type_row *type_row(duckdb_type id)
{
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (TYPES[i].id == id)
            return &TYPES[i];
    return NULL;
}

enum err_code table_column_of(const struct table_library *lib, const char *name,
                              duckdb_logical_type lt, struct arena *a, struct table_column *ret,
                              struct err *err)
{
    duckdb_type id = lib->get_type_id(lt);
    const struct type_row *row = type_row(id);
    struct table_column c = {.is_date = id == DUCKDB_TYPE_DATE};
    c.is_supported = row && row->type != VAL_TYPE_N;
    c.type = c.is_supported ? row->type : VAL_NULL;
    c.name = str_dup(a, str_c(name ? name : ""));
    if (id == DUCKDB_TYPE_DECIMAL)
        c.sql_type = str_printf(a, "DECIMAL(%d,%d)", (int)lib->decimal_width(lt),
                                (int)lib->decimal_scale(lt));
    else
        c.sql_type = row ? row->name : "an unknown type";
    if (!c.name || !c.sql_type)
        return arena_err(a, err);
    *ret = c;
    return ERR_OK;
}

enum err_code reader_init(struct column_reader *r, const struct table_library *lib,
                          duckdb_logical_type lt, const struct table_column *info, struct err *err)
{
    size_t cap = lib->vector_size();
    r->id = lib->get_type_id(lt);
    r->physical = r->id;
    r->column.name = info->name;
    r->column.type = info->type;
    r->valid = malloc(cap);
    r->data = malloc(cap * sizeof(struct str));
    if (!r->valid || !r->data)
        return err_nomem(err);
    if (r->id == DUCKDB_TYPE_DECIMAL) {
        r->physical = lib->decimal_internal_type(lt);
        r->scale = pow(10.0, lib->decimal_scale(lt));
    }
    if (r->id == DUCKDB_TYPE_UUID || r->id == DUCKDB_TYPE_TIME) {
        r->text = malloc(cap * READER_TEXT_BYTES);
        return r->text ? ERR_OK : err_nomem(err);
    }
    if (r->id != DUCKDB_TYPE_ENUM)
        return ERR_OK;
    r->physical = lib->enum_internal_type(lt);
    size_t n_names = lib->enum_dictionary_size(lt);
    r->names = calloc(n_names ? n_names : 1, sizeof *r->names);
    if (!r->names)
        return err_nomem(err);
    for (; r->n_names < n_names; r->n_names++)
        if (!(r->names[r->n_names] = lib->enum_dictionary_value(lt, r->n_names)))
            return err_nomem(err);
    return ERR_OK;
}

void reader_fini(struct column_reader *r, const struct table_library *lib)
{
    for (size_t i = 0; i < r->n_names; i++)
        lib->free(r->names[i]);
    free(r->names);
    free(r->valid);
    free(r->data);
    free(r->text);
}

static enum err_code huge_to_i64(const struct column_reader *r, uint64_t lower, int64_t upper,
                                 size_t row, int64_t *ret, struct err *err)
{
    int64_t low;
    memcpy(&low, &lower, sizeof low);
    if (upper != (low < 0 ? -1 : 0))
        return err_set(err, ERR_RANGE,
                       "column \"%s\", row %zu of the chunk: the number does not fit into 64 bits",
                       r->column.name, row);
    *ret = low;
    return ERR_OK;
}

/* One integer of any physical width; scaled numbers and enums are integers first. */
static enum err_code read_i64(const struct column_reader *r, const void *p, size_t i, int64_t *ret,
                              struct err *err)
{
    switch ((int)r->physical) {
    case DUCKDB_TYPE_TINYINT:
        *ret = ((const int8_t *)p)[i];
        return ERR_OK;
    case DUCKDB_TYPE_SMALLINT:
        *ret = ((const int16_t *)p)[i];
        return ERR_OK;
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_DATE:
        *ret = ((const int32_t *)p)[i];
        return ERR_OK;
    case DUCKDB_TYPE_UTINYINT:
        *ret = ((const uint8_t *)p)[i];
        return ERR_OK;
    case DUCKDB_TYPE_USMALLINT:
        *ret = ((const uint16_t *)p)[i];
        return ERR_OK;
    case DUCKDB_TYPE_UINTEGER:
        *ret = ((const uint32_t *)p)[i];
        return ERR_OK;
    case DUCKDB_TYPE_UBIGINT:
        return huge_to_i64(r, ((const uint64_t *)p)[i], 0, i, ret, err);
    case DUCKDB_TYPE_HUGEINT:
        return huge_to_i64(r, ((const duckdb_hugeint *)p)[i].lower,
                           ((const duckdb_hugeint *)p)[i].upper, i, ret, err);
    case DUCKDB_TYPE_UHUGEINT:
        if (((const duckdb_uhugeint *)p)[i].upper != 0)
            return huge_to_i64(r, 0, 1, i, ret, err);
        return huge_to_i64(r, ((const duckdb_uhugeint *)p)[i].lower, 0, i, ret, err);
    default: /* BIGINT, TIMESTAMP*, TIME: 64 bits */
        *ret = ((const int64_t *)p)[i];
        return ERR_OK;
    }
}

/* DATE, TIMESTAMP in any unit -> microseconds. The infinities stay at the ends of the range. */
static int64_t time_to_us(duckdb_type id, int64_t v)
{
    int64_t factor = id == DUCKDB_TYPE_DATE           ? US_PER_DAY
                     : id == DUCKDB_TYPE_TIMESTAMP_S  ? US_PER_S
                     : id == DUCKDB_TYPE_TIMESTAMP_MS ? US_PER_MS
                                                      : 1;
    int64_t us;
    if (id == DUCKDB_TYPE_TIMESTAMP_NS)
        return floor_div_i64(v, 1000);
    if (__builtin_mul_overflow(v, factor, &us))
        return v < 0 ? -INT64_MAX : INT64_MAX;
    return us;
}

static struct str time_of_day(char *out, int64_t us)
{
    int n = snprintf(out, READER_TEXT_BYTES, "%02d:%02d:%02d", (int)(us / US_PER_HOUR % 24),
                     (int)(us / US_PER_MIN % 60), (int)(us / US_PER_S % 60));
    if (us % US_PER_S)
        n += snprintf(out + n, READER_TEXT_BYTES - (size_t)n, ".%06d", (int)(us % US_PER_S));
    return str_n(out, (size_t)n);
}

static struct str uuid_of(char *out, duckdb_hugeint h)
{
    uint64_t upper = (uint64_t)h.upper ^ (UINT64_C(1) << 63); /* stored so that it sorts */
    uint8_t b[16];
    for (int i = 0; i < 8; i++) {
        b[i] = (uint8_t)(upper >> (56 - 8 * i));
        b[8 + i] = (uint8_t)(h.lower >> (56 - 8 * i));
    }
    uuid_text(b, out);
    return str_n(out, 36);
}

static struct str text_of(const duckdb_string_t *s)
{
    uint32_t n = s->value.inlined.length;
    return n <= 12 ? str_n(s->value.inlined.inlined, n) : str_n(s->value.pointer.ptr, n);
}

static enum err_code read_str(struct column_reader *r, const void *p, size_t i, struct err *err)
{
    struct str *out = (struct str *)r->data + i;
    int64_t v = 0;
    char *text = r->text ? r->text + i * READER_TEXT_BYTES : NULL;
    enum err_code code = ERR_OK;
    if (r->id == DUCKDB_TYPE_UUID) {
        *out = uuid_of(text, ((const duckdb_hugeint *)p)[i]);
    } else if (r->id == DUCKDB_TYPE_TIME) {
        *out = time_of_day(text, ((const int64_t *)p)[i]);
    } else if (r->id == DUCKDB_TYPE_ENUM) {
        code = read_i64(r, p, i, &v, err);
        if (code == ERR_OK && (v < 0 || (size_t)v >= r->n_names))
            code = err_set(err, ERR_CORRUPT, "column \"%s\": enum value %lld of %zu",
                           r->column.name, (long long)v, r->n_names);
        if (code == ERR_OK)
            *out = str_c(r->names[v]);
    } else {
        *out = text_of((const duckdb_string_t *)p + i);
    }
    return code;
}

static enum err_code read_f64(const struct column_reader *r, const void *p, size_t i, double *ret,
                              struct err *err)
{
    if (r->id == DUCKDB_TYPE_FLOAT) {
        *ret = (double)((const float *)p)[i];
        return ERR_OK;
    }
    if (r->id == DUCKDB_TYPE_DOUBLE) {
        *ret = ((const double *)p)[i];
        return ERR_OK;
    }
    if (r->physical == DUCKDB_TYPE_HUGEINT) {
        duckdb_hugeint h = ((const duckdb_hugeint *)p)[i];
        int64_t small = 0;
        if (huge_to_i64(r, h.lower, h.upper, i, &small, NULL) == ERR_OK)
            *ret = (double)small / r->scale;
        else
            *ret = ((double)h.upper * 18446744073709551616.0 + (double)h.lower) / r->scale;
        return ERR_OK;
    }
    int64_t v = 0;
    enum err_code code = read_i64(r, p, i, &v, err);
    *ret = (double)v / r->scale;
    return code;
}

static enum err_code read_one(struct column_reader *r, const void *p, size_t i, struct err *err)
{
    enum err_code code = ERR_OK;
    switch (r->column.type) {
    case VAL_BOOL:
        ((uint8_t *)r->data)[i] = ((const bool *)p)[i];
        break;
    case VAL_INT:
        return read_i64(r, p, i, (int64_t *)r->data + i, err);
    case VAL_TIME:
        code = read_i64(r, p, i, (int64_t *)r->data + i, err);
        ((int64_t *)r->data)[i] = time_to_us(r->id, ((int64_t *)r->data)[i]);
        break;
    case VAL_FLOAT:
        return read_f64(r, p, i, (double *)r->data + i, err);
    case VAL_STR:
        return read_str(r, p, i, err);
    case VAL_NULL:
        break;
    case VAL_TYPE_N:
    default:
        UNREACHABLE();
    }
    return code;
}

static void zero_one(struct column_reader *r, size_t i)
{
    if (r->column.type == VAL_STR)
        ((struct str *)r->data)[i] = STR_NONE;
    else if (r->column.type == VAL_BOOL)
        ((uint8_t *)r->data)[i] = 0;
    else
        ((int64_t *)r->data)[i] = 0;
}

enum err_code reader_chunk(struct column_reader *r, const struct table_library *lib,
                           duckdb_vector vector, size_t n, struct err *err)
{
    const uint64_t *mask = lib->vector_get_validity(vector);
    const void *p = lib->vector_get_data(vector);
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < n; i++) {
        bool is_valid = !mask || (mask[i / 64] >> (i % 64) & 1);
        r->valid[i] = is_valid && r->column.type != VAL_NULL;
        if (is_valid)
            code = read_one(r, p, i, err);
        else
            zero_one(r, i);
    }
    r->column.n = n;
    r->column.valid = mask || r->column.type == VAL_NULL ? r->valid : NULL;
    r->column.u.i = r->data;
    return code;
}
