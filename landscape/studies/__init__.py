"""What a published claim is tested with: studies, findings, effects, their pictures."""
