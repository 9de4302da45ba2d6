/* The chain finds and names what was done to it. An intruder is played with plain SQL. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "audit/chain.h"
#include "base/check.h"
#include "base/file.h"
#include "fixture/home.h"

static struct postgres *pg;

struct fixture {
    struct home home;
    struct audit_chain *chain;
};

static void open_chain(struct fixture *f)
{
    struct err err = ERR_INIT;
    ASSERT_OK(audit_open(f->home.db, f->home.dir, &f->home.clock, &f->chain, &err), &err);
}

static int setup_sqlite(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    CHECK(f);
    home_init(&f->home, NULL);
    open_chain(f);
    *state = f;
    return 0;
}

static int setup_postgres(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    CHECK(f);
    home_init_postgres(&f->home, pg);
    if (f->home.db)
        open_chain(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    audit_close(f->chain);
    home_fini(&f->home);
    free(f);
    return 0;
}

static struct fixture *filled(void **state, int n)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    if (!f->home.db)
        skip();
    for (int i = 1; i <= n; i++) {
        char object[32];
        snprintf(object, sizeof(object), "release:r%d", i);
        struct audit_entry e = {.actor = "local:alice",
                                .action = i % 2 ? "release.approve" : "rollout.rollback",
                                .object = object,
                                .reason = "because",
                                .after = "abc"};
        f->home.at_us += US_PER_S;
        ASSERT_OK(audit_write(f->chain, &e, NULL, &err), &err);
    }
    return f;
}

static struct audit_verdict verify(struct fixture *f)
{
    struct err err = ERR_INIT;
    struct audit_verdict v = {0};
    ASSERT_OK(audit_verify(f->chain, &f->home.arena, &v, &err), &err);
    return v;
}

static bool has_finding(const struct audit_verdict *v, enum audit_fault fault, int64_t seq,
                        int64_t until)
{
    for (size_t i = 0; i < v->n_findings; i++)
        if (v->findings[i].fault == fault && v->findings[i].seq == seq &&
            v->findings[i].until_seq == until)
            return true;
    for (size_t i = 0; i < v->n_findings; i++)
        print_message("# found: %s %lld-%lld %s\n", audit_fault_name(v->findings[i].fault),
                      (long long)v->findings[i].seq, (long long)v->findings[i].until_seq,
                      v->findings[i].text);
    return false;
}

static void an_untouched_chain_holds(void **state)
{
    struct fixture *f = filled(state, 30);
    struct audit_verdict v = verify(f);
    assert_int_equal(v.n_findings, 0);
    assert_int_equal(v.n_entries, 30);
    assert_int_equal(v.head.seq, 30);
    struct audit_head head;
    assert_int_equal(audit_head(f->chain, &head, NULL), ERR_OK);
    assert_string_equal(head.hash, v.head.hash);
}

static void an_empty_chain_holds(void **state)
{
    struct fixture *f = filled(state, 0);
    assert_int_equal(verify(f).n_findings, 0);
}

static void a_changed_entry_is_named(void **state)
{
    struct fixture *f = filled(state, 9);
    home_sql(&f->home, "UPDATE audit SET actor = 'local:mallory' WHERE seq = 4");
    struct audit_verdict v = verify(f);
    assert_int_equal(v.n_findings, 1);
    assert_true(has_finding(&v, AUDIT_CHANGED, 4, 4));
    assert_non_null(strstr(v.findings[0].text, "release:r4"));
}

static void every_column_is_covered(void **state)
{
    static const char *const EDITS[] = {
        "UPDATE audit SET at_us = at_us + 1 WHERE seq = 2",
        "UPDATE audit SET action = 'x' WHERE seq = 2",
        "UPDATE audit SET object = 'x' WHERE seq = 2",
        "UPDATE audit SET before_state = 'x' WHERE seq = 2",
        "UPDATE audit SET after_state = NULL WHERE seq = 2",
        "UPDATE audit SET reason = 'x' WHERE seq = 2",
        "UPDATE audit SET detail = '{}' WHERE seq = 2",
    };
    struct fixture *f = filled(state, 2);
    for (size_t i = 0; i < ARRAY_LEN(EDITS); i++) {
        home_sql(&f->home, EDITS[i]);
        struct audit_verdict v = verify(f);
        assert_true(has_finding(&v, AUDIT_CHANGED, 2, 2));
    }
}

static void removed_entries_are_named(void **state)
{
    struct fixture *f = filled(state, 9);
    home_sql(&f->home, "DELETE FROM audit WHERE seq IN (3, 6, 7)");
    struct audit_verdict v = verify(f);
    assert_int_equal(v.n_findings, 2);
    assert_true(has_finding(&v, AUDIT_REMOVED, 3, 3));
    assert_true(has_finding(&v, AUDIT_REMOVED, 6, 7));
}

static void an_inserted_entry_is_named(void **state)
{
    struct fixture *f = filled(state, 4);
    /* Behind the head, with everything copied from the last one. */
    home_sql(&f->home,
             "INSERT INTO audit(seq, at_us, actor, action, object, before_state, after_state,"
             " reason, detail, prev, hash, signature) SELECT 5, at_us, actor, action, object,"
             " before_state, after_state, reason, detail, hash, hash, signature FROM audit"
             " WHERE seq = 4");
    struct audit_verdict v = verify(f);
    assert_true(has_finding(&v, AUDIT_INSERTED, 5, 5));
}

