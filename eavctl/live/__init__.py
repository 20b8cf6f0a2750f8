"""Live inference: sources with clocks of their own, windows in which they meet, and answers at once."""
