"""Serve the model that a stage or alias stands for, and change it when a promotion does.

`follow` is for a server of your own; ``registry models serve`` is one. Nothing heavy is imported before the first call.
"""

from registry.serving.follow import FollowedModel, follow
from registry.serving.served_model import FollowStatus, ServedModel

__all__ = ["FollowStatus", "FollowedModel", "ServedModel", "follow"]
