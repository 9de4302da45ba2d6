/* Alerts: one open per (rule, object), moves by the table, an outbox that delivers once and retries. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

#include "alert/sender.h"
#include "alert/sender_int.h"
#include "base/file.h"

struct post_log {
    int n, fail_first;
    char last[65536];
};

struct fixture {
    char dir[64];
    struct db *db;
    _Atomic int64_t now_us;
    struct clock clock;
    struct post_log posts;
    struct alert_sender *sender;
    struct arena arena;
};

static enum err_code fake_receiver(void *arg, const char *url, struct str body, int *ret_status,
                                   struct err *err)
{
    struct post_log *log = arg;
    (void)url;
    if (log->fail_first > 0) {
        log->fail_first--;
        return err_set(err, ERR_UNAVAILABLE, "nobody listens");
    }
    log->n++;
    (void)snprintf(log->last, sizeof(log->last), "%.*s", STR_ARG(body));
    *ret_status = 200;
    return ERR_OK;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = ERR_INIT;
    char url[128];
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/pawl-alert-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(url, sizeof(url), "sqlite:%s/pawl.db", f->dir);
    ASSERT_OK(
        db_open(
            &(struct db_options){.url = url, .n_readers = 1, .busy_ms = 1000, .may_migrate = true},
            &f->db, &err),
        &err);
    f->now_us = 1000 * US_PER_S;
    f->clock = clock_manual(&f->now_us);
    arena_init(&f->arena, 16 << 20);
    ASSERT_OK(alert_sender_open(&(struct alert_sender_options){.db = f->db,
                                                               .post = {fake_receiver, &f->posts},
                                                               .clock = &f->clock},
                                &f->sender, &err),
              &err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    alert_sender_close(f->sender);
    db_close(f->db);
    arena_fini(&f->arena);
    (void)!dir_remove(f->dir, &err);
    free(f);
    return 0;
}

static enum err_code add_receiver(struct db_tx *tx, void *arg, struct err *err)
{
    (void)arg;
    struct alert_receiver_spec r = {
        .kind = RECEIVER_WEBHOOK, .url = "http://x/", .severities = 3, .tells_resolved = true};
    return alert_receivers_set(tx, "flights", &(struct alert_spec){&r, 1}, 0, err);
}

static const struct alert STALE = {.rule = "SourceStale",
                                   .object = "source:flights",
                                   .project = "flights",
                                   .severity = ALERT_TICKET,
                                   .summary = "no new rows for 40 h",
                                   .owner = "data@example.com",
                                   .runbook = "runbooks/source-stale.md",
                                   .starts_us = 5};

struct change {
    struct fixture *f;
    struct alert alert;
    int64_t id;
    enum alert_change change;
    bool was_open;
    enum err_code code;
};

static enum err_code fire(struct db_tx *tx, void *arg, struct err *err)
{
    struct change *c = arg;
    return alert_fire(tx, &c->alert, c->f->now_us, &c->id, &c->change, err);
}

static enum err_code resolve(struct db_tx *tx, void *arg, struct err *err)
{
    struct change *c = arg;
    return alert_resolve(tx, c->alert.rule, c->alert.object, "rows came", c->f->now_us,
                         &c->was_open, err);
}

static enum err_code ack(struct db_tx *tx, void *arg, struct err *err)
{
    struct change *c = arg;
    return alert_ack(tx, c->id, "local:eve", "on it", c->f->now_us, err);
}

static enum err_code load(struct db_tx *tx, void *arg, struct err *err)
{
    struct change *c = arg;
    return alert_get(tx, c->id, &c->f->arena, &c->alert, err);
}

static void one_open_alert_for_a_rule_and_object(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct change c = {.f = f, .alert = STALE};
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_equal(c.change, ALERT_OPENED);
    const int64_t first = c.id;
    c.alert.summary = "no new rows for 41 h";
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_equal(c.change, ALERT_UPDATED);
    assert_int_equal(c.id, first);
    ASSERT_OK(db_write(f->db, resolve, &c, &err), &err);
    assert_true(c.was_open);
    ASSERT_OK(db_write(f->db, resolve, &c, &err), &err);
    assert_false(c.was_open);
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_not_equal(c.id, first);
    ASSERT_OK(db_read(f->db, load, &c, &err), &err);
    assert_string_equal(c.alert.summary, "no new rows for 41 h");
    assert_int_equal(c.alert.n_reports, 1);
}

static void moves_by_the_table_only(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct change c = {.f = f, .alert = STALE};
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    ASSERT_OK(db_write(f->db, ack, &c, &err), &err);
    assert_int_equal(db_write(f->db, ack, &c, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.msg, "acknowledged already by local:eve"));
    ASSERT_OK(db_write(f->db, resolve, &c, &err), &err);
    assert_int_equal(db_write(f->db, ack, &c, &err), ERR_CONFLICT);
    c.id = 999;
    assert_int_equal(db_write(f->db, ack, &c, &err), ERR_NOT_FOUND);
}

static int64_t deliver(struct fixture *f)
{
    struct err err = ERR_INIT;
    int64_t n = -1;
    ASSERT_OK(alert_deliver_due(f->sender, &n, &err), &err);
    return n;
}

static void a_failed_delivery_is_retried_and_seen(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct change c = {.f = f, .alert = STALE};
    f->posts.fail_first = 2;
    ASSERT_OK(db_write(f->db, add_receiver, NULL, &err), &err);
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_equal(deliver(f), 0);
    assert_int_equal(deliver(f), 0); /* not due yet: nothing is tried */
    assert_int_equal(f->posts.fail_first, 1);
    f->now_us += 5 * US_PER_S;
    assert_int_equal(deliver(f), 0);
    f->now_us += 10 * US_PER_S;
    assert_int_equal(deliver(f), 1);
    assert_int_equal(deliver(f), 0);
    assert_int_equal(f->posts.n, 1);
    assert_non_null(strstr(f->posts.last, "\"alertname\":\"SourceStale\""));
    assert_non_null(strstr(f->posts.last, "\"runbook_url\":\"runbooks/source-stale.md\""));
    assert_non_null(strstr(f->posts.last, "\"status\":\"firing\""));
}

