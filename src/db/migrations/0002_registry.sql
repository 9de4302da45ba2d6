-- The model registry. A version's number comes from models.last_version and is never given twice.

CREATE TABLE models (
    name TEXT PRIMARY KEY,
    description TEXT,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    last_version BIGINT NOT NULL
);

CREATE TABLE model_tags (
    name TEXT NOT NULL REFERENCES models(name) ON UPDATE CASCADE ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, key)
) WITHOUT ROWID;

CREATE TABLE model_versions (
    name TEXT NOT NULL REFERENCES models(name) ON UPDATE CASCADE ON DELETE CASCADE,
    version BIGINT NOT NULL,
    digest TEXT,
    tree TEXT,
    source TEXT,
    run_id TEXT,
    run_link TEXT,
    description TEXT,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    status_message TEXT,
    stage BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE INDEX model_versions_by_digest ON model_versions (digest);
CREATE INDEX model_versions_by_run ON model_versions (run_id);
CREATE INDEX model_versions_by_update ON model_versions (updated_us);

CREATE TABLE model_version_tags (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, version, key),
    FOREIGN KEY (name, version) REFERENCES model_versions(name, version) ON UPDATE CASCADE ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE model_aliases (
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES model_versions(name, version) ON UPDATE CASCADE ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX model_aliases_by_version ON model_aliases (name, version);

-- What a version was made from; kind: data, view, code, parent.
CREATE TABLE model_lineage (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    of_name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (name, version, kind, of_name, digest),
    FOREIGN KEY (name, version) REFERENCES model_versions(name, version) ON UPDATE CASCADE ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX model_lineage_by_digest ON model_lineage (kind, digest);
