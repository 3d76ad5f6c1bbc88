"""The step-success predictor q̂: how likely a line that the model proposes is valid, before it is checked."""
