"""How often checks raise false alarms, and how soon they find drift, beside other tools."""
