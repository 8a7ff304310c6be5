"""``registry score``: ``registry models score`` without its noun, hidden from help."""

from registry.cli.commands import standalone
from registry.cli.score import score

app = standalone()
app.command("score", hidden=True)(score)
