/* What a model takes and gives: the signature of an MLflow model, columns or tensors.
 *
 * Read from and written as MLflow's own JSON, for columns
 *   [{"name":"a","type":"double","required":true}]
 * and for tensors
 *   [{"type":"tensor","tensor-spec":{"dtype":"float32","shape":[-1,4]}}]
 * A signature is data in an arena; equal signatures give equal canonical JSON, which enters model
 * and release digests.
 * Threads: read-only once built. */
#ifndef PAWL_MODEL_SIGNATURE_H
#define PAWL_MODEL_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/value.h"
#include "json/json.h"

#define SIGNATURE_FIELDS_MAX 65536 /* as many columns as a model may have */
#define SIGNATURE_DIMS_MAX   8

enum sig_type {
    SIG_BOOLEAN,
    SIG_INTEGER, /* 32 bit */
    SIG_LONG,
    SIG_FLOAT,
    SIG_DOUBLE,
    SIG_STRING,
    SIG_BINARY,
    SIG_DATETIME,
    SIG_TENSOR,
    SIG_TYPE_N
};

struct sig_field {
    const char *name; /* NULL: unnamed */
    enum sig_type type;
    bool is_required;
    const char *dtype;                 /* tensors: numpy's name, "float32"; else NULL */
    int64_t shape[SIGNATURE_DIMS_MAX]; /* tensors: -1 = any */
    size_t n_dims;
};

struct signature {
    struct sig_field *inputs;
    size_t n_inputs;
    struct sig_field *outputs;
    size_t n_outputs;
};

const char *sig_type_name(enum sig_type t); /* MLflow's: "boolean" "integer" "long" ... "tensor" */
/* The column type that a value type has in a signature; VAL_NULL gives SIG_STRING. */
enum sig_type sig_type_of_value(enum value_type t);
/* What a request field of this type is read as; VAL_NULL for tensors and binary. */
enum value_type sig_type_value(enum sig_type t);

/* fields: MLflow's array. Errors: ERR_PARSE names the field. */
enum err_code signature_fields_read(const struct json *fields, struct arena *a,
                                    struct sig_field **ret, size_t *ret_n,
                                    struct err *err) MUST_CHECK;
struct json *signature_fields_json(const struct sig_field *fields, size_t n, struct arena *a);

/* {"inputs":[...],"outputs":[...]}; either may be absent. */
enum err_code signature_read(const struct json *doc, struct arena *a, struct signature *ret,
                             struct err *err) MUST_CHECK;
struct json *signature_json(const struct signature *s, struct arena *a);

/* Can requests written for `old` be sent to `new_`? ERR_NO with a sentence for the first reason
 * against: a new required input, an input whose type changed, another number or type of outputs. */
enum err_code signature_compatible(const struct signature *old, const struct signature *new_,
                                   struct err *err) MUST_CHECK;

#endif
