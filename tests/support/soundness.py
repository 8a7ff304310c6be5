"""Invariants of a registry after any fault: what resolves loads unchanged, and gc leaves exactly that."""

from gc_places import Place

from registry.blobs import open_blob_store
from registry.client.models.loading import open_model
from registry.uris import parse

FILES = {"MLmodel": b"flavors: {}\n", "data.bin": b"weights" * 1000, "deep/more.bin": b"more"}


def check_versions(place: Place, *, newest: int | None = None) -> int:
    """Check that every version loads and equals what was stored; return their number.

    With `newest` only so many of each model are loaded, because time is short and the others were before.
    """
    count = 0
    for model in place.client.search_registered_models():
        place.client.verify(model.name, read_bytes=newest is None)
        versions = place.client.search_model_versions(f"name = '{model.name}'", order_by=["version_number DESC"])
        count += len(versions)
        for version in versions[:newest]:
            assert version.status == "READY"
            with open_model(place.client.backend, parse(f"models:/{model.name}/{version.version}")) as directory:
                found = {
                    path.relative_to(directory).as_posix(): path.read_bytes()
                    for path in directory.rglob("*")
                    if path.is_file()
                }
            assert found == FILES
    return count


def check_bytes(place: Place, *others: Place) -> None:
    """Check that a gc with expired windows leaves exactly the files that rows of these registries name."""
    for one in (place, *others):
        report = one.client.collect_garbage(apply=True, older_than="0s", grace="0s")
        assert report.failures == ()
        assert (one.rows("uploads"), one.rows("removals")) == (0, 0)
    assert place.stored() == {path for one in (place, *others) for path in _named(one)}


def _named(place: Place) -> set[str]:
    query = (
        "SELECT e.artifact_location, l.location, f.path FROM logged_models l JOIN experiments e "
        "ON e.id = l.experiment_id JOIN model_files f ON f.logged_model_id = l.id WHERE l.purged_time IS NULL"
    )
    sealed = {f"{root}/{location}/{path}".removeprefix(f"{place.root}/") for root, location, path in place.sql(query)}
    query = (
        "SELECT e.artifact_location, r.run_id FROM runs r JOIN experiments e ON e.id = r.experiment_id "
        "WHERE r.purged_time IS NULL"
    )
    scratch = {
        f"{root}/{run_id}/artifacts/{info.path}".removeprefix(f"{place.root}/")
        for root, run_id in place.sql(query)
        for info in open_blob_store(f"{root}/{run_id}/artifacts").walk()
    }
    return sealed | scratch
