/* What changed between two versions of a source: files, rows, schema, distribution. */
#include <math.h>

#include "data/profile.h"
#include "data/version.h"

#define NOTABLE_PSI   0.25 /* the usual mark of a distribution that is another one */
#define NOTABLE_NULLS 0.05 /* null share moved by that much */
#define PSI_BINS      10

/* The share of a column's values <= x, from its quantiles, linear between them. */
static double share_below(const struct json *quantiles, double x)
{
    double prev = 0, prev_share = 0;
    for (size_t i = 0; i < PROFILE_N_QUANTILES; i++) {
        double q = 0;
        if (!json_as_f64(json_at(quantiles, i), &q))
            return -1;
        if (x < q) {
            if (i == 0)
                return 0;
            return prev_share + (PROFILE_QUANTILES[i] - prev_share) * (x - prev) / (q - prev);
        }
        prev = q;
        prev_share = PROFILE_QUANTILES[i];
    }
    return 1;
}

static double psi_part(double p, double q, double n_old, double n_new)
{
    /* half a count where a bin is empty */
    p = fmax(p, 0.5 / fmax(n_old, 1));
    q = fmax(q, 0.5 / fmax(n_new, 1));
    return (q - p) * log(q / p);
}

static double psi_numbers(const struct json *old_q, double n_old, const struct json *new_q,
                          double n_new)
{
    static const int EDGES[PSI_BINS - 1] = {3, 4, 6, 7, 8, 9, 10, 12, 13}; /* 0.1, 0.2, 0.3 … 0.9 */
    double psi = 0, old_prev = 0, new_prev = 0;
    for (int b = 0; b < PSI_BINS; b++) {
        double old_now = 1, new_now = 1, edge = 0;
        if (b < PSI_BINS - 1) {
            if (!json_as_f64(json_at(old_q, (size_t)EDGES[b]), &edge))
                return -1;
            old_now = share_below(old_q, edge);
            new_now = share_below(new_q, edge);
            if (old_now < 0 || new_now < 0)
                return -1;
        }
        if (old_now > old_prev || new_now > new_prev)
            psi += psi_part(old_now - old_prev, new_now - new_prev, n_old, n_new);
        old_prev = old_now;
        new_prev = new_now;
    }
    return psi;
}

static double top_share(const struct json *top, const struct json *value, double n)
{
    for (size_t i = 0; i < json_len(top); i++)
        if (json_eq(json_get(json_at(top, i), "value"), value))
            return (double)json_get_int(json_at(top, i), "n", 0) / fmax(n, 1);
    return 0;
}

/* The frequent values of the old version, and all others together. */
static double psi_values(const struct json *old_top, double n_old, const struct json *new_top,
                         double n_new)
{
    double psi = 0, old_sum = 0, new_sum = 0;
    for (size_t i = 0; i < json_len(old_top); i++) {
        const struct json *v = json_get(json_at(old_top, i), "value");
        double p = top_share(old_top, v, n_old), q = top_share(new_top, v, n_new);
        psi += psi_part(p, q, n_old, n_new);
        old_sum += p;
        new_sum += q;
    }
    if (old_sum < 1 || new_sum < 1)
        psi += psi_part(fmax(1 - old_sum, 0), fmax(1 - new_sum, 0), n_old, n_new);
    return psi;
}

double profile_psi(const struct json *old_column, int64_t old_rows, const struct json *new_column,
                   int64_t new_rows)
{
    const struct json *old_q = json_get(old_column, "quantiles"),
                      *new_q = json_get(new_column, "quantiles");
    const struct json *old_top = json_get(old_column, "top"),
                      *new_top = json_get(new_column, "top");
    double n_old = (double)(old_rows - json_get_int(old_column, "nulls", 0));
    double n_new = (double)(new_rows - json_get_int(new_column, "nulls", 0));
    if (n_old <= 0 || n_new <= 0)
        return -1;
    if (json_len(old_q) == PROFILE_N_QUANTILES && json_len(new_q) == PROFILE_N_QUANTILES)
        return psi_numbers(old_q, n_old, new_q, n_new);
    if (json_len(old_top) > 0 && json_len(new_top) > 0)
        return psi_values(old_top, n_old, new_top, n_new);
    return -1;
}

struct diff {
    struct arena *a;
    const struct json *old_doc, *new_doc;
    struct json *notable;
    bool is_changed;
};

static const struct json *by_name(const struct json *list, const char *key, struct str name)
{
    for (size_t i = 0; i < json_len(list); i++)
        if (str_eq(json_get_str(json_at(list, i), key), name))
            return json_at(list, i);
    return NULL;
}

