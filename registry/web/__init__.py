"""The page: `registry ui` shows runs and models in a browser, and acts through the same client as scripts do.

Guarantees: the page keeps no state of its own; who acts is the actor in the history; nothing is fetched from elsewhere.
"""
