/* Finding and loading libduckdb.so: on first use, once, never unloaded (its threads outlive any close). */
#include "table/table_int.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static struct table_library library;
static struct err library_err;

static void *library_open(void)
{
    const char *env = getenv("PAWL_DUCKDB");
    char path[PATH_BYTES];
    if (env && *env)
        return dlopen(env, RTLD_NOW | RTLD_LOCAL);
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "libduckdb.so" - 1);
    if (n <= 0)
        return NULL;
    while (n > 0 && path[n - 1] != '/')
        n--;
    memcpy(path + n, "libduckdb.so", sizeof "libduckdb.so");
    if (!file_exists(path))
        return dlopen("libduckdb.so", RTLD_NOW | RTLD_LOCAL);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static bool library_symbol(void *handle, const char *name, void *member)
{
    void *p = dlsym(handle, name);
    if (!p) {
        (void)err_set(&library_err, ERR_UNAVAILABLE,
                      "libduckdb.so has no function %s: it needs version 1.4", name);
        return false;
    }
    memcpy(member, &p, sizeof p); /* POSIX: object and function pointers have one representation */
    return true;
}

static void library_load(void)
{
    void *handle = library_open();
    if (!handle) {
        const char *why = dlerror();
        (void)err_set(
            &library_err, ERR_UNAVAILABLE,
            "cannot load DuckDB: %s; put libduckdb.so (1.4) beside the executable or name it in "
            "PAWL_DUCKDB (tools/setup fetches it)",
            why ? why : "libduckdb.so was not found");
        return;
    }
#define TABLE_DUCKDB_LOAD(name)                                                                    \
    if (!library_symbol(handle, "duckdb_" #name, &library.name))                                   \
        return;
    TABLE_DUCKDB_FUNCTIONS(TABLE_DUCKDB_LOAD)
}

enum err_code table_library_get(const struct table_library **ret, struct err *err)
{
    if (pthread_once(&library_once, library_load) != 0)
        return err_set(err, ERR_INTERNAL, "cannot load DuckDB");
    if (library_err.code != ERR_OK)
        return err_set(err, library_err.code, "%s", library_err.msg);
    *ret = &library;
    return ERR_OK;
}

enum err_code table_library_version(struct str *ret, struct err *err)
{
    const struct table_library *lib = NULL;
    enum err_code code = table_library_get(&lib, err);
    if (code != ERR_OK)
        return code;
    *ret = str_c(lib->library_version());
    return ERR_OK;
}
