"""Client methods for logged models: save and upload, load, sign."""
