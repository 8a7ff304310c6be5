-- What the migrations come to on an empty SQLite file; written and checked by tests/store/test_schema.py.
CREATE TABLE adopted_files ( run_id INTEGER NOT NULL, path TEXT NOT NULL, size BIGINT NOT NULL, sha256 TEXT NOT NULL, CONSTRAINT pk_adopted_files PRIMARY KEY (run_id, path), CONSTRAINT fk_adopted_files_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE approvals ( model_id INTEGER NOT NULL, version BIGINT NOT NULL, stage TEXT NOT NULL, actor TEXT NOT NULL, session_user TEXT DEFAULT '' NOT NULL, reason TEXT, time_us BIGINT NOT NULL, CONSTRAINT pk_approvals PRIMARY KEY (model_id, version, stage, actor, session_user), CONSTRAINT fk_approvals_model_id_version FOREIGN KEY(model_id, version) REFERENCES model_versions (model_id, version) ) WITHOUT ROWID;

CREATE TABLE artifact_roots ( root TEXT NOT NULL, "database" TEXT NOT NULL, server TEXT, generation BIGINT NOT NULL, token TEXT NOT NULL, previous_token TEXT, CONSTRAINT pk_artifact_roots PRIMARY KEY (root) ) WITHOUT ROWID;

CREATE TABLE commit_markers ( writer TEXT NOT NULL, token TEXT NOT NULL, time BIGINT NOT NULL, CONSTRAINT pk_commit_markers PRIMARY KEY (writer) ) WITHOUT ROWID;

CREATE TABLE dataset_input_tags ( input_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_dataset_input_tags PRIMARY KEY (input_id, "key"), CONSTRAINT fk_dataset_input_tags_input_id FOREIGN KEY(input_id) REFERENCES dataset_inputs (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE dataset_inputs ( id INTEGER NOT NULL, run_id INTEGER NOT NULL, dataset_id INTEGER NOT NULL, context TEXT NOT NULL, CONSTRAINT pk_dataset_inputs PRIMARY KEY (id), CONSTRAINT fk_dataset_inputs_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id), CONSTRAINT fk_dataset_inputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE, CONSTRAINT uq_dataset_inputs_run_id_dataset_id_context UNIQUE (run_id, dataset_id, context) );

CREATE TABLE datasets ( id INTEGER NOT NULL, experiment_id INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, source_type TEXT NOT NULL, source TEXT NOT NULL, schema TEXT, profile TEXT, CONSTRAINT pk_datasets PRIMARY KEY (id), CONSTRAINT fk_datasets_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (id) ON DELETE CASCADE, CONSTRAINT uq_datasets_experiment_id_name_digest UNIQUE (experiment_id, name, digest) );

CREATE TABLE evaluation_datasets ( id INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, sha256 TEXT NOT NULL, schema TEXT, row_count BIGINT NOT NULL, CONSTRAINT pk_evaluation_datasets PRIMARY KEY (id), CONSTRAINT uq_evaluation_datasets_sha256_name_digest UNIQUE (sha256, name, digest) );

CREATE TABLE evidence ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, logged_model_id INTEGER NOT NULL, kind TEXT NOT NULL, dataset_id INTEGER, run_id INTEGER, content TEXT NOT NULL, actor TEXT NOT NULL, timestamp BIGINT NOT NULL, CONSTRAINT fk_evidence_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE, CONSTRAINT fk_evidence_dataset_id FOREIGN KEY(dataset_id) REFERENCES evaluation_datasets (id), CONSTRAINT fk_evidence_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE SET NULL );

CREATE TABLE experiment_tags ( experiment_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_experiment_tags PRIMARY KEY (experiment_id, "key"), CONSTRAINT fk_experiment_tags_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE "experiments" ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, artifact_location TEXT NOT NULL, lifecycle_stage TEXT NOT NULL, creation_time BIGINT NOT NULL, last_update_time BIGINT NOT NULL, deleted_time BIGINT, purged_time BIGINT, CONSTRAINT ck_experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')) );

CREATE TABLE foreign_history ( model_id INTEGER NOT NULL, segment INTEGER NOT NULL, seq BIGINT NOT NULL, event TEXT NOT NULL, CONSTRAINT pk_foreign_history PRIMARY KEY (model_id, segment, seq), CONSTRAINT fk_foreign_history_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id) ) WITHOUT ROWID;

CREATE TABLE history ( id INTEGER NOT NULL, model_id INTEGER NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL, version BIGINT, from_value TEXT, to_value TEXT, actor TEXT NOT NULL, session_user TEXT, reason TEXT, time_us BIGINT NOT NULL, details TEXT, prev_hash TEXT, hash TEXT NOT NULL, CONSTRAINT pk_history PRIMARY KEY (id), CONSTRAINT fk_history_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id), CONSTRAINT uq_history_model_id_seq UNIQUE (model_id, seq) );

