"""Who is tested on whom, what leaks, and what a score is worth."""
