"""Real servers and the real program for end-to-end tests: one class each."""