CREATE TABLE incidents ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, cause TEXT NOT NULL, status TEXT NOT NULL, version BIGINT NOT NULL, monitor_id INTEGER, check_id INTEGER NOT NULL, run_id TEXT, report_digest TEXT, figures TEXT NOT NULL, opened_us BIGINT NOT NULL, changed_us BIGINT NOT NULL, changed_by TEXT NOT NULL, reason TEXT, CONSTRAINT fk_incidents_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id), CONSTRAINT fk_incidents_check_id FOREIGN KEY(check_id) REFERENCES monitor_checks (id) );

CREATE TABLE "latest_metrics" ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, "key" TEXT NOT NULL, step BIGINT NOT NULL, timestamp BIGINT NOT NULL, value DOUBLE, experiment_id INTEGER NOT NULL, CONSTRAINT fk_latest_metrics_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE, CONSTRAINT uq_latest_metrics_run_id_key UNIQUE (run_id, "key") );

CREATE TABLE "logged_model_metrics" ( id INTEGER NOT NULL, logged_model_id INTEGER NOT NULL, run_id INTEGER, "key" TEXT NOT NULL, step BIGINT NOT NULL, timestamp BIGINT NOT NULL, value DOUBLE, dataset_name TEXT, dataset_digest TEXT, evaluation_dataset_id INTEGER, CONSTRAINT pk_logged_model_metrics PRIMARY KEY (id), CONSTRAINT fk_logged_model_metrics_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE, CONSTRAINT fk_logged_model_metrics_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE SET NULL, CONSTRAINT fk_logged_model_metrics_evaluation_dataset_id FOREIGN KEY(evaluation_dataset_id) REFERENCES evaluation_datasets (id) );

CREATE TABLE logged_model_params ( logged_model_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_logged_model_params PRIMARY KEY (logged_model_id, "key"), CONSTRAINT fk_logged_model_params_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE logged_model_tags ( logged_model_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_logged_model_tags PRIMARY KEY (logged_model_id, "key"), CONSTRAINT fk_logged_model_tags_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE logged_models ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id TEXT NOT NULL, experiment_id INTEGER NOT NULL, run_id INTEGER, name TEXT NOT NULL, model_type TEXT, status TEXT NOT NULL, status_message TEXT, location TEXT NOT NULL, digest TEXT, size_bytes BIGINT, flavors TEXT, signature TEXT, creation_time BIGINT NOT NULL, last_update_time BIGINT NOT NULL, lifecycle_stage TEXT NOT NULL, deleted_time BIGINT, purged_time BIGINT, CONSTRAINT ck_logged_models_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), CONSTRAINT ck_logged_models_ready_is_sealed CHECK (status <> 'READY' OR digest IS NOT NULL), CONSTRAINT ck_logged_models_status CHECK (status IN ('PENDING', 'READY', 'FAILED')), CONSTRAINT fk_logged_models_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (id), CONSTRAINT fk_logged_models_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE SET NULL, CONSTRAINT uq_logged_models_model_id UNIQUE (model_id) );

CREATE TABLE metrics ( series_id INTEGER NOT NULL, step BIGINT NOT NULL, timestamp BIGINT NOT NULL, value DOUBLE );

CREATE TABLE model_aliases ( model_id INTEGER NOT NULL, alias TEXT NOT NULL, version BIGINT NOT NULL, CONSTRAINT pk_model_aliases PRIMARY KEY (model_id, alias), CONSTRAINT fk_model_aliases_model_id_version FOREIGN KEY(model_id, version) REFERENCES model_versions (model_id, version) ) WITHOUT ROWID;

