-- Project revisions, data versions, the audit chain, alerts and their outbox.

CREATE TABLE revisions (
    digest TEXT NOT NULL,
    project TEXT NOT NULL,
    number BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    author TEXT NOT NULL,
    message TEXT,
    git_commit TEXT,
    is_dirty BIGINT NOT NULL,
    pushed_us BIGINT,
    PRIMARY KEY (project, digest),
    UNIQUE (project, number)
);

CREATE TABLE data_versions (
    digest TEXT NOT NULL,
    project TEXT NOT NULL,
    source TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    n_rows BIGINT NOT NULL,
    n_bytes BIGINT NOT NULL,
    min_time_us BIGINT,
    max_time_us BIGINT,
    tree TEXT,
    schema_json TEXT NOT NULL,
    profile_json TEXT,
    detail_json TEXT,
    PRIMARY KEY (project, source, digest)
);
CREATE INDEX data_versions_by_time ON data_versions (project, source, created_us);

-- One chain; audit_head is its last link and the lock of whoever appends.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at_us BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before_state TEXT,
    after_state TEXT,
    reason TEXT,
    detail TEXT,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL,
    signature TEXT NOT NULL
);
CREATE INDEX audit_by_object ON audit (object, seq);
CREATE INDEX audit_by_action ON audit (action, seq);

CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    signature TEXT NOT NULL,
    at_us BIGINT NOT NULL
);

-- At most one open alert of a rule and object: is_open is 1, or NULL (which a unique index lets repeat) when resolved.
CREATE TABLE alerts (
    id BIGINT PRIMARY KEY,
    rule TEXT NOT NULL,
    object TEXT NOT NULL,
    is_open BIGINT,
    project TEXT,
    endpoint TEXT,
    severity BIGINT NOT NULL,
    state BIGINT NOT NULL,
    summary TEXT NOT NULL,
    description TEXT,
    owner TEXT,
    runbook TEXT,
    evidence TEXT,
    starts_us BIGINT NOT NULL,
    fired_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    acked_us BIGINT,
    resolved_us BIGINT,
    acked_by TEXT,
    note TEXT,
    resolution TEXT,
    n_reports BIGINT NOT NULL,
    UNIQUE (rule, object, is_open)
);
CREATE INDEX alerts_by_endpoint ON alerts (endpoint, fired_us);
CREATE INDEX alerts_by_time ON alerts (fired_us);

CREATE TABLE alert_receivers (
    id BIGINT PRIMARY KEY,
    project TEXT NOT NULL,
    kind BIGINT NOT NULL,
    url TEXT NOT NULL,
    severities BIGINT NOT NULL,
    tells_resolved BIGINT NOT NULL,
    is_active BIGINT NOT NULL,
    n_sent BIGINT NOT NULL,
    n_failed_in_row BIGINT NOT NULL,
    n_given_up BIGINT NOT NULL,
    last_ok_us BIGINT,
    last_error_us BIGINT,
    last_error TEXT,
    UNIQUE (project, kind, url)
);

-- state: 0 waiting, 1 sent, 2 given up, 3 overtaken by a later message of the same alert.
CREATE TABLE alert_outbox (
    id BIGINT PRIMARY KEY,
    alert_id BIGINT NOT NULL REFERENCES alerts(id),
    receiver_id BIGINT NOT NULL REFERENCES alert_receivers(id),
    is_resolved BIGINT NOT NULL,
    state BIGINT NOT NULL,
    n_attempts BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    due_us BIGINT NOT NULL,
    done_us BIGINT,
    last_error TEXT
);
CREATE INDEX alert_outbox_due ON alert_outbox (state, due_us);
CREATE INDEX alert_outbox_by_alert ON alert_outbox (alert_id, receiver_id);
