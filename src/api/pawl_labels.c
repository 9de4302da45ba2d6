/* Labels: what turned out to be true. All of a call are synced when it is answered; a label sent again is one label. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "base/clock.h"
#include "base/file.h"
#include "feedback/label.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)
#define BATCH          10000

/* A list of label objects from text: a JSON list, {"labels": […]}, or one object a line. */
static enum err_code read_lines(struct str text, struct arena *a, struct json **ret,
                                struct err *err)
{
    struct json *list = json_arr(a);
    for (int64_t line = 1; text.p != NULL; line++) {
        struct json *one = NULL;
        const struct str s = str_trim(str_split(&text, '\n'));
        if (s.n == 0)
            continue;
        if (json_read(s, a, &one, err) != ERR_OK)
            return err_wrap(err, "line %lld", (long long)line);
        json_add(a, list, one);
    }
    *ret = list;
    return ERR_OK;
}

static enum err_code read_file(const char *path, struct arena *a, const struct json **ret,
                               struct err *err)
{
    struct str text;
    struct json *doc = NULL;
    enum err_code code = file_read(path, FILE_BYTES_MAX, a, &text, err);
    if (code == ERR_OK && str_starts(str_trim(text), STR("[")))
        code = json_read(text, a, &doc, err);
    else if (code == ERR_OK)
        code = read_lines(text, a, &doc, err);
    if (code != ERR_OK)
        return err_wrap(err, "%s", path);
    *ret = doc;
    return ERR_OK;
}

static enum err_code put_all(struct op_call *call, const struct json *list, struct str endpoint,
                             size_t *ret_new, struct err *err)
{
    const int64_t now_us = clock_now_us(&CLOCK_SYSTEM);
    struct label_record *batch = ARENA_NEW_N(call->arena, struct label_record, BATCH);
    if (batch == NULL)
        return arena_err(call->arena, err);
    *ret_new = 0;
    for (size_t i = 0; i < json_len(list);) {
        size_t n = 0, n_new = 0;
        for (; n < BATCH && i < json_len(list); n++, i++)
            if (label_from_json(json_at(list, i), endpoint, now_us, call->arena, &batch[n], err) !=
                ERR_OK)
                return err_wrap(err, "/labels/%zu", i);
        const enum err_code code = label_log_put(call->sv->labels, batch, n, &n_new, err);
        if (code != ERR_OK)
            return code;
        *ret_new += n_new;
    }
    return ERR_OK;
}

enum err_code op_labels_push(struct op_call *call, const struct json *in, struct json **ret,
                             struct err *err)
{
    const struct json *list = json_get(in, "labels");
    const char *file = json_get_c(in, "file");
    size_t n_new = 0;
    if (services_need(call->sv->labels, "the label log", err) != ERR_OK)
        return err->code;
    if ((list == NULL) == (file == NULL))
        return err_set(err, ERR_INVALID, "give either `labels` or `file`");
    enum err_code code = file != NULL ? read_file(file, call->arena, &list, err) : ERR_OK;
    if (code == ERR_OK && list->type != JSON_ARR)
        code = err_set(err, ERR_INVALID, "/labels: expected a list of labels");
    if (code == ERR_OK)
        code = put_all(call, list, json_get_str(in, "endpoint"), &n_new, err);
    if (code != ERR_OK)
        return code;
    struct json *o = json_obj(call->arena);
    json_set(call->arena, o, "received", json_int(call->arena, (int64_t)json_len(list)));
    *ret = json_set(call->arena, o, "new", json_int(call->arena, (int64_t)n_new));
    return ERR_OK;
}
