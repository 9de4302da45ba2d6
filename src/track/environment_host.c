/* The machine: CPU, memory, system, C library. */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "track/environment_int.h"

#define CPUINFO_BYTES (1 << 20)

/* Flags that change what arithmetic a program picks: worth reading without a look-up table. */
static const char *const FEATURES[] = {"sse4_2",  "avx",    "avx2", "fma",
                                       "avx512f", "sha_ni", "neon", "asimd"};

/* The value behind the first "name : value" line. */
static struct str field(struct str text, const char *name)
{
    struct str rest = text;
    while (rest.p) {
        struct str line = str_split(&rest, '\n'), value = line;
        struct str key = str_trim(str_split(&value, ':'));
        if (value.p && str_is(key, name))
            return str_trim(value);
    }
    return STR_NONE;
}

static bool has_word(struct str words, const char *word)
{
    struct str rest = words;
    while (rest.p)
        if (str_is(str_split(&rest, ' '), word))
            return true;
    return false;
}

static void cpu_put(struct json *j, struct arena *a)
{
    struct str text;
    struct digest d;
    if (file_read("/proc/cpuinfo", CPUINFO_BYTES, a, &text, NULL) != ERR_OK)
        return;
    struct str model = field(text, "model name"), flags = field(text, "flags");
    if (!flags.p)
        flags = field(text, "Features");
    if (model.p)
        json_set(a, j, "cpu", json_str(a, model));
    if (!flags.p)
        return;
    digest_of(flags.p, flags.n, &d);
    json_set(a, j, "cpu_flags_sha256", json_hex(a, &d));
    struct json *list = json_arr(a);
    for (size_t i = 0; i < ARRAY_LEN(FEATURES); i++)
        if (has_word(flags, FEATURES[i]))
            json_add(a, list, json_cstr(a, FEATURES[i]));
    json_set(a, j, "cpu_features", list);
}

static void system_put(struct json *j, struct arena *a)
{
    struct str text;
    struct utsname u;
    if (uname(&u) == 0) {
        json_set(a, j, "kernel", json_fmt(a, "%s %s %s", u.sysname, u.release, u.machine));
        json_set(a, j, "name", json_cstr(a, u.nodename));
    }
    if (file_read("/etc/os-release", 1 << 16, a, &text, NULL) != ERR_OK)
        return;
    struct str rest = text;
    while (rest.p) {
        struct str value = str_split(&rest, '\n');
        struct str key = str_split(&value, '=');
        if (!value.p || !str_is(key, "PRETTY_NAME"))
            continue;
        if (value.n >= 2 && value.p[0] == '"')
            value = str_n(value.p + 1, value.n - 2);
        json_set(a, j, "os", json_str(a, value));
    }
}

struct json *environment_host(struct arena *a)
{
    struct json *j = json_obj(a);
    struct sysinfo info;
    cpu_put(j, a);
    json_set(a, j, "cores", json_int(a, sysconf(_SC_NPROCESSORS_ONLN)));
    if (sysinfo(&info) == 0)
        json_set(a, j, "ram_bytes", json_int(a, (int64_t)info.totalram * info.mem_unit));
    system_put(j, a);
    json_set(a, j, "libc", json_fmt(a, "glibc %s", gnu_get_libc_version()));
    return j;
}
