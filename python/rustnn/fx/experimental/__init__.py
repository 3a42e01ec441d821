"""What programs import from here to ask whether they are traced."""
