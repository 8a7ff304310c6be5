"""The active run and MLflow's module-level functions; no logic of their own, the client has it."""
