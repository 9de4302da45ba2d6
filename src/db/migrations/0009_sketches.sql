-- What the profile of a source's newest version was made from, so that added files are merged into it, not all read again.
CREATE TABLE data_sketches (
    project TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    n_merges BIGINT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (project, source)
);