CREATE TABLE model_files ( logged_model_id INTEGER NOT NULL, path TEXT NOT NULL, size BIGINT NOT NULL, sha256 TEXT NOT NULL, CONSTRAINT pk_model_files PRIMARY KEY (logged_model_id, path), CONSTRAINT fk_model_files_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE model_signatures ( logged_model_id INTEGER NOT NULL, key_id TEXT NOT NULL, bundle TEXT NOT NULL, creation_time BIGINT NOT NULL, CONSTRAINT pk_model_signatures PRIMARY KEY (logged_model_id, key_id), CONSTRAINT fk_model_signatures_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE model_version_tags ( version_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_model_version_tags PRIMARY KEY (version_id, "key"), CONSTRAINT fk_model_version_tags_version_id FOREIGN KEY(version_id) REFERENCES model_versions (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE model_versions ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, version BIGINT NOT NULL, logged_model_id INTEGER NOT NULL, current_stage TEXT DEFAULT 'None' NOT NULL, source TEXT NOT NULL, run_id TEXT, run_link TEXT, origin TEXT, description TEXT, user_id TEXT, session_user TEXT, creation_time BIGINT NOT NULL, last_update_time BIGINT NOT NULL, deleted_time BIGINT, CONSTRAINT ck_model_versions_current_stage CHECK (current_stage IN ('None', 'Staging', 'Production', 'Archived')), CONSTRAINT ck_model_versions_deleted_has_no_stage CHECK (deleted_time IS NULL OR current_stage = 'None'), CONSTRAINT ck_model_versions_version CHECK (version > 0), CONSTRAINT fk_model_versions_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id), CONSTRAINT fk_model_versions_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id), CONSTRAINT uq_model_versions_model_id_version UNIQUE (model_id, version) );

CREATE TABLE monitor_checks ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, monitor_id INTEGER, due_time BIGINT, version BIGINT, status TEXT NOT NULL, message TEXT, report_digest TEXT, run_id TEXT, actor TEXT NOT NULL, start_time BIGINT NOT NULL, end_time BIGINT NOT NULL, CONSTRAINT uq_monitor_checks_monitor_id_due_time UNIQUE (monitor_id, due_time) );

CREATE TABLE monitor_guards ( monitor_id INTEGER NOT NULL, version BIGINT NOT NULL, until BIGINT NOT NULL, CONSTRAINT pk_monitor_guards PRIMARY KEY (monitor_id), CONSTRAINT fk_monitor_guards_monitor_id FOREIGN KEY(monitor_id) REFERENCES monitors (id) );

CREATE TABLE monitors ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, stage TEXT NOT NULL, every_seconds BIGINT NOT NULL, cooldown_seconds BIGINT NOT NULL, settings TEXT NOT NULL, triggers TEXT NOT NULL, actor TEXT NOT NULL, creation_time BIGINT NOT NULL, next_time BIGINT NOT NULL, lease_token TEXT, lease_until BIGINT, CONSTRAINT fk_monitors_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id) );

