/* Alerts of the loop: each names the box's owner and its runbook. */
#include "loop/loop_int.h"

#include "alert/sender.h"

struct fire {
    struct alert alert;
    int64_t at_us;
    bool is_told; /* receivers have something new */
};

static enum err_code fire_write(struct db_tx *tx, void *arg, struct err *err)
{
    struct fire *f = arg;
    enum alert_change change;
    enum err_code code = alert_fire(tx, &f->alert, f->at_us, NULL, &change, err);

    f->is_told = code == ERR_OK && change == ALERT_OPENED;
    return code;
}

enum err_code loop_raise(struct turn *t, const struct loop_alarm *al)
{
    const struct loop_project *p = t->ep->project;
    struct fire f = {.at_us = clock_now_us(&t->l->opt.clock)};
    const char *owner = NULL, *runbook = NULL;

    if (!t->l->opt.db)
        return ERR_OK; /* the condition is looked at again when the database is back */
    if (p) {
        owner = project_owner(&p->policy.project, p->policy.root, al->box, OWNER_ML);
        runbook = project_runbook(&p->policy.project, p->policy.root, al->box);
    }
    f.alert = (struct alert){
        .rule = al->rule,
        .object = al->object,
        .project = p ? p->name : NULL,
        .endpoint = t->ep->name,
        .severity = al->severity,
        .summary = al->summary,
        .owner = owner,
        .runbook = runbook ? runbook : str_printf(t->a, "docs/runbooks/%s.md", al->runbook),
        .evidence = al->evidence,
        .starts_us = t->now_us};
    if (db_write(t->l->opt.db, fire_write, &f, t->err) != ERR_OK)
        return err_wrap(t->err, "raise %s", al->rule);
    if (f.is_told && t->l->opt.sender)
        alert_sender_wake(t->l->opt.sender);
    return ERR_OK;
}

struct settle {
    const char *rule, *object, *why;
    int64_t at_us;
    bool was_open;
};

static enum err_code settle_write(struct db_tx *tx, void *arg, struct err *err)
{
    struct settle *s = arg;

    return alert_resolve(tx, s->rule, s->object, s->why, s->at_us, &s->was_open, err);
}

enum err_code loop_settle(struct turn *t, const char *rule, const char *object, const char *why)
{
    struct settle s = {rule, object, why, clock_now_us(&t->l->opt.clock), false};

    if (!t->l->opt.db)
        return ERR_OK;
    if (db_write(t->l->opt.db, settle_write, &s, t->err) != ERR_OK)
        return err_wrap(t->err, "resolve %s", rule);
    if (s.was_open && t->l->opt.sender)
        alert_sender_wake(t->l->opt.sender);
    return ERR_OK;
}
