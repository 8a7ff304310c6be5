"""The two ways between MLflow and this registry: MLflow's stores on this database, and imports of MLflow's."""
