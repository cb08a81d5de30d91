"""What layers do to frequencies."""
