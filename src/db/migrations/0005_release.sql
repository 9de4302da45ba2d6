-- Releases, what was decided about them, and the projection of the decision journal.
CREATE TABLE releases (
  number BIGINT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  digest TEXT NOT NULL,
  doc TEXT NOT NULL,
  parent BIGINT NOT NULL,
  author TEXT NOT NULL,
  reason TEXT NOT NULL,
  project TEXT,
  revision TEXT,
  model TEXT,
  model_version TEXT,
  run_id TEXT,
  report TEXT,
  approvals TEXT,
  policy_changes TEXT,
  created_us BIGINT NOT NULL,
  updated_us BIGINT NOT NULL
);
CREATE INDEX releases_by_endpoint ON releases (endpoint, number);

CREATE TABLE release_moves (
  release BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (release, seq)
);

CREATE TABLE endpoint_decisions (
  generation BIGINT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  before_release BIGINT NOT NULL,
  after_release BIGINT NOT NULL,
  candidate BIGINT NOT NULL,
  rollout BIGINT NOT NULL,
  event_us BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  extra TEXT
);
CREATE INDEX endpoint_decisions_by_endpoint ON endpoint_decisions (endpoint, generation);

CREATE TABLE endpoints (
  name TEXT PRIMARY KEY,
  generation BIGINT NOT NULL,
  live BIGINT NOT NULL,
  rollout BIGINT NOT NULL,
  is_held BIGINT NOT NULL,
  hold_reason TEXT,
  project TEXT,
  revision TEXT,
  updated_us BIGINT NOT NULL
);

CREATE TABLE rollouts (
  id BIGINT PRIMARY KEY,
  endpoint TEXT NOT NULL,
  candidate BIGINT NOT NULL,
  incumbent BIGINT NOT NULL,
  state TEXT NOT NULL,
  step BIGINT NOT NULL,
  started_us BIGINT NOT NULL,
  ended_us BIGINT,
  doc TEXT NOT NULL,
  reason TEXT
);
CREATE INDEX rollouts_by_endpoint ON rollouts (endpoint, id);

CREATE TABLE rollout_ticks (
  rollout BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  step BIGINT NOT NULL,
  verdict TEXT NOT NULL,
  action TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (rollout, at_us, step)
);

CREATE TABLE projections (
  name TEXT PRIMARY KEY,
  generation BIGINT NOT NULL
);
