/* store verify. */
#include "api/op_handlers.h"
#include "api/services.h"
#include "blob/blob.h"

#define BAD_SHOWN_MAX 1000

struct bad_list {
    struct arena *a;
    struct json *list;
};

static void bad_add(void *arg, const struct digest *d, const char *text)
{
    struct bad_list *b = arg;
    struct json *j = json_obj(b->a);
    if (json_len(b->list) >= BAD_SHOWN_MAX)
        return;
    json_set(b->a, j, "digest", json_hex(b->a, d));
    json_add(b->a, b->list, json_set(b->a, j, "text", json_cstr(b->a, text)));
}

enum err_code op_store_verify(struct op_call *call, const struct json *in, struct json **ret,
                              struct err *err)
{
    struct arena *a = call->arena;
    struct bad_list bad = {a, json_arr(a)};
    struct blob_report report = {0};
    enum err_code code = services_need(call->sv->blobs, "the content store", err);
    if (code == ERR_OK)
        code = blob_verify_all(call->sv->blobs, bad_add, &bad, &report, err);
    if (code != ERR_OK && code != ERR_CORRUPT)
        return code;
    struct json *out = json_obj(a);
    json_set(a, out, "holds", json_bool(a, report.n_bad == 0));
    json_set(a, out, "n_files", json_int(a, report.n_blobs));
    json_set(a, out, "n_bytes", json_int(a, report.n_bytes));
    *ret = json_set(a, out, "damaged", bad.list);
    if (code == ERR_OK)
        return ERR_OK;
    return err_set(err, ERR_NO, "%lld of %lld files are damaged, the first: %s",
                   (long long)report.n_bad, (long long)report.n_blobs,
                   json_get_c(json_at(bad.list, 0), "text"));
}
