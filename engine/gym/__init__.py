"""The datasets of reasoning-gym: which of them serve, how their entries are made, and how replies are scored.

python -m engine.gym                    # all datasets
python -m engine.gym spell_backward     # one with its parameters and an example
"""