static struct json *diff_files(struct diff *d)
{
    const struct json *old_f = json_get(d->old_doc, "files"),
                      *new_f = json_get(d->new_doc, "files");
    struct json *added = json_arr(d->a), *removed = json_arr(d->a), *changed = json_arr(d->a),
                *out = json_obj(d->a);
    int64_t kept = 0;
    for (size_t i = 0; i < json_len(new_f); i++) {
        struct str path = json_get_str(json_at(new_f, i), "path");
        const struct json *was = by_name(old_f, "path", path);
        if (!was)
            json_add(d->a, added, json_str(d->a, path));
        else if (!str_eq(json_get_str(was, "sha256"), json_get_str(json_at(new_f, i), "sha256")))
            json_add(d->a, changed, json_str(d->a, path));
        else
            kept++;
    }
    for (size_t i = 0; i < json_len(old_f); i++)
        if (!by_name(new_f, "path", json_get_str(json_at(old_f, i), "path")))
            json_add(d->a, removed, json_str(d->a, json_get_str(json_at(old_f, i), "path")));
    d->is_changed |= json_len(added) + json_len(removed) + json_len(changed) > 0;
    json_set(d->a, out, "added", added);
    json_set(d->a, out, "removed", removed);
    json_set(d->a, out, "changed", changed);
    json_set(d->a, out, "kept", json_int(d->a, kept));
    return out;
}

static void schema_change(struct diff *d, struct json *list, struct str column, const char *change)
{
    struct json *c = json_obj(d->a);
    json_set(d->a, c, "column", json_str(d->a, column));
    json_set(d->a, c, "change", json_cstr(d->a, change));
    json_add(d->a, list, c);
    json_add(d->a, d->notable, json_fmt(d->a, "column %.*s: %s", STR_ARG(column), change));
}

static struct json *diff_schema(struct diff *d)
{
    const struct json *old_c = json_get(d->old_doc, "columns"),
                      *new_c = json_get(d->new_doc, "columns");
    struct json *out = json_arr(d->a);
    for (size_t i = 0; i < json_len(new_c); i++) {
        struct str name = json_get_str(json_at(new_c, i), "name");
        struct str type = json_get_str(json_at(new_c, i), "sql_type");
        const struct json *was = by_name(old_c, "name", name);
        struct str old_type = json_get_str(was, "sql_type");
        if (!was)
            schema_change(d, out, name, "new");
        else if (!str_eq(type, old_type))
            schema_change(
                d, out, name,
                str_printf(d->a, "type %.*s, was %.*s", STR_ARG(type), STR_ARG(old_type)));
    }
    for (size_t i = 0; i < json_len(old_c); i++) {
        struct str name = json_get_str(json_at(old_c, i), "name");
        if (!by_name(new_c, "name", name))
            schema_change(d, out, name, "gone");
    }
    return out;
}

static double null_share(const struct json *column, int64_t rows)
{
    return rows > 0 ? (double)json_get_int(column, "nulls", 0) / (double)rows : 0;
}

static void diff_column(struct diff *d, const char *name, struct json *list)
{
    const struct json *was = json_get(json_get(d->old_doc, "profile"), name);
    const struct json *is = json_get(json_get(d->new_doc, "profile"), name);
    int64_t old_rows = json_get_int(d->old_doc, "rows", 0),
            new_rows = json_get_int(d->new_doc, "rows", 0);
    if (!was || !is)
        return;
    double psi = profile_psi(was, old_rows, is, new_rows);
    double nulls_old = null_share(was, old_rows), nulls_new = null_share(is, new_rows);
    bool is_notable = psi > NOTABLE_PSI || fabs(nulls_new - nulls_old) > NOTABLE_NULLS;
    struct json *c = json_obj(d->a);
    json_set(d->a, c, "column", json_cstr(d->a, name));
    if (psi >= 0)
        json_set(d->a, c, "psi", json_num(d->a, psi));
    json_set(d->a, c, "nulls_old", json_num(d->a, nulls_old));
    json_set(d->a, c, "nulls_new", json_num(d->a, nulls_new));
    json_set(d->a, c, "is_notable", json_bool(d->a, is_notable));
    json_add(d->a, list, c);
    if (psi > NOTABLE_PSI)
        json_add(
            d->a, d->notable,
            json_fmt(d->a, "column %s: the distribution is another one (PSI %.3f)", name, psi));
    if (fabs(nulls_new - nulls_old) > NOTABLE_NULLS)
        json_add(d->a, d->notable,
                 json_fmt(d->a, "column %s: %.1f %% nulls, were %.1f %%", name, 100 * nulls_new,
                          100 * nulls_old));
}

struct json *data_version_diff(const struct json *old_doc, const struct json *new_doc,
                               struct arena *a)
{
    struct diff d = {a, old_doc, new_doc, json_arr(a), false};
    struct json *out = json_obj(a), *rows = json_obj(a), *columns = json_arr(a);
    const struct json *cols = json_get(new_doc, "columns");
    struct json *files = diff_files(&d), *schema = diff_schema(&d);
    for (size_t i = 0; d.is_changed && i < json_len(cols); i++) {
        const char *name = json_get_c(json_at(cols, i), "name");
        if (name)
            diff_column(&d, name, columns);
    }
    json_set(a, rows, "old", json_int(a, json_get_int(old_doc, "rows", 0)));
    json_set(a, rows, "new", json_int(a, json_get_int(new_doc, "rows", 0)));
    json_set(a, out, "is_changed", json_bool(a, d.is_changed));
    json_set(a, out, "files", files);
    json_set(a, out, "rows", rows);
    json_set(a, out, "schema", schema);
    json_set(a, out, "distribution", columns);
    json_set(a, out, "notable", d.notable);
    return out;
}
