/* Sums per assignment bucket, in pages made at first touch: a 1 % canary sees a hundredth of the buckets. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "stats/guardrail.h"

#define PAGE_BUCKETS 64
#define N_PAGES      ((GUARDRAIL_BUCKETS + PAGE_BUCKETS - 1) / PAGE_BUCKETS)

struct page {
    double n[PAGE_BUCKETS], sum[PAGE_BUCKETS];
};

struct bucket_sums {
    struct page *pages[N_PAGES];
};

struct bucket_sums *bucket_sums_new(void)
{
    return calloc(1, sizeof(struct bucket_sums));
}

void bucket_sums_free(struct bucket_sums *s)
{
    if (!s)
        return;
    for (size_t p = 0; p < N_PAGES; p++)
        free(s->pages[p]);
    free(s);
}

bool bucket_sums_add(struct bucket_sums *s, uint32_t bucket, double n, double sum_y)
{
    CHECK(bucket < GUARDRAIL_BUCKETS && isfinite(sum_y) && isfinite(n));
    struct page **page = &s->pages[bucket / PAGE_BUCKETS];
    if (!*page)
        *page = calloc(1, sizeof(**page));
    if (!*page)
        return false;
    (*page)->n[bucket % PAGE_BUCKETS] += n;
    (*page)->sum[bucket % PAGE_BUCKETS] += sum_y;
    return true;
}

typedef void (*bucket_fn)(void *arg, uint32_t bucket, double n, double sum);

static void each_bucket(const struct bucket_sums *s, bucket_fn fn, void *arg)
{
    for (uint32_t p = 0; p < N_PAGES; p++)
        for (uint32_t i = 0; s->pages[p] && i < PAGE_BUCKETS; i++)
            if (s->pages[p]->n[i] > 0)
                fn(arg, p * PAGE_BUCKETS + i, s->pages[p]->n[i], s->pages[p]->sum[i]);
}

static void add_total(void *arg, uint32_t bucket, double n, double sum)
{
    struct arm_summary *t = arg;
    (void)bucket;
    t->n += n;
    t->sum += sum;
    t->k++;
}

static void add_square(void *arg, uint32_t bucket, double n, double sum)
{
    struct arm_summary *t = arg;
    double d = sum - t->mean * n;
    (void)bucket;
    t->variance += d * d;
}

void bucket_sums_summary(const struct bucket_sums *s, struct arm_summary *ret)
{
    *ret = (struct arm_summary){0};
    if (!s)
        return;
    each_bucket(s, add_total, ret);
    if (ret->n > 0)
        ret->mean = ret->sum / ret->n;
    each_bucket(s, add_square, ret);
    double k = ret->k;
    ret->variance = ret->k > 1 ? ret->variance * k / (k - 1.0) / (ret->n * ret->n) : 0;
}

struct json_arg {
    struct json *bucket, *n, *sum;
    struct arena *a;
};

static void add_json(void *arg, uint32_t bucket, double n, double sum)
{
    struct json_arg *j = arg;
    json_add(j->a, j->bucket, json_int(j->a, bucket));
    json_add(j->a, j->n, json_num(j->a, n));
    json_add(j->a, j->sum, json_num(j->a, sum));
}

struct json *bucket_sums_json(const struct bucket_sums *s, struct arena *a)
{
    struct json_arg j = {json_arr(a), json_arr(a), json_arr(a), a};
    if (s)
        each_bucket(s, add_json, &j);
    struct json *o = json_obj(a);
    json_set(a, o, "bucket", j.bucket);
    json_set(a, o, "n", j.n);
    return json_set(a, o, "sum", j.sum);
}

enum err_code bucket_sums_read(const struct json *v, struct bucket_sums **ret, struct err *err)
{
    const struct json *bucket = json_get(v, "bucket"), *ns = json_get(v, "n"),
                      *sums = json_get(v, "sum");
    if (json_len(bucket) != json_len(ns) || json_len(bucket) != json_len(sums))
        return err_set(err, ERR_CORRUPT, "bucket sums: the three lists differ in length");
    struct bucket_sums *s = bucket_sums_new();
    enum err_code rc = s ? ERR_OK : err_nomem(err);
    for (size_t i = 0; rc == ERR_OK && i < json_len(bucket); i++) {
        double b = -1, n = NAN, sum = NAN;
        (void)json_as_f64(json_at(bucket, i), &b);
        (void)json_as_f64(json_at(ns, i), &n);
        (void)json_as_f64(json_at(sums, i), &sum);
        if (!(b >= 0) || !(b < GUARDRAIL_BUCKETS) || !isfinite(n) || !isfinite(sum))
            rc = err_set(err, ERR_CORRUPT, "bucket sums: entry %zu is out of range", i);
        else if (!bucket_sums_add(s, (uint32_t)b, n, sum))
            rc = err_nomem(err);
    }
    if (rc == ERR_OK)
        *ret = s;
    else
        bucket_sums_free(s);
    return rc;
}
