"""Log what training code does without being asked: `autolog` of XGBoost, LightGBM and scikit-learn.

Guarantees: a patched function returns what it would return without us, bit for bit, and raises what it would raise. A
failure of ours is one logged warning. Disabling puts the original functions back.
"""
