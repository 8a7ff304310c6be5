"""Checks of model files that come from elsewhere, before any loader reads them."""