CREATE TABLE params ( run_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_params PRIMARY KEY (run_id, "key"), CONSTRAINT fk_params_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE promotion_rules ( model_id INTEGER NOT NULL, stage TEXT NOT NULL, rules TEXT NOT NULL, CONSTRAINT pk_promotion_rules PRIMARY KEY (model_id, stage), CONSTRAINT fk_promotion_rules_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE registered_model_tags ( model_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_registered_model_tags PRIMARY KEY (model_id, "key"), CONSTRAINT fk_registered_model_tags_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE registered_models ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL, description TEXT, creation_time BIGINT NOT NULL, last_update_time BIGINT NOT NULL, deleted_time BIGINT, last_version BIGINT DEFAULT 0 NOT NULL, last_seq BIGINT DEFAULT 0 NOT NULL, last_event_us BIGINT DEFAULT 0 NOT NULL, head_hash TEXT, CONSTRAINT uq_registered_models_uid UNIQUE (uid) );

CREATE TABLE registry_id ( one_row INTEGER DEFAULT 1 NOT NULL, id TEXT NOT NULL, last_event BIGINT DEFAULT 0 NOT NULL, latest_ms BIGINT DEFAULT 0 NOT NULL, CONSTRAINT pk_registry_id PRIMARY KEY (one_row), CONSTRAINT ck_registry_id_one_row CHECK (one_row = 1) );

CREATE TABLE IF NOT EXISTS registry_schema_version ( version_num VARCHAR(32) NOT NULL, CONSTRAINT registry_schema_version_pkc PRIMARY KEY (version_num) );

CREATE TABLE removals ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, experiment_id INTEGER NOT NULL, location TEXT NOT NULL, since BIGINT NOT NULL, CONSTRAINT fk_removals_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (id) );

CREATE TABLE run_models ( run_id INTEGER NOT NULL, direction TEXT NOT NULL, logged_model_id INTEGER NOT NULL, step BIGINT NOT NULL, CONSTRAINT pk_run_models PRIMARY KEY (run_id, direction, logged_model_id), CONSTRAINT ck_run_models_direction CHECK (direction IN ('input', 'output')), CONSTRAINT fk_run_models_logged_model_id FOREIGN KEY(logged_model_id) REFERENCES logged_models (id) ON DELETE CASCADE, CONSTRAINT fk_run_models_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE runs ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, experiment_id INTEGER NOT NULL, name TEXT NOT NULL, user_id TEXT NOT NULL, status TEXT NOT NULL, start_time BIGINT NOT NULL, end_time BIGINT, lifecycle_stage TEXT NOT NULL, deleted_time BIGINT, purged_time BIGINT, adopted_location TEXT, CONSTRAINT ck_runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), CONSTRAINT ck_runs_status CHECK (status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')), CONSTRAINT fk_runs_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (id), CONSTRAINT uq_runs_run_id UNIQUE (run_id) );

CREATE TABLE stage_periods ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, stage TEXT NOT NULL, version BIGINT NOT NULL, since BIGINT NOT NULL, until BIGINT, "before" INTEGER, CONSTRAINT fk_stage_periods_before FOREIGN KEY("before") REFERENCES stage_periods (id), CONSTRAINT fk_stage_periods_model_id FOREIGN KEY(model_id) REFERENCES registered_models (id), CONSTRAINT uq_stage_periods_model_id_stage_since UNIQUE (model_id, stage, since) );

CREATE TABLE tags ( run_id INTEGER NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_tags PRIMARY KEY (run_id, "key"), CONSTRAINT fk_tags_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE ) WITHOUT ROWID;

CREATE TABLE tombstones ( public_id TEXT NOT NULL, removed_time BIGINT NOT NULL, CONSTRAINT pk_tombstones PRIMARY KEY (public_id) ) WITHOUT ROWID;

CREATE TABLE trigger_deliveries ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, check_id INTEGER NOT NULL, trigger_name TEXT NOT NULL, state TEXT NOT NULL, attempts BIGINT NOT NULL, next_time BIGINT NOT NULL, lease_token TEXT, lease_until BIGINT, message TEXT, end_time BIGINT, CONSTRAINT fk_trigger_deliveries_check_id FOREIGN KEY(check_id) REFERENCES monitor_checks (id), CONSTRAINT uq_trigger_deliveries_check_id_trigger_name UNIQUE (check_id, trigger_name) );

CREATE TABLE trusted_pages ( db_user TEXT NOT NULL, CONSTRAINT pk_trusted_pages PRIMARY KEY (db_user) ) WITHOUT ROWID;

CREATE TABLE uploads ( id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, model_id TEXT NOT NULL, experiment_id INTEGER NOT NULL, location TEXT NOT NULL, started BIGINT NOT NULL, CONSTRAINT fk_uploads_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (id), CONSTRAINT uq_uploads_model_id UNIQUE (model_id) );

CREATE INDEX ix_dataset_inputs_dataset_id ON dataset_inputs (dataset_id);

CREATE INDEX ix_evidence_logged_model_id_kind ON evidence (logged_model_id, kind);

CREATE INDEX ix_evidence_run_id ON evidence (run_id);

CREATE INDEX ix_history_model_id_version ON history (model_id, version, seq);

CREATE INDEX ix_history_renamed_from ON history (from_value) WHERE kind = 'renamed';

CREATE INDEX ix_incidents_model_id ON incidents (model_id);

