"""`javis bench …`: our speed against a named reference, interleaved in one run."""
