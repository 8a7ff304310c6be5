"""Incidents in SQL, as rows and as events of the model's history, and the triggers that they set off."""
