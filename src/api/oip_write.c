/* The answer: written forward into room that is known beforehand, without a document in between. */
#include <math.h>
#include <string.h>

#include "api/oip_int.h"
#include "base/check.h"

#define FIXED_BYTES  1024
#define NUMBER_BYTES 34 /* of a not-finite one in quotes, and the comma */
#define ESCAPE_MAX   6

struct writer {
    char *p, *start, *end;
};

static void put(struct writer *w, const char *s, size_t n)
{
    CHECK((size_t)(w->end - w->p) >= n);
    memcpy(w->p, s, n);
    w->p += n;
}

#define PUT(w, literal) put((w), "" literal, sizeof(literal) - 1)

static void put_int(struct writer *w, int64_t v)
{
    char text[NUM_TEXT_BYTES];
    put(w, text, num_i64(text, v));
}

static void put_float(struct writer *w, float v)
{
    char text[NUM_TEXT_BYTES];
    size_t n = num_f32(text, v);
    if (!isfinite(v))
        PUT(w, "\"");
    put(w, text, n);
    if (!isfinite(v))
        PUT(w, "\"");
}

static void put_text(struct writer *w, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    PUT(w, "\"");
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            put(w, s.p + i, 1);
        } else if (c >= 0x20) {
            put(w, (const char[]){'\\', (char)c}, 2);
        } else {
            put(w, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        }
    }
    PUT(w, "\"");
}

static bool is_wanted(const struct oip_request *q, const char *name)
{
    bool is_found = q->n_outputs == 0;
    for (size_t i = 0; i < q->n_outputs; i++)
        is_found = is_found || str_is(q->outputs[i], name);
    return is_found;
}

enum err_code oip_outputs_check(const struct oip_request *q, bool *ret_wants_decision,
                                struct err *err)
{
    *ret_wants_decision = false;
    for (size_t i = 0; i < q->n_outputs; i++) {
        bool is_decision = str_is(q->outputs[i], "decision");
        if (!is_decision && !str_is(q->outputs[i], "predict"))
            return err_set(err, ERR_INVALID,
                           "there is no output \"%.*s\": there are \"predict\" and \"decision\"",
                           STR_ARG(q->outputs[i]));
        *ret_wants_decision = *ret_wants_decision || is_decision;
    }
    return ERR_OK;
}

static void put_scores(struct writer *w, const struct serve_answer *ans)
{
    PUT(w, "{\"name\":\"predict\",\"datatype\":\"FP32\",\"shape\":[");
    put_int(w, (int64_t)ans->n_rows);
    PUT(w, ",");
    put_int(w, (int64_t)ans->n_outputs);
    PUT(w, "],\"data\":[");
    for (size_t i = 0; i < ans->n_rows * ans->n_outputs; i++) {
        if (i)
            PUT(w, ",");
        put_float(w, ans->scores[i]);
    }
    PUT(w, "]}");
}

static void put_decisions(struct writer *w, const struct serve_answer *ans)
{
    PUT(w, "{\"name\":\"decision\",\"datatype\":\"");
    if (ans->is_multiclass)
        PUT(w, "INT64");
    else
        PUT(w, "BOOL");
    PUT(w, "\",\"shape\":[");
    put_int(w, (int64_t)ans->n_rows);
    PUT(w, "],\"data\":[");
    for (size_t i = 0; i < ans->n_rows; i++) {
        double d = ans->decisions[i];
        if (i)
            PUT(w, ",");
        if (isnan(d))
            PUT(w, "null");
        else if (ans->is_multiclass)
            put_int(w, (int64_t)d);
        else if (d > 0)
            PUT(w, "true");
        else
            PUT(w, "false");
    }
    PUT(w, "]}");
}

/* What the protocol has no field for; left out when there is nothing to say. */
static void put_parameters(struct writer *w, const struct oip_request *q,
                           const struct serve_answer *ans)
{
    char id[RECORD_NAME_BYTES];
    const char *sep = ",\"parameters\":{";
    if (q->id.n) {
        record_name(ans->id, 0, id);
        put(w, sep, strlen(sep));
        PUT(w, "\"prediction_id\":");
        put_text(w, str_c(id));
        sep = ",";
    }
    const struct {
        bool is_said;
        const char *text;
    } rows[] = {{!ans->is_logged && !ans->is_known_id, "\"logged\":false"},
                {ans->is_fallback, "\"fallback\":true"},
                {ans->is_rescued, "\"rescued\":true"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].is_said) {
            put(w, sep, strlen(sep));
            put(w, rows[i].text, strlen(rows[i].text));
            sep = ",";
        }
    if (*sep == ',' && sep[1] == 0)
        PUT(w, "}");
}

enum err_code oip_write(const struct oip_request *q, const struct serve_answer *ans,
                        struct arena *a, struct str *ret, struct err *err)
{
    char id[RECORD_NAME_BYTES];
    size_t n = FIXED_BYTES + (ans->endpoint.n + q->id.n) * ESCAPE_MAX +
               ans->n_rows * (ans->n_outputs + 1) * NUMBER_BYTES;
    struct writer w = {.start = arena_alloc(a, n)};
    if (!w.start)
        return arena_err(a, err);
    w.p = w.start;
    w.end = w.start + n;
    record_name(ans->id, 0, id);
    PUT(&w, "{\"model_name\":");
    put_text(&w, ans->endpoint);
    PUT(&w, ",\"model_version\":\"r");
    put_int(&w, ans->release);
    PUT(&w, "\",\"id\":");
    put_text(&w, q->id.n ? q->id : str_c(id));
    put_parameters(&w, q, ans);
    PUT(&w, ",\"outputs\":[");
    bool has_scores = is_wanted(q, "predict");
    if (has_scores)
        put_scores(&w, ans);
    if (ans->decisions && is_wanted(q, "decision")) {
        if (has_scores)
            PUT(&w, ",");
        put_decisions(&w, ans);
    }
    PUT(&w, "]}");
    *ret = str_n(w.start, (size_t)(w.p - w.start));
    return ERR_OK;
}