CREATE INDEX ix_latest_metrics_value ON latest_metrics (experiment_id, "key", value, run_id);

CREATE INDEX ix_logged_model_metrics_logged_model_id_key ON logged_model_metrics (logged_model_id, "key");

CREATE INDEX ix_logged_model_metrics_run_id ON logged_model_metrics (run_id);

CREATE INDEX ix_logged_models_newest ON logged_models (experiment_id, lifecycle_stage, creation_time, model_id);

CREATE INDEX ix_logged_models_run_id ON logged_models (run_id);

CREATE INDEX ix_metrics_series_id_step ON metrics (series_id, step);

CREATE INDEX ix_model_aliases_model_id_version ON model_aliases (model_id, version);

CREATE INDEX ix_model_versions_logged_model_id ON model_versions (logged_model_id);

CREATE INDEX ix_model_versions_run_id ON model_versions (run_id);

CREATE INDEX ix_monitor_checks_model_id_version ON monitor_checks (model_id, version, end_time);

CREATE INDEX ix_monitors_model_id ON monitors (model_id);

CREATE INDEX ix_monitors_next_time ON monitors (next_time);

CREATE INDEX ix_registered_models_name ON registered_models (name);

CREATE INDEX ix_run_models_logged_model_id ON run_models (logged_model_id);

CREATE INDEX ix_runs_newest ON runs (experiment_id, lifecycle_stage, start_time, run_id);

CREATE INDEX ix_stage_periods_version ON stage_periods (model_id, version, stage);

CREATE INDEX ix_trigger_deliveries_pending ON trigger_deliveries (next_time) WHERE state = 'pending';

CREATE UNIQUE INDEX uq_experiments_kept_name ON experiments (name) WHERE purged_time IS NULL;

CREATE UNIQUE INDEX uq_incidents_not_closed ON incidents (model_id, cause) WHERE status <> 'closed';

CREATE UNIQUE INDEX uq_model_versions_living_origin ON model_versions (model_id, origin) WHERE deleted_time IS NULL;

CREATE UNIQUE INDEX uq_model_versions_one_production ON model_versions (model_id) WHERE current_stage = 'Production';

CREATE UNIQUE INDEX uq_model_versions_one_staging ON model_versions (model_id) WHERE current_stage = 'Staging';

CREATE UNIQUE INDEX uq_registered_models_living_name ON registered_models (name_key) WHERE deleted_time IS NULL;

CREATE UNIQUE INDEX uq_stage_periods_open ON stage_periods (model_id, stage) WHERE until IS NULL;

CREATE TRIGGER foreign_history_no_delete BEFORE DELETE ON foreign_history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TRIGGER foreign_history_no_replace BEFORE INSERT ON foreign_history WHEN EXISTS (SELECT 1 FROM foreign_history WHERE model_id = NEW.model_id AND segment = NEW.segment AND seq = NEW.seq) BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TRIGGER foreign_history_no_update BEFORE UPDATE ON foreign_history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TRIGGER history_no_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TRIGGER history_no_replace BEFORE INSERT ON history WHEN EXISTS (SELECT 1 FROM history WHERE id = NEW.id OR (model_id = NEW.model_id AND seq = NEW.seq)) BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TRIGGER history_no_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

CREATE TRIGGER logged_models_stay_sealed BEFORE UPDATE OF model_id, experiment_id, location, digest, flavors, signature ON logged_models WHEN OLD.digest IS NOT NULL AND (NEW.model_id IS NOT OLD.model_id OR NEW.experiment_id IS NOT OLD.experiment_id OR NEW.digest IS NOT OLD.digest OR NEW.flavors IS NOT OLD.flavors OR NEW.signature IS NOT OLD.signature OR (NEW.location IS NOT OLD.location AND NOT ((substr(OLD.location, 1, 1) = '/' OR substr(OLD.location, 1, 5) = 's3://') AND (substr(NEW.location, 1, 1) = '/' OR substr(NEW.location, 1, 5) = 's3://')))) BEGIN SELECT RAISE(ABORT, 'a sealed logged model never changes'); END;

INSERT INTO registry_id (id) VALUES (lower(hex(randomblob(16))));

INSERT INTO registry_schema_version (version_num) VALUES ('0016');

