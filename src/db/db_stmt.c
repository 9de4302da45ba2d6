/* Prepared statements of one connection: a small set-associative cache, the least recently used of
 * a set goes. */
#include "db/db_int.h"

#include <stdlib.h>

#include "base/check.h"

void db_stmts_init(struct db_stmts *s, void (*drop)(void *owner, void *handle), void *owner)
{
    memset(s, 0, sizeof(*s));
    s->drop = drop;
    s->owner = owner;
}

static void slot_clear(struct db_stmts *s, struct db_stmt *slot)
{
    if (slot->key == 0)
        return;
    CHECK(!slot->is_busy);
    s->drop(s->owner, slot->handle);
    free(slot->sql);
    *slot = (struct db_stmt){0};
}

void db_stmts_clear(struct db_stmts *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->slot); i++)
        slot_clear(s, &s->slot[i]);
}

static struct db_stmt *set_of(struct db_stmts *s, uint64_t key)
{
    return &s->slot[key % DB_STMT_SETS * DB_STMT_WAYS];
}

struct db_stmt *db_stmts_find(struct db_stmts *s, uint64_t key, const char *sql)
{
    struct db_stmt *set = set_of(s, key);
    for (size_t i = 0; i < DB_STMT_WAYS; i++)
        if (set[i].key == key && !set[i].is_busy && strcmp(set[i].sql, sql) == 0) {
            set[i].tick = ++s->tick;
            return &set[i];
        }
    return NULL;
}

struct db_stmt *db_stmts_put(struct db_stmts *s, uint64_t key, const char *sql, void *handle)
{
    struct db_stmt *set = set_of(s, key), *victim = NULL;
    for (size_t i = 0; i < DB_STMT_WAYS; i++)
        if (!set[i].is_busy && (!victim || set[i].tick < victim->tick))
            victim = &set[i];
    char *copy = victim ? strdup(sql) : NULL;
    if (!copy)
        return NULL;
    slot_clear(s, victim);
    *victim = (struct db_stmt){
        .key = key, .sql = copy, .handle = handle, .is_busy = false, .tick = ++s->tick};
    return victim;
}
