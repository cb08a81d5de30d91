"""Back ends: each draws a figure specification."""
