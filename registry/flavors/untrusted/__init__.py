"""Check model files from untrusted sources before any loader reads them."""
