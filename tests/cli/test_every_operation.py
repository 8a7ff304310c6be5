"""Every public operation of the client has a command, or a reason why not."""

import registry
from registry.cli.app import PARTS, load

# Operation of the client: the command that does it.
COMMANDS = {
    "acknowledge_incident": "incident acknowledge",
    "add_monitor": "monitor add",
    "close_incident": "incident close",
    "get_incident": "incident show",
    "get_incidents": "incident list",
    "get_monitor": "monitor show",
    "get_monitor_checks": "monitor show",
    "get_monitors": "monitor list",
    "get_trigger_deliveries": "incident show",
    "guard_stage": "monitor guard",
    "remove_monitor": "monitor remove",
    "adopt": "db adopt",
    "approve": "versions approve",
    "check_promotion": "rules check",
    "collect_garbage": "gc",
    "compare": "runs compare",
    "copy_model_version": "versions copy",
    "correct_clock": "models correct-clock",
    "create_experiment": "experiments create",
    "create_registered_model": "models create",
    "create_run": "runs create",
    "delete_experiment": "experiments delete",
    "delete_experiment_tag": "experiments untag",
    "copy_experiment": "experiments copy",
    "copy_registered_model": "models copy",
    "copy_runs": "runs copy",
    "delete_model_version": "versions delete",
    "delete_model_version_tag": "versions untag",
    "delete_promotion_rules": "rules delete",
    "delete_registered_model": "models delete",
    "delete_registered_model_alias": "models unalias",
    "delete_registered_model_tag": "models untag",
    "delete_run": "runs delete",
    "delete_tag": "runs untag",
    "download_artifacts": "artifacts download",
    "export_model": "models export",
    "find_model_version_by_alias": "versions show",
    "find_model_version_by_stage": "versions show",
    "get_experiment": "experiments show",
    "get_experiment_by_name": "experiments show",
    "get_evidence": "models compare",
    "get_history": "models history",
    "get_holdings": "models holders",
    "get_latest_versions": "models show",
    "get_metric_history": "runs metrics",
    "get_metric_history_frame": "runs metrics",
    "get_model_version": "versions show",
    "get_model_version_by_alias": "versions show",
    "get_model_version_by_stage": "versions show",
    "get_model_version_download_uri": "artifacts resolve",
    "get_promotion_rules": "rules show",
    "get_registered_model": "models show",
    "get_run": "runs show",
    "import_model": "models import",
    "list_artifacts": "artifacts list",
    "list_logged_model_artifacts": "artifacts list",
    "log_artifact": "artifacts upload",
    "log_artifacts": "artifacts upload",
    "log_batch": "runs create",
    "log_evaluation": "models evaluate",
    "log_evidence": "models compare",
    "log_metric": "runs create",
    "log_param": "runs create",
    "move_runs": "runs move",
    "plan_relocation": "db relocate",
    "poll_events": "events list",
    "register_model": "models register",
    "relocate": "db relocate",
    "rename_experiment": "experiments rename",
    "rename_registered_model": "models rename",
    "resolve": "artifacts resolve",
    "restore_experiment": "experiments restore",
    "restore_model_version": "versions restore",
    "restore_run": "runs restore",
    "rollback": "models rollback",
    "search_experiments": "experiments list",
    "search_model_versions": "versions list",
    "search_registered_models": "models list",
    "search_runs": "runs list",
    "search_runs_frame": "runs list",
    "set_experiment_tag": "experiments tag",
    "set_experiment_tags": "experiments tag",
    "set_model_version_tag": "versions tag",
    "set_promotion_rules": "rules set",
    "set_registered_model_alias": "models alias",
    "set_registered_model_tag": "models tag",
    "set_tag": "runs tag",
    "set_terminated": "runs create",
    "sign_model": "versions sign",
    "transition_model_version_stage": "versions promote",
    "update_model_version": "versions edit",
    "update_registered_model": "models edit",
    "verify": "models verify",
    "verify_all": "models verify",
    "watch_events": "events watch",
}
_TRAINING = "part of training: Python logs it where it happens, and a finished run is recorded with 'runs create'"
_OBJECTS = "takes an object of Python; a shell has a file, which 'artifacts upload' stores"
_LOGGED_MODEL = "logged models are made by training; people name them by their run or their version"
LEFT_OUT = {
    "backend": "not an operation",
    "tracking_uri": "not an operation: --tracking-uri, and 'db current' shows it",
    "create_logged_model": _LOGGED_MODEL,
    "create_model_version": "MLflow's lower form of register_model: 'models register'",
    "delete_logged_model": _LOGGED_MODEL + "; gc removes those that nothing names",
    "delete_logged_model_tag": _LOGGED_MODEL,
    "finalize_logged_model": _LOGGED_MODEL,
    "flush_async_logging": "nothing is queued when a command ends",
    "get_foreign_history": "the history that an imported model brought along; 'models export' has it in its file",
    "get_logged_model": _LOGGED_MODEL + ": 'runs show' and 'artifacts resolve'",
    "get_model_signatures": "'artifacts download --require-signature' checks them, 'models predict' too",
    "get_model_version_stages": "the four stages; 'help targets' has them",
    "get_parent_run": "'runs show' has the tag mlflow.parentRunId",
    "load_table": "'artifacts download' gets the JSON file of a table",
    "log_dict": _OBJECTS,
    "log_figure": _OBJECTS,
    "log_image": _OBJECTS,
    "log_inputs": _TRAINING,
    "log_metric_history": _TRAINING,
    "log_model": "needs the model as an object of Python; 'models register' takes a saved directory",
    "log_model_artifact": _LOGGED_MODEL,
    "log_model_artifacts": _LOGGED_MODEL,
    "log_model_params": _LOGGED_MODEL,
    "log_outputs": _TRAINING,
    "log_stream": _OBJECTS,
    "log_table": _OBJECTS,
    "log_text": _OBJECTS,
    "search_logged_models": _LOGGED_MODEL,
    "set_logged_model_tags": _LOGGED_MODEL,
    "update_run": "'runs create' sets name and status at once",
}


def commands() -> set[str]:
    found = set()
    for name in PARTS:
        command = load(name)
        verbs = getattr(command, "commands", None)
        found |= {f"{name} {verb}" for verb in verbs} if verbs else {name}
    return found


def test_every_operation_of_the_client_has_a_command_or_a_reason() -> None:
    operations = {name for name in dir(registry.MlflowClient) if not name.startswith("_")}

    assert sorted(operations - COMMANDS.keys() - LEFT_OUT.keys()) == []
    assert sorted((COMMANDS.keys() | LEFT_OUT.keys()) - operations) == []
    assert COMMANDS.keys() & LEFT_OUT.keys() == set()


def test_every_command_that_is_named_exists() -> None:
    assert sorted(set(COMMANDS.values()) - commands()) == []


def test_every_command_has_examples_and_a_docstring() -> None:
    for name in PARTS:
        command = load(name)
        for verb, part in (getattr(command, "commands", None) or {name: command}).items():
            assert part.help, f"{name} {verb}"
            assert part.hidden or part.epilog, f"{name} {verb}"
