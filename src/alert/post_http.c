#include "alert/sender.h"
#include "http/client.h"

#define DEADLINE_MS 10000

/* One client a call: deliveries are rare, and a connection kept for hours would be closed by the other side. */
static enum err_code post(void *arg, const char *url, struct str body, int *ret_status,
                          struct err *err)
{
    (void)arg;
    struct http_client *client = NULL;
    enum err_code code = http_client_open(&client, err);
    if (code != ERR_OK)
        return code;
    struct arena a;
    struct http_reply reply = {0};
    arena_init(&a, 4 << 20);
    code = http_call(client,
                     &(struct http_call){.method = "POST",
                                         .url = url,
                                         .content_type = "application/json",
                                         .body = body,
                                         .deadline_ms = DEADLINE_MS,
                                         .reply_max_bytes = 1 << 20},
                     &a, &reply, err);
    if (code == ERR_OK)
        *ret_status = reply.status;
    arena_fini(&a);
    http_client_close(client);
    return code;
}

struct alert_post alert_post_http(void)
{
    return (struct alert_post){post, NULL};
}
