"""Monitoring: what a model sees in use, held against what it was trained on.

A *reference profile* describes the training data, *observations* are profiles of what was predicted, hour by hour, and
a *check* compares the two. scipy computes. Guarantees: importing this loads neither pandas nor scipy nor pyarrow; the
public names are listed once, in ``__init__.pyi``, and bound on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
