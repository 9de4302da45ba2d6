-- Models that a run logged (MLflow 3), their params, tags and metrics, and the edges to runs.

CREATE TABLE logged_models (
    id TEXT PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments(id),
    name TEXT NOT NULL,
    model_type TEXT,
    source_run_id TEXT,
    status BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, created_us);
CREATE INDEX logged_models_by_run ON logged_models (source_run_id);

CREATE TABLE logged_model_params (
    model_id TEXT NOT NULL REFERENCES logged_models(id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) WITHOUT ROWID;

CREATE TABLE logged_model_tags (
    model_id TEXT NOT NULL REFERENCES logged_models(id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) WITHOUT ROWID;

-- As metrics, with the run and the data set that a value was measured in.
CREATE TABLE logged_model_metrics (
    model_id TEXT NOT NULL REFERENCES logged_models(id),
    key TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    kind BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (model_id, key, at_us, step, value, kind, run_id, dataset_name, dataset_digest)
) WITHOUT ROWID;

-- is_input: 1 a run read the model, 0 it made it.
CREATE TABLE run_models (
    run_no BIGINT NOT NULL,
    model_id TEXT NOT NULL,
    is_input BIGINT NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run_no, model_id, is_input)
) WITHOUT ROWID;
CREATE INDEX run_models_by_model ON run_models (model_id);
