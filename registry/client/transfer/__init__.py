"""Client methods that move models between registries: export, import, copy."""
