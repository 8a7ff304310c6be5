"""Show the ``Example:`` of a docstring as a section of code.

Griffe does so with ``Examples:``. It reads ``Example:`` as a note in Markdown, where
the output ``['a'][0]`` would be a link.
"""

from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Rename the section before Griffe parses the docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of one module, class, function or attribute."""
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = text.replace("\nExample:\n", "\nExamples:\n")
