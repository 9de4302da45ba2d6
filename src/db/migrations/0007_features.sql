-- What sources and views leave behind: bytes seen at a path, and how far each view has been handed to the online store.

-- A file's digest holds while path, size, times and inode stay; hashed_ns is when hashing began (git's racy rule).
CREATE TABLE data_files (
    path TEXT PRIMARY KEY,
    n_bytes BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    ctime_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    device BIGINT NOT NULL,
    hashed_ns BIGINT NOT NULL,
    digest TEXT NOT NULL
);

CREATE TABLE feature_views (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    first_us BIGINT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (project, name, version)
);

-- snapshot: blob of the rows handed over so far (Parquet); what is not in it is new.
CREATE TABLE materializations (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    to_us BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    newest_us BIGINT,
    n_total BIGINT NOT NULL,
    n_new BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    snapshot TEXT,
    is_paused BIGINT NOT NULL,
    PRIMARY KEY (project, name, version)
);
