-- What the monitor knows: sums of the fold with the log positions they stand at, and the verdicts made from them.
CREATE TABLE monitor_folds (
  name TEXT PRIMARY KEY,
  record_pos TEXT NOT NULL,
  label_pos TEXT NOT NULL,
  shadow_pos TEXT NOT NULL,
  shadow_seq BIGINT NOT NULL,
  telemetry TEXT NOT NULL,
  at_us BIGINT NOT NULL
);

CREATE TABLE monitor_windows (
  endpoint TEXT NOT NULL,
  release BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  end_us BIGINT NOT NULL,
  is_closed BIGINT NOT NULL,
  is_final BIGINT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (endpoint, release, start_us)
);

CREATE TABLE monitor_minutes (
  endpoint TEXT NOT NULL,
  start_us BIGINT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (endpoint, start_us)
);

CREATE TABLE monitor_evidence (
  rollout BIGINT NOT NULL,
  step BIGINT NOT NULL,
  slot BIGINT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (rollout, step, slot)
);

CREATE TABLE monitor_labels (
  id TEXT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  known_us BIGINT NOT NULL,
  wall_us BIGINT NOT NULL,
  doc TEXT NOT NULL
);

CREATE TABLE monitor_verdicts (
  endpoint TEXT NOT NULL,
  release BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  end_us BIGINT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  verdict TEXT NOT NULL,
  doc TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (endpoint, release, start_us, kind, name)
);

CREATE TABLE laps (
  id BIGINT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  project TEXT NOT NULL,
  trigger_kind TEXT NOT NULL,
  evidence TEXT,
  state TEXT NOT NULL,
  run_id TEXT,
  release BIGINT,
  rollout BIGINT,
  started_us BIGINT NOT NULL,
  started_wall_us BIGINT NOT NULL,
  ended_wall_us BIGINT,
  note TEXT
);
CREATE INDEX laps_by_endpoint ON laps (endpoint, id);

CREATE TABLE loop_state (
  endpoint TEXT PRIMARY KEY,
  doc TEXT NOT NULL,
  at_us BIGINT NOT NULL
);
