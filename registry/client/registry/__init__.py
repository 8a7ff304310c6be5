"""Client methods for registered models: versions, stages, promotion, history."""