static void a_cut_chain_is_found_though_its_head_was_set_back(void **state)
{
    struct fixture *f = filled(state, 6);
    home_sql(&f->home, "DELETE FROM audit WHERE seq > 4");
    struct audit_verdict v = verify(f);
    assert_true(has_finding(&v, AUDIT_TRUNCATED, 5, 6));
    /* With the signed head of entry 4 replayed, only the file outside the database tells. */
    home_sql(&f->home,
             "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4),"
             " signature = (SELECT signature FROM audit WHERE seq = 4)");
    v = verify(f);
    assert_int_equal(v.n_findings, 1);
    assert_true(has_finding(&v, AUDIT_TRUNCATED, 5, 6));
}

/* The intruder knows how hashes are made, but not the key. */
static void a_chain_computed_anew_is_found(void **state)
{
    struct fixture *f = filled(state, 3);
    struct home other;
    struct audit_chain *forger = NULL;
    struct err err = ERR_INIT;
    char sql[1024];
    home_init(&other, NULL);
    ASSERT_OK(audit_open(other.db, other.dir, &other.clock, &forger, &err), &err);
    other.at_us = f->home.at_us - 3 * US_PER_S;
    for (int i = 1; i <= 3; i++) {
        struct audit_entry e = {.actor = "local:mallory", .action = "a", .object = "o"};
        ASSERT_OK(audit_write(forger, &e, NULL, &err), &err);
    }
    struct audit_entry *list = NULL;
    size_t n = 0;
    struct audit_query q = {.limit = 10};
    ASSERT_OK(audit_list(forger, &q, &other.arena, &list, &n, &err), &err);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        snprintf(sql, sizeof(sql),
                 "UPDATE audit SET at_us = %lld, actor = 'local:mallory', action = 'a',"
                 " object = 'o', before_state = NULL, after_state = NULL, reason = NULL,"
                 " prev = '%s', hash = '%s' WHERE seq = %lld",
                 (long long)list[i].at_us, list[i].prev, list[i].hash, (long long)list[i].seq);
        home_sql(&f->home, sql);
        snprintf(sql, sizeof(sql), "UPDATE audit_head SET hash = '%s'", list[0].hash);
    }
    home_sql(&f->home, sql);
    struct audit_verdict v = verify(f);
    for (int64_t seq = 1; seq <= 3; seq++)
        assert_true(has_finding(&v, AUDIT_FORGED, seq, seq));
    assert_true(has_finding(&v, AUDIT_HEAD, 3, 3));
    audit_close(forger);
    home_fini(&other);
}

static void a_missing_head_file_is_a_finding(void **state)
{
    struct fixture *f = filled(state, 2);
    char path[128];
    snprintf(path, sizeof(path), "%s/audit.head", f->home.dir);
    assert_int_equal(file_remove(path, NULL), ERR_OK);
    struct audit_verdict v = verify(f);
    assert_int_equal(v.n_findings, 1);
    assert_int_equal(v.findings[0].fault, AUDIT_HEAD);
}

