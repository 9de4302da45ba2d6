/* Private to alert/ and its tests: the address of a receiver at the moment of sending. */
#ifndef PAWL_ALERT_SENDER_INT_H
#define PAWL_ALERT_SENDER_INT_H

#include "base/str.h"

/* Appends url with each ${NAME} replaced from the environment; ERR_CONFIG names what is not set. */
enum err_code alert_url_expand(const char *url, struct buf *out, struct err *err) MUST_CHECK;

#endif
