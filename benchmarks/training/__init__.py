"""Figures of training: what a step costs beside the original's formulation, and that a run learns and resumes."""
