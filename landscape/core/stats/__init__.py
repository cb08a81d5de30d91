"""Statistics with numpy and scipy alone: knows no model."""
