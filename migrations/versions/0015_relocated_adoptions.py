"""Let the place of adopted files change: whoever keeps them moves them, and their digests stay what they were."""

from alembic import op

revision = "0015"
down_revision = "0014"

OTHERS = ("model_id", "experiment_id", "digest", "flavors", "signature")
COLUMNS = ("model_id", "experiment_id", "location", "digest", "flavors", "signature")
ROWS = ("OLD", "NEW")


def upgrade() -> None:
    replace(relocates=True)


def downgrade() -> None:
    replace(relocates=False)


def replace(*, relocates: bool) -> None:
    """Replace the trigger that keeps sealed models; with `relocates`, an absolute location may become another one."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    differs = "IS NOT" if is_sqlite else "IS DISTINCT FROM"
    changes = [f"NEW.{name} {differs} OLD.{name}" for name in (OTHERS if relocates else COLUMNS)]
    if relocates:
        # The locations of uploads are relative; those of adopted files are absolute, and stay so.
        absolute = [f"(substr({row}.location, 1, 1) = '/' OR substr({row}.location, 1, 5) = 's3://')" for row in ROWS]
        changes.append(f"(NEW.location {differs} OLD.location AND NOT ({' AND '.join(absolute)}))")
    condition = f"OLD.digest IS NOT NULL AND ({' OR '.join(changes)})"
    if is_sqlite:
        op.execute("DROP TRIGGER logged_models_stay_sealed")
        op.execute(
            f"CREATE TRIGGER logged_models_stay_sealed BEFORE UPDATE OF {', '.join(COLUMNS)} ON logged_models "
            f"WHEN {condition} BEGIN SELECT RAISE(ABORT, 'a sealed logged model never changes'); END"
        )
    else:
        op.execute("DROP TRIGGER logged_models_stay_sealed ON logged_models")
        op.execute(
            "CREATE TRIGGER logged_models_stay_sealed BEFORE UPDATE ON logged_models FOR EACH ROW "
            f"WHEN ({condition}) EXECUTE FUNCTION logged_model_is_sealed()"
        )
