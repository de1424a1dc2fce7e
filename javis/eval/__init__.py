"""Is the candidate better, and may it go live?"""
