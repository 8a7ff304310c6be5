"""Give Alembic its connection: the one that it is handed, or one by the registry's own settings."""

from alembic import context

from registry.store.schema import VERSION_TABLE
from registry.store.tables import Base


def run(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def database_url() -> str:
    from registry.settings import current_settings, place_of

    settings = current_settings()
    return (
        context.get_x_argument(as_dictionary=True).get("url") or place_of(settings.tracking_uri, settings).database_url
    )


if context.is_offline_mode():
    raise SystemExit("Offline mode (--sql) is not offered: migrations look at the database. Run them online.")

given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    from registry.store.engine import connect

    with connect(database_url()).exclusive() as exclusive:
        run(exclusive)