static void the_end_is_told_and_overtakes_what_waits(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct change c = {.f = f, .alert = STALE};
    ASSERT_OK(db_write(f->db, add_receiver, NULL, &err), &err);
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    ASSERT_OK(db_write(f->db, resolve, &c, &err), &err);
    assert_int_equal(deliver(f), 1);
    assert_non_null(strstr(f->posts.last, "\"status\":\"resolved\""));
}

static void a_report_is_not_sent_to_a_receiver_of_pages(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct change c = {.f = f, .alert = STALE};
    c.alert.severity = ALERT_REPORT;
    ASSERT_OK(db_write(f->db, add_receiver, NULL, &err), &err);
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_equal(deliver(f), 0);
    c.alert.severity = ALERT_PAGE; /* it rose: now they are told */
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_equal(deliver(f), 1);
}

static void a_firing_alert_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct change c = {.f = f, .alert = STALE};
    ASSERT_OK(db_write(f->db, add_receiver, NULL, &err), &err);
    ASSERT_OK(db_write(f->db, fire, &c, &err), &err);
    assert_int_equal(deliver(f), 1);
    f->now_us += 5 * US_PER_HOUR;
    assert_int_equal(deliver(f), 1);
    ASSERT_OK(db_write(f->db, ack, &c, &err), &err);
    f->now_us += 5 * US_PER_HOUR;
    assert_int_equal(deliver(f), 1); /* was queued while firing */
    f->now_us += 5 * US_PER_HOUR;
    assert_int_equal(deliver(f), 0);
}

static void an_address_is_expanded_late(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, 1000);
    setenv("PAWL_TEST_HOOK", "http://h:1", 1);
    ASSERT_OK(alert_url_expand("${PAWL_TEST_HOOK}/alerts", &out, &err), &err);
    assert_string_equal(out.p, "http://h:1/alerts");
    buf_reset(&out);
    assert_int_equal(alert_url_expand("${PAWL_TEST_ABSENT}", &out, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "PAWL_TEST_ABSENT"));
    buf_fini(&out);
}

static void the_section_is_read_with_every_problem(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct cfg_problems ps;
    struct cfg_node *root = NULL;
    struct alert_spec spec;
    cfg_problems_init(&ps, &f->arena);
    ASSERT_OK(cfg_read(STR("- { webhook: \"${HOOK}\", severity: page }\n- { webhok: x }\n- { "
                           "webhook: ftp://x }\n"
                           "- { alertmanager: http://a, severity: [page, loud] }\n"),
                       "pawl.yaml", &f->arena, &root, &ps, &err),
              &err);
    alert_spec_decode(root, root, &f->arena, &spec, &ps);
    assert_int_equal(spec.n, 3);
    assert_int_equal(spec.receivers[0].severities, 1);
    assert_int_equal(ps.n_errors, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_open_alert_for_a_rule_and_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves_by_the_table_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_delivery_is_retried_and_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_is_told_and_overtakes_what_waits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_report_is_not_sent_to_a_receiver_of_pages, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_firing_alert_is_told_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_address_is_expanded_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_section_is_read_with_every_problem, set_up, tear_down),
    };
    return RUN_TESTS(tests);
}
