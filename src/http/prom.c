#include "http/prom.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "base/check.h"
#include "http/prom_int.h"

const double PROM_LATENCY_S[PROM_BUCKETS] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                             0.01,    0.025,  0.05,    0.1,    0.25,  1,      2.5};

void prom_init(struct prom *p, struct buf *out)
{
    *p = (struct prom){out, PROM_METRIC_N};
}

void prom_family(struct prom *p, enum prom_metric m)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const struct prom_row *r = &PROM_ROWS[m];
    p->current = m;
    buf_printf(p->out, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, kinds[r->kind]);
}

static void put_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\' || *s == '"')
            buf_ch(out, '\\');
        if (*s == '\n')
            buf_c(out, "\\n");
        else
            buf_ch(out, *s);
    }
}

static void put_value(struct buf *out, double v)
{
    char text[NUM_TEXT_BYTES];
    if (isinf(v)) {
        buf_c(out, v > 0 ? "+Inf\n" : "-Inf\n");
        return;
    }
    buf_put(out, text, num_f64(text, v));
    buf_ch(out, '\n');
}

/* {a="b",…} with le last when given; nothing when there is no label. */
static void put_labels(struct buf *out, const char *le, va_list ap)
{
    const char *name, *sep = "{";
    while ((name = va_arg(ap, const char *)) != NULL) {
        const char *value = va_arg(ap, const char *);
        if (!value)
            continue;
        buf_printf(out, "%s%s=\"", sep, name);
        put_escaped(out, value);
        buf_ch(out, '"');
        sep = ",";
    }
    if (le)
        buf_printf(out, "%sle=\"%s\"", sep, le);
    if (le || *sep == ',')
        buf_ch(out, '}');
    buf_ch(out, ' ');
}

void prom_sample(struct prom *p, double value, ...)
{
    va_list ap;
    CHECK(p->current < PROM_METRIC_N);
    buf_c(p->out, PROM_ROWS[p->current].name);
    va_start(ap, value);
    put_labels(p->out, NULL, ap);
    va_end(ap);
    put_value(p->out, value);
}

void prom_observe_ns(struct prom_histogram *h, int64_t ns)
{
    double s = (double)ns * 1e-9;
    size_t i = 0;
    while (i < PROM_BUCKETS && s > PROM_LATENCY_S[i])
        i++;
    atomic_fetch_add_explicit(&h->n[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, (uint64_t)(ns > 0 ? ns : 0), memory_order_relaxed);
}

uint64_t prom_histogram_count(const struct prom_histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= PROM_BUCKETS; i++)
        n += atomic_load_explicit(&h->n[i], memory_order_relaxed);
    return n;
}

void prom_histogram(struct prom *p, const struct prom_histogram *h, ...)
{
    const char *name = PROM_ROWS[p->current].name;
    uint64_t n = 0;
    va_list ap;
    for (size_t i = 0; i <= PROM_BUCKETS; i++) {
        char le[NUM_TEXT_BYTES] = "+Inf";
        if (i < PROM_BUCKETS)
            num_f64(le, PROM_LATENCY_S[i]);
        n += atomic_load_explicit(&h->n[i], memory_order_relaxed);
        buf_printf(p->out, "%s_bucket", name);
        va_start(ap, h);
        put_labels(p->out, le, ap);
        va_end(ap);
        put_value(p->out, (double)n);
    }
    buf_printf(p->out, "%s_sum", name);
    va_start(ap, h);
    put_labels(p->out, NULL, ap);
    va_end(ap);
    put_value(p->out, (double)atomic_load_explicit(&h->sum_ns, memory_order_relaxed) * 1e-9);
    buf_printf(p->out, "%s_count", name);
    va_start(ap, h);
    put_labels(p->out, NULL, ap);
    va_end(ap);
    put_value(p->out, (double)n);
}
