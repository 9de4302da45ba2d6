/* Between the reader and the tree: the names of jansson and ours collide (json_copy, JSON_NULL, ...), so the file that
 * includes jansson.h sees only these makers. Each returns NULL when the arena is full. */
#ifndef PAWL_JSON_INT_H
#define PAWL_JSON_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct json;

struct json *json_make_null(struct arena *a);
struct json *json_make_bool(struct arena *a, bool v);
struct json *json_make_int(struct arena *a, int64_t v);
struct json *json_make_real(struct arena *a, double v);
struct json *json_make_str(struct arena *a, struct str s);
struct json *json_make_arr(struct arena *a, size_t n);
struct json *json_make_obj(struct arena *a, size_t n);
/* i-th place of a container made with room for n. */
void json_put_item(struct json *arr, struct json *v);
bool json_put_member(struct arena *a, struct json *obj, struct str key, struct json *v);

#endif