static enum err_code append_and_fail(struct db_tx *tx, void *arg, struct err *err)
{
    struct audit_entry e = {.actor = "a", .action = "b", .object = "c"};
    enum err_code code = audit_append(arg, tx, &e, NULL, err);
    return code == ERR_OK ? err_set(err, ERR_REFUSED, "the decision was refused") : code;
}

static void an_entry_lives_and_dies_with_its_decision(void **state)
{
    struct fixture *f = filled(state, 2);
    struct err err = ERR_INIT;
    assert_int_equal(db_write(f->home.db, append_and_fail, f->chain, &err), ERR_REFUSED);
    struct audit_verdict v = verify(f);
    assert_int_equal(v.n_entries, 2);
    assert_int_equal(v.n_findings, 0);
}

static void it_goes_on_after_reopening(void **state)
{
    struct fixture *f = filled(state, 3);
    audit_close(f->chain);
    home_reopen(&f->home);
    open_chain(f);
    filled(state, 2);
    struct audit_verdict v = verify(f);
    assert_int_equal(v.n_entries, 5);
    assert_int_equal(v.n_findings, 0);
}

static void key_and_head_are_private_and_the_key_is_needed(void **state)
{
    struct fixture *f = filled(state, 1);
    char path[128];
    struct stat st;
    struct err err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/keys/audit.key", f->home.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    audit_close(f->chain);
    f->chain = NULL;
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(audit_open(f->home.db, f->home.dir, &f->home.clock, &f->chain, &err),
                     ERR_REFUSED);
    assert_int_equal(file_remove(path, NULL), ERR_OK);
    assert_int_equal(audit_open(f->home.db, f->home.dir, &f->home.clock, &f->chain, &err),
                     ERR_CORRUPT);
}

static void lists_filter_and_page(void **state)
{
    struct fixture *f = filled(state, 10);
    struct audit_entry *list = NULL;
    size_t n = 0;
    struct err err = ERR_INIT;
    struct audit_query q = {.action = "rollout.*", .limit = 3};
    ASSERT_OK(audit_list(f->chain, &q, &f->home.arena, &list, &n, &err), &err);
    assert_int_equal(n, 3);
    assert_int_equal(list[0].seq, 10);
    q.before_seq = list[2].seq;
    ASSERT_OK(audit_list(f->chain, &q, &f->home.arena, &list, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_int_equal(list[1].seq, 2);
    struct audit_query exact = {.object = "release:r7", .limit = 5};
    ASSERT_OK(audit_list(f->chain, &exact, &f->home.arena, &list, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].reason, "because");
}

static int start_server(void **state)
{
    pg = postgres_start();
    return 0;
}

static int stop_server(void **state)
{
    postgres_stop(pg);
    return 0;
}

#define ON_SQLITE(test)                                                                            \
    {                                                                                              \
        "sqlite: " #test, test, setup_sqlite, teardown, NULL                                       \
    }
#define ON_POSTGRES(test)                                                                          \
    {                                                                                              \
        "postgresql: " #test, test, setup_postgres, teardown, NULL                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_SQLITE(an_untouched_chain_holds),
        ON_SQLITE(an_empty_chain_holds),
        ON_SQLITE(a_changed_entry_is_named),
        ON_SQLITE(every_column_is_covered),
        ON_SQLITE(removed_entries_are_named),
        ON_SQLITE(an_inserted_entry_is_named),
        ON_SQLITE(a_cut_chain_is_found_though_its_head_was_set_back),
        ON_SQLITE(a_chain_computed_anew_is_found),
        ON_SQLITE(a_missing_head_file_is_a_finding),
        ON_SQLITE(an_entry_lives_and_dies_with_its_decision),
        ON_SQLITE(it_goes_on_after_reopening),
        ON_SQLITE(key_and_head_are_private_and_the_key_is_needed),
        ON_SQLITE(lists_filter_and_page),
        ON_POSTGRES(an_untouched_chain_holds),
        ON_POSTGRES(a_cut_chain_is_found_though_its_head_was_set_back),
        ON_POSTGRES(an_entry_lives_and_dies_with_its_decision),
        ON_POSTGRES(lists_filter_and_page),
    };
    return cmocka_run_group_tests_name("audit", tests, start_server, stop_server);
}
