"""The environment variables that ``registry help environment`` lists."""

from typing import Final

VARIABLES: Final = (
    ("REGISTRY_TRACKING_URI", "Where runs and models are kept. Also MLFLOW_TRACKING_URI."),
    ("REGISTRY_BACKEND_STORE_URI", "The database, if the tracking URI is s3://."),
    ("REGISTRY_ARTIFACT_LOCATION", "Where the files of new experiments go."),
    ("REGISTRY_SPOOL_DIR", "A directory to log to first, instead of the tracking URI; 'sync' sends it."),
    ("REGISTRY_SPOOL_SYNC", "Whether a thread sends it while the process lives; off by default."),
    ("REGISTRY_TRIGGERS_FILE", "What the names of triggers mean on this machine; for 'monitor run' and 'retrain'."),
    ("REGISTRY_ACTOR", "The name in histories; by default the user of the operating system."),
    ("REGISTRY_CACHE_DIR", "Where downloaded models are kept."),
    ("REGISTRY_CACHE_LIMIT_BYTES", "How large that may become; 20 GiB by default."),
    ("REGISTRY_ALLOW_CODE", "Whether loading a model may run code from its files; off by default."),
    ("REGISTRY_KEY_PASSWORD", "The password of the key of 'versions sign'."),
    ("REGISTRY_S3_ENDPOINT_URL", "The S3 server, if it is not Amazon's. Credentials are boto3's: AWS_..."),
    ("REGISTRY_CONNECT_TIMEOUT_SECONDS", "How long PostgreSQL may take to accept a connection; 10."),
    ("REGISTRY_STATEMENT_TIMEOUT_SECONDS", "How long a statement may take; 300."),
    ("NO_COLOR, TERM=dumb", "No bold headers."),
    ("COLUMNS", "The width of tables on a terminal."),
)
