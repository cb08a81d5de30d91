"""What every analysis is made of, without torch: declaration, schema, figures, and the one registry."""
