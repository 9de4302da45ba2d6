/* Inside of http/client: shared by the HTTP call and the mail. */
#ifndef PAWL_HTTP_CLIENT_INT_H
#define PAWL_HTTP_CLIENT_INT_H

#include <curl/curl.h>

#include "http/client.h"

struct http_client {
    CURL *curl;
};

/* Options that every transfer has; the handle keeps its connections. */
void client_reset(struct http_client *c, char error_text[CURL_ERROR_SIZE]);
enum err_code client_error(CURLcode code, const char *error_text, const char *url, struct err *err);

#endif
