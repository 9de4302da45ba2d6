#include <math.h>

#include "base/check.h"
#include "cli/replay_int.h"

#define TICK_DEFAULT_US     US_PER_HOUR
#define CONNECTIONS_DEFAULT 2
#define PIPELINE_DEFAULT    16

typedef enum err_code (*flag_fn)(struct replay_order *o, const char *v, struct err *err);

static enum err_code set_endpoint(struct replay_order *o, const char *v, struct err *err)
{
    o->endpoint = v;
    return ERR_OK;
}

static enum err_code set_time(struct replay_order *o, const char *v, struct err *err)
{
    o->time = v;
    return ERR_OK;
}

static enum err_code set_label(struct replay_order *o, const char *v, struct err *err)
{
    o->label = v;
    return ERR_OK;
}

static enum err_code set_known(struct replay_order *o, const char *v, struct err *err)
{
    o->known_at = v;
    return ERR_OK;
}

static enum err_code set_label_after(struct replay_order *o, const char *v, struct err *err)
{
    return parse_duration_us(str_c(v), &o->label_after_us, err);
}

static enum err_code set_tick(struct replay_order *o, const char *v, struct err *err)
{
    if (parse_duration_us(str_c(v), &o->tick_us, err) != ERR_OK)
        return err->code;
    return o->tick_us >= US_PER_MIN ? ERR_OK
                                    : err_set(err, ERR_RANGE, "a tick is a minute or longer");
}

static enum err_code set_until(struct replay_order *o, const char *v, struct err *err)
{
    return parse_time_us(str_c(v), &o->until_us, err);
}

static enum err_code set_speed(struct replay_order *o, const char *v, struct err *err)
{
    o->speed = 0;
    if (strcmp(v, "max") == 0)
        return ERR_OK;
    if (parse_f64(str_c(v), &o->speed, err) != ERR_OK)
        return err->code;
    return o->speed > 0 ? ERR_OK
                        : err_set(err, ERR_RANGE, "--speed is how much faster than life, or max");
}

static enum err_code set_connections(struct replay_order *o, const char *v, struct err *err)
{
    int64_t n;

    if (parse_i64(str_c(v), &n, err) != ERR_OK)
        return err->code;
    if (n < 1 || n > 64)
        return err_set(err, ERR_RANGE, "--connections lies in 1..64");
    o->n_connections = (int)n;
    return ERR_OK;
}

static const struct {
    const char *name;
    flag_fn set;
} FLAGS[] = {{"--endpoint", set_endpoint},
             {"--time", set_time},
             {"--label", set_label},
             {"--known-at", set_known},
             {"--label-after", set_label_after},
             {"--tick", set_tick},
             {"--until", set_until},
             {"--speed", set_speed},
             {"--connections", set_connections}};

static enum err_code take_flag(struct replay_order *o, int n, char **args, int *i, struct err *err)
{
    struct str rest = str_c(args[*i]), name = str_split(&rest, '=');
    const char *value = rest.p;

    for (size_t f = 0; f < ARRAY_LEN(FLAGS); f++) {
        if (!str_is(name, FLAGS[f].name))
            continue;
        if (!value && *i + 1 >= n)
            return err_set(err, ERR_USAGE, "%s needs a value", FLAGS[f].name);
        if (!value)
            value = args[++*i];
        if (FLAGS[f].set(o, value, err) != ERR_OK)
            return err_wrap(err, "%s", FLAGS[f].name);
        return ERR_OK;
    }
    return err_set(err, ERR_USAGE, "`pawl replay` takes no \"%s\"", args[*i]);
}

enum err_code replay_parse(int n, char **args, struct replay_order *ret, struct err *err)
{
    struct replay_order o = {.tick_us = TICK_DEFAULT_US,
                             .until_us = AT_US_NONE,
                             .n_connections = CONNECTIONS_DEFAULT,
                             .pipeline = PIPELINE_DEFAULT};

    for (int i = 0; i < n; i++) {
        if (args[i][0] == '-' && args[i][1] != '\0') {
            if (take_flag(&o, n, args, &i, err) != ERR_OK)
                return err->code;
        } else if (o.n_files == REPLAY_FILES_MAX) {
            return err_set(err, ERR_LIMIT, "at most %d files at a time", REPLAY_FILES_MAX);
        } else {
            o.files[o.n_files++] = args[i];
        }
    }
    if (o.n_files == 0 && o.until_us == AT_US_NONE)
        return err_set(err, ERR_USAGE,
                       "`pawl replay FILE… --endpoint E --time COLUMN`: name a file");
    if (!o.endpoint || (o.n_files > 0 && !o.time))
        return err_set(err, ERR_USAGE, "--endpoint and --time are needed");

    *ret = o;
    return ERR_OK;
}
