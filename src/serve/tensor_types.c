#include "serve/serve.h"

const char *const TENSOR_TYPE_NAMES[TENSOR_TYPE_N] = {"BOOL", "UINT8", "UINT16", "UINT32", "UINT64",
                                                      "INT8", "INT16", "INT32",  "INT64",  "FP16",
                                                      "FP32", "FP64",  "BYTES"};
